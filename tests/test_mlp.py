import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import activations, masks, regularizers
from jaxmlp.initializers import glorot_uniform, lecun_normal, normal
from jaxmlp.mlp import MLP, LayerSummary
from jaxmlp.normalization import LayerNorm, RMSNorm
from jaxmlp.regularizers import alpha_dropout, dropout
from jaxmlp.types import HiddenLayer, Layer

KEY = jax.random.key(0)


def test_parameters_have_the_shapes_of_the_sizes_and_biases_of_zero():
    params = MLP(sizes=(5, 7, 3)).init(KEY)
    assert [(layer.w.shape, layer.b.shape) for layer in params] == [((5, 7), (7,)), ((7, 3), (3,))]
    assert all((layer.b == 0).all() for layer in params)


def test_layers_draw_different_weights():
    first, second, third = MLP(sizes=(4, 4, 4, 4)).init(KEY)
    assert not (first.w == second.w).any()
    assert not (second.w == third.w).any()


def test_hidden_layers_start_by_their_activation_and_the_output_as_linear():
    wide = MLP(sizes=(400, 400, 400), activation="relu").init(KEY)
    assert float(wide[0].w.var() * 400) == pytest.approx(2.0, rel=0.05)
    assert float(wide[1].w.var() * 400) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("initializer", ["lecun_normal", lecun_normal])
def test_a_given_initializer_draws_all_weights(initializer):
    params = MLP(sizes=(4, 5, 3), initializer=initializer).init(KEY)
    for i, layer in enumerate(params):
        expected = lecun_normal(jax.random.fold_in(KEY, i), layer.w.shape)
        np.testing.assert_array_equal(layer.w, expected)


def test_a_net_without_hidden_layers_is_linear():
    net = MLP(sizes=(3, 2))
    (layer,) = net.init(KEY)
    x = jnp.array([[-1.0, 2.0, -3.0]])
    np.testing.assert_allclose(net.apply((layer,), x), np.asarray(x) @ np.asarray(layer.w), rtol=1e-6)
    assert layer.w.tolist() == glorot_uniform(jax.random.fold_in(KEY, 0), (3, 2)).tolist()


def test_any_leading_shape_gives_the_same_rows():
    net = MLP(sizes=(3, 4, 2))
    params = net.init(KEY)
    x = jax.random.normal(KEY, (2, 5, 3))
    np.testing.assert_allclose(net.apply(params, x)[1, 2], net.apply(params, x[1, 2]), rtol=1e-6)


RICH = (
    MLP((3, 8, 8, 2), "prelu", normalization="layer", residual=True),
    MLP((3, 8, 8, 3), ("gelu", "tanh"), normalization="rms", heads={"a": 1, "b": 2}, parametrization="ntk"),
)


@pytest.mark.parametrize(
    ("net", "rows"),  # where jax 0.10.2 computes the last ones wrong
    [
        *((MLP((3, 8, 1)), rows) for rows in (16_384, 16_385, 32_767, 32_768, 32_769, 32_770)),
        *((net, rows) for net in RICH for rows in (16_385, 32_769)),
    ],
)
def test_many_rows_eager_and_jitted_agree(net, rows):
    params = net.init(KEY)
    x = jax.random.normal(KEY, (rows, 3))
    jitted, eager = jax.jit(net.apply)(params, x), net.apply(params, x)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), jitted, eager)


def test_own_functions_serve_as_activation():
    net = MLP(sizes=(2, 3, 1), activation=jnp.sin)
    params = net.init(KEY)
    x = jnp.array([[0.3, -0.2]])
    expected = np.sin(np.asarray(x @ params[0].w)) @ np.asarray(params[1].w)
    np.testing.assert_allclose(net.apply(params, x), expected, rtol=1e-5)


def test_dropout_acts_on_hidden_units_only_with_a_key():
    net = MLP(sizes=(2, 1000, 1000), activation="identity", dropout=0.3)
    eye = Layer(jnp.eye(1000), jnp.zeros(1000))
    params = (Layer(jnp.ones((2, 1000)), jnp.zeros(1000)), eye)
    x = jnp.full((1, 2), 0.5)
    np.testing.assert_array_equal(net.apply(params, x), 1.0)
    dropped = np.asarray(net.apply(params, x, key=KEY))
    kept = dropped > 0
    np.testing.assert_allclose(dropped[kept], 1 / 0.7, rtol=1e-5)
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / 1000)
    same_again = net.apply(params, x, key=KEY)
    np.testing.assert_array_equal(dropped, same_again)


