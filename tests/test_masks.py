import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxmlp import masks, optimizers, regularizers
from jaxmlp.mlp import MLP
from jaxmlp.types import Layer

PARAMS = MLP(sizes=(2, 3, 4, 1)).init(jax.random.key(0))


def filled(params, number):
    return jax.tree.map(lambda p: jnp.full_like(p, number), params)


ZEROS, ONES, TWOS = (filled(PARAMS, number) for number in range(3))


def chosen(mask, params=PARAMS):
    """Where a mask takes 1 instead of 2: for each leaf whether it does everywhere."""
    taken = masks.where(mask, params, filled(params, 1), filled(params, 2))
    assert jax.tree.map(jnp.shape, taken) == jax.tree.map(jnp.shape, params)
    return jax.tree.map(lambda leaf: bool((leaf == 1).all()), taken)


def layers(*pairs):
    return tuple(Layer(w, b) for w, b in pairs)


class TestEachMask:
    @pytest.mark.parametrize(
        ("mask", "selected"),
        [
            (masks.weights, layers((True, False), (True, False), (True, False))),
            (masks.hidden_weights, layers((False, False), (True, False), (False, False))),
            (masks.biases, layers((False, True), (False, True), (False, True))),
            (masks.everything, layers((True, True), (True, True), (True, True))),
            (masks.at("0/w"), layers((True, False), (False, False), (False, False))),
            (masks.at("0/w", "2/*"), layers((True, False), (False, False), (True, True))),
            (masks.at("[01]/b"), layers((False, True), (False, True), (False, False))),
            (masks.at("?/b"), layers((False, True), (False, True), (False, True))),
            (masks.at("*w"), layers((True, False), (True, False), (True, False))),
        ],
    )
    def test_selects_its_leaves_of_an_mlp(self, mask, selected):
        assert mask(PARAMS) == selected
        assert chosen(mask) == selected

    def test_tells_weights_by_their_axes_whatever_their_names(self):
        params = {"scale": jnp.ones(3), "kernel": jnp.ones((2, 3)), "step": jnp.array(1.0), "conv": jnp.ones((2, 2, 3))}
        assert masks.weights(params) == {"scale": False, "kernel": True, "step": False, "conv": True}
        assert masks.biases(params) == {"scale": True, "kernel": False, "step": True, "conv": False}

    def test_counts_only_matrices_as_hidden_weights(self):
        params = [
            jnp.ones((2, 3)),
            jnp.ones((3, 3, 3)),
            jnp.ones((3, 3)),
            jnp.ones(3),
            jnp.ones((3, 3)),
            jnp.ones((3, 1)),
        ]
        assert masks.hidden_weights(params) == [False, False, True, False, True, False]

    def test_works_on_flaxs_parameters(self):
        state = nnx.to_pure_dict(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param))
        assert masks.weights(state) == {"kernel": True, "bias": False}
        assert masks.at("kernel")(state) == {"kernel": True, "bias": False}

    def test_leaves_none_and_empty_pytrees_as_they_are(self):
        for mask in (masks.weights, masks.hidden_weights, masks.biases, masks.everything, masks.at("nothing")):
            assert mask({}) == {}
            assert mask({"a": None}) == {"a": None}
        assert masks.everything({"a": None, "w": jnp.ones(1)}) == {"a": None, "w": True}


class TestPaths:
    def test_are_written_with_slashes_through_dicts_sequences_and_names(self):
        params = {"net": [Layer(jnp.ones((1, 1)), jnp.ones(1))], "out": jnp.ones(1)}
        for path, selected in {"net/0/w": [True, False, False], "out": [False, False, True]}.items():
            assert jax.tree.leaves(masks.at(path)(params)) == selected

    def test_are_told_apart_by_upper_and_lower_case(self):
        assert masks.at("W")({"W": jnp.ones(1), "w": jnp.ones(1)}) == {"W": True, "w": False}

    def test_match_as_a_whole(self):
        params = {"w": jnp.ones(1), "w2": jnp.ones(1)}
        assert masks.at("w")(params) == {"w": True, "w2": False}

    def test_that_there_are_none_of_get_a_sentence_that_lists_them(self):
        sentence = r"^at\('3/w'\) matches no parameter; their paths are 0/w, 0/b, 1/w, 1/b, 2/w, 2/b$"
        with pytest.raises(ValueError, match=sentence):
            masks.at("0/w", "3/w")(PARAMS)

    def test_need_a_pattern(self):
        with pytest.raises(ValueError, match=r"^at\(\) selects nothing; give a pattern, such as at\('\*/w'\)$"):
            masks.at()


