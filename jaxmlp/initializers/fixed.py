"""Initializers that know no scale but the one they are given: zeros, normal, uniform, orthogonal."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.initializers.drawing import drawn
from jaxmlp.types import Key, Scalar


def zeros(key: Key, shape: tuple[int, int], dtype: Any = float) -> Float[Array, "inputs outputs"]:
    """Weights of 0, for a net without hidden layers.

        w = 0

    With hidden layers all units of a layer stay alike for ever, or learn nothing at all: every gradient is the same,
    and that of the first layers is 0. A linear model, whose loss has a single minimum, may begin here.

    Args:
        key: not used.
        shape: (inputs, outputs).
        dtype: of the weights.

    Returns:
        Weights of shape (inputs, outputs).

    Example:
        >>> zeros(jax.random.key(0), (1, 2))
        Array([[0., 0.]], dtype=float32)
    """
    del key
    return jnp.zeros(shape, dtype)


def normal(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, stddev: Scalar = 0.05
) -> Float[Array, "inputs outputs"]:
    """Normal weights of one scale, whatever the size of the layer.

        w ~ N(0, stddev^2)

    What was done before 2010, and what makes deep nets vanish or explode: the scale suits one width only. Keras's
    RandomNormal has 0.05 too, ``jax.nn.initializers.normal`` 0.01.

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        stddev: their standard deviation, at least 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``stddev`` is a Python number below 0 or infinite.

    Example:
        >>> print(normal(jax.random.key(0), (200, 300), stddev=2.0).std().round(1))
        2.0
    """
    checks.in_range("stddev", stddev, "[0, inf)")
    return drawn(jax.nn.initializers.normal(1.0), key, shape, dtype, stddev)


def uniform(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, limit: Scalar = 0.05
) -> Float[Array, "inputs outputs"]:
    """Uniform weights of one scale, whatever the size of the layer.

        w ~ U(-limit, limit),        Var(w) = limit^2 / 3

    Keras's RandomUniform is the same; ``jax.nn.initializers.uniform`` begins at 0 instead of -limit.

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.
        limit: their largest size, at least 0, a scalar.

    Returns:
        Weights of shape (inputs, outputs).

    Raises:
        ValueError: ``limit`` is a Python number below 0 or infinite.

    Example:
        >>> print(abs(uniform(jax.random.key(0), (200, 300), limit=2.0)).max().round(1))
        2.0
    """
    checks.in_range("limit", limit, "[0, inf)")
    return drawn(_uniform_to_one, key, shape, dtype, limit)


def orthogonal(
    key: Key, shape: tuple[int, int], dtype: Any = float, *, gain: Scalar = 1.0
) -> Float[Array, "inputs outputs"]:
    """Weights that turn the signal and neither stretch nor shrink it (Saxe, McClelland and Ganguli 2014, section 3).

        w^T w = gain^2 I        inputs >= outputs: the columns are orthogonal and of length gain
        w w^T = gain^2 I        inputs <= outputs: the rows are

    In a deep linear net all singular values of the whole stay at gain^layers, while those of Gaussian weights fan out.

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
        >>> w = orthogonal(jax.random.key(0), (4, 2), gain=2.0)
        >>> bool(jnp.allclose(w.T @ w, 4 * jnp.eye(2), atol=1e-5))
        True
    """
    checks.in_range("gain", gain, "(0, inf)")
    return drawn(jax.nn.initializers.orthogonal(), key, shape, dtype, gain)


def _uniform_to_one(key: Key, shape: tuple[int, int], dtype: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, -1, 1)