def test_each_hidden_layer_has_a_mask_of_its_own():
    net = MLP(sizes=(1, 500, 500, 500), activation="identity", dropout=0.5)
    eye = Layer(jnp.eye(500), jnp.zeros(500))
    params = (Layer(jnp.ones((1, 500)), jnp.zeros(500)), eye, eye)
    survived_both = float((net.apply(params, jnp.ones((1, 1)), key=KEY) > 0).mean())
    assert abs(survived_both - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 500)


def test_a_traced_rate_of_zero_equals_no_dropout():
    params = MLP(sizes=(2, 3, 1)).init(KEY)
    x = jnp.ones((4, 2))

    def apply(rate):
        return MLP(sizes=(2, 3, 1), dropout=rate).apply(params, x, key=KEY)

    np.testing.assert_allclose(jax.jit(apply)(0.0), MLP(sizes=(2, 3, 1)).apply(params, x), rtol=1e-6)


def test_no_dropout_leaves_no_randomness_in_the_program():
    net = MLP(sizes=(2, 3, 1))
    program = jax.make_jaxpr(lambda p, x, k: net.apply(p, x, key=k))(net.init(KEY), jnp.ones((4, 2)), KEY)
    assert "random" not in str(program)


def test_dropout_is_unbiased_and_keeps_the_dtype():
    a = jnp.full((40_000,), 2.0, jnp.bfloat16)
    dropped = dropout(KEY, a, 0.2)
    assert dropped.dtype == jnp.bfloat16
    mean = float(dropped.astype(jnp.float32).mean())
    assert abs(mean - 2.0) < 5 * 2.0 * np.sqrt(0.2 / 0.8 / 40_000) + 2.0 * 2**-8


