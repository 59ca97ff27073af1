"""Initializers that scale weights by the size of the layer: LeCun, Glorot, He."""

from typing import Any

import jax
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.initializers.drawing import drawn
from jaxmlp.types import Key, Scalar


def lecun_normal(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 1.0
) -> Float[Array, "inputs outputs"]:
    """Normal weights that keep the variance of a sum; what self-normalizing nets (SELU) need.

        Var(w) = gain^2 / inputs        (LeCun et al. 1998, equation 16; a normal cut off at two deviations)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        gain: g, above 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``gain`` is a Python number not above 0.

    Example:
        >>> w = lecun_normal(jax.random.key(0), (200, 300))
        >>> print(w.shape, round(float(w.var() * 200), 1))
        (200, 300) 1.0
    """
    return _scaled("fan_in", "truncated_normal", key, shape, dtype, gain)


def lecun_uniform(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 1.0
) -> Float[Array, "inputs outputs"]:
    """Uniform weights of the same variance as ``lecun_normal``.

        w ~ U(-r, r),  r = gain sqrt(3 / inputs)        (LeCun et al. 1998, equation 16)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        gain: g, above 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``gain`` is a Python number not above 0.

    Example:
        >>> w = lecun_uniform(jax.random.key(0), (300, 400))
        >>> print(w.shape, round(float(abs(w).max()), 2))
        (300, 400) 0.1
    """
    return _scaled("fan_in", "uniform", key, shape, dtype, gain)


def glorot_normal(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 1.0
) -> Float[Array, "inputs outputs"]:
    """Normal weights of the same variance as ``glorot_uniform``.

        Var(w) = 2 gain^2 / (inputs + outputs)        (Glorot and Bengio 2010, equation 12; cut off at two deviations)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        gain: g, above 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``gain`` is a Python number not above 0.

    Example:
        >>> w = glorot_normal(jax.random.key(0), (200, 300))
        >>> print(w.shape, round(float(w.var() * 250), 1))
        (200, 300) 1.0
    """
    return _scaled("fan_avg", "truncated_normal", key, shape, dtype, gain)


def glorot_uniform(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 1.0
) -> Float[Array, "inputs outputs"]:
    """Uniform weights for sigmoid, tanh and linear units: a compromise between the way forward and the way back.

        w ~ U(-r, r),  r = gain sqrt(6 / (inputs + outputs))        (Glorot and Bengio 2010, equation 16)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        gain: g, above 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``gain`` is a Python number not above 0.

    Example:
        >>> w = glorot_uniform(jax.random.key(0), (200, 400))
        >>> print(w.shape, round(float(abs(w).max()), 2))
        (200, 400) 0.1
    """
    return _scaled("fan_avg", "uniform", key, shape, dtype, gain)


def he_normal(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 2**0.5
) -> Float[Array, "inputs outputs"]:
    """Normal weights for the ReLU family, which lets half of the signal through.

        Var(w) = gain^2 / inputs, 2 / inputs for ReLU        (He et al. 2015, equation 10; cut off at two deviations)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        gain: g, above 0, a scalar; sqrt(2 / (1 + a^2)) for a leaky ReLU of slope a (equation 15).

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``gain`` is a Python number not above 0.

    Example:
        >>> w = he_normal(jax.random.key(0), (200, 300))
        >>> print(w.shape, round(float(w.var() * 200), 1))
        (200, 300) 2.0
    """
    return _scaled("fan_in", "truncated_normal", key, shape, dtype, gain)


def he_uniform(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 2**0.5
) -> Float[Array, "inputs outputs"]:
    """Uniform weights of the same variance as ``he_normal``.

        w ~ U(-r, r),  r = gain sqrt(3 / inputs)        (He et al. 2015, equation 10)

    ``torch.nn.Linear`` draws such weights, but with a gain of 1 / sqrt(3), and its biases from the same range.

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        gain: g, above 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``gain`` is a Python number not above 0.

    Example:
        >>> w = he_uniform(jax.random.key(0), (600, 400))
        >>> print(w.shape, round(float(abs(w).max()), 2))
        (600, 400) 0.1
    """
    return _scaled("fan_in", "uniform", key, shape, dtype, gain)


def _scaled(
    mode: Any, distribution: Any, key: Key, shape: tuple[int, int], dtype: Any, gain: Scalar
) -> Float[Array, "inputs outputs"]:
    """Draw weights of variance gain^2 / fan."""
    checks.in_range("gain", gain, "(0, inf)")
    return drawn(jax.nn.initializers.variance_scaling(1.0, mode, distribution), key, shape, dtype, gain)
