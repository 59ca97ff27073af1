"""The whole run as one program: batches inside epochs, epochs inside the run, the stopping rule included.

Time is counted in turns. A turn tries the next ``stride`` steps, as a rule the whole epoch. If the loss and
the parameters come out finite the turn is accepted, and at the end of an epoch the run is evaluated. If
not, nothing of the turn is kept and the stride is halved, until a single step is found to blame: the run
has diverged there, and stands before that step. No step pays for the search unless it is needed.

Randomness is a function of purpose and time, ``fold_in(fold_in(key, purpose), step)``; nothing is split and
carried, so the result does not depend on where the host pauses the run.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int

from jaxmlp import chains, checks, data
from jaxmlp.devices import Layout
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.training import kernel
from jaxmlp.training import watch as watching
from jaxmlp.training.evaluation import evaluate
from jaxmlp.training.recipe import AnyRecipe, Recipe, resolve
from jaxmlp.training.state import (
    DIVERGED,
    REACHED,
    RUNNING,
    STOPPED_EARLY,
    Inputs,
    Program,
    RunState,
    evaluation_interval,
    history_names,
    judged_by,
    keys_of,
    refuse_other_types,
    steps_per_epoch,
)
from jaxmlp.training.step import train_step
from jaxmlp.types import Batch, Key, Metric, Params

WATCHED = "watched"
"""The name under which the history has all that is watched while epochs are run."""


def make_run(
    recipe: AnyRecipe,
    *,
    epochs: int,
    batch_size: int | None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    evaluate_every: int = 1,
    watch: bool | int = False,
) -> Callable[..., RunState]:
    """Return the whole run as one pure function, to be jitted, vmapped or sharded as you like.

        run(key, train, validation=None, hyper=None, params=None) -> RunState

    ``train`` and ``validation`` are tuples (x, y) or (x, y, weight) of JAX arrays, with rows first; ``hyper``
    is what the recipe is a function of; ``params`` replace the drawn ones. What ``fit`` checks on the host is
    up to you here: JAX clamps a label that no class has, and NaN spreads.

    Args:
        recipe: what is trained, and how; or a function from ``hyper`` to it.
        epochs: how many at most, at least 1.
        batch_size: rows of a step, at least 1; at most all are taken, as they are for None.
        early_stopping: when to stop; None runs all epochs.
        metrics: what to compute after each evaluated epoch, by name.
        evaluate_every: epochs from one evaluation to the next, as for ``fit``. Under ``vmap`` all are computed.
        watch: whether to record how training is doing, or how often, as for ``fit``. Under ``vmap`` all is computed
            after every epoch.

    Returns:
        The function ``run``, whose result has arrays of shape (epochs,) in its history.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: ``epochs`` or ``batch_size`` below 1; when it is run, data of unequal length.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> x = jnp.linspace(-1, 1, 32)[:, None]
        >>> recipe = Recipe(MLP(sizes=(1, 16, 1)), optimizers.adam(0.01), losses.squared_error)
        >>> run = make_run(recipe, epochs=50, batch_size=8)
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> three = jax.jit(jax.vmap(run, in_axes=(0, None)))(keys, (x, x**2))  # three seeds, one program
        >>> three.history["train/loss"].shape, bool(jnp.all(three.history["train/loss"][:, -1] < 0.01))
        ((3, 50), True)
    """
    refuse_other_types(early_stopping, metrics)
    epochs = checks.whole_number("epochs", epochs, 1)
    program = Program(
        recipe=recipe,
        epochs=epochs,
        batch_size=sys.maxsize if batch_size is None else checks.whole_number("batch_size", batch_size, 1),
        metrics=tuple((metrics or {}).items()),
        evaluate_every=evaluation_interval(evaluate_every, epochs),
        watch=watching.checked(watch),
    )

    def run(key: Key, train: Any, validation: Any = None, hyper: Any = None, params: Params = None) -> RunState:
        held_out = None if validation is None else _batch("validation ", validation)
        inputs = Inputs(keys_of(key), _batch("", train), held_out, hyper, early_stopping)
        return advance(program, inputs, start(program, inputs, params), program.epochs)

    return run


def start(program: Program, inputs: Inputs, params: Params = None) -> RunState:
    """Return the state before the first epoch."""
    inputs = _with_watched(program, inputs)
    recipe = resolve(program.recipe, inputs.hyper)
    if params is None:
        params = recipe.net.init(inputs.keys.init)
    opt_state = recipe.optimizer.init(params)
    chains.check_order(opt_state)
    zero = jnp.zeros((), jnp.int32)
    names = history_names(program, inputs)
    if program.watch:
        names += jax.eval_shape(functools.partial(_measure, program, recipe, inputs), params, opt_state, zero)
    state = RunState(
        epoch=zero,
        step=zero,
        stride=jnp.full((), steps_per_epoch(program, inputs), jnp.int32),
        params=params,
        opt_state=opt_state,
        loss=jnp.zeros(()),
        best_params=params,
        best_cost=jnp.full((), jnp.inf, float),
        best_epoch=zero,
        stopping=inputs.early_stopping.init() if inputs.early_stopping is not None else None,
        stop=jnp.full((), RUNNING, jnp.int32),
        history={name: jnp.full((program.epochs,), jnp.nan, float) for name in names},
    )
    return state if inputs.layout is None else inputs.layout.state(state)


def advance(program: Program, inputs: Inputs, state: RunState, until: Int[Array, ""] | int) -> RunState:
    """Run on until the given epoch is complete, or all are, or the run has stopped."""
    last, inputs = jnp.minimum(until, program.epochs), _with_watched(program, inputs)

    def going_on(state: RunState) -> Bool[Array, ""]:
        return (state.epoch < last) & (state.stop == RUNNING)

    # What is watched is written as one array while epochs are run: each array written takes a microsecond.
    history = {name: row for name, row in state.history.items() if not watching.is_measured(name)}
    names = sorted(state.history.keys() - history.keys())
    if names:
        history[WATCHED] = jnp.stack([state.history[name] for name in names], axis=1)
    ran = lax.while_loop(going_on, functools.partial(turn, program, inputs), state._replace(history=history))
    columns = ran.history.pop(WATCHED).T if names else ()
    ran = ran._replace(history=ran.history | dict(zip(names, columns, strict=True)))
    return ran if inputs.layout is None else inputs.layout.state(ran)


def _with_watched(program: Program, inputs: Inputs) -> Inputs:
    """Gather the rows that are watched, once: a ``lax.cond`` would be handed a copy of all rows."""
    if not program.watch:
        return inputs
    batch_size, layout = min(program.batch_size, inputs.rows), inputs.layout
    if layout is None:
        return inputs._replace(watched=watching.spread(inputs.train, batch_size))
    index = jnp.asarray(watching.evenly(inputs.rows, batch_size).astype(np.int32))
    return inputs._replace(watched=gather(inputs.train, index, jnp.zeros((), jnp.int32), batch_size, layout)[0])


def turn(program: Program, inputs: Inputs, state: RunState) -> RunState:
    """Try the next ``stride`` steps; keep them if all came out finite, else look closer."""
    recipe = resolve(program.recipe, inputs.hyper)
    trial = try_steps(program, recipe, inputs, state)
    return lax.cond(
        _all_finite((trial.loss, trial.params), inputs.layout),
        functools.partial(_accept, program, recipe, inputs, trial),
        functools.partial(_look_closer, state),
    )


def try_steps(program: Program, recipe: Recipe, inputs: Inputs, state: RunState) -> RunState:
    """Make up to ``stride`` steps, to the end of the epoch at most."""
    n, steps, layout = inputs.rows, steps_per_epoch(program, inputs), inputs.layout
    batch_size = min(program.batch_size, n)
    order = data.order(jax.random.fold_in(inputs.keys.order, state.epoch), n)
    order = jnp.pad(order, (0, steps * batch_size - n))
    if layout is not None and recipe.augment is not None:
        recipe = dataclasses.replace(recipe, augment=layout.augmented(recipe.augment, batch_size))
    end = jnp.minimum(state.step + state.stride, steps)

    def one_step(
        i: Int[Array, ""], carry: tuple[Params, Params, Array], rows: Batch, order: Array, dropout: Key, epoch: Array
    ) -> tuple[Params, Params, Array]:
        params, opt_state, loss = carry
        batch, counts = gather(rows, order, i * batch_size, batch_size, layout)
        step = train_step(recipe, params, opt_state, batch, jax.random.fold_in(dropout, epoch * steps + i))
        after = (step.params, step.opt_state, loss + (step.loss * counts).astype(loss.dtype))
        return after if layout is None else layout.state(after)

    carry = (state.params, state.opt_state, state.loss)
    given = (inputs.train, order, inputs.keys.dropout, state.epoch)
    loop = kernel.loop if layout is None else kernel.plain_loop
    params, opt_state, loss = loop(state.step, end, one_step, carry, *given)
    return state._replace(step=end, params=params, opt_state=opt_state, loss=loss)


def _batch(of: str, rows: Any) -> Batch:
    batch = Batch(*rows)
    heads = {f"y[{head!r}]": part for head, part in batch.y.items()} if isinstance(batch.y, Mapping) else {"y": batch.y}
    parts = {"x": batch.x, **heads, "weight": batch.weight}
    checks.same_rows(**{f"{of}{name}": part for name, part in parts.items() if part is not None})
    return batch


def gather(
    rows: Batch, order: Array, begin: Array, batch_size: int, layout: Layout | None = None
) -> tuple[Batch, Array | float]:
    """Return the batch that begins at a place of the order, and how much its rows count in all.

    Places behind the last row stand for the padding of the last batch: they hold row 0 with weight 0. On a mesh every
    batch is filled up likewise, with as many rows for each device.
    """
    n, size = rows.x.shape[0], batch_size
    index = lax.dynamic_slice(order, (begin,), (batch_size,))
    take = functools.partial(jnp.take, indices=index, axis=0, mode="clip")
    if layout is not None:
        n, size = layout.train.count, layout.filled_up(batch_size)
        take = functools.partial(layout.take, layout.train, jnp.pad(index, (0, size - batch_size)))
    batch = jax.tree.map(take, rows)
    if n % batch_size or size > batch_size:
        place = jnp.arange(size, dtype=begin.dtype)
        real = begin + place < n if size == batch_size else (begin + place < n) & (place < batch_size)
        weight = jnp.ones(size) if batch.weight is None else batch.weight
        batch = batch._replace(weight=jnp.where(real, weight, 0))
    return batch, float(batch_size) if batch.weight is None else jnp.sum(batch.weight)


def _accept(program: Program, recipe: Recipe, inputs: Inputs, trial: RunState) -> RunState:
    return lax.cond(
        trial.step == steps_per_epoch(program, inputs),
        functools.partial(_end_epoch, program, recipe, inputs),
        lambda state: state,
        trial,
    )


def _look_closer(state: RunState) -> RunState:
    alone = state.stride == 1
    return state._replace(
        stride=jnp.where(alone, state.stride, (state.stride + 1) // 2),
        stop=jnp.where(alone, DIVERGED, state.stop),
    )


def _end_epoch(program: Program, recipe: Recipe, inputs: Inputs, state: RunState) -> RunState:
    """Judge the epoch if it is time to, look at training itself, and begin the next epoch."""
    every = program.evaluate_every
    values = {"train/loss": state.loss / _total_weight(inputs)}
    judge = functools.partial(_judge, program, recipe, inputs, values)
    if every == 1:
        state = judge(state)
    else:
        state = lax.cond((state.epoch + 1) % every == 0, judge, functools.partial(_note, values), state)
    if program.watch:
        state = _note({WATCHED: _watched(program, recipe, inputs, state)}, state)
    return state._replace(
        epoch=state.epoch + 1,
        step=jnp.zeros_like(state.step),
        stride=jnp.full_like(state.stride, steps_per_epoch(program, inputs)),
        loss=jnp.zeros_like(state.loss),
    )


def _judge(program: Program, recipe: Recipe, inputs: Inputs, values: dict[str, Array], state: RunState) -> RunState:
    """Evaluate, remember the best, and ask the stopping rule."""
    of = judged_by(inputs)
    params = chains.evaluation_params(state.opt_state, state.params)
    if inputs.validation is not None or program.metrics:
        measured = evaluate(recipe, params, getattr(inputs, of), program.metrics, inputs.layout, of)
        values = {f"{of}/{name}": value for name, value in measured.items()} | values
    rule = inputs.early_stopping
    value = values[f"{of}/{rule.metric if rule else 'loss'}"].astype(state.best_cost.dtype)
    cost = rule.cost(value) if rule else value
    better = cost < state.best_cost
    stopping, stop = state.stopping, state.stop
    if rule is not None and stopping is not None:
        stopping, waited_enough = rule.update(value, stopping, program.evaluate_every)
        stop = jnp.where(rule.reached(value), REACHED, jnp.where(waited_enough, STOPPED_EARLY, stop))
    state = state._replace(
        best_params=lax.cond(better, lambda: params, lambda: state.best_params),
        best_cost=jnp.where(better, cost, state.best_cost),
        best_epoch=jnp.where(better, state.epoch + 1, state.best_epoch),
        stopping=stopping,
        stop=stop,
    )
    return _note(values, state)


def _note(values: dict[str, Array], state: RunState) -> RunState:
    """Write what was measured after an epoch into the history."""
    rows = {name: (state.history[name], value) for name, value in values.items()}
    new = {name: row.at[state.epoch].set(value.astype(row.dtype)) for name, (row, value) in rows.items()}
    return state._replace(history=state.history | new)


def _watched(program: Program, recipe: Recipe, inputs: Inputs, state: RunState) -> Array:
    """Return how training is doing after an epoch, the names in order; NaN where it is not time to look."""
    epoch, apart = state.epoch + 1, watching.epochs_apart(program.watch, steps_per_epoch(program, inputs))

    def measure() -> Array:
        measured = _measure(program, recipe, inputs, state.params, state.opt_state, epoch)
        return jnp.stack([measured[name] for name in sorted(measured)])

    if apart == 1:
        return measure()
    due = epoch % apart == 0
    if program.watch is True:
        due |= epoch == 1  # lest a short run has none
    return lax.cond(due, measure, lambda: jnp.full_like(state.history[WATCHED][0], jnp.nan))


def _measure(
    program: Program, recipe: Recipe, inputs: Inputs, params: Params, opt_state: Params, epoch: Array
) -> dict[str, Array]:
    """Measure how training is doing at the first step of an epoch, counted from 0."""
    batch: Any = inputs.watched
    key = jax.random.fold_in(inputs.keys.dropout, epoch * steps_per_epoch(program, inputs))
    return watching.measure(recipe, params, opt_state, batch, key)


def _total_weight(inputs: Inputs) -> Array | float:
    if inputs.train.weight is None:
        return float(inputs.rows)
    total = jnp.sum(inputs.train.weight)
    return jnp.where(total > 0, total, 1)


def _all_finite(tree: Any, layout: Layout | None) -> Bool[Array, ""]:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    if layout is not None:  # where one array would be a copy of all weights on every device
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
    widest = jnp.float64 if any(leaf.dtype == jnp.float64 for leaf in leaves) else jnp.float32
    # As one array: XLA makes three kernels of every test of an array, and each of them takes time to compile.
    return jnp.all(jnp.isfinite(jnp.concatenate([leaf.ravel().astype(widest) for leaf in leaves])))