def test_a_description_is_hashable_equal_by_value_and_json(unchecked):
    assert hash(MLP(sizes=[3, 2])) == hash(MLP(sizes=(3, 2)))
    assert MLP(sizes=(3, 2)) != MLP(sizes=(3, 2), dropout=0.1)
    for net in (
        MLP(sizes=(3, 4, 2), activation="tanh", dropout=0.1),
        MLP(
            (3, 4, 4, 5),
            ("gelu", "prelu"),
            "orthogonal",
            0.1,
            "rms",
            True,
            {"b": 2, "a": 3},
            "ntk",
            jnp.bfloat16,
            "high",
        ),
    ):
        again = MLP(**json.loads(json.dumps(dataclasses.asdict(net))))
        assert again == net
        assert hash(again) == hash(net)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sizes": (3,)}, r"sizes is \(3,\); give at least two"),
        ({"sizes": (3, 0)}, r"sizes\[1\] is 0; give a whole number of at least 1"),
        (
            {"sizes": (3, 2), "activation": "rellu"},
            r"activation is 'rellu'; did you mean 'relu'\? Known are: .*tanh",
        ),
        ({"sizes": (3, 2), "activation": "softmax"}, r"use losses.softmax_cross_entropy"),
        ({"sizes": (3, 2), "activation": activations.softmax}, r"activation is softmax, which mixes"),
        ({"sizes": (3, 2), "initializer": "he"}, r"initializer is 'he'; .*he_normal"),
        ({"sizes": (3, 2), "dropout": 1.0}, r"dropout is 1.0; give a number in \[0, 1\)"),
        ({"sizes": (3, 2), "dropout": float("nan")}, r"dropout is nan; give a number in \[0, 1\)"),
        (
            {"sizes": (3, 4, 2), "activation": ("relu", "tanh")},
            r"activation has 2 entries for 1 hidden layers; give one",
        ),
        ({"sizes": (3, 4, 2), "activation": ["rel"]}, r"activation\[0\] is 'rel'; did you mean 'relu'"),
        (
            {"sizes": (3, 4, 2), "activation": jax.nn.softmax},
            r"activation is 'softmax', which mixes the units of a lay",
        ),
        ({"sizes": (3, 2), "normalization": "batch"}, r"normalization is 'batch'; known are: layer, rms"),
        ({"sizes": (3, 4, 2), "residual": True}, r"residual is True, but no two hidden layers .* in sizes \(3, 4, 2\)"),
        ({"sizes": (3, 4, 5, 2), "residual": True}, r"residual is True, but no two hidden layers in a row are equally"),
        ({"sizes": (4, 4, 2), "residual": True}, r"residual is True, but no two hidden layers"),
        ({"sizes": (3, 4), "heads": {"a": 2, "b": 1}}, r"heads have 3 outputs in all, but sizes ends with 4; give as"),
        (
            {"sizes": (3, 4), "heads": (("a", 2), ("a", 2))},
            r"heads has the name 'a' twice; give each a name of its own",
        ),
        ({"sizes": (3, 4), "heads": {"a": 4, "b": 0}}, r"heads\['b'\] is 0; give a whole number of at least 1"),
        (
            {"sizes": (3, 4, 1, 2), "normalization": "layer"},
            r"normalization is 'layer', but a hidden layer has one unit",
        ),
        ({"sizes": (3, 1, 2), "normalization": LayerNorm(0.1)}, r"normalization is LayerNorm\(eps=0.1\), but a hidden"),
        (
            {"sizes": (3, 4, 2), "dropout": [0.1, 0.2]},
            r"dropout has shape \(2,\); give a single number in \[0, 1\), and",
        ),
        ({"sizes": (3, 4, 2), "dropout": jnp.array(1.5)}, r"dropout is 1.5; give a number in \[0, 1\)"),
        (
            {"sizes": (3, 4, 2), "compute_dtype": "float64"},
            r"compute_dtype is 'float64', but numbers of 64 bits are not",
        ),
        ({"sizes": (3, 4), "heads": {}}, r"heads have 0 outputs in all, but sizes ends with 4; give as many in both"),
        ({"sizes": (3, 4), "parametrization": "mup"}, r"parametrization is 'mup'; known are: standard, ntk"),
        ({"sizes": (3, 4), "compute_dtype": "bf16"}, r"compute_dtype is 'bf16'; did you mean 'bfloat16'\?"),
        ({"sizes": (3, 4), "compute_dtype": jnp.int8}, r"compute_dtype is 'int8'; known are: bfloat16, float16"),
        ({"sizes": (3, 4), "precision": "exact"}, r"precision is 'exact'; known are: default, high, highest"),
    ],
)
def test_a_wrong_description_gets_a_sentence(arguments, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        MLP(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sizes": 3}, r"sizes is 3; give a tuple, such as \(inputs, hidden, outputs\)"),
        ({"sizes": (3.5, 2)}, r"sizes\[0\] is 3.5; give a whole number of at least 1"),
        ({"activation": 3}, r"activation is 3; give a name such as 'relu', a function, or an object such as PReLU\(\)"),
        ({"activation": activations.PReLU}, r"activation is <class .*PReLU'>; give a name such as 'relu'"),
        ({"normalization": LayerNorm}, r"normalization is <class .*; give 'layer', 'rms', None, or an object such as"),
        ({"normalization": 1}, r"normalization is 1; give 'layer', 'rms', None, or an object such as LayerNorm\(\)"),
        ({"residual": 1}, r"residual is 1; give True or False"),
        ({"heads": ("a", "b")}, r"heads is \('a', 'b'\); give values by name, such as"),
        ({"heads": {1: 2}}, r"heads is {1: 2}; give values by name"),
    ],
)
def test_arguments_of_the_wrong_kind_get_a_sentence(arguments, sentence, unchecked):
    with pytest.raises(TypeError, match=sentence):
        MLP(**{"sizes": (3, 4, 4, 2), **arguments})


