"""Evaluation: the loss of every row, and what a whole data set comes to."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxmlp.losses import weighted_mean
from jaxmlp.training.recipe import Recipe
from jaxmlp.types import Batch, Metric, Params

EVALUATION_ROWS = 8192
"""Rows that are evaluated at once; larger sets go through in slices of this size, to bound the memory."""


def row_losses(recipe: Recipe, outputs: Array, y: Array) -> Float[Array, "rows"]:
    """Compute the loss of every row, refusing a loss that has already taken a mean.

    Args:
        recipe: whose loss it is.
        outputs: raw outputs of shape (rows, ...).
        y: targets of shape (rows, ...).

    Returns:
        Losses of shape (rows,).

    Raises:
        ValueError: the loss returned another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.5), losses.squared_error)
        >>> row_losses(recipe, jnp.array([[1.0], [5.0]]), jnp.array([[1.0], [2.0]]))
        Array([0., 9.], dtype=float32)
    """
    rows = recipe.loss(outputs, y)
    if rows.shape != outputs.shape[:1]:
        name = getattr(recipe.loss, "__name__", repr(recipe.loss))
        raise ValueError(
            f"loss {name!r} returned shape {rows.shape} for {outputs.shape[0]} rows; "
            "return one number per row, and leave the mean to the library"
        )
    return rows


def evaluate(
    recipe: Recipe, params: Params, rows: Batch, metrics: Sequence[tuple[str, Metric]] = ()
) -> dict[str, Float[Array, ""]]:
    """Compute the loss and the metrics of a data set, dropout being off.

    Args:
        recipe: the model and the loss.
        params: the model's parameters.
        rows: the data set, x of shape (rows, inputs).
        metrics: what to compute besides, and its name.

    Returns:
        Scalars by name, "loss" first.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> from jaxmlp.types import Layer
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.5), losses.squared_error)
        >>> params = (Layer(w=jnp.ones((1, 1)), b=jnp.zeros(1)),)
        >>> evaluate(recipe, params, Batch(x=jnp.array([[1.0], [5.0]]), y=jnp.array([[1.0], [2.0]])))
        {'loss': Array(4.5, dtype=float32)}
    """
    outputs = _outputs(recipe, params, rows.x)
    values = {"loss": weighted_mean(row_losses(recipe, outputs, rows.y), rows.weight)}
    return values | {name: metric(outputs, rows.y, rows.weight) for name, metric in metrics}


def _outputs(recipe: Recipe, params: Params, x: Array) -> Array:
    n, size = x.shape[0], EVALUATION_ROWS
    if n <= size:
        return recipe.net.apply(params, x)

    def one_slice(i: Array, outputs: Array) -> Array:
        begin = jnp.minimum(i * size, n - size)  # the last slice overlaps the one before it
        of_slice = recipe.net.apply(params, lax.dynamic_slice_in_dim(x, begin, size))
        return lax.dynamic_update_slice_in_dim(outputs, of_slice, begin, 0)

    shape = jax.eval_shape(recipe.net.apply, params, x[:size])
    empty = jnp.zeros((n, *shape.shape[1:]), shape.dtype)
    return lax.fori_loop(0, -(-n // size), one_slice, empty)
