"""Evaluation: the loss of every row, and what a whole data set comes to."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxmlp import checks, losses
from jaxmlp import metrics as ours
from jaxmlp.devices import Layout
from jaxmlp.losses import PerHead, softmax_cross_entropy, weighted_mean
from jaxmlp.training.recipe import Recipe
from jaxmlp.types import Batch, Loss, Metric, Outputs, Params, base

OURS = tuple(getattr(ours, name) for name in ours.__all__)
OF_ERRORS = (ours.mean_squared_error, ours.root_mean_squared_error, ours.mean_absolute_error, ours.r2)
"""Our metrics, and those that compare outputs with numbers; the others take answers, whose outputs are logits."""

OF_NUMBERS = (losses.squared_error, losses.absolute_error, losses.huber, losses.quantile, losses.poisson)
OF_ANSWERS = (
    losses.softmax_cross_entropy,
    losses.sigmoid_binary_cross_entropy,
    losses.sigmoid_focal,
    losses.hinge,
    losses.perceptron,
    losses.poisson,
)
"""Our losses of numbers and of answers. The outputs for ``poisson`` are the logs of numbers, so it is among both."""

EVALUATION_ROWS = 8192
"""Rows that are evaluated at once; larger sets go through in slices of this size, to bound the memory."""


def row_losses(recipe: Recipe, outputs: Outputs, y: Outputs) -> Float[Array, "rows"]:
    """Compute the loss of every row, refusing a loss that has already taken a mean.

    Args:
        recipe: whose loss it is.
        outputs: raw outputs of shape (rows, ...), or a mapping of them by head.
        y: targets of shape (rows, ...), or a mapping of them by head.

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
    wanted = jax.tree.leaves(outputs)[0].shape[:1]
    if rows.shape != wanted:
        name = getattr(recipe.loss, "__name__", repr(recipe.loss))
        raise ValueError(
            f"loss {name!r} returned shape {rows.shape} for {wanted[0]} rows; "
            "return one number per row, and leave the mean to the library"
        )
    return rows


def evaluate(
    recipe: Recipe,
    params: Params,
    rows: Batch,
    metrics: Sequence[tuple[str, Metric]] = (),
    layout: Layout | None = None,
    of: str = "train",
) -> dict[str, Float[Array, ""]]:
    """Compute the loss and the metrics of a data set, dropout being off.

    Args:
        recipe: the model and the loss.
        params: the model's parameters.
        rows: the data set, x of shape (rows, inputs).
        metrics: what to compute besides, and its name.
        layout: where the rows lie on a mesh.
        of: which of its data sets they are, "train" or "validation".

    Returns:
        Scalars by name, "loss" first.

    Raises:
        TypeError: a metric for one output of a net with heads, or the other way round.
        ValueError: a metric that would misread what the loss learns; the loss or a metric refuses the shapes.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> from jaxmlp.types import Layer
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.5), losses.squared_error)
        >>> params = (Layer(w=jnp.ones((1, 1)), b=jnp.zeros(1)),)
        >>> evaluate(recipe, params, Batch(x=jnp.array([[1.0], [5.0]]), y=jnp.array([[1.0], [2.0]])))
        {'loss': Array(4.5, dtype=float32)}
    """
    outputs = _outputs(recipe, params, rows.x, 1 if layout is None else layout.shards)
    if layout is not None:
        outputs, y, weight = layout.in_order(getattr(layout, of), (outputs, rows.y, rows.weight))
        rows = rows._replace(y=y, weight=weight)
    for name, metric in metrics:
        _refuse_misread(name, metric, recipe.loss, outputs, rows.y)
    values = {"loss": weighted_mean(row_losses(recipe, outputs, rows.y), rows.weight)}
    return values | {name: metric(outputs, rows.y, rows.weight) for name, metric in metrics}


def _refuse_misread(name: str, metric: Any, loss: Loss, outputs: Outputs, y: Outputs) -> None:
    """Refuse one of our metrics where it would take outputs or targets for something else than the loss does."""
    if isinstance(metric, ours.OfHead):
        if not isinstance(outputs, Mapping) or not isinstance(y, Mapping):
            raise TypeError(
                f"metrics[{name!r}] is of the head {metric.head!r}, but the net has one output; leave OfHead out"
            )
        for parts in (outputs, y):
            checks.one_of(f"metrics[{name!r}].head", metric.head, parts)
        loss = loss.by_head.get(metric.head, loss) if isinstance(loss, PerHead) else loss
        metric, outputs, y = metric.metric, outputs[metric.head], y[metric.head]
    if base(metric) not in OURS:
        return
    if isinstance(outputs, Mapping) or isinstance(y, Mapping):
        raise TypeError(
            f"metrics[{name!r}] is for one output, but there are several heads; give metrics.OfHead(head, metric)"
        )
    if base(loss) is softmax_cross_entropy and y.ndim == 2 and base(metric) not in OF_ERRORS:
        raise ValueError(
            f"metrics[{name!r}] takes y of shape {y.shape} for yes or no at each output, while softmax_cross_entropy "
            "takes it for probabilities; give labels as the y of the validation data, such as y.argmax(axis=1), or a "
            "function of (outputs, y, weight) that hands y.argmax(axis=1) to the metric"
        )
    if base(loss) in (OF_ANSWERS if base(metric) in OF_ERRORS else OF_NUMBERS):
        read, learned = (getattr(base(function), "__name__", repr(function)) for function in (metric, loss))
        raise ValueError(
            f"metrics[{name!r}] is {read}, which reads outputs and targets otherwise than {learned} does; give a "
            "metric that goes with the loss, or a function of (outputs, y, weight) that turns them into what it reads"
        )


def _outputs(recipe: Recipe, params: Params, x: Array, shards: int) -> Outputs:
    """Compute all outputs, so many rows of each shard at a time."""
    n, size = x.shape[0] // shards, EVALUATION_ROWS
    if n <= size:
        return recipe.net.apply(params, x)
    by_shard = x.reshape(shards, n, *x.shape[1:])

    def one_slice(i: Array, outputs: Outputs) -> Outputs:
        begin = jnp.minimum(i * size, n - size)  # the last slice overlaps the one before it
        some = lax.dynamic_slice_in_dim(by_shard, begin, size, 1)
        of_slice = recipe.net.apply(params, some.reshape(shards * size, *x.shape[1:]))

        def filled_in(all_: Array, part: Array) -> Array:
            return lax.dynamic_update_slice_in_dim(all_, part.reshape(shards, size, *part.shape[1:]), begin, 1)

        return jax.tree.map(filled_in, outputs, of_slice)

    shapes = jax.eval_shape(recipe.net.apply, params, x[:size])
    empty = jax.tree.map(lambda shape: jnp.zeros((shards, n, *shape.shape[1:]), shape.dtype), shapes)
    filled: Outputs = lax.fori_loop(0, -(-n // size), one_slice, empty)
    return jax.tree.map(lambda part: part.reshape(shards * n, *part.shape[2:]), filled)