@pytest.mark.parametrize("wrap", [lambda function: function, jax.jit])
def test_inputs_and_parameters_of_another_net_get_a_sentence_in_a_program_as_well(wrap, unchecked):
    net = MLP(sizes=(3, 4, 2))
    params, x = net.init(KEY), jnp.ones((5, 3))
    apply = wrap(net.apply)
    with pytest.raises(ValueError, match=r"x has shape \(5, 4\), but sizes\[0\] is 3; give x of shape \(..., 3\) or a"):
        apply(params, jnp.ones((5, 4)))
    with pytest.raises(ValueError, match=r"x has shape \(\), but sizes\[0\] is 3"):
        apply(params, jnp.ones(()))
    with pytest.raises(
        ValueError, match=r"params have 2 arrays, the net's own 4 in 2 layers; give the parameters that"
    ):
        apply(params[:1], x)
    with pytest.raises(ValueError, match=r"params have 0 arrays, the net's own 4 in 2 layers"):
        apply(None, x)
    with pytest.raises(
        ValueError, match=r"the net's own have shape \(3, 4\) at \[0\].w, params have shape \(3, 5\); give"
    ):
        apply(MLP((3, 5, 2)).init(KEY), x)
    with pytest.raises(
        ValueError, match=r"the net's own have shape \(2,\) at \[1\].b, params have shape \(1,\); give p"
    ):
        apply((params[0], Layer(params[1].w, params[1].b[:1])), x)
    with pytest.raises(ValueError, match=r"params have 4 arrays, the net's own 5 in 2 layers"):
        wrap(MLP((3, 4, 2), normalization="rms").apply)(params, x)


LEARNED = {
    "prelu": MLP((3, 4, 2), "prelu"),
    "layer": MLP((3, 4, 2), normalization="layer"),
    "rms": MLP((3, 4, 2), normalization="rms"),
    "rms and prelu": MLP((3, 4, 2), "prelu", normalization="rms"),
}


@pytest.mark.parametrize("theirs", LEARNED)
@pytest.mark.parametrize("ours", LEARNED)
def test_what_another_net_has_learned_is_refused(ours, theirs):
    params, x = LEARNED[theirs].init(KEY), jnp.ones((5, 3))
    if ours == theirs:
        LEARNED[ours].apply(params, x)
        return
    with pytest.raises(ValueError, match=r"the net's own .* at \[0\]|arrays, the net's own [56] in 2 layers"):
        jax.jit(LEARNED[ours].apply)(params, x)
    slope = HiddenLayer(jnp.ones((3, 4)), jnp.ones(4), None, activations.PReLUParams(jnp.ones((5, 4))))
    with pytest.raises(
        ValueError, match=r"own have shape \(4,\) at \[0\].activation.slope, params have shape \(5, 4\)"
    ):
        LEARNED["prelu"].apply((slope, LEARNED["prelu"].init(KEY)[1]), x)


def test_a_list_for_inputs_gets_a_sentence(unchecked):
    net = MLP(sizes=(3, 2))
    with pytest.raises(TypeError, match=r"x is a list; give an array of shape \(..., 3\), such as jnp.asarray\(x\)"):
        net.apply(net.init(KEY), [[1.0, 2.0, 3.0]])


def test_plain_tuples_of_numpy_arrays_serve_as_parameters():
    net = MLP((3, 4, 2), normalization="layer")
    params, x = net.init(KEY), jax.random.normal(KEY, (5, 3))
    plain = [tuple(jax.tree.map(np.asarray, part) for part in layer) for layer in params]
    np.testing.assert_array_equal(net.apply(plain, x), net.apply(params, x))
    nested = [(np.asarray(w, np.float64), b, (n.scale, n.shift), None) for w, b, n, _ in params[:1]] + [[*params[1]]]
    np.testing.assert_array_equal(net.apply(nested, x), net.apply(params, x))


def test_integer_inputs_are_taken_as_floats(unchecked):
    net = MLP(sizes=(3, 2))
    params = net.init(KEY)
    whole = jnp.array([[1, 0, 2]])
    np.testing.assert_array_equal(net.apply(params, whole), net.apply(params, whole.astype(jnp.float32)))


def test_dropout_saturates_units_of_selu():
    net = MLP(sizes=(1, 4000, 4000), activation="selu", dropout=0.3)
    eye = Layer(w=jnp.eye(4000), b=jnp.zeros(4000))
    params = (Layer(w=jnp.zeros((1, 4000)), b=jnp.zeros(4000)), eye)
    values = np.unique(net.apply(params, jnp.ones((1, 1)), key=KEY))
    saturated, kept = alpha_dropout(KEY, jnp.zeros(4000), 0.3).min(), alpha_dropout(KEY, jnp.zeros(4000), 0.3).max()
    np.testing.assert_allclose(values, [saturated, kept], rtol=1e-6)
    assert saturated < -0.4 < 0.4 < kept


# -- an activation for each layer --


