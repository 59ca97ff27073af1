"""Momentum: the heavy ball (Polyak 1964, equation 9; in this form Sutskever et al. 2013, equations 1 and 2).

m     <- beta m + g                    beta = momentum
theta <- theta - eta_t m

Textbooks keep the rate inside, m <- beta m - eta g and theta <- theta + m. With a constant rate that is the same
path; with a schedule it is ``optax.chain(sgd(schedule), scale_by_momentum(momentum))``, as in Keras.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class MomentumState(NamedTuple):
    """The number of steps made, and the velocity m, in float32 at least."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    m: Params


def momentum(
    learning_rate: Scalar | Schedule, *, momentum: Scalar = 0.9, dampening: Scalar = 0.0
) -> optax.GradientTransformation:
    """Gradient descent with Polyak's momentum: the step remembers where it came from.

        m <- beta m + g,        theta <- theta - eta_t m

    Along a steady slope the step grows to eta / (1 - beta) times the gradient.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        momentum: beta, what is kept of the velocity, in [0, 1).
        dampening: what is taken off each gradient after the first, in [0, 1]: PyTorch's.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = momentum(0.1, momentum=0.5)
        >>> gradient = jnp.array([1.0])
        >>> first, state = transform.update(gradient, transform.init(gradient))
        >>> second, state = transform.update(gradient, state)
        >>> first, second
        (Array([-0.1], dtype=float32), Array([-0.15], dtype=float32))
    """
    return optax.chain(scale_by_momentum(momentum, dampening=dampening), sgd(learning_rate))


def scale_by_momentum(momentum: Scalar = 0.9, *, dampening: Scalar = 0.0) -> optax.GradientTransformation:
    """Momentum's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> m,        m <- beta m + (1 - dampening) g,        the first m being g

    Args:
        momentum: beta, what is kept of the velocity, in [0, 1).
        dampening: what is taken off each gradient after the first, in [0, 1].

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_momentum(0.5)
        >>> gradient = jnp.array([1.0])
        >>> _, state = transform.update(gradient, transform.init(gradient))
        >>> transform.update(gradient, state)[0]
        Array([1.5], dtype=float32)
    """
    checks.in_range("momentum", momentum, "[0, 1)")
    checks.in_range("dampening", dampening, "[0, 1]")

    def init(params: Params) -> MomentumState:
        return MomentumState(count=jnp.zeros((), jnp.int32), m=jax.tree.map(accumulator, params))

    def update(updates: Params, state: MomentumState, params: Params = None) -> tuple[Params, MomentumState]:
        del params
        checks.same_structure(updates=updates, params=state.m)
        taken = jnp.where(state.count == 0, 1.0, 1 - dampening)

        def velocity(m: Array, g: Array) -> Array:
            return like(momentum, m) * m + like(taken, m) * g.astype(m.dtype)

        m = jax.tree.map(velocity, state.m, updates)
        direction = jax.tree.map(lambda g, m: m.astype(floats(g).dtype), updates, m)
        return direction, MomentumState(count=optax.safe_increment(state.count), m=m)

    return optax.GradientTransformation(init, update)
