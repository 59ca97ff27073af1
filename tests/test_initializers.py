import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import activations
from jaxmlp.initializers import INITIALIZERS, initializer_for

SHAPE = (300, 500)
VARIANCES = {"he_normal": 2 / 300, "glorot_uniform": 2 / (300 + 500), "lecun_normal": 1 / 300}


def test_every_initializer_has_a_variance_here():
    assert set(INITIALIZERS) == set(VARIANCES)


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance_within_five_standard_errors(name):
    w = np.asarray(INITIALIZERS[name](jax.random.key(1), SHAPE, jnp.float32), np.float64)
    n, variance = w.size, VARIANCES[name]
    kurtosis = np.mean((w - w.mean()) ** 4) / w.var() ** 2
    assert abs(w.mean()) < 5 * np.sqrt(variance / n)
    assert abs(w.var() - variance) < 5 * variance * np.sqrt((kurtosis - 1) / n)


def test_glorot_is_uniform():
    w = np.asarray(INITIALIZERS["glorot_uniform"](jax.random.key(1), SHAPE, jnp.float32))
    limit = np.sqrt(6 / 800)
    assert 0.999 * limit < np.abs(w).max() <= limit
    shares = np.histogram(w, bins=10, range=(-limit, limit))[0] / w.size
    np.testing.assert_allclose(shares, 0.1, atol=5 * np.sqrt(0.09 / w.size))


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("relu", "he_normal"),
        ("leaky_relu", "he_normal"),
        ("selu", "lecun_normal"),
        ("sigmoid", "glorot_uniform"),
        ("tanh", "glorot_uniform"),
        ("identity", "glorot_uniform"),
        (activations.relu, "he_normal"),
        (activations.tanh, "glorot_uniform"),
        (jnp.sin, "glorot_uniform"),
    ],
)
def test_choice_by_activation(activation, name):
    assert initializer_for(activation) is INITIALIZERS[name]


def test_signal_keeps_its_scale_through_fifty_relu_layers():
    key = jax.random.key(0)
    a = jax.random.normal(key, (64, 256))
    before = float(jnp.mean(a**2))
    for layer in range(50):
        w = initializer_for("relu")(jax.random.fold_in(key, layer), (256, 256), jnp.float32)
        a = activations.relu(a @ w)
    assert 0.1 < float(jnp.mean(a**2)) / before < 10