def test_each_hidden_layer_has_its_own_activation():
    net = MLP((3, 4, 5, 2), activation=("tanh", jnp.sin))
    params, x = net.init(KEY), jax.random.normal(KEY, (6, 3))
    a = np.tanh(np.asarray(x @ params[0].w))
    np.testing.assert_allclose(net.apply(params, x), np.sin(a @ params[1].w) @ params[2].w, rtol=1e-4, atol=1e-6)
    assert net.activation == ("tanh", jnp.sin)
    first, second = (MLP((300, 300, 300, 2), (name, "sigmoid")).init(KEY) for name in ("relu", "sigmoid"))
    np.testing.assert_allclose(first[0].w.std() / second[0].w.std(), np.sqrt(2), rtol=0.02)  # He beside Glorot
    np.testing.assert_array_equal(first[1].w, second[1].w)


def test_a_number_in_an_array_is_the_number(unchecked):
    assert MLP((3, 4, 2), dropout=jnp.array(0.25), normalization=LayerNorm(np.float32(0.5))) == MLP(
        (3, 4, 2), dropout=0.25, normalization=LayerNorm(0.5)
    )
    assert hash(MLP((3, 4, 2), activations.PReLU(jnp.array(0.5)))) == hash(MLP((3, 4, 2), activations.PReLU(0.5)))


@pytest.mark.parametrize("selu", ["selu", functools.partial(activations.selu), jax.nn.selu])
def test_selu_is_known_however_it_is_written(selu):
    net, named = MLP((3, 500, 2), selu, dropout=0.5), MLP((3, 500, 2), "selu", dropout=0.5)
    params, x = net.init(KEY), jax.random.normal(KEY, (4, 3))
    np.testing.assert_array_equal(params[0].w, named.init(KEY)[0].w)
    np.testing.assert_allclose(net.apply(params, x, key=KEY), named.apply(params, x, key=KEY), rtol=1e-5, atol=1e-6)


def test_units_of_selu_alone_are_saturated_by_dropout():
    net = MLP((1, 2000, 2000, 2000), ("identity", "selu"), dropout=0.5)
    eye = Layer(w=jnp.eye(2000), b=jnp.zeros(2000))
    params = (Layer(w=jnp.ones((1, 2000)), b=jnp.zeros(2000)), eye, eye)
    a = activations.selu(jnp.array([0.0, 2.0] * 100))  # the first layer's units are dropped or doubled
    expected = np.unique(np.round(alpha_dropout(KEY, a, 0.5), 4))
    assert len(expected) == 3
    np.testing.assert_allclose(np.unique(np.round(net.apply(params, jnp.ones((1, 1)), key=KEY), 4)), expected)


# -- what is learned besides weights and biases --


def test_a_layer_holds_what_it_learns_beside_its_weights():
    params = MLP((3, 4, 5, 2), ("prelu", "relu"), normalization=None).init(KEY)
    assert [type(layer) for layer in params] == [HiddenLayer, Layer, Layer]
    assert params[0].normalization is None
    np.testing.assert_array_equal(params[0].activation.slope, np.full(4, 0.25, np.float32))
    params = MLP((3, 4, 5, 2), ("prelu", "relu"), normalization="layer").init(KEY, jnp.bfloat16)
    assert [type(layer) for layer in params] == [HiddenLayer, HiddenLayer, Layer]
    assert params[1].activation is None
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(params))
    assert [len(leaf) for leaf in params[1].normalization] == [5, 5]


def test_penalties_leave_slopes_scales_and_shifts_alone_unless_a_mask_names_them():
    params = MLP((3, 4, 4, 2), "prelu", normalization="layer").init(KEY)
    zeros = jax.tree.map(jnp.zeros_like, params)
    penalty = regularizers.l2(1.0)
    updates, _ = penalty.update(zeros, penalty.init(params), params)
    touched = jax.tree.map(lambda u: bool(jnp.any(u != 0)), updates)
    assert touched == masks.weights(params)
    assert sum(jax.tree.leaves(touched)) == 3
    named = masks.at("0/activation/slope", "*/normalization/scale")(params)
    assert sum(jax.tree.leaves(named)) == 3
    assert named[0].activation.slope
    assert named[1].normalization.scale


class Swish:
    """A user's own learned activation: z s(beta z)."""

    def init(self, units, dtype=float):
        return jnp.ones(units, dtype)

    def apply(self, params, z):
        return z * jax.nn.sigmoid(jnp.broadcast_to(params, z.shape) * z)


