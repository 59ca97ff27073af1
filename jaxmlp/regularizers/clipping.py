"""Clipping: gradients no larger than a limit, against steps that explode (Pascanu et al. 2013).

Before the optimizer it clips the gradient; behind it, the step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks
from jaxmlp.types import Params, Scalar, floats, like, sum_of_squares, wide


class ClippingState(NamedTuple):
    """Nothing: clipping has no memory. Its type tells what stands at this place of a chain."""


def clip_by_value(limit: Scalar) -> optax.GradientTransformation:
    """Clip every number of the gradient by itself, which may turn its direction (Mikolov 2012).

        g_i <- min(max(g_i, -limit), limit)

    Args:
        limit: the largest size of a number, above 0.

    Returns:
        A gradient transform.

    Raises:
        ValueError: ``limit`` is a Python number not above 0.

    Example:
        >>> transform = clip_by_value(1.0)
        >>> transform.update(jnp.array([3.0, -0.5]), transform.init(None))[0]
        Array([ 1. , -0.5], dtype=float32)
    """
    checks.in_range("limit", limit, "(0, inf)")

    def update(updates: Params, state: ClippingState, params: Params = None) -> tuple[Params, ClippingState]:
        del params

        def clipped(g: Array) -> Array:
            g = floats(g)
            return jnp.clip(g, -like(limit, g), like(limit, g))

        return jax.tree.map(clipped, updates), state

    return optax.GradientTransformation(_init, update)


def clip_by_norm(limit: Scalar) -> optax.GradientTransformation:
    """Clip every leaf of the gradient by its own length: each layer's weights, each layer's biases.

        g <- g min(1, limit / ||g||)        for each leaf

    Keras calls this ``clipnorm``.

    Args:
        limit: the largest length of a leaf, above 0.

    Returns:
        A gradient transform.

    Raises:
        ValueError: ``limit`` is a Python number not above 0.

    Example:
        >>> transform = clip_by_norm(1.0)
        >>> transform.update({"w": jnp.array([3.0, 4.0]), "b": jnp.array([0.5])}, transform.init(None))[0]
        {'b': Array([0.5], dtype=float32), 'w': Array([0.6, 0.8], dtype=float32)}
    """
    checks.in_range("limit", limit, "(0, inf)")

    def update(updates: Params, state: ClippingState, params: Params = None) -> tuple[Params, ClippingState]:
        del params
        return jax.tree.map(lambda g: _shorten(g, sum_of_squares(g), limit), updates), state

    return optax.GradientTransformation(_init, update)


def clip_by_global_norm(limit: Scalar) -> optax.GradientTransformation:
    """Clip the gradient as a whole by its length, which keeps its direction (Pascanu et al. 2013, algorithm 1).

        g <- g min(1, limit / ||g||),        ||g||^2 = sum over all leaves of g_i^2

    Args:
        limit: the largest length of the gradient, above 0.

    Returns:
        A gradient transform.

    Raises:
        ValueError: ``limit`` is a Python number not above 0.

    Example:
        >>> transform = clip_by_global_norm(1.0)
        >>> transform.update({"w": jnp.array([3.0]), "b": jnp.array([4.0])}, transform.init(None))[0]
        {'b': Array([0.8], dtype=float32), 'w': Array([0.6], dtype=float32)}
    """
    checks.in_range("limit", limit, "(0, inf)")

    def update(updates: Params, state: ClippingState, params: Params = None) -> tuple[Params, ClippingState]:
        del params
        squares = sum_of_squares(updates)
        return jax.tree.map(lambda g: _shorten(g, squares, limit), updates), state

    return optax.GradientTransformation(_init, update)


def clip_adaptive(limit: Scalar, *, eps: Scalar = 1e-3) -> optax.GradientTransformation:
    """Clip the gradient of every unit by the length of its weights (Brock et al. 2021, equation 3).

        g_j <- g_j min(1, limit max(||w_j||, eps) / ||g_j||)        for each unit j

    The weights into unit j are column j of a matrix of shape (inputs, outputs); a vector counts as one unit.

    Args:
        limit: the largest ratio of the gradient's length to the weights', above 0; the paper has 0.01 to 0.16.
        eps: the least length that weights count as having, above 0, so that those at 0 can learn.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number not above 0.

    Example:
        >>> transform = clip_adaptive(0.1)
        >>> w = jnp.array([[3.0, 3.0], [4.0, 4.0]])  # both units' weights have length 5
        >>> transform.update(jnp.array([[1.0, 0.1], [0.0, 0.0]]), transform.init(w), w)[0]
        Array([[0.5, 0.1],
               [0. , 0. ]], dtype=float32)
    """
    checks.in_range("limit", limit, "(0, inf)")
    checks.in_range("eps", eps, "(0, inf)")

    def update(updates: Params, state: ClippingState, params: Params = None) -> tuple[Params, ClippingState]:
        checks.same_structure(updates=updates, params=params)

        def clipped(g: Array, w: Array) -> Array:
            length = jnp.sqrt(_squares_of_units(w))
            allowed = like(limit, length) * jnp.maximum(length, like(eps, length))
            return _shorten(g, _squares_of_units(g), allowed)

        return jax.tree.map(clipped, updates, params), state

    return optax.GradientTransformation(_init, update)


def _init(params: Params) -> ClippingState:
    del params
    return ClippingState()


def _squares_of_units(a: Array) -> Array:
    axes = tuple(range(max(a.ndim - 1, 1))) if a.ndim else ()
    return jnp.sum(jnp.square(wide(a)), axis=axes, keepdims=True)


def _shorten(g: Array, squares: Array, limit: Scalar | Array) -> Array:
    """Scale a leaf, the sum of whose squares is given, such that it is no longer than the limit.

    Where the sum is 0 its root is not taken, whose gradient would be infinite there.
    """
    limit = jnp.asarray(limit, squares.dtype)
    length = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    factor = jnp.where((squares > 0) & (length > limit), limit / length, 1)
    return (wide(g) * factor.astype(wide(g).dtype)).astype(floats(g).dtype)
