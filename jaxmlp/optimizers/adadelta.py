"""AdaDelta: steps in the units of the parameters (Zeiler 2012, algorithm 1).

s     <- rho s + (1 - rho) g^2
u      = g sqrt(d + eps) / sqrt(s + eps)
d     <- rho d + (1 - rho) u^2
theta <- theta - eta_t u                    eta = 1 in the paper
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class AdaDeltaState(NamedTuple):
    """The moving averages of the squared gradient and of the squared step, in float32 at least."""

    s: Params
    d: Params


def adadelta(
    learning_rate: Scalar | Schedule = 1.0, *, rho: Scalar = 0.9, eps: Scalar = 1e-6
) -> optax.GradientTransformation:
    """AdaDelta: the step is as long as the steps before it, so there is no rate to choose.

        u = g sqrt(d + eps) / sqrt(s + eps),        theta <- theta - eta_t u

    The paper, and PyTorch, have eta = 1; Keras's default is 0.001, at which little moves.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        rho: memory of both averages, in [0, 1).
        eps: added inside both roots, above 0: it decides the first steps, which are about its root.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = adadelta()
        >>> gradient = jnp.array([5.0, -500.0])
        >>> print(transform.update(gradient, transform.init(gradient))[0].round(4))  # sqrt(eps / (1 - rho))
        [-0.0032  0.0032]
    """
    return optax.chain(scale_by_adadelta(rho=rho, eps=eps), sgd(learning_rate))


def scale_by_adadelta(*, rho: Scalar = 0.9, eps: Scalar = 1e-6) -> optax.GradientTransformation:
    """AdaDelta's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> u = g sqrt(d + eps) / sqrt(s + eps)

    Args:
        rho: memory of both averages, in [0, 1).
        eps: added inside both roots, above 0.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_adadelta(rho=0.0, eps=1.0)
        >>> gradient = jnp.array([1.0])
        >>> print(transform.update(gradient, transform.init(gradient))[0])  # 1 / sqrt(2)
        [0.70710677]
    """
    checks.in_range("rho", rho, "[0, 1)")
    checks.in_range("eps", eps, "(0, inf)")

    def init(params: Params) -> AdaDeltaState:
        return AdaDeltaState(s=jax.tree.map(accumulator, params), d=jax.tree.map(accumulator, params))

    def update(updates: Params, state: AdaDeltaState, params: Params = None) -> tuple[Params, AdaDeltaState]:
        del params
        checks.same_structure(updates=updates, params=state.s)

        def average(a: Array, g: Array) -> Array:
            return like(rho, a) * a + like(1 - rho, a) * g.astype(a.dtype) ** 2

        def step(g: Array, s: Array, d: Array) -> Array:
            return g.astype(s.dtype) * jnp.sqrt(d + like(eps, d)) / jnp.sqrt(s + like(eps, s))

        s = jax.tree.map(average, state.s, updates)
        u = jax.tree.map(step, updates, s, state.d)
        d = jax.tree.map(average, state.d, u)
        direction = jax.tree.map(lambda g, u: u.astype(floats(g).dtype), updates, u)
        return direction, AdaDeltaState(s=s, d=d)

    return optax.GradientTransformation(init, update)
