"""Stochastic gradient descent (Robbins and Monro 1951; mini-batches in Bottou 2010).

theta <- theta - eta_t g
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxmlp import checks
from jaxmlp.types import Params, Scalar, Schedule, floats, like, value_at


class SGDState(NamedTuple):
    """The number of steps made, which a schedule asks for, and the rate of the last one (at first, of the next)."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    learning_rate: Float[Array, ""]


def sgd(learning_rate: Scalar | Schedule) -> optax.GradientTransformation:
    """Stochastic gradient descent: a step against the gradient. It ends the chain of most other methods.

        theta <- theta - eta_t g

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.

    Returns:
        A gradient transform.

    Raises:
        ValueError: ``learning_rate`` is a Python number below 0 or infinite.

    Example:
        >>> import optax
        >>> params = jnp.array([1.0, -2.0])
        >>> transform = sgd(0.1)
        >>> updates, state = transform.update(params, transform.init(params))  # the gradient of |theta|^2 / 2
        >>> optax.apply_updates(params, updates)
        Array([ 0.9, -1.8], dtype=float32)
    """
    checks.in_range("learning_rate", learning_rate, "[0, inf)")

    def init(params: Params) -> SGDState:
        del params
        count = jnp.zeros((), jnp.int32)
        # A copy, here and below, so that a state may be donated, but not with it what the rate was given as.
        return SGDState(count, jnp.array(value_at(learning_rate, count), float, copy=True))

    def update(updates: Params, state: SGDState, params: Params = None) -> tuple[Params, SGDState]:
        if params is not None:
            checks.same_structure(updates=updates, params=params)
        eta = value_at(learning_rate, state.count)
        updates = jax.tree.map(lambda g: like(-eta, floats(g)) * floats(g), updates)
        return updates, SGDState(optax.safe_increment(state.count), jnp.array(eta, float, copy=True))

    return optax.GradientTransformation(init, update)
