"""Watching: how training itself is doing, measured on one batch.

A step is planned and thrown away: that which would come next, were its batch some rows that are spread evenly over the
training data, the same each time. Over the rows i of that batch and the units j of a hidden layer, with g the gradient
of the loss, u the update, and s_ij the slope of the activation at what enters it::

    learning_rate      of that step; learning_rate/0, learning_rate/1, ... where a chain has several
    gradient_norm      ||g||, the Euclidean norm; gradient_norm/<layer> of a layer's part of it
    update_ratio       ||u|| / ||params||, update_ratio/<layer> likewise; by a rule of thumb about 0.001
    dead/<layer>       the share of units j with s_ij = 0 for all i: no row of the batch can change them
    saturated/<layer>  the share of (i, j) with |s_ij| < 5 % of the steepest slope: that row teaches that unit little

Layers are named by the first level of the parameters; for ``MLP`` they are "0", "1" and so on.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from jaxmlp import chains
from jaxmlp.losses import weighted_mean
from jaxmlp.mlp import MLP
from jaxmlp.training.recipe import Recipe
from jaxmlp.training.step import Plan, plan_step
from jaxmlp.types import Batch, HiddenLayer, Key, Parametric, Params, sum_of_squares

QUANTITIES = ("learning_rate", "gradient_norm", "update_ratio", "dead", "saturated")
"""What is measured, in the order of the history."""

STEPS_APART = 200
"""Steps from one measurement to the next, at least, where that is left open. A measurement takes as long as two or
three steps, and as up to eight of a small net, whose steps are one kernel; in all it has taken 1 to 7 % of the time."""

SATURATED = 0.05
"""The share of the steepest slope below which an activation counts as saturated."""

STEEPEST = (-4.0, 4.0, 81)
"""Between which sums the steepest slope is looked for, and at how many."""


def checked(watch: Any) -> bool | int:
    """Return how often to measure, refusing what says nothing about it."""
    is_number = isinstance(watch, int | np.integer)
    if not is_number or (watch < 1 and watch is not False):
        raise (ValueError if is_number else TypeError)(
            f"watch is {watch!r}; give True, False, or the number of epochs from one measurement to the next"
        )
    return watch if isinstance(watch, bool) else int(watch)


def epochs_apart(watch: bool | int, steps: int) -> int:
    """Return the number of epochs from one measurement to the next, for epochs of so many steps."""
    return -(-STEPS_APART // steps) if watch is True else watch


def spread(rows: Batch, batch_size: int) -> Batch:
    """Return rows that are spread evenly over the data: fair where they are sorted, and the same each time."""
    n = rows.x.shape[0]
    take = functools.partial(jnp.take, indices=evenly(n, batch_size), axis=0, mode="clip")
    return rows if batch_size == n else jax.tree.map(take, rows)


def evenly(n: int, batch_size: int) -> NDArray[Any]:
    """Return the numbers of rows that are spread evenly over n."""
    return np.arange(batch_size, dtype=np.int64) * n // batch_size  # not by JAX: the products may need 64 bits


def measure(
    recipe: Recipe, params: Params, opt_state: Params, batch: Batch, key: Key | None = None
) -> dict[str, Float[Array, ""]]:
    """Measure how training is doing at some parameters.

    Args:
        recipe: what is trained, and how.
        params: the model's parameters, any pytree.
        opt_state: what ``recipe.optimizer.init(params)`` or a step returned.
        batch: rows x of shape (rows, inputs), targets y of shape (rows, ...), weights of shape (rows,). Rows of weight
            0 are left out.
        key: switches on all that is random in the step; activations are looked at without dropout.

    Returns:
        Scalars by the names above. Models other than ``MLP`` have no dead or saturated units.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.5), losses.squared_error)
        >>> params = ((jnp.array([[3.0]]), jnp.array([4.0])),)
        >>> batch = Batch(x=jnp.zeros((1, 1)), y=jnp.zeros((1, 1)))
        >>> for name, value in measure(recipe, params, recipe.optimizer.init(params), batch).items():
        ...     print(name, value)  # the gradient by b is 2 * 4, the update -0.5 * 8
        learning_rate 0.5
        gradient_norm 8.0
        gradient_norm/0 8.0
        update_ratio 0.8
        update_ratio/0 0.8
    """
    return measure_plan(recipe, params, plan_step(recipe, params, opt_state, batch, key), batch)


def measure_plan(recipe: Recipe, params: Params, plan: Plan, batch: Batch) -> dict[str, Float[Array, ""]]:
    """Measure how training is doing by a step that is planned already, as ``measure`` does."""
    rates = chains.learning_rates(plan.opt_state)
    of_params, of_updates = _norms(params), _norms(plan.updates)
    values = {f"learning_rate/{i}" if len(rates) > 1 else "learning_rate": rate for i, rate in enumerate(rates)}
    values |= {f"gradient_norm{layer}": norm for layer, norm in _norms(plan.gradient).items()}
    values |= {
        f"update_ratio{layer}": norm / (of_params[layer] + float(np.finfo(norm.dtype).tiny))
        for layer, norm in of_updates.items()
    }
    if isinstance(recipe.net, MLP):
        slopes = dict(_slopes(recipe.net, params, batch))
        values |= {f"dead/{i}": share for i, (share, _) in slopes.items()}
        values |= {f"saturated/{i}": share for i, (_, share) in slopes.items()}
    return {name: value.astype(float) for name, value in values.items()}


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of measurements in their order, which is lost in a compiled program; layer 10 behind layer 2."""

    def place(name: str) -> tuple[int, list[str | int]]:
        quantity, _, layer = name.partition("/")
        parts = re.split(r"(\d+)", layer)
        return QUANTITIES.index(quantity), [int(part) if i % 2 else part for i, part in enumerate(parts)]

    return sorted(filter(is_measured, names), key=place)


