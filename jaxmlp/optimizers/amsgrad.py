"""AMSGrad: Adam whose rates never rise again (Reddi, Kale and Kumar 2018, algorithm 2, with Adam's corrections).

m     <- b1 m + (1 - b1) g
v     <- b2 v + (1 - b2) g^2
w     <- max(w, v / (1 - b2^t))
theta <- theta - eta_t (m / (1 - b1^t)) / (sqrt(w + eps_root) + eps)

The paper corrects neither m nor v; optax corrects v before the maximum, as here; PyTorch and Keras after it.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class AMSGradState(NamedTuple):
    """The step t, the moving averages of the gradient and its square, and the maximum; in float32 at least."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    m: Params
    v: Params
    w: Params


def amsgrad(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    maximum_of: Literal["corrected", "raw"] = "corrected",
) -> optax.GradientTransformation:
    """AMSGrad: Adam with the largest v so far, which heals a failure of Adam's to converge.

        w <- max(w, v_hat),        theta <- theta - eta_t m_hat / (sqrt(w + eps_root) + eps)

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: memory of the gradient's average m, in [0, 1).
        b2: memory of the squared gradient's average v, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        maximum_of: "corrected" takes the maximum of v / (1 - b2^t), as optax; "raw" that of v, and corrects it
            afterwards, as PyTorch and Keras.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range, or another ``maximum_of``.

    Example:
        >>> def second_step(transform):  # after a large gradient comes a small one
        ...     _, state = transform.update(jnp.array([10.0]), transform.init(jnp.zeros(1)))
        ...     return transform.update(jnp.array([1.0]), state)[0].round(3)
        >>> from jaxmlp.optimizers import adam
        >>> print(second_step(adam(0.1, b1=0.0, b2=0.5)), second_step(amsgrad(0.1, b1=0.0, b2=0.5)))
        [-0.017] [-0.01]
    """
    scale = scale_by_amsgrad(b1=b1, b2=b2, eps=eps, eps_root=eps_root, maximum_of=maximum_of)
    return optax.chain(scale, sgd(learning_rate))


def scale_by_amsgrad(
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    maximum_of: Literal["corrected", "raw"] = "corrected",
) -> optax.GradientTransformation:
    """AMSGrad's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> m_hat / (sqrt(w + eps_root) + eps)

    Args:
        b1: memory of the gradient's average m, in [0, 1).
        b2: memory of the squared gradient's average v, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        maximum_of: "corrected" or "raw": whether v is corrected before the maximum is taken, or afterwards.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range, or another ``maximum_of``.

    Example:
        >>> transform = scale_by_amsgrad(eps=0.0)
        >>> gradient = jnp.array([3.0, -4.0])
        >>> transform.update(gradient, transform.init(gradient))[0].round(4)
        Array([ 1., -1.], dtype=float32)
    """
    checks.in_range("b1", b1, "[0, 1)")
    checks.in_range("b2", b2, "[0, 1)")
    checks.in_range("eps", eps, "[0, inf)")
    checks.in_range("eps_root", eps_root, "[0, inf)")
    checks.one_of("maximum_of", maximum_of, ("corrected", "raw"))

    def init(params: Params) -> AMSGradState:
        m, v, w = (jax.tree.map(accumulator, params) for _ in range(3))
        return AMSGradState(count=jnp.zeros((), jnp.int32), m=m, v=v, w=w)

    def update(updates: Params, state: AMSGradState, params: Params = None) -> tuple[Params, AMSGradState]:
        del params
        checks.same_structure(updates=updates, params=state.m)
        count = optax.safe_increment(state.count)
        t = count.astype(float)
        before, after = (1 - b2**t, 1.0) if maximum_of == "corrected" else (1.0, 1 - b2**t)

        def first_moment(m: Array, g: Array) -> Array:
            return like(b1, m) * m + like(1 - b1, m) * g.astype(m.dtype)

        def second_moment(v: Array, g: Array) -> Array:
            return like(b2, v) * v + like(1 - b2, v) * g.astype(v.dtype) ** 2

        def direction(g: Array, m: Array, w: Array) -> Array:
            m_hat = m / like(1 - b1**t, m)
            root = jnp.sqrt(w / like(after, w) + like(eps_root, w))
            return (m_hat / (root + like(eps, w))).astype(floats(g).dtype)

        m = jax.tree.map(first_moment, state.m, updates)
        v = jax.tree.map(second_moment, state.v, updates)
        w = jax.tree.map(lambda w, v: jnp.maximum(w, v / like(before, v)), state.w, v)
        return jax.tree.map(direction, updates, m, w), AMSGradState(count=count, m=m, v=v, w=w)

    return optax.GradientTransformation(init, update)
