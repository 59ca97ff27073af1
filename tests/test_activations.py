import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxmlp import activations
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.normalization import LayerNorm

Z = np.linspace(-5, 5, 41)
# The fixed point at which mean 0 and variance 1 stay so: Klambauer et al. 2017, section 2.
ALPHA, SCALE = 1.6732632423543772848, 1.0507009873554804934

EQUATIONS = {
    "identity": lambda z: z,
    "threshold": lambda z: np.where(z >= 0, 1.0, 0.0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "relu": lambda z: np.maximum(0, z),
    "leaky_relu": lambda z: np.where(z >= 0, z, 0.01 * z),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "selu": lambda z: SCALE * np.where(z > 0, z, ALPHA * (np.exp(z) - 1)),
    "gelu": lambda z: z * scipy.stats.norm.cdf(z),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log(1 + np.exp(z))),
    "hard_tanh": lambda z: np.clip(z, -1, 1),
}

DERIVATIVES = {
    "identity": lambda z: np.ones_like(z),
    "threshold": lambda z: np.zeros_like(z),
    "sigmoid": lambda z: EQUATIONS["sigmoid"](z) * (1 - EQUATIONS["sigmoid"](z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z >= 0, 1.0, 0.01),
    "softplus": lambda z: 1 / (1 + np.exp(-z)),
    "elu": lambda z: np.where(z > 0, 1.0, np.exp(z)),
    "selu": lambda z: SCALE * np.where(z > 0, 1.0, ALPHA * np.exp(z)),
    "gelu": lambda z: scipy.stats.norm.cdf(z) + z * scipy.stats.norm.pdf(z),
    "silu": lambda z: EQUATIONS["sigmoid"](z) * (1 + z * (1 - EQUATIONS["sigmoid"](z))),
    "mish": lambda z: (
        np.tanh(EQUATIONS["softplus"](z)) + z * (1 - np.tanh(EQUATIONS["softplus"](z)) ** 2) * EQUATIONS["sigmoid"](z)
    ),
    "hard_tanh": lambda z: np.where(np.abs(z) <= 1, 1.0, 0.0),
}


def test_every_activation_has_an_equation_here():
    exported = set(ACTIVATIONS) & set(activations.__all__)  # others are users' own, and those that are learned
    assert exported == set(EQUATIONS) == set(DERIVATIVES)


@pytest.mark.parametrize("name", EQUATIONS)
def test_values_follow_the_equation(name, x64):
    np.testing.assert_allclose(ACTIVATIONS[name](jnp.asarray(Z)), EQUATIONS[name](Z), rtol=1e-12)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_follow_the_equation_and_at_zero_the_convention(name, x64):
    derivatives = jax.vmap(jax.grad(ACTIVATIONS[name]))(jnp.asarray(Z))
    assert 0.0 in Z
    np.testing.assert_allclose(derivatives, DERIVATIVES[name](Z), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_dtype_is_kept_and_far_values_stay_finite(name, dtype):
    a = ACTIVATIONS[name](jnp.array([-1e4, 0.0, 1e4], dtype))
    assert a.dtype == dtype
    assert jnp.isfinite(a).all()


@pytest.mark.parametrize("name", EQUATIONS)
def test_nan_stays_nan(name):
    assert jnp.isnan(ACTIVATIONS[name](jnp.array([jnp.nan]))).all()


def test_leaky_relu_slope_may_be_traced():
    slopes = jnp.array([0.1, 0.3])
    a = jax.vmap(activations.leaky_relu, in_axes=(None, 0))(jnp.array([-1.0], jnp.bfloat16), slopes)
    assert a.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(a, np.float32)[:, 0], [-0.1, -0.3], rtol=4e-3)


def test_softmax_sums_to_one_and_does_not_overflow():
    z = jnp.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]])
    p = activations.softmax(z)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(p[1], np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum(), rtol=1e-6)


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        ACTIVATIONS["mine"] = activations.relu


def test_a_straight_through_threshold_has_the_values_of_one_and_the_derivative_of_a_line():
    z = jnp.array([-3e8, -0.5, 0.0, 0.5, 3e8])
    passing = functools.partial(activations.threshold, straight_through=True)
    np.testing.assert_array_equal(jax.jit(passing)(z), [0.0, 0.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(lambda z: 3 * passing(z)))(z), 3.0)


