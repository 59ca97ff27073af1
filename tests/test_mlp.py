import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxmlp import activations, losses
from jaxmlp.initializers import glorot_uniform, lecun_normal
from jaxmlp.mlp import MLP
from jaxmlp.regularizers import alpha_dropout, dropout
from jaxmlp.types import Layer

KEY = jax.random.key(0)


def flax_mlp(params, activation):
    """The reference, written with Flax."""
    layers = []
    for w, b in params:
        linear = nnx.Linear(*w.shape, rngs=nnx.Rngs(0))
        linear.kernel, linear.bias = nnx.Param(w), nnx.Param(b)
        layers += [linear, activation]
    return nnx.Sequential(*layers[:-1])


@pytest.mark.parametrize(("name", "reference"), [("relu", nnx.relu), ("tanh", nnx.tanh), ("sigmoid", nnx.sigmoid)])
def test_forward_and_gradients_equal_flax(name, reference, x64):
    net = MLP(sizes=(5, 7, 6, 3), activation=name)
    params = tuple(Layer(w, b + 0.1) for w, b in net.init(KEY))
    x = jax.random.normal(jax.random.key(1), (11, 5))
    labels = jnp.arange(11) % 3

    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        theirs = flax_mlp(params, reference)
        outputs = theirs(x)
        gradient = nnx.grad(lambda m: losses.softmax_cross_entropy(m(x), labels).mean())(theirs)
    np.testing.assert_allclose(net.apply(params, x), outputs, rtol=1e-12)
    ours = jax.grad(lambda p: losses.softmax_cross_entropy(net.apply(p, x), labels).mean())(params)
    for i, (w, b) in enumerate(ours):
        layer = gradient.layers[2 * i]
        np.testing.assert_allclose(w, layer.kernel[...], rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(b, layer.bias[...], rtol=1e-9, atol=1e-14)


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


@pytest.mark.parametrize("rows", [16_385, 32_769])
def test_many_rows_eager_and_jitted_agree(rows):
    net = MLP(sizes=(3, 8, 1))
    params = net.init(KEY)
    x = jax.random.normal(KEY, (rows, 3))
    np.testing.assert_allclose(jax.jit(net.apply)(params, x), net.apply(params, x), rtol=1e-5, atol=1e-6)


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
    net = MLP(sizes=(3, 4, 2), activation="tanh", dropout=0.1)
    assert MLP(**json.loads(json.dumps(dataclasses.asdict(net)))) == net


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sizes": (3,)}, r"sizes is \(3,\); give at least two"),
        ({"sizes": 3}, r"sizes is 3; give at least two"),
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
    ],
)
def test_a_wrong_description_gets_a_sentence(arguments, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        MLP(**arguments)


def test_sizes_that_are_no_whole_numbers_get_a_sentence(unchecked):
    with pytest.raises(TypeError, match=r"sizes\[0\] is 3.5; give a whole number of at least 1"):
        MLP(sizes=(3.5, 2))


def test_inputs_and_parameters_of_another_net_get_a_sentence():
    net = MLP(sizes=(3, 4, 2))
    params = net.init(KEY)
    with pytest.raises(ValueError, match=r"x has shape \(5, 4\), but sizes\[0\] is 3"):
        net.apply(params, jnp.ones((5, 4)))
    with pytest.raises(ValueError, match=r"params has 1 layers, but sizes \(3, 4, 2\) has 2"):
        net.apply(params[:1], jnp.ones((5, 3)))


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