def is_measured(name: str) -> bool:
    """Return whether a name of the history is one of these."""
    return name.partition("/")[0] in QUANTITIES


def by_layer(tree: Params) -> dict[str, Params]:
    """Return the parts of a pytree's first level by name; a single array is one part, of the name ""."""
    parts = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: node is not tree)[0]
    return {jax.tree_util.keystr(path, simple=True): part for path, part in parts}


def _norms(tree: Params) -> dict[str, Array]:
    """Return the Euclidean norm of all numbers, by the name "", and of those of each layer, by "/" and its name."""
    squares = {name: sum_of_squares(part) for name, part in by_layer(tree).items()}
    layers = {f"/{layer}": jnp.sqrt(square) for layer, square in squares.items() if layer}
    return {"": jnp.sqrt(sum(squares.values(), jnp.zeros(()))), **layers}


def _slopes(net: MLP, params: Params, batch: Batch) -> Iterator[tuple[int, tuple[Array, Array]]]:
    """Yield for each hidden layer the share of its units that are dead, and of its activations that are saturated."""
    entering: dict[int, Any] = {}
    for i, stage, values in net.stages(params, batch.x):
        if stage in ("weighted sums", "normalized sums"):  # where there are both, the latter come later
            entering[i] = values
    for i, z in entering.items():
        activation, units = net.hidden_activations[i], 1
        if isinstance(activation, Parametric):
            activation, units = functools.partial(activation.apply, HiddenLayer(*params[i]).activation), z.shape[-1]
        grid = jnp.broadcast_to(jnp.linspace(*STEEPEST, dtype=z.dtype)[:, None], (STEEPEST[2], units))
        steepest = jnp.max(jnp.abs(_slope(activation, grid)), axis=0, keepdims=True)
        slope = jnp.abs(_slope(activation, z))
        saturated = jnp.mean(slope < SATURATED * steepest, axis=1)
        works = slope != 0 if batch.weight is None else (slope != 0) & (batch.weight > 0)[:, None]
        yield i, (jnp.mean(~jnp.any(works, axis=0)), weighted_mean(saturated, batch.weight))


def _slope(activation: Any, z: Array) -> Array:
    """Return the slope of an element-wise function, as backpropagation has it: not all have a forward derivative."""
    a, pull_back = jax.vjp(activation, z)
    return pull_back(jnp.ones_like(a))[0]