class TestTheValuesOfAMask:
    def test_may_hold_for_all_below_them(self):
        assert chosen(True) == masks.everything(PARAMS)
        assert not any(jax.tree.leaves(chosen(False)))
        assert chosen((True, False, Layer(True, False))) == layers((True, True), (False, False), (True, False))

    def test_may_be_numpys_or_jaxs(self):
        mask = layers((np.True_, np.False_), (jnp.array(True), jnp.array(False)), (np.array(True), np.array(False)))
        assert chosen(mask) == masks.weights(PARAMS)

    def test_may_be_given_for_each_number_of_a_leaf(self):
        mask = np.array([[True, False, True], [False, False, True]])
        params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
        taken = masks.where({"w": mask, "b": False}, params, filled(params, 1), filled(params, 2))
        np.testing.assert_array_equal(taken["w"], np.where(mask, 1, 2))
        np.testing.assert_array_equal(taken["b"], 2)

    def test_may_be_traced(self):
        def decayed(mask):
            transform = regularizers.l2(1.0, mask={"w": mask, "b": False})
            params = {"w": jnp.ones((1, 2)), "b": jnp.ones(2)}
            return transform.update(jax.tree.map(jnp.zeros_like, params), transform.init(params), params)[0]["w"]

        np.testing.assert_array_equal(jax.jit(decayed)(jnp.array([[True, False]])), [[1.0, 0.0]])
        np.testing.assert_array_equal(jax.jit(decayed)(jnp.array([[False, True]])), [[0.0, 1.0]])

    def test_choose_leaves_untouched(self):
        taken = masks.where(masks.weights, PARAMS, ONES, TWOS)
        assert taken[0].w is ONES[0].w
        assert taken[0].b is TWOS[0].b


class TestWrongMasks:
    @pytest.mark.parametrize(
        "mask",
        [[True, False, True], (True, False), {"w": True}, None, layers((True, None), (True, True), (True, True))],
        ids=["list", "too short", "dict", "None", "a value is None"],
    )
    def test_of_another_structure_get_a_sentence(self, mask, unchecked):
        with pytest.raises(
            ValueError, match=r"^mask is PyTreeDef.*, but params are PyTreeDef.*; give one like them or"
        ):
            masks.where(mask, PARAMS, ONES, TWOS)

    @pytest.mark.parametrize(("value", "shown"), [(1, "1"), (0.5, "0.5"), ("w", "'w'"), (np.ones(3), "array")])
    def test_of_other_than_truth_values_get_a_sentence(self, value, shown, unchecked):
        with pytest.raises(TypeError, match=rf"^mask holds {shown}.*; give truth values, such as True or an array"):
            masks.where(value, PARAMS, ONES, TWOS)

    @pytest.mark.parametrize("shape", [(5,), (3, 2), (4, 2, 3)])
    def test_of_another_shape_than_a_leaf_get_a_sentence_that_says_so(self, shape, unchecked):
        """An array of truth values may not make a leaf larger, nor pass for a mask of another structure."""
        params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
        with jax.numpy_rank_promotion("allow"), pytest.raises(ValueError, match="shape"):
            masks.where({"w": np.ones(shape, bool), "b": True}, params, params, params)

    def test_that_would_select_nothing_get_a_sentence(self):
        only_biases = {"a": jnp.ones(3), "b": jnp.ones(2)}
        with pytest.raises(ValueError, match=r"^params have no leaf with two axes, so masks.weights selects nothing; "):
            masks.weights(only_biases)
        sentence = r"^params have 2 matrices, so none between hidden layers; "
        with pytest.raises(ValueError, match=sentence):
            masks.hidden_weights(MLP(sizes=(2, 3, 1)).init(jax.random.key(0)))
        assert masks.biases({"w": jnp.ones((2, 2))}) == {"w": False}

    def test_reach_the_user_through_a_transform(self, unchecked):
        transform = regularizers.l2(1.0, mask=[True])
        with pytest.raises(ValueError, match=r"^mask is PyTreeDef"):
            transform.update(PARAMS, transform.init(PARAMS), PARAMS)


class TestOptax:
    @pytest.mark.parametrize("mask", [masks.weights, masks.biases, masks.hidden_weights, masks.at("1/*")])
    def test_masked_takes_the_same_masks(self, mask):
        ours = regularizers.l2(0.5, mask=mask)
        theirs = optax.masked(optax.add_decayed_weights(0.5), mask)
        for transform in (ours, theirs):
            updates, _ = transform.update(ZEROS, transform.init(PARAMS), PARAMS)
            for layer, of, hit in zip(updates, PARAMS, mask(PARAMS), strict=True):
                np.testing.assert_array_equal(layer.w, 0.5 * of.w if hit.w else 0.0)
                np.testing.assert_array_equal(layer.b, 0.5 * of.b if hit.b else 0.0)

    def test_partition_takes_labels_made_from_a_mask(self):
        def label(params):
            return jax.tree.map(lambda hidden: "fast" if hidden else "slow", masks.hidden_weights(params))

        transform = optax.partition({"fast": optimizers.sgd(1.0), "slow": optimizers.sgd(0.1)}, label)
        updates, _ = transform.update(ONES, transform.init(PARAMS), PARAMS)
        for i, layer in enumerate(updates):
            np.testing.assert_allclose(layer.w, -1.0 if i == 1 else -0.1)
            np.testing.assert_allclose(layer.b, -0.1)
