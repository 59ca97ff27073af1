"""AdaGrad: adaptive subgradients (Duchi, Hazan and Singer 2011, figure 1, diagonal form).

s     <- s + g^2
theta <- theta - eta_t g / (sqrt(s + eps_root) + eps)

s begins at ``initial_accumulator_value``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class AdaGradState(NamedTuple):
    """The sum s of the squared gradients, in float32 at least."""

    s: Params


def adagrad(
    learning_rate: Scalar | Schedule,
    *,
    initial_accumulator_value: Scalar = 0.1,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-7,
) -> optax.GradientTransformation:
    """AdaGrad: a rate for each parameter, which falls with all the gradient it has seen.

        s <- s + g^2,        theta <- theta - eta_t g / (sqrt(s + eps_root) + eps)

    Textbooks and PyTorch begin at 0 (``initial_accumulator_value=0``); PyTorch has eps = 1e-10 outside of the root.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        initial_accumulator_value: where s begins, at least 0, in units of the squared gradient.
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = adagrad(1.0, initial_accumulator_value=0.0)
        >>> gradient = jnp.array([5.0])
        >>> first, state = transform.update(gradient, transform.init(gradient))
        >>> second, state = transform.update(gradient, state)
        >>> print(first, second)  # 1, then 1 / sqrt(2)
        [-1.] [-0.70710677]
    """
    scale = scale_by_adagrad(initial_accumulator_value=initial_accumulator_value, eps=eps, eps_root=eps_root)
    return optax.chain(scale, sgd(learning_rate))


def scale_by_adagrad(
    *, initial_accumulator_value: Scalar = 0.1, eps: Scalar = 0.0, eps_root: Scalar = 1e-7
) -> optax.GradientTransformation:
    """AdaGrad's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> g / (sqrt(s + eps_root) + eps),        0 where the gradient has always been 0

    Args:
        initial_accumulator_value: where s begins, at least 0, in units of the squared gradient.
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_adagrad(initial_accumulator_value=0.0, eps_root=0.0)
        >>> gradient = jnp.array([3.0, 0.0])
        >>> transform.update(gradient, transform.init(gradient))[0]
        Array([1., 0.], dtype=float32)
    """
    checks.in_range("initial_accumulator_value", initial_accumulator_value, "[0, inf)")
    checks.in_range("eps", eps, "[0, inf)")
    checks.in_range("eps_root", eps_root, "[0, inf)")

    def init(params: Params) -> AdaGradState:
        return AdaGradState(s=jax.tree.map(lambda p: accumulator(p, initial_accumulator_value), params))

    def update(updates: Params, state: AdaGradState, params: Params = None) -> tuple[Params, AdaGradState]:
        del params
        checks.same_structure(updates=updates, params=state.s)

        def direction(g: Array, s: Array) -> Array:
            root = jnp.sqrt(s + like(eps_root, s)) + like(eps, s)
            return (g.astype(s.dtype) / jnp.where(root > 0, root, 1)).astype(floats(g).dtype)

        s = jax.tree.map(lambda s, g: s + g.astype(s.dtype) ** 2, state.s, updates)
        return jax.tree.map(direction, updates, s), AdaGradState(s=s)

    return optax.GradientTransformation(init, update)
