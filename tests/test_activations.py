import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import activations
from jaxmlp.activations import ACTIVATIONS

Z = np.linspace(-5, 5, 41)

EQUATIONS = {
    "identity": lambda z: z,
    "threshold": lambda z: np.where(z >= 0, 1.0, 0.0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "relu": lambda z: np.maximum(0, z),
    "leaky_relu": lambda z: np.where(z >= 0, z, 0.01 * z),
}

DERIVATIVES = {
    "identity": lambda z: np.ones_like(z),
    "threshold": lambda z: np.zeros_like(z),
    "sigmoid": lambda z: EQUATIONS["sigmoid"](z) * (1 - EQUATIONS["sigmoid"](z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z >= 0, 1.0, 0.01),
}


def test_every_activation_has_an_equation_here():
    assert set(ACTIVATIONS) == set(EQUATIONS) == set(DERIVATIVES)


@pytest.mark.parametrize("name", EQUATIONS)
def test_values_follow_the_equation(name, x64):
    np.testing.assert_allclose(ACTIVATIONS[name](jnp.asarray(Z)), EQUATIONS[name](Z), rtol=1e-13)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_follow_the_equation_and_at_zero_the_convention(name, x64):
    derivatives = jax.vmap(jax.grad(ACTIVATIONS[name]))(jnp.asarray(Z))
    assert 0.0 in Z
    np.testing.assert_allclose(derivatives, DERIVATIVES[name](Z), rtol=1e-12, atol=1e-15)


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