def test_the_form_of_gelu_with_tanh_is_near_the_exact_one():
    z = jnp.asarray(Z, jnp.float32)
    approximate = activations.gelu(z, approximate=True)
    by_hand = Z * (1 + np.tanh(np.sqrt(2 / np.pi) * (Z + 0.044715 * Z**3))) / 2
    np.testing.assert_allclose(approximate, by_hand, atol=1e-6)
    difference = np.max(np.abs(approximate - activations.gelu(z)))
    assert 1e-4 < difference < 1e-3


def test_the_form_of_gelu_with_tanh_has_finite_gradients_in_half_precision():
    z = jnp.array([-6e4, -300.0, 0.0, 300.0, 6e4], jnp.float16)
    gradient = jax.vmap(jax.grad(functools.partial(activations.gelu, approximate=True)))(z)
    assert gradient.dtype == jnp.float16
    np.testing.assert_allclose(gradient, [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "relu", "leaky_relu", "softplus", "elu", "selu", "silu", "mish", "hard_tanh"]
)
def test_the_functions_of_jax_count_as_ours_of_the_same_values(name):
    assert activations.find(getattr(jax.nn, name)) is ACTIVATIONS[name]
    z = jnp.asarray(Z, jnp.float32)
    np.testing.assert_allclose(getattr(jax.nn, name)(z), ACTIVATIONS[name](z), rtol=1e-6)
    of_jax = activations.find(jax.nn.gelu)
    np.testing.assert_allclose(of_jax(z), jax.nn.gelu(z), rtol=1e-6)
    assert activations.find(jnp.tanh) is activations.tanh


def test_whole_numbers_are_not_rounded_to_whole_numbers(unchecked):
    z = jnp.array([-4, 0, 3])
    np.testing.assert_allclose(activations.leaky_relu(z, jnp.float32(0.1)), [-0.4, 0, 3])
    np.testing.assert_allclose(activations.elu(z, jnp.float32(0.5)), [0.5 * np.expm1(-4), 0, 3], rtol=1e-6)
    np.testing.assert_allclose(activations.PReLU().apply(activations.PReLU().init(3), z), [-1, 0, 3])


def test_selu_keeps_mean_zero_and_variance_one():
    z = jax.random.normal(jax.random.key(0), (1_000_000,))
    a = activations.selu(z)
    assert abs(float(a.mean())) < 5e-3
    assert abs(float(a.var()) - 1) < 1e-2


def test_the_depth_of_elu_may_be_traced():
    alphas = jnp.array([0.5, 2.0])
    a = jax.vmap(activations.elu, in_axes=(None, 0))(jnp.array([-100.0, 3.0], jnp.bfloat16), alphas)
    assert a.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(a, np.float32), [[-0.5, 3.0], [-2.0, 3.0]], rtol=1e-2)


def test_a_function_of_ones_own_gets_a_name_once():
    activations.register("square_of_a_test", jnp.square)
    activations.register("square_of_a_test", jnp.square)  # again the same is no mistake
    assert ACTIVATIONS["square_of_a_test"] is jnp.square
    with pytest.raises(ValueError, match="name is 'square_of_a_test', which is taken; give one that is not among"):
        activations.register("square_of_a_test", jnp.abs)
    for taken in ("relu", "softmax"):
        with pytest.raises(ValueError, match=f"name is '{taken}', which is taken"):
            activations.register(taken, jnp.abs)


def test_what_is_no_function_gets_no_name(unchecked):
    with pytest.raises(TypeError, match="name is 'mine' and activation 'relu'; give a name and a function"):
        activations.register("mine", "relu")
    with pytest.raises(TypeError, match=r"name is 3 and activation .*; give a name and a function"):
        activations.register(3, jnp.sin)


# -- PReLU --


