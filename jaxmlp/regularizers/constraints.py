"""Constraints: what the parameters must be after every step.

u <- project(theta + u) - theta        so that        theta + u        lies in the allowed set

They stand behind the optimizer, at the end of the chain: what came after one could leave the set again. All act
on weights only, unless ``mask`` says otherwise. A matrix w has shape (inputs, outputs): the weights that come in
to one unit are a column of it, and the norm of a unit is taken over all axes but the last.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from jaxmlp import checks, masks
from jaxmlp.masks import Mask
from jaxmlp.types import Params, Scalar, Schedule, floats, like, value_at, wide


class ConstraintState(NamedTuple):
    """The number of steps made, which a schedule asks for."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count


def proximal_l1(
    strength: Scalar, *, learning_rate: Scalar | Schedule, mask: Mask = masks.weights
) -> optax.GradientTransformation:
    """L1 penalty with exact zeros: the proximal step behind a gradient step (Daubechies et al. 2004; ISTA).

        w <- sign(w) max(|w| - eta_t strength, 0)

    With ``sgd`` at the same rate it minimises loss + strength * sum |w|: the lasso, for a linear model. Behind an
    optimizer that scales each weight's step by itself, such as Adam, it favours other weights than the lasso.

    Args:
        strength: at least 0, in units of the loss per unit of weight.
        learning_rate: eta, the optimizer's: a scalar, or a schedule of the number of steps already made.
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand behind the optimizer.

    Raises:
        ValueError: a Python number below 0 or infinite.

    Example:
        >>> transform = proximal_l1(1.0, learning_rate=0.1)
        >>> w = jnp.array([[3.0, 0.05]])
        >>> updates, state = transform.update(jnp.zeros((1, 2)), transform.init(w), w)
        >>> optax.apply_updates(w, updates)
        Array([[2.9, 0. ]], dtype=float32)
    """
    checks.in_range("strength", strength, "[0, inf)")
    checks.in_range("learning_rate", learning_rate, "[0, inf)")

    def shrink(w: Array, count: Array) -> Array:
        eta = value_at(learning_rate, count)
        return jnp.sign(w) * jnp.maximum(jnp.abs(w) - like(eta, w) * like(strength, w), 0)

    return _constraint(shrink, mask)


def max_norm(limit: Scalar, *, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """Max-norm constraint: the weights into a unit are at most so long (Srebro et al. 2005; Srivastava et al. 2014).

        w_j <- w_j min(1, limit / ||w_j||)        for each unit j

    Args:
        limit: the largest norm, above 0; 3 or 4 is usual beside dropout.
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand behind the optimizer.

    Raises:
        ValueError: ``limit`` is a Python number not above 0.

    Example:
        >>> transform = max_norm(1.0)
        >>> w = jnp.array([[3.0, 0.3], [4.0, 0.4]])  # the units' norms are 5 and 0.5
        >>> updates, state = transform.update(jnp.zeros((2, 2)), transform.init(w), w)
        >>> w = optax.apply_updates(w, updates)
        >>> bool(jnp.allclose(w, jnp.array([[0.6, 0.3], [0.8, 0.4]])))
        True
    """
    checks.in_range("limit", limit, "(0, inf)")

    def shorten(w: Array, count: Array) -> Array:
        del count
        norm = _norm_of_units(w)
        return jnp.where(norm > like(limit, w), w * (like(limit, w) / jnp.where(norm > 0, norm, 1)), w)

    return _constraint(shorten, mask)


def unit_norm(*, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """Unit norm: the weights into a unit have length 1 (Salimans and Kingma 2016 hold the length apart so).

        w_j <- w_j / ||w_j||        for each unit j; a unit whose weights are all 0 stays so

    Args:
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand behind the optimizer.

    Example:
        >>> transform = unit_norm()
        >>> w = jnp.array([[3.0, 0.0], [4.0, 0.0]])
        >>> updates, state = transform.update(jnp.zeros((2, 2)), transform.init(w), w)
        >>> w = optax.apply_updates(w, updates)
        >>> bool(jnp.allclose(w, jnp.array([[0.6, 0.0], [0.8, 0.0]])))
        True
    """

    def normalize(w: Array, count: Array) -> Array:
        del count
        norm = _norm_of_units(w)
        return w / jnp.where(norm > 0, norm, 1)

    return _constraint(normalize, mask)


def non_negative(*, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """Non-negativity: no weight is below 0 (projected gradient; Lin 2007, equation 13).

        w <- max(w, 0)

    Args:
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand behind the optimizer.

    Example:
        >>> transform = non_negative()
        >>> w = jnp.array([[3.0, 1.0]])
        >>> updates, state = transform.update(jnp.array([[-1.0, -2.0]]), transform.init(w), w)
        >>> optax.apply_updates(w, updates)
        Array([[2., 0.]], dtype=float32)
    """
    return _constraint(lambda w, count: jnp.maximum(w, 0), mask)


def _norm_of_units(w: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(w), axis=tuple(range(w.ndim - 1)), keepdims=True))


def _constraint(project: Callable[[Array, Array], Array], mask: Mask) -> optax.GradientTransformation:
    """Return the transform that projects each leaf; ``project`` also gets the number of steps already made."""

    def init(params: Params) -> ConstraintState:
        del params
        return ConstraintState(count=jnp.zeros((), jnp.int32))

    def update(updates: Params, state: ConstraintState, params: Params = None) -> tuple[Params, ConstraintState]:
        checks.same_structure(updates=updates, params=params)

        def projected(u: Array, w: Array) -> Array:
            moved = wide(w) + u.astype(wide(w).dtype)
            return (project(moved, state.count) - wide(w)).astype(floats(u).dtype)

        updates = masks.where(mask, params, jax.tree.map(projected, updates, params), updates)
        return updates, ConstraintState(count=optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)