def test_an_object_of_ones_own_serves_as_learned_activation_and_as_normalization():
    own, silu = MLP((3, 4, 2), Swish()), MLP((3, 4, 2), "silu", initializer="glorot_uniform")
    params, x = own.init(KEY), jax.random.normal(KEY, (5, 3))
    np.testing.assert_allclose(own.apply(params, x), silu.apply(silu.init(KEY), x), rtol=1e-6)
    gradient = jax.grad(lambda p: own.apply(p, x).sum())(params)
    assert (gradient[0].activation != 0).all()
    normalized = MLP((3, 4, 2), "identity", initializer="glorot_uniform", normalization=Swish())
    np.testing.assert_allclose(normalized.apply(normalized.init(KEY), x), silu.apply(silu.init(KEY), x), rtol=1e-6)


@pytest.mark.parametrize("make", [lambda eps: LayerNorm(eps=eps), lambda eps: RMSNorm(eps=eps)])
def test_numbers_of_what_is_learned_may_be_traced_and_mapped_over(make):
    params, x = MLP((3, 4, 2), normalization=make(1.0)).init(KEY), jax.random.normal(KEY, (5, 3))

    def apply(eps):
        return MLP((3, 4, 2), normalization=make(eps)).apply(params, x)

    together = jax.jit(jax.vmap(apply))(jnp.array([0.5, 2.0]))
    np.testing.assert_allclose(together, jnp.stack([apply(0.5), apply(2.0)]), rtol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-2
    slopes = jax.jit(jax.vmap(lambda slope: MLP((3, 4, 2), activations.PReLU(slope)).init(KEY)[0].activation.slope))
    np.testing.assert_allclose(slopes(jnp.array([0.1, 0.2])), [[0.1] * 4, [0.2] * 4])


# -- residual blocks --


def test_the_sums_of_a_layer_pass_by_the_next_one():
    net = MLP((3, 4, 4, 4, 2), "tanh", residual=True)
    params = [list(layer) for layer in net.init(KEY)]
    x = jax.random.normal(KEY, (5, 3))
    z = np.asarray(x @ params[0][0])
    z = z + np.tanh(z) @ params[1][0]
    z = z + np.tanh(z) @ params[2][0]
    np.testing.assert_allclose(net.apply(params, x), np.tanh(z) @ params[3][0], rtol=1e-4, atol=1e-6)
    params[1][0] = params[2][0] = np.zeros((4, 4), np.float32)  # branches that say nothing leave the signal as it is
    np.testing.assert_allclose(net.apply(params, x), np.tanh(x @ params[0][0]) @ params[3][0], rtol=1e-5, atol=1e-6)


def test_residual_branches_begin_at_the_scale_of_one_unless_an_initializer_is_given():
    sizes = (6, 8, 8, 8, 5, 5, 2)
    plain, residual = MLP(sizes).init(KEY), MLP(sizes, residual=True).init(KEY)
    assert MLP(sizes, residual=True).residual_layers == (1, 2, 4)
    for i, (a, b) in enumerate(zip(plain, residual, strict=True)):
        np.testing.assert_allclose(b.w, a.w / (np.sqrt(3) if i in (1, 2, 4) else 1), rtol=1e-6)
    given = MLP(sizes, residual=True, initializer="he_normal").init(KEY)
    np.testing.assert_array_equal(given[1].w, MLP(sizes, initializer="he_normal").init(KEY)[1].w)


def standardized(z):
    return (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True)


@pytest.mark.parametrize(("normalization", "growth"), [(None, (1 + 1 / 49) ** 49), ("layer", 1 + 1 / 2)])
def test_the_signal_grows_by_a_known_factor_through_fifty_residual_layers(normalization, growth):
    """Each of 49 branches adds a 49th: of what passes by; or, normalized, of 1 to the 2 that He's first layer gives."""
    net = MLP((*(512,) * 51, 1), "relu", normalization=normalization, residual=True)
    params = jax.tree.map(np.asarray, net.init(KEY))
    z = np.random.default_rng(0).normal(size=(32, 512)) @ params[0].w
    first = np.mean(z**2)
    for layer in params[1:-1]:
        z = z + np.maximum(z if normalization is None else standardized(z), 0) @ layer.w
    assert np.mean(z**2) / first == pytest.approx(growth, rel=0.15)


def test_the_gradient_has_a_free_way_through_eighty_layers():
    def share(**options):
        net = MLP((*(8,) * 81, 1), "sigmoid", **options)
        gradient = jax.grad(lambda p: net.apply(p, jnp.ones((1, 8))).sum())(net.init(KEY))
        return float(jnp.linalg.norm(gradient[0].w) / jnp.linalg.norm(gradient[-2].w))

    assert share() < 1e-20
    assert 0.1 < share(residual=True) < 100


# -- heads --


def test_heads_are_the_columns_of_the_outputs_in_order():
    sizes, heads = (3, 4, 6), {"b": 1, "a": 3, "c": 2}
    plain, net = MLP(sizes), MLP(sizes, heads=heads)
    params, x = net.init(KEY), jax.random.normal(KEY, (2, 5, 3))
    jax.tree.map(np.testing.assert_array_equal, params, plain.init(KEY))
    outputs = net.apply(params, x)
    assert list(outputs) == ["b", "a", "c"]
    np.testing.assert_array_equal(jnp.concatenate(list(outputs.values()), axis=-1), plain.apply(params, x))
    assert {name: part.shape for name, part in outputs.items()} == {"b": (2, 5, 1), "a": (2, 5, 3), "c": (2, 5, 2)}
    assert net == MLP(sizes, heads=tuple(heads.items()))


# -- NTK parametrization --


def test_a_net_in_ntk_parametrization_begins_as_the_same_function_with_larger_weights():
    sizes = (3, 7, 5, 2)
    standard, ntk = MLP(sizes, "tanh"), MLP(sizes, "tanh", parametrization="ntk")
    x = jax.random.normal(KEY, (6, 3))
    np.testing.assert_allclose(ntk.apply(ntk.init(KEY), x), standard.apply(standard.init(KEY), x), rtol=1e-5)
    for a, b, inputs in zip(standard.init(KEY), ntk.init(KEY), sizes, strict=False):
        np.testing.assert_allclose(b.w, a.w * np.sqrt(inputs), rtol=1e-6)


def test_the_tangent_kernel_of_a_wide_net_is_the_analytic_one():
    """One hidden layer of ReLU: Theta = Sigma + K1 + (x.y / n) K0 + 1, of arc-cosine kernels (Cho and Saul 2009)."""
    inputs, width = 3, 20_000
    net = MLP((inputs, width, 1), initializer=functools.partial(normal, stddev=1.0))
    ntk = dataclasses.replace(net, parametrization="ntk")
    rng = np.random.default_rng(0)
    params = tuple(
        Layer(jnp.asarray(rng.normal(size=s), jnp.float32), jnp.zeros(s[1])) for s in ((inputs, width), (width, 1))
    )
    x = jnp.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.5]])
    gradients = [jax.grad(lambda p, row=row: ntk.apply(p, row)[0])(params) for row in x]
    leaves = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(g)]) for g in gradients]
    found = np.array([[a @ b for b in leaves] for a in leaves])

    dots = np.asarray(x @ x.T) / inputs  # of the weighted sums of the hidden layer
    lengths = np.sqrt(np.diag(dots))
    angle = np.arccos(np.clip(dots / np.outer(lengths, lengths), -1, 1))
    of_steps = (np.pi - angle) / (2 * np.pi)  # E[h(u) h(v)]
    of_ramps = np.outer(lengths, lengths) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    expected = of_ramps + (dots + 1) * of_steps + 1  # of the outer weights, the inner ones with biases, the last bias
    np.testing.assert_allclose(found, expected, rtol=0.05)
    other = [jax.grad(lambda p, row=row: net.apply(p, row)[0])(params) for row in x]
    assert (
        float(jnp.sum(jnp.square(other[0][1].w))) > 1000 * found[0, 0]
    )  # in the standard form it grows with the width


