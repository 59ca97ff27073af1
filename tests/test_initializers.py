import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from scipy import integrate, stats

from jaxmlp import activations, initializers
from jaxmlp.initializers import INITIALIZERS, gain, initializer_for
from jaxmlp.mlp import MLP

KEY = jax.random.key(1)
SHAPE = (300, 500)
VARIANCES = {
    "zeros": 0.0,
    "normal": 0.05**2,
    "uniform": 0.05**2 / 3,
    "lecun_normal": 1 / 300,
    "lecun_uniform": 1 / 300,
    "glorot_normal": 2 / (300 + 500),
    "glorot_uniform": 2 / (300 + 500),
    "he_normal": 2 / 300,
    "he_uniform": 2 / 300,
    "orthogonal": 1 / 500,
}
LIMITS = {"uniform": 0.05, "lecun_uniform": 0.1, "glorot_uniform": np.sqrt(6 / 800), "he_uniform": np.sqrt(6 / 300)}
CUT_OFF = {"lecun_normal", "glorot_normal", "he_normal"}
NUMBERS = dict.fromkeys(INITIALIZERS, "gain") | {"normal": "stddev", "uniform": "limit"}
NUMBERS.pop("zeros")


def drawn(name, shape=SHAPE, **numbers):
    return np.asarray(INITIALIZERS[name](KEY, shape, jnp.float32, **numbers), np.float64)


def test_every_initializer_has_a_variance_here():
    functions = {n for n in initializers.__all__ if n not in ("INITIALIZERS", "gain", "initializer_for")}
    assert set(INITIALIZERS) == set(VARIANCES) == functions


@pytest.mark.parametrize("name", sorted(set(VARIANCES) - {"zeros", "orthogonal"}))
def test_mean_and_variance_within_five_standard_errors(name):
    w = drawn(name)
    n, variance = w.size, VARIANCES[name]
    kurtosis = np.mean((w - w.mean()) ** 4) / w.var() ** 2
    assert abs(w.mean()) < 5 * np.sqrt(variance / n)
    assert abs(w.var() - variance) < 5 * variance * np.sqrt((kurtosis - 1) / n)


def test_zeros_are_zero():
    assert not drawn("zeros").any()


@pytest.mark.parametrize("name", LIMITS)
def test_uniform_weights_fill_their_interval_evenly(name):
    w, limit = drawn(name), LIMITS[name]
    assert 0.999 * limit < np.abs(w).max() <= limit * (1 + 1e-6)
    shares = np.histogram(w, bins=10, range=(-limit, limit))[0] / w.size
    np.testing.assert_allclose(shares, 0.1, atol=5 * np.sqrt(0.09 / w.size))


@pytest.mark.parametrize("name", sorted(CUT_OFF | {"normal"}))
def test_normal_weights_are_normal_or_cut_off_at_two_deviations(name):
    w = drawn(name).ravel()
    shape = stats.truncnorm(-2, 2) if name in CUT_OFF else stats.norm()
    assert stats.kstest(w / w.std(), lambda z: shape.cdf(z * shape.std())).pvalue > 1e-4
    assert (abs(w / w.std()).max() < 2.4) == (name in CUT_OFF)


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
def test_orthogonal_weights_have_equal_singular_values_and_no_preferred_sign(shape, x64):
    w = np.asarray(INITIALIZERS["orthogonal"](KEY, shape, jnp.float64, gain=1.5))
    np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), 1.5, rtol=1e-12)
    signs = [np.sign(INITIALIZERS["orthogonal"](jax.random.key(i), shape, jnp.float64)[0, 0]) for i in range(40)]
    assert abs(sum(signs)) < 5 * np.sqrt(40)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_number_of_an_initializer_scales_it_and_may_be_traced(name):
    number = NUMBERS[name]
    one, three = drawn(name, **{number: 1.0}), drawn(name, **{number: 3.0})
    np.testing.assert_allclose(three, 3 * one, rtol=1e-5)
    traced = jax.jit(lambda v: INITIALIZERS[name](KEY, SHAPE, jnp.bfloat16, **{number: v}))(3.0)
    assert traced.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(traced, float), three, rtol=1e-2, atol=1e-5)
    with pytest.raises(ValueError, match=rf"{number} is -1.0; give a number in"):
        INITIALIZERS[name](KEY, SHAPE, **{number: -1.0})


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"zeros"}))
def test_half_precision_is_drawn_in_single_and_rounded(name):
    w = INITIALIZERS[name](KEY, SHAPE, jnp.float32)
    np.testing.assert_array_equal(INITIALIZERS[name](KEY, SHAPE, jnp.bfloat16), w.astype(jnp.bfloat16))


# What Flax draws with the same key: the same distribution from the same numbers.
OF_FLAX = {
    "lecun_normal": linen.initializers.lecun_normal(),
    "glorot_normal": linen.initializers.glorot_normal(),
    "glorot_uniform": linen.initializers.glorot_uniform(),
    "he_normal": linen.initializers.he_normal(),
    "he_uniform": linen.initializers.he_uniform(),
    "orthogonal": linen.initializers.orthogonal(),
    "normal": linen.initializers.normal(0.05),
}


@pytest.mark.parametrize("name", OF_FLAX)
def test_weights_equal_those_of_flax(name):
    np.testing.assert_allclose(drawn(name), OF_FLAX[name](KEY, SHAPE, jnp.float32), rtol=1e-5, atol=1e-7)


