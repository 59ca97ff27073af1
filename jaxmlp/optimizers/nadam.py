"""NAdam: Adam with Nesterov's momentum (Dozat 2016, algorithm 2).

m     <- b1 m + (1 - b1) g
n     <- b2 n + (1 - b2) g^2
m_hat  = mu_(t+1) m / (1 - mu_1 ... mu_(t+1)) + (1 - mu_t) g / (1 - mu_1 ... mu_t)
n_hat  = n / (1 - b2^t)
theta <- theta - eta_t m_hat / (sqrt(n_hat + eps_root) + eps)

In Dozat's algorithm b1 is mu_t, which may change with time. All libraries differ: optax has mu_t = b1 constant,
PyTorch a constant b1 beside mu_t = b1 (1 - 0.96^(0.004 t) / 2), Keras the same with 0.96^t.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like, value_at


class NAdamState(NamedTuple):
    """The step t, mu_1 ... mu_t, and the moving averages of the gradient and its square; in float32 at least."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    product: Float[Array, ""]
    m: Params
    n: Params


def nadam(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar | Schedule = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu: Scalar | Schedule | None = None,
) -> optax.GradientTransformation:
    """NAdam: Adam that looks ahead, by giving the latest gradient more and the momentum that of the next step.

        theta <- theta - eta_t m_hat / (sqrt(n_hat + eps_root) + eps)

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: memory of the gradient's average m, in [0, 1): a scalar, or a schedule of the number of steps already
            made.
        b2: memory of the squared gradient's average n, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        mu: how far to look ahead along m, in [0, 1), as b1, which it is unless given. PyTorch's is
            ``lambda count: 0.9 * (1 - 0.5 * 0.96 ** (0.004 * (count + 1).astype(float)))``.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = nadam(0.1, b1=0.5)
        >>> gradient = jnp.array([2.0])
        >>> updates, state = transform.update(gradient, transform.init(gradient))
        >>> print(f"{updates[0]:.4f}")  # -0.1 (0.5 * 0.5 / 0.75 + 0.5 / 0.5)
        -0.1333
    """
    return optax.chain(scale_by_nadam(b1=b1, b2=b2, eps=eps, eps_root=eps_root, mu=mu), sgd(learning_rate))


def scale_by_nadam(
    *,
    b1: Scalar | Schedule = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu: Scalar | Schedule | None = None,
) -> optax.GradientTransformation:
    """NAdam's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> m_hat / (sqrt(n_hat + eps_root) + eps)

    Args:
        b1: memory of the gradient's average m, in [0, 1): a scalar, or a schedule of the number of steps already
            made.
        b2: memory of the squared gradient's average n, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        mu: how far to look ahead along m, in [0, 1), as b1, which it is unless given. PyTorch's is
            ``lambda count: 0.9 * (1 - 0.5 * 0.96 ** (0.004 * (count + 1).astype(float)))``.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_nadam(b1=0.0, eps=0.0)
        >>> gradient = jnp.array([3.0, -4.0])
        >>> transform.update(gradient, transform.init(gradient))[0].round(4)
        Array([ 1., -1.], dtype=float32)
    """
    checks.in_range("b1", b1, "[0, 1)")
    checks.in_range("b2", b2, "[0, 1)")
    checks.in_range("eps", eps, "[0, inf)")
    checks.in_range("eps_root", eps_root, "[0, inf)")
    if mu is not None:
        checks.in_range("mu", mu, "[0, 1)")
    ahead = b1 if mu is None else mu

    def init(params: Params) -> NAdamState:
        m, n = (jax.tree.map(accumulator, params) for _ in range(2))
        return NAdamState(count=jnp.zeros((), jnp.int32), product=jnp.ones(()), m=m, n=n)

    def update(updates: Params, state: NAdamState, params: Params = None) -> tuple[Params, NAdamState]:
        del params
        checks.same_structure(updates=updates, params=state.m)
        count = optax.safe_increment(state.count)
        t = count.astype(float)
        memory = value_at(b1, state.count)
        mu_now, mu_next = value_at(ahead, state.count), value_at(ahead, count)
        product = state.product * like(mu_now, state.product)
        product_next = product * like(mu_next, product)

        def first_moment(m: Array, g: Array) -> Array:
            return like(memory, m) * m + like(1 - memory, m) * g.astype(m.dtype)

        def second_moment(n: Array, g: Array) -> Array:
            return like(b2, n) * n + like(1 - b2, n) * g.astype(n.dtype) ** 2

        def direction(g: Array, m: Array, n: Array) -> Array:
            of_next = like(mu_next, m) * m / like(1 - product_next, m)
            of_this = like(1 - mu_now, m) * g.astype(m.dtype) / like(1 - product, m)
            n_hat = n / like(1 - b2**t, n)
            return ((of_next + of_this) / (jnp.sqrt(n_hat + like(eps_root, n)) + like(eps, n))).astype(floats(g).dtype)

        m = jax.tree.map(first_moment, state.m, updates)
        n = jax.tree.map(second_moment, state.n, updates)
        return jax.tree.map(direction, updates, m, n), NAdamState(count=count, product=product, m=m, n=n)

    return optax.GradientTransformation(init, update)