# -- precision --


def products(net, **options):
    """The matrix products of a forward pass: dtypes of operands and result, and the precision asked for."""
    params = net.init(KEY, **options)
    program = jax.make_jaxpr(net.apply)(params, jnp.ones((5, 3)))
    found = [e for e in program.eqns if e.primitive.name == "dot_general"]
    return [(*(v.aval.dtype.name for v in (*e.invars, *e.outvars)), e.params["precision"]) for e in found]


def test_compute_dtype_is_that_of_the_products_and_outputs_are_summed_up_in_the_parameters():
    half, single = "bfloat16", "float32"
    assert products(MLP((3, 4, 4, 2))) == [(single, single, single, None)] * 3
    assert products(MLP((3, 4, 4, 2), compute_dtype=half)) == [
        (half, half, half, None), (half, half, half, None), (half, half, single, None)
    ]  # fmt: skip
    assert products(MLP((3, 2), compute_dtype=single), dtype=half) == [(single, single, half, None)]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_computes_nearly_the_same_and_keeps_parameters_gradients_and_outputs_in_single(dtype):
    options = {"normalization": "layer", "residual": True, "dropout": 0.2}
    single, half = MLP((3, 32, 32, 2), **options), MLP((3, 32, 32, 2), compute_dtype=dtype, **options)
    params, x = single.init(KEY), jax.random.normal(KEY, (50, 3))
    assert half.init(KEY)[0].w.dtype == jnp.float32

    def mean(net):
        return jax.jit(jax.value_and_grad(lambda p: net.apply(p, x, key=KEY).mean()))(params)

    (expected, gradient), (value, rounded) = mean(single), mean(half)
    assert value.dtype == jnp.float32
    assert 0 < abs(float(value - expected)) < 2e-2
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(rounded), strict=True):
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=3e-2 * float(jnp.abs(a).max()) + 1e-6)


