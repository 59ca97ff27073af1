"""RMSProp: divide by a running root mean square (Hinton 2012, lecture 6e, slide 29).

s     <- decay s + (1 - decay) g^2
a     <- decay a + (1 - decay) g                                  centred (Graves 2013, equations 38 to 40)
d      = g / (sqrt(s - a^2 + eps_root) + eps)                     plain: without a^2
m     <- momentum m + d
theta <- theta - eta_t m
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks
from jaxmlp.optimizers.momentum import scale_by_momentum
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class RMSPropState(NamedTuple):
    """The moving averages of the squared gradient and of the gradient, in float32 at least."""

    s: Params
    a: Params


def rmsprop(
    learning_rate: Scalar | Schedule,
    *,
    decay: Scalar = 0.9,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-8,
    centered: bool = False,
    momentum: Scalar = 0.0,
) -> optax.GradientTransformation:
    """RMSProp: AdaGrad that forgets, so that its rate does not fall for ever.

        s <- decay s + (1 - decay) g^2,        theta <- theta - eta_t g / (sqrt(s + eps_root) + eps)

    Centred, the variance of the gradient takes the place of its mean square. PyTorch has decay = 0.99 (``alpha``)
    and eps = 1e-8 outside of the root; Keras has eps_root = 1e-7.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        decay: memory of the averages, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        centered: whether to take the square of the average gradient off.
        momentum: what is kept of the velocity, in [0, 1).

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = rmsprop(0.1, decay=0.75)
        >>> gradient = jnp.array([1.0, -100.0])
        >>> transform.update(gradient, transform.init(gradient))[0]  # 0.1 / sqrt(1 - 0.75)
        Array([-0.2,  0.2], dtype=float32)
    """
    scale = scale_by_rmsprop(decay=decay, eps=eps, eps_root=eps_root, centered=centered)
    return optax.chain(scale, scale_by_momentum(momentum), sgd(learning_rate))


def scale_by_rmsprop(
    *, decay: Scalar = 0.9, eps: Scalar = 0.0, eps_root: Scalar = 1e-8, centered: bool = False
) -> optax.GradientTransformation:
    """RMSProp's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> g / (sqrt(s + eps_root) + eps),        centred g / (sqrt(s - a^2 + eps_root) + eps)

    Args:
        decay: memory of the averages, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        centered: whether to take the square of the average gradient off.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_rmsprop(decay=0.75)
        >>> gradient = jnp.array([1.0, 0.0])
        >>> transform.update(gradient, transform.init(gradient))[0]
        Array([2., 0.], dtype=float32)
    """
    checks.in_range("decay", decay, "[0, 1)")
    checks.in_range("eps", eps, "[0, inf)")
    checks.in_range("eps_root", eps_root, "[0, inf)")

    def init(params: Params) -> RMSPropState:
        return RMSPropState(s=jax.tree.map(accumulator, params), a=jax.tree.map(accumulator, params))

    def update(updates: Params, state: RMSPropState, params: Params = None) -> tuple[Params, RMSPropState]:
        del params
        checks.same_structure(updates=updates, params=state.s)

        def mean_square(s: Array, g: Array) -> Array:
            return like(decay, s) * s + like(1 - decay, s) * g.astype(s.dtype) ** 2

        def mean(a: Array, g: Array) -> Array:
            return like(decay, a) * a + like(1 - decay, a) * g.astype(a.dtype)

        def direction(g: Array, s: Array, a: Array) -> Array:
            # For a steady gradient rounding brings s - a^2 below 0, -3.7e-9 in float32.
            spread = jnp.maximum(s - a**2, 0) if centered else s
            root = jnp.sqrt(spread + like(eps_root, s)) + like(eps, s)
            return (g.astype(s.dtype) / jnp.where(root > 0, root, 1)).astype(floats(g).dtype)

        s = jax.tree.map(mean_square, state.s, updates)
        a = jax.tree.map(mean, state.a, updates) if centered else state.a
        return jax.tree.map(direction, updates, s, a), RMSPropState(s=s, a=a)

    return optax.GradientTransformation(init, update)