def second_moment(name):
    """E[f(z)^2] for a normal z, by SciPy's adaptive quadrature, split where activations bend."""
    activation = activations.find(name)
    function = (lambda z: jnp.where(z >= 0, z, 0.25 * z)) if name == "prelu" else activation
    values = jax.jit(function)

    def integrand(z):
        return float(values(jnp.float64(z))) ** 2 * stats.norm.pdf(z)

    return integrate.quad(integrand, -12, 12, points=[-1, 0, 1], limit=200)[0]


@pytest.mark.parametrize(
    "name", [*sorted(set(activations.__all__) & set(activations.ACTIVATIONS) - {"threshold"}), "prelu"]
)
def test_the_gain_is_the_integral_that_keeps_the_mean_square(name, x64):
    np.testing.assert_allclose(float(gain(name)), second_moment(name) ** -0.5, rtol=1e-5)


def test_known_gains_and_the_slope_of_a_leaky_relu():
    assert float(gain("relu")) == pytest.approx(np.sqrt(2), rel=1e-6)  # He et al. 2015, equation 10
    leaky = functools.partial(activations.leaky_relu, negative_slope=0.3)
    assert float(gain(leaky)) == pytest.approx(np.sqrt(2 / (1 + 0.3**2)), rel=1e-6)  # equation 15
    assert float(gain("selu")) == pytest.approx(1, rel=1e-5)  # Klambauer et al. 2017: made for it
    assert float(gain("tanh")) == pytest.approx(5 / 3, rel=0.05)  # PyTorch's rounded figure
    traced = jax.jit(lambda a: gain(functools.partial(activations.leaky_relu, negative_slope=a)))(0.3)
    assert float(traced) == pytest.approx(np.sqrt(2 / (1 + 0.3**2)), rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "name", "scale"),
    [
        ("relu", "he_normal", 1),
        (activations.relu, "he_normal", 1),
        ("leaky_relu", "he_normal", 1 / np.sqrt(1 + 0.01**2)),
        (functools.partial(activations.leaky_relu, negative_slope=1.0), "he_normal", np.sqrt(1 / 2)),
        (activations.PReLU(1.0), "he_normal", np.sqrt(1 / 2)),
        ("gelu", "he_normal", 1.5335 / np.sqrt(2)),
        ("selu", "lecun_normal", 1),
        ("tanh", "glorot_uniform", 1.5925),
        (activations.tanh, "glorot_uniform", 1.5925),
        ("hard_tanh", "glorot_uniform", 1.3920),
        ("sigmoid", "glorot_uniform", 1),
        ("identity", "glorot_uniform", 1),
        (jnp.sin, "glorot_uniform", 1),
        (jax.nn.relu, "he_normal", 1),
        (functools.partial(activations.selu), "lecun_normal", 1),
    ],
)
def test_choice_by_activation_with_its_gain(activation, name, scale):
    w = initializer_for(activation)(KEY, SHAPE, jnp.float32)
    np.testing.assert_allclose(w, scale * drawn(name), rtol=1e-3)


@pytest.mark.parametrize(
    ("activation", "slope"), [("relu", 1.0), ("gelu", 1.14), ("silu", 1.17), ("mish", 1.08), ("tanh", 0.46)]
)
def test_what_is_too_large_grows_more_so_in_each_layer_of_smooth_relus(activation, slope, x64):
    """The documented slope of the map from one layer's mean square to the next one's, at its fixed point 1."""
    z = np.linspace(-10, 10, 20_001)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()

    def following(q):
        return (
            float(gain(activation)) ** 2
            * density
            @ np.asarray(activations.find(activation)(jnp.asarray(q**0.5 * z))) ** 2
        )

    assert following(1.0) == pytest.approx(1, rel=1e-5)
    assert (following(1.001) - following(0.999)) / 0.002 == pytest.approx(slope, abs=0.006)


def test_an_unknown_name_gets_a_sentence(unchecked):
    for function in (gain, initializer_for, activations.find):
        with pytest.raises(ValueError, match=r"activation is 'rellu'; did you mean 'relu'\?"):
            function("rellu")


@pytest.mark.parametrize(
    "wrong", [jax.nn.initializers.he_normal, lambda key, shape, dtype: jnp.zeros(shape[::-1], dtype)]
)
def test_an_initializer_that_returns_something_else_gets_a_sentence(wrong):
    with pytest.raises(
        ValueError, match=r"initializer returned a .* of shape .* for weights of shape \(3, 2\); give a"
    ):
        MLP((3, 2), initializer=wrong).init(KEY)


def mean_squares(net, *layers):
    """The mean square of the weighted sums of some hidden layers: those of nets cut off there, which end in them."""
    params, x = net.init(KEY), jax.random.normal(jax.random.key(2), (32, net.sizes[0]))
    squares = []
    for i in layers:
        part = dataclasses.replace(net, sizes=net.sizes[: i + 1])
        squares.append(float(jnp.mean(jnp.square(part.apply(params[:i], x)))))
    return squares


WIDE = (384,) * 51 + (1,)  # fifty hidden layers


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "selu", "tanh", "hard_tanh", "identity"])
def test_the_signal_keeps_its_scale_through_fifty_layers_with_the_recommended_initializer(activation):
    first, last = mean_squares(MLP(WIDE, activation), 2, 50)
    assert 0.4 < last / first < 2.5
    too_small = functools.partial(initializers.lecun_normal, gain=gain(activation) / 2)
    first, last = mean_squares(MLP(WIDE, activation, initializer=too_small), 2, 50)
    assert last / first < 1e-6, "any scale would do"
