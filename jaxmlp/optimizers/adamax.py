"""AdaMax: Adam in the infinity norm (Kingma and Ba 2015, algorithm 2).

m     <- b1 m + (1 - b1) g
u     <- max(b2 u, |g| + eps)
theta <- theta - eta_t (m / (1 - b1^t)) / (u + eps_outside)

The paper has no eps; PyTorch and optax have it inside the maximum, Keras outside.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class AdaMaxState(NamedTuple):
    """The step t, the gradient's moving average, and its fading maximum; in float32 at least."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    m: Params
    u: Params


def adamax(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_outside: Scalar = 0.0,
) -> optax.GradientTransformation:
    """AdaMax: a step no longer than the learning rate, measured by the largest gradient of late.

        u <- max(b2 u, |g| + eps),        theta <- theta - eta_t m_hat / (u + eps_outside)

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: memory of the gradient's average m, in [0, 1).
        b2: how slowly the maximum fades, in [0, 1).
        eps: added to the gradient's size inside the maximum, at least 0, in units of the gradient.
        eps_outside: added to the maximum, at least 0, in units of the gradient.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = adamax(0.1, b1=0.0, b2=0.5)
        >>> _, state = transform.update(jnp.array([8.0]), transform.init(jnp.zeros(1)))
        >>> print(transform.update(jnp.array([1.0]), state)[0])  # 0.1 * 1 / (0.5 * 8)
        [-0.025]
    """
    return optax.chain(scale_by_adamax(b1=b1, b2=b2, eps=eps, eps_outside=eps_outside), sgd(learning_rate))


def scale_by_adamax(
    *, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8, eps_outside: Scalar = 0.0
) -> optax.GradientTransformation:
    """AdaMax's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> m_hat / (u + eps_outside),        0 where the gradient has always been 0

    Args:
        b1: memory of the gradient's average m, in [0, 1).
        b2: how slowly the maximum fades, in [0, 1).
        eps: added to the gradient's size inside the maximum, at least 0, in units of the gradient.
        eps_outside: added to the maximum, at least 0, in units of the gradient.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_adamax(eps=0.0)
        >>> gradient = jnp.array([3.0, -4.0, 0.0])
        >>> transform.update(gradient, transform.init(gradient))[0].round(4)
        Array([ 1., -1.,  0.], dtype=float32)
    """
    checks.in_range("b1", b1, "[0, 1)")
    checks.in_range("b2", b2, "[0, 1)")
    checks.in_range("eps", eps, "[0, inf)")
    checks.in_range("eps_outside", eps_outside, "[0, inf)")

    def init(params: Params) -> AdaMaxState:
        m, u = (jax.tree.map(accumulator, params) for _ in range(2))
        return AdaMaxState(count=jnp.zeros((), jnp.int32), m=m, u=u)

    def update(updates: Params, state: AdaMaxState, params: Params = None) -> tuple[Params, AdaMaxState]:
        del params
        checks.same_structure(updates=updates, params=state.m)
        count = optax.safe_increment(state.count)
        t = count.astype(float)

        def first_moment(m: Array, g: Array) -> Array:
            return like(b1, m) * m + like(1 - b1, m) * g.astype(m.dtype)

        def maximum(u: Array, g: Array) -> Array:
            return jnp.maximum(like(b2, u) * u, jnp.abs(g.astype(u.dtype)) + like(eps, u))

        def direction(g: Array, m: Array, u: Array) -> Array:
            m_hat = m / like(1 - b1**t, m)
            size = u + like(eps_outside, u)
            return (m_hat / jnp.where(size > 0, size, 1)).astype(floats(g).dtype)

        m = jax.tree.map(first_moment, state.m, updates)
        u = jax.tree.map(maximum, state.u, updates)
        return jax.tree.map(direction, updates, m, u), AdaMaxState(count=count, m=m, u=u)

    return optax.GradientTransformation(init, update)
