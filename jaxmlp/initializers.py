"""Initializers: the scale at which weights start, so that signals neither vanish nor explode.

A layer with ``inputs`` (fan in) and ``outputs`` (fan out) sums ``inputs`` products, so the variance of its
sum is ``inputs * Var(w)`` times that of its input; each method below keeps that product near 1 for the
activations it names. ``jax.nn.initializers`` does the drawing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.types import Activation, Initializer, Key


def he_normal(key: Key, shape: tuple[int, int], dtype: Any = float) -> Float[Array, "inputs outputs"]:
    """Normal weights for the ReLU family, which lets half of the signal through.

        Var(w) = 2 / inputs        (He et al. 2015, equation 10; a normal cut off at two deviations)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.

    Returns:
        Weights of shape (inputs, outputs).

    Example:
        >>> w = he_normal(jax.random.key(0), (200, 300))
        >>> print(w.shape, round(float(w.var() * 200), 1))
        (200, 300) 2.0
    """
    return jax.nn.initializers.he_normal()(key, shape, dtype)


def glorot_uniform(key: Key, shape: tuple[int, int], dtype: Any = float) -> Float[Array, "inputs outputs"]:
    """Uniform weights for sigmoid, tanh and linear units.

        w ~ U(-r, r),  r = sqrt(6 / (inputs + outputs))        (Glorot and Bengio 2010, equation 16)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.

    Returns:
        Weights of shape (inputs, outputs).

    Example:
        >>> w = glorot_uniform(jax.random.key(0), (200, 400))
        >>> print(w.shape, round(float(abs(w).max()), 2))
        (200, 400) 0.1
    """
    return jax.nn.initializers.glorot_uniform()(key, shape, dtype)


def lecun_normal(key: Key, shape: tuple[int, int], dtype: Any = float) -> Float[Array, "inputs outputs"]:
    """Normal weights that keep the variance of a sum; what self-normalizing nets (SELU) need.

        Var(w) = 1 / inputs        (LeCun et al. 1998, equation 16; a normal cut off at two deviations)

    Args:
        key: a random key.
        shape: (inputs, outputs).
        dtype: of the weights.

    Returns:
        Weights of shape (inputs, outputs).

    Example:
        >>> w = lecun_normal(jax.random.key(0), (200, 300))
        >>> print(w.shape, round(float(w.var() * 200), 1))
        (200, 300) 1.0
    """
    return jax.nn.initializers.lecun_normal()(key, shape, dtype)


INITIALIZERS: Mapping[str, Initializer] = MappingProxyType(
    {f.__name__: f for f in (he_normal, glorot_uniform, lecun_normal)}
)
"""The initializers by name."""

_SUITED = dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu", "mish"), he_normal) | {"selu": lecun_normal}


def initializer_for(activation: str | Activation) -> Initializer:
    """Return the initializer that suits an activation.

    He for the ReLU family (ELU, GELU, SiLU and Mish among it), LeCun for SELU, Glorot for sigmoid, tanh, linear
    units and functions that this library does not know.

    Args:
        activation: its name, or the function.

    Returns:
        An initializer, called as ``initializer(key, (inputs, outputs), dtype)``.

    Example:
        >>> initializer_for("relu").__name__, initializer_for("tanh").__name__
        ('he_normal', 'glorot_uniform')
    """
    if callable(activation):
        names = [name for name, function in ACTIVATIONS.items() if function is activation]
        activation = names[0] if names else ""
    return _SUITED.get(activation, glorot_uniform)
