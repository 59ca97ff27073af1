"""SAM: sharpness-aware minimization (Foret et al. 2021, algorithm 1).

epsilon = rho g(theta) / ||g(theta)||                 a step uphill, to where the loss is about the largest nearby
theta  <- theta - eta_t g(theta + epsilon)            the gradient there, the step from here
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.types import Params, Scalar, Schedule, floats, like, sum_of_squares


class SAMState(NamedTuple):
    """Nothing: SAM has no memory. Its type tells what stands at this place of a chain."""


def sam(learning_rate: Scalar | Schedule, *, rho: Scalar = 0.05) -> optax.GradientTransformationExtraArgs:
    """Gradient descent towards flat minima: the gradient is taken where the loss is worst nearby.

        theta <- theta - eta_t g(theta + rho g / ||g||)

    It costs two gradients a step. With another optimizer it is ``optax.chain(scale_by_sam(), adam(1e-3))``.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        rho: how far uphill, at least 0, in units of the parameters.

    Returns:
        A gradient transform; its ``update`` needs ``grad_fn``, as ``scale_by_sam`` says.

    Raises:
        ValueError: a Python number below 0 or infinite.

    Example:
        >>> loss = lambda theta: (theta**4).sum()
        >>> transform = sam(0.1, rho=0.5)
        >>> theta = jnp.array([1.0])
        >>> gradient = jax.grad(loss)(theta)
        >>> updates, _ = transform.update(gradient, transform.init(theta), theta, grad_fn=jax.grad(loss))
        >>> updates  # -0.1 * 4 * 1.5^3
        Array([-1.35], dtype=float32)
    """
    return optax.chain(scale_by_sam(rho=rho), sgd(learning_rate))


def scale_by_sam(*, rho: Scalar = 0.05) -> optax.GradientTransformationExtraArgs:
    """The gradient a step uphill, to be followed in a chain by any optimizer; nothing may stand before it.

        g -> g(theta + rho g / ||g||)

    The second gradient comes from optax's extra argument ``grad_fn``, a function from parameters to gradient.
    ``training.fit`` hands it over, with the same batch and the same dropout masks as for the first; elsewhere
    call ``update(gradient, state, params, grad_fn=jax.grad(loss))``. Inside ``optax.MultiSteps`` it is that of
    the last small batch.

    Args:
        rho: how far uphill, at least 0, in units of the parameters.

    Returns:
        A gradient transform.

    Raises:
        ValueError: ``rho`` is a Python number below 0 or infinite; in ``update``, no ``grad_fn``.

    Example:
        >>> transform = scale_by_sam(rho=0.5)
        >>> theta = jnp.array([1.0])
        >>> transform.update(theta, transform.init(theta), theta, grad_fn=lambda theta: theta)[0]
        Array([1.5], dtype=float32)
    """
    checks.in_range("rho", rho, "[0, inf)")

    def init(params: Params) -> SAMState:
        del params
        return SAMState()

    def update(
        updates: Params,
        state: SAMState,
        params: Params = None,
        *,
        grad_fn: Callable[[Params], Params] | None = None,
        **others: Any,
    ) -> tuple[Params, SAMState]:
        del others
        checks.same_structure(updates=updates, params=params)
        if grad_fn is None:
            raise ValueError(
                "sam has no grad_fn; training.fit hands it over, elsewhere call update(..., grad_fn=jax.grad(loss))"
            )
        length = jnp.sqrt(sum_of_squares(updates))
        share = rho / jnp.where(length > 0, length, 1)

        def uphill(p: Array, g: Array) -> Array:
            return p + like(share, p) * floats(g).astype(p.dtype)

        return grad_fn(jax.tree.map(uphill, params, updates)), state

    return optax.GradientTransformationExtraArgs(init, update)
