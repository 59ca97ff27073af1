"""Nesterov's accelerated gradient (Nesterov 1983; in this form Sutskever 2013, section 7.2).

As textbooks write it, the gradient is taken where the momentum is about to lead::

    m     <- beta m - eta g(theta + beta m)
    theta <- theta + m

What is implemented, here and in all libraries, is the same iteration seen from the point phi = theta + beta m at
which the gradient is taken, so that the gradient comes from the parameters themselves, with v = -m / eta::

    v   <- beta v + g(phi)
    phi <- phi - eta (g(phi) + beta v)

For insert theta' = theta + m' into phi' = theta' + beta m', with m' = -eta v'; then
phi' = (phi - beta m) + m' + beta m' = phi - eta (v' - beta v) - eta beta v' = phi - eta (g + beta v').
"""

from typing import NamedTuple

import jax
import optax
from jaxtyping import Array

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class NesterovState(NamedTuple):
    """The velocity v, in float32 at least."""

    v: Params


def nesterov(learning_rate: Scalar | Schedule, *, momentum: Scalar = 0.9) -> optax.GradientTransformation:
    """Gradient descent with Nesterov's momentum, whose gradient looks ahead.

        v <- beta v + g,        theta <- theta - eta_t (g + beta v)

    The parameters are the look-ahead point theta + beta m of the textbook's form, which is the same path
    with a constant rate. With a schedule Keras keeps the rate inside the velocity: ``optax.chain(sgd(schedule),
    scale_by_nesterov(momentum))``.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        momentum: beta, what is kept of the velocity, in [0, 1).

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> import jax.numpy as jnp
        >>> def look_ahead(theta, m):  # as the lecture writes it, for the loss theta^2 / 2, at rate 0.1 and beta 0.5
        ...     m = 0.5 * m - 0.1 * (theta + 0.5 * m)
        ...     return theta + m, m
        >>> transform = nesterov(0.1, momentum=0.5)
        >>> theta, m = jnp.array(1.0), 0.0
        >>> phi, state = theta, transform.init(theta)
        >>> for _ in range(3):
        ...     theta, m = look_ahead(theta, m)
        ...     updates, state = transform.update(phi, state)
        ...     phi = phi + updates
        >>> print(f"{theta + 0.5 * m:.4f} {phi:.4f}")
        0.5591 0.5591
    """
    return optax.chain(scale_by_nesterov(momentum), sgd(learning_rate))


def scale_by_nesterov(momentum: Scalar = 0.9) -> optax.GradientTransformation:
    """Nesterov's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> g + beta v,        v <- beta v + g

    Args:
        momentum: beta, what is kept of the velocity, in [0, 1).

    Returns:
        A gradient transform.

    Raises:
        ValueError: ``momentum`` is a Python number outside [0, 1).

    Example:
        >>> import jax.numpy as jnp
        >>> transform = scale_by_nesterov(0.5)
        >>> gradient = jnp.array([1.0])
        >>> transform.update(gradient, transform.init(gradient))[0]
        Array([1.5], dtype=float32)
    """
    checks.in_range("momentum", momentum, "[0, 1)")

    def init(params: Params) -> NesterovState:
        return NesterovState(v=jax.tree.map(accumulator, params))

    def update(updates: Params, state: NesterovState, params: Params = None) -> tuple[Params, NesterovState]:
        del params
        checks.same_structure(updates=updates, params=state.v)

        def velocity(v: Array, g: Array) -> Array:
            return like(momentum, v) * v + g.astype(v.dtype)

        def ahead(g: Array, v: Array) -> Array:
            return (g.astype(v.dtype) + like(momentum, v) * v).astype(floats(g).dtype)

        v = jax.tree.map(velocity, state.v, updates)
        return jax.tree.map(ahead, updates, v), NesterovState(v=v)

    return optax.GradientTransformation(init, update)
