"""The recipe: what is trained, and how."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import optax

from jaxmlp.regularizers import Augment
from jaxmlp.types import Loss, Model


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained, and how: a model, a gradient transform and a loss.

    Attributes:
        net: an ``MLP``, or anything with ``init(key)`` and ``apply(params, x, *, key=None)``.
        optimizer: a gradient transform, ours or optax's, or a chain of both.
        loss: from outputs and targets to one number per row.
        augment: what is done to every batch that is trained on, a function of (key, batch) such as
            ``regularizers.mixup(0.2)``; None for nothing.

    Raises:
        TypeError: a part is not what it should be.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> Recipe(MLP(sizes=(4, 8, 3)), optimizers.adam(1e-3), losses.softmax_cross_entropy).net.sizes
        (4, 8, 3)
    """

    net: Model
    optimizer: optax.GradientTransformation
    loss: Loss
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if isinstance(self.net, type) or not (hasattr(self.net, "init") and hasattr(self.net, "apply")):
            raise TypeError(f"net is {self.net!r}; give a model with init and apply, such as MLP(sizes=...)")
        if not (hasattr(self.optimizer, "init") and hasattr(self.optimizer, "update")):
            if callable(self.optimizer):
                name = getattr(self.optimizer, "__name__", repr(self.optimizer))
                raise TypeError(f"optimizer is the function {name!r}; call it first, such as {name}(1e-3)")
            raise TypeError(f"optimizer is {self.optimizer!r}; give a gradient transform, such as adam(1e-3)")
        if not callable(self.loss):
            raise TypeError(f"loss is {self.loss!r}; give a function, such as losses.softmax_cross_entropy")
        if self.augment is not None and not callable(self.augment):
            raise TypeError(f"augment is {self.augment!r}; give a function, such as regularizers.input_noise(0.1)")


AnyRecipe: TypeAlias = Recipe | Callable[[Any], Recipe]
"""A recipe, or a pure function from hyperparameters to one."""


def resolve(recipe: AnyRecipe, hyper: Any) -> Recipe:
    """Return the recipe itself, or make it from the hyperparameters.

    Called inside the traced program, it makes every float of the model, the optimizer and the loss a number
    that changes without compiling.

    Args:
        recipe: a recipe, or a function from a pytree of scalars to one.
        hyper: the pytree of scalars, or None for a recipe that has none.

    Returns:
        The recipe.

    Raises:
        TypeError: a function without ``hyper``, ``hyper`` without a function, or no recipe at all.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> def recipe(hyper):
        ...     net = MLP(sizes=(4, 8, 3), dropout=hyper["dropout"])
        ...     return Recipe(net, optimizers.adam(1e-3), losses.softmax_cross_entropy)
        >>> resolve(recipe, {"dropout": 0.5}).net.dropout
        0.5
    """
    if isinstance(recipe, Recipe):
        if hyper is not None:
            raise TypeError(
                "hyper is given, but recipe is fixed; give a function from hyper to a Recipe, or leave hyper out"
            )
        return recipe
    if not callable(recipe):
        raise TypeError(f"recipe is {recipe!r}; give a training.Recipe, or a function from hyper to one")
    if hyper is None:
        raise TypeError("recipe is a function of hyperparameters; give them as hyper, such as {'l2': 1e-4}")
    made = recipe(hyper)
    if not isinstance(made, Recipe):
        raise TypeError(f"recipe returned {type(made).__name__}; return a training.Recipe")
    return made
