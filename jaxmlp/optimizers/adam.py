"""Adam: adaptive moments (Kingma and Ba 2015, algorithm 1).

m     <- b1 m + (1 - b1) g
v     <- b2 v + (1 - b2) g^2
m_hat  = m / (1 - b1^t)
v_hat  = v / (1 - b2^t)
theta <- theta - eta_t m_hat / (sqrt(v_hat + eps_root) + eps)

The paper has eps outside the root (eps_root = 0); textbooks often print it inside (eps = 0, eps_root > 0).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class AdamState(NamedTuple):
    """The step t, and the moving averages of the gradient and of its square, in float32 at least."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    m: Params
    v: Params


def adam(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
) -> optax.GradientTransformation:
    """Adam: a step as long as the learning rate, wherever the gradient's sign is steady.

        theta <- theta - eta_t m_hat / (sqrt(v_hat + eps_root) + eps)

    Keras and scikit-learn add eps beside the root of the uncorrected v; PyTorch and optax are as here.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: memory of the gradient's average m, in [0, 1).
        b2: memory of the squared gradient's average v, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> params = jnp.array([1.0, -200.0])
        >>> transform = adam(0.1)
        >>> updates, state = transform.update(params, transform.init(params))
        >>> updates.round(3)  # the first step is as long as the rate, whatever the gradient
        Array([-0.1,  0.1], dtype=float32)
    """
    return optax.chain(scale_by_adam(b1=b1, b2=b2, eps=eps, eps_root=eps_root), sgd(learning_rate))


def scale_by_adam(
    *, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8, eps_root: Scalar = 0.0
) -> optax.GradientTransformation:
    """Adam's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> m_hat / (sqrt(v_hat + eps_root) + eps)

    Args:
        b1: memory of the gradient's average m, in [0, 1).
        b2: memory of the squared gradient's average v, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_adam(eps=0.0)
        >>> gradient = jnp.array([3.0, -4.0])
        >>> transform.update(gradient, transform.init(gradient))[0].round(4)
        Array([ 1., -1.], dtype=float32)
    """
    checks.in_range("b1", b1, "[0, 1)")
    checks.in_range("b2", b2, "[0, 1)")
    checks.in_range("eps", eps, "[0, inf)")
    checks.in_range("eps_root", eps_root, "[0, inf)")

    def init(params: Params) -> AdamState:
        m, v = (jax.tree.map(accumulator, params) for _ in range(2))
        return AdamState(count=jnp.zeros((), jnp.int32), m=m, v=v)

    def update(updates: Params, state: AdamState, params: Params = None) -> tuple[Params, AdamState]:
        del params
        checks.same_structure(updates=updates, params=state.m)
        count = optax.safe_increment(state.count)
        t = count.astype(float)

        def first_moment(m: Array, g: Array) -> Array:
            return like(b1, m) * m + like(1 - b1, m) * g.astype(m.dtype)

        def second_moment(v: Array, g: Array) -> Array:
            return like(b2, v) * v + like(1 - b2, v) * g.astype(v.dtype) ** 2

        def direction(g: Array, m: Array, v: Array) -> Array:
            m_hat = m / like(1 - b1**t, m)
            v_hat = v / like(1 - b2**t, v)
            return (m_hat / (jnp.sqrt(v_hat + like(eps_root, v)) + like(eps, v))).astype(floats(g).dtype)

        m = jax.tree.map(first_moment, state.m, updates)
        v = jax.tree.map(second_moment, state.v, updates)
        return jax.tree.map(direction, updates, m, v), AdamState(count=count, m=m, v=v)

    return optax.GradientTransformation(init, update)