def test_the_parametric_relu_has_its_values_and_both_derivatives(x64):
    """He et al. 2015, equations 1 and 3: the derivative by a slope sums z over the rows where it is below 0."""
    z, prelu = jnp.asarray(np.random.default_rng(0).normal(size=(20, 4))), activations.PReLU()
    params = activations.PReLUParams(slope=jnp.array([0.25, 0.0, -0.5, 2.0]))
    np.testing.assert_allclose(
        prelu.apply(params, z), np.where(z > 0, z, np.asarray(z) * np.asarray(params.slope)), rtol=1e-12
    )
    by_slope, by_z = jax.grad(lambda p, z: prelu.apply(p, z).sum(), argnums=(0, 1))(params, z)
    np.testing.assert_allclose(by_slope.slope, np.where(z > 0, 0, z).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(by_z, np.where(z > 0, 1, np.broadcast_to(params.slope, z.shape)), rtol=1e-12)
    assert jax.grad(lambda z: prelu.apply(params, z)[0])(jnp.zeros(4))[0] == 1  # as leaky ReLU's from 0 on


def test_a_parametric_relu_begins_as_a_leaky_one_and_keeps_the_dtype():
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        z, prelu = jnp.asarray(Z, dtype), activations.PReLU(slope=0.1)
        params = prelu.init(len(Z), dtype)
        assert params.slope.dtype == dtype
        a = prelu.apply(params, z)
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, activations.leaky_relu(z, 0.1))
    assert activations.find("prelu") == activations.PReLU()
    assert float(activations.PReLU().init(1).slope[0]) == 0.25


def test_a_slope_that_is_no_finite_number_gets_a_sentence(unchecked):
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"slope is {wrong}; give a number in \(-inf, inf\)"):
            activations.PReLU(wrong)
    with pytest.raises(TypeError, match="slope is None; give a number in"):
        activations.PReLU(None)


# -- users' own --


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (jax.nn.softmax, "activation is 'softmax', which mixes the units of a layer; give a function of each number"),
        (lambda z: z - jnp.mean(z), "activation is '<lambda>', which mixes the units of a layer"),
        (lambda z: z[::-1], "activation is '<lambda>', which mixes the units of a layer"),
        (lambda z: jnp.cumsum(z, axis=-1), "activation is '<lambda>', which mixes the units of a layer"),
        (lambda z: z.at[0].multiply(2), "activation is '<lambda>', which mixes the units of a layer"),
        (
            jnp.sum,
            r"activation is 'sum', which turns shape \(2, 3\) into \(\); give a function of each number by itself",
        ),
        (lambda z: z.T, r"activation is '<lambda>', which turns shape \(2, 3\) into \(3, 2\)"),
        (jax.nn.glu, r"activation is 'glu', which fails on an array of shape \(2, 3\): .*; give a function of each"),
        (np.sin, "activation is 'sin', which fails on an array of shape .2, 3.: .*; give a function of each number"),
        (LayerNorm(), "activation is 'LayerNorm', which mixes the units of a layer"),
        (activations.softmax, "activation is softmax, which mixes the units of a layer and belongs to the output; use"),
        (functools.partial(activations.softmax), "activation is softmax, .* belongs to the output"),
        ("softmax", "activation is softmax, .* belongs to the output"),
        ("rellu", "activation is 'rellu'; did you mean 'relu'"),
    ],
)
def test_a_function_that_is_not_element_wise_gets_a_sentence(function, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        activations.check("activation", function)
    with pytest.raises(ValueError, match=sentence):  # while a program is traced as well
        jax.eval_shape(lambda z: activations.check("activation", function), jnp.zeros(()))
    if callable(function):
        with pytest.raises(ValueError, match=sentence):
            activations.register("mixing", function)
    assert "mixing" not in ACTIVATIONS


def test_element_wise_functions_pass_whatever_their_numbers():
    functions = [
        jnp.sin, jnp.log, lambda z: z * jax.nn.sigmoid(z), lambda z: jnp.where(z > 0, z, jnp.nan), jnp.sign,
        functools.partial(activations.leaky_relu, negative_slope=0.2), lambda z: jnp.zeros_like(z),
    ]  # fmt: skip
    for function in functions:
        activations.check("activation", function)

    def traced(number):
        activations.check("activation", lambda z: number * z)
        with pytest.raises(ValueError, match=r"which turns shape \(2, 3\) into \(2,\)"):
            activations.check("activation", lambda z: jnp.sum(number * z, axis=1))
        return number

    jax.jit(jax.vmap(traced))(jnp.ones(2))


def test_a_learned_activation_of_ones_own_gets_a_name():
    own = activations.PReLU(0.5)
    activations.register("half_slope_of_a_test", own)
    assert activations.find("half_slope_of_a_test") is own
    with pytest.raises(
        TypeError, match=r"activation is <class .*PReLU'>; give a name such as 'relu', a function, or an"
    ):
        activations.register("class_of_a_test", activations.PReLU)