@pytest.mark.parametrize("precision", ["default", "high", "highest"])
def test_precision_is_that_of_every_product_on_the_way_forward_and_back(precision):
    net = MLP((3, 4, 2), precision=precision)
    wanted = (jax.lax.Precision(precision),) * 2
    assert [found[-1] for found in products(net)] == [wanted, wanted]
    program = str(jax.make_jaxpr(jax.grad(lambda p: net.apply(p, jnp.ones((5, 3))).sum()))(net.init(KEY)))
    assert program.count("dot_general[") == program.count(f"precision={wanted}") == 5


# -- what a person reads --


def test_parameters_and_flops_are_those_of_the_arrays_and_of_the_compiled_program():
    net = MLP((30, 40, 40, 6), ("identity", "prelu"), normalization="layer", residual=True)
    layers, params = net.layers(), net.init(KEY)
    assert [layer.parameters for layer in layers] == [sum(map(jnp.size, jax.tree.leaves(layer))) for layer in params]
    assert layers[1] == LayerSummary(1, (40, 40), "add those of [0], layer normalization, prelu", 1760, 3240)
    plain = MLP((30, 40, 40, 6), "identity")
    cost = jax.jit(plain.apply).lower(plain.init(KEY), jnp.ones((8, 30))).compile().cost_analysis()
    assert cost["flops"] == 8 * sum(layer.flops for layer in plain.layers())


def test_a_net_says_what_it_is():
    assert str(MLP((3, 2))) == "MLP 3-2: 8 parameters"
    assert str(MLP((64, 128, 10), dropout=0.2)) == "MLP 64-128-10, relu, dropout 0.2: 9,610 parameters"
    leaky = functools.partial(activations.leaky_relu, negative_slope=0.3)
    net = MLP((3, 4, 4, 3), (leaky, jnp.sin), normalization=LayerNorm(), residual=True, heads={"a": 2, "b": 1},
              parametrization="ntk", compute_dtype="bfloat16", precision="high")  # fmt: skip
    assert str(net) == (
        "MLP 3-4-4-3, leaky_relu (negative_slope 0.3) and sin, layer normalization, residual, heads a 2 and b 1, "
        "NTK parametrization, computed in bfloat16, precision high: 67 parameters"
    )
    said = []
    jax.jit(lambda rate: said.append(str(MLP((3, 4, 2), dropout=rate))))(0.1)
    assert said == ["MLP 3-4-2, relu, dropout traced: 26 parameters"]


def test_the_table_lines_up_and_begins_with_the_headline():
    net = MLP((64, 128, 128, 10), dropout=0.2, residual=True)
    assert net.summary() == (
        "MLP 64-128-128-10, relu, dropout 0.2, residual: 26,122 parameters\n"
        "params  w          then                                 parameters  FLOPs a row\n"
        "[0]     64 x 128   relu, dropout 0.2                         8,320       16,512\n"
        "[1]     128 x 128  add those of [0], relu, dropout 0.2      16,512       32,896\n"
        "[2]     128 x 10                                             1,290        2,570\n"
        "                                                            26,122       51,978"
    )
