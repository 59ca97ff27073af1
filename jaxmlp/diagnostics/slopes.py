"""Slopes of activations and losses by hand, with their formulas and with numbers put in.

z: weighted sums, or outputs        a = f(z): activations        y: targets        t: targets as probabilities
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from jaxmlp import activations, losses
from jaxmlp.types import Activation, Loss, base

TERMS = 5
"""Terms of a sum that are written out."""


class Slope(NamedTuple):
    """A derivative: its formula in words, the function, and how it is written out with numbers."""

    formula: str
    slope: Callable[[Array, Any], Array]
    written: Callable[[NDArray[Any], Any, int], str]


def digits(value: Any) -> str:
    """Write a number in four digits, a negative one in parentheses."""
    text = f"{float(value):.4g}"
    text = "0" if text == "-0" else text
    return f"({text})" if text.startswith("-") else text


def name(function: Any) -> str:
    """Return the name of an activation or a loss, without the numbers filled in."""
    return getattr(base(function), "__name__", type(function).__name__)


def of_activation(activation: Any) -> Slope:
    """Return f' as a function of (z, a)."""
    known = {
        activations.identity: Slope("1", lambda z, a: jnp.ones_like(z), lambda z, a, k: "1"),
        activations.sigmoid: Slope(
            "{a} * (1 - {a})", lambda z, a: a * (1 - a), lambda z, a, k: f"{digits(a[k])} * (1 - {digits(a[k])})"
        ),
        activations.tanh: Slope(
            "1 - {a} * {a}", lambda z, a: 1 - a * a, lambda z, a, k: f"(1 - {digits(a[k])} * {digits(a[k])})"
        ),
        activations.relu: Slope(
            "1 where {z} > 0, else 0", lambda z, a: (z > 0).astype(z.dtype), lambda z, a, k: f"{int(z[k] > 0)}"
        ),
        activations.leaky_relu: Slope(
            "1 where {z} >= 0, else 0.01",
            lambda z, a: jnp.where(z >= 0, 1.0, 0.01).astype(z.dtype),
            lambda z, a, k: "1" if z[k] >= 0 else "0.01",
        ),
    }
    return known.get(activation) or _taken_by_jax(activation)


def of_loss(loss: Loss) -> Slope:
    """Return dl/dz of each row as a function of (z, y)."""
    outputs = "/ outputs"
    known: dict[Any, Slope] = {
        losses.squared_error: Slope(
            f"2 ({{z}} - y) {outputs}",
            lambda z, y: 2 * (z - y.astype(z.dtype)) / z.shape[1],
            lambda z, y, k: f"2 * ({digits(z[k])} - {digits(y[k])}) / {len(z)}",
        ),
        losses.absolute_error: Slope(
            f"sign({{z}} - y) {outputs}",
            lambda z, y: jnp.sign(z - y.astype(z.dtype)) / z.shape[1],
            lambda z, y, k: f"sign({digits(z[k])} - {digits(y[k])}) / {len(z)}",
        ),
        losses.sigmoid_binary_cross_entropy: Slope(
            f"(sigmoid({{z}}) - y) {outputs}",
            lambda z, y: (jax.nn.sigmoid(z) - y.astype(z.dtype)) / z.shape[1],
            lambda z, y, k: f"(sigmoid({digits(z[k])}) - {digits(y[k])}) / {len(z)}",
        ),
        losses.softmax_cross_entropy: Slope(
            "(softmax({z}) - t)",
            lambda z, y: (
                jax.nn.softmax(z) * jnp.sum(_probabilities(z, y), axis=1, keepdims=True) - _probabilities(z, y)
            ),
            _softmax_less_truth,
        ),
    }
    return known.get(loss) or _of_rows_by_jax(loss)


def _probabilities(z: Array, y: Array) -> Array:
    """Return targets as probabilities: labels as 1 for their class."""
    return jax.nn.one_hot(y, z.shape[-1], dtype=z.dtype) if y.ndim < z.ndim else y.astype(z.dtype)


def _softmax_less_truth(z: NDArray[Any], y: Any, k: int) -> str:
    t = float(y == k) if np.ndim(y) == 0 else y[k]
    if len(z) > TERMS:
        return f"({digits(jax.nn.softmax(z)[k])} - {digits(t)})"
    terms = [f"exp({digits(other)})" for other in z]
    return f"(exp({digits(z[k])}) / ({' + '.join(terms)}) - {digits(t)})"


def _taken_by_jax(activation: Activation) -> Slope:
    """Return the slope of an activation that is not known by hand."""

    def slope(z: Array, a: Array) -> Array:
        return jax.vjp(activation, z)[1](jnp.ones_like(a))[0]

    def written(z: NDArray[Any], a: Any, k: int) -> str:
        return digits(slope(jnp.asarray(z[k : k + 1]), jnp.asarray(a[k : k + 1]))[0])

    return Slope(f"{name(activation)}'({{z}}), taken by JAX", slope, written)


def _of_rows_by_jax(loss: Loss) -> Slope:
    """Return the slope of a loss that is not known by hand: rows do not touch each other, so that of their sum."""
    slope = jax.grad(lambda z, y: jnp.sum(loss(z, y)))

    def written(z: NDArray[Any], y: Any, k: int) -> str:
        return digits(slope(jnp.asarray(z)[None], jnp.asarray(y)[None])[0, k])

    return Slope("dl/d{z}, taken by JAX", slope, written)
