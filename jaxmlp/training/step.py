"""One step of training: forward pass, backpropagation, update.

L(theta) = sum_i weight_i loss(net(x_i; theta), y_i) / sum_i weight_i        over the rows i of a batch
g        = dL/dtheta                                                         backpropagation: jax.grad
theta   <- theta + optimizer(g)
"""

import inspect
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Float

from jaxmlp.losses import weighted_mean
from jaxmlp.training.evaluation import row_losses
from jaxmlp.training.recipe import AnyRecipe, Recipe, resolve
from jaxmlp.types import Batch, Key, Params

OF_BATCH, OF_TRANSFORM = 2**31 - 1, 2**31 - 2
"""What the keys of the batch and of the transforms are folded with: numbers that no layer has."""


class Step(NamedTuple):
    """What a step leaves behind: the next parameters and optimizer state, and the loss before it."""

    params: Params
    opt_state: Params
    loss: Float[Array, ""]


class Plan(NamedTuple):
    """A step that is not yet made: the gradient, the updates, the next optimizer state, and the loss before it."""

    gradient: Params
    updates: Params
    opt_state: Params
    loss: Float[Array, ""]

    def carried_out(self, params: Params) -> Step:
        """Make the step from the parameters that it was planned for."""
        return Step(optax.apply_updates(params, self.updates), self.opt_state, self.loss)


def train_step(recipe: Recipe, params: Params, opt_state: Params, batch: Batch, key: Key | None = None) -> Step:
    """Make one step of gradient descent on one batch.

    Transforms that ask for more than the gradient get it as optax's extra arguments: ``value`` and ``grad``, the
    loss and its gradient, ``value_fn`` and ``grad_fn``, which compute them at other parameters, and a random
    ``key`` of their own.

    Args:
        recipe: what is trained, and how.
        params: the model's parameters, any pytree; for an ``MLP`` layers w of shape (inputs, outputs).
        opt_state: what ``recipe.optimizer.init(params)`` or the step before returned.
        batch: rows x of shape (rows, inputs), targets y of shape (rows, ...), weights of shape (rows,).
        key: switches on all that is random, dropout, noise and mixing; None leaves it off, but for
            ``gradient_noise``, which then raises.

    Returns:
        ``Step(params, opt_state, loss)``, the loss being that of the parameters before the step.

    Raises:
        ValueError: the loss does not return one number per row.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.5), losses.squared_error)
        >>> params = jax.tree.map(jnp.zeros_like, recipe.net.init(jax.random.key(0)))
        >>> batch = Batch(x=jnp.ones((1, 1)), y=jnp.full((1, 1), 2.0))
        >>> step = train_step(recipe, params, recipe.optimizer.init(params), batch)
        >>> print(step.loss, step.params[0].b)  # the gradient by b is 2 (0 - 2) = -4
        4.0 [2.]
    """
    return plan_step(recipe, params, opt_state, batch, key).carried_out(params)


def plan_step(recipe: Recipe, params: Params, opt_state: Params, batch: Batch, key: Key | None = None) -> Plan:
    """Compute all that a step takes, without making it; arguments and errors are those of ``train_step``."""
    of_net = key
    if recipe.augment is not None and key is not None:
        batch = recipe.augment(jax.random.fold_in(key, OF_BATCH), batch)

    def value_fn(params: Params, grad_fn: object = None, key: object = None) -> Float[Array, ""]:
        del grad_fn, key  # optax's line searches hand all other extra arguments on to value_fn
        outputs = recipe.net.apply(params, batch.x, key=of_net)
        return weighted_mean(row_losses(recipe, outputs, batch.y), batch.weight)

    loss, gradient = jax.value_and_grad(value_fn)(params)
    extra = {}
    if _takes_extra(recipe.optimizer):
        extra = {"value": loss, "grad": gradient, "value_fn": value_fn, "grad_fn": jax.grad(value_fn)}
        extra["key"] = None if key is None else jax.random.fold_in(key, OF_TRANSFORM)
    updates, opt_state = recipe.optimizer.update(gradient, opt_state, params, **extra)
    return Plan(gradient, updates, opt_state, loss)


def _takes_extra(transform: optax.GradientTransformation) -> bool:
    """Return whether a transform takes extra arguments: told by its signature, as ``optax.MultiSteps`` has no type."""
    parameters = inspect.signature(transform.update).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def first_step(recipe: AnyRecipe, hyper: Any, rows: Batch, key: Key) -> Step:
    """Make the first step of a run on its first row alone: to be traced, for what a step reads and computes."""
    made: Any = resolve(recipe, hyper)
    params = made.net.init(key)
    row = jax.tree.map(lambda array: array[:1], rows)
    return train_step(made, params, made.optimizer.init(params), row, key)
