"""The replay of one step, eagerly and stage by stage: where numbers that are not finite come from.

A run that diverged stands before the step at which it did. ``replay`` makes that step's batch again, takes the step
outside of the compiled program, and looks at all that is computed on the way. Layers are counted from 1, as epochs and
steps are: layer 1 is ``params[0]``. Rows have the numbers that they have in the data, from 0.
"""

import dataclasses
import functools
import operator
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from jaxmlp import data
from jaxmlp.losses import weighted_mean
from jaxmlp.mlp import MLP
from jaxmlp.training.evaluation import row_losses
from jaxmlp.training.program import gather
from jaxmlp.training.recipe import Recipe, resolve
from jaxmlp.training.state import DIVERGED, Inputs, Program, RunState
from jaxmlp.training.step import OF_BATCH, Step, plan_step
from jaxmlp.types import Batch, Key, Params, base

MOST_ROWS = 100  # held responsible for a gradient: each costs some gradients to find
MODERATE = 1e6  # up to here a logarithm, a root or a quotient went wrong, not the scale
FAR_OFF = 1000  # how many times larger than a typical row's the inputs are that look wrong
SCALE = "Try a smaller learning rate, clip the gradient (regularizers.clip_by_global_norm), or scale the data."


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """What one stage of a step came to.

    Attributes:
        name: such as "layer 1: weighted sums" or "gradient of layer 2: w".
        layer: the layer it belongs to, counted from 1; None for what belongs to none, and for models other than MLP.
        size: how many numbers it has, the padding of a last batch left out.
        largest: the largest absolute value among those that are finite; 0 where none is.
        nan: how many are NaN.
        infinite: how many are infinite.
        rows: the rows of the data with any of those, ascending; none where the first axis is not the batch.
    """

    name: str
    layer: int | None
    size: int
    largest: float
    nan: int
    infinite: int
    rows: NDArray[Any]

    @property
    def finite(self) -> bool:
        """Whether all numbers are finite."""
        return not self.nan and not self.infinite

    @property
    def kind(self) -> str:
        """What leaves of parameters have in common: "gradient", "update"; else the name itself."""
        return re.split(r" of (?=layer|params)", self.name)[0]

    @property
    def words(self) -> str:
        """The name within a sentence, such as "weighted sums of layer 1" or "gradient of layer 2 (w)"."""
        name = re.sub(r"^(layer \d+): (.*)$", r"\2 of \1", self.name)
        return re.sub(r" of (layer \d+): (.*)$", r" of \1 (\2)", name)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Replay:
    """One step of a run, stage by stage; printed, a table below the verdict.

    Attributes:
        epoch: the step's epoch, counted from 1.
        step: the step within it, counted from 1.
        rows: the rows of its batch, in their order: indices into the training data.
        stages: what was computed, in order. Gradients come from the last layer to the first.
        culprits: the rows responsible, ascending: those with numbers that are not finite in the first stage that has
            any. For a gradient of finite losses, those whose own is not finite, ``MOST_ROWS`` of them at most.
        after: the parameters, the optimizer's state and the loss that the step leaves behind.
        advice: what to do.
    """

    epoch: int
    step: int
    rows: NDArray[Any]
    stages: tuple[Stage, ...]
    culprits: NDArray[Any]
    after: Step
    advice: str

    @property
    def first(self) -> Stage | None:
        """The first stage that is not finite; None if all are."""
        return _first(self.stages)

    @property
    def layer(self) -> int | None:
        """The layer of the first stage that is not finite, counted from 1."""
        return None if self.first is None else self.first.layer

    @property
    def blame(self) -> str:
        """Where it went wrong, in few words, such as "weighted sums of layer 2, rows 17 and 203"."""
        if self.first is None:
            return "all numbers are finite when the step is run eagerly"
        return self.first.words + (f", {_named(self.culprits)}" if len(self.culprits) else "")

    @property
    def verdict(self) -> str:
        """Where it went wrong, and what came before, in a sentence."""
        at = f"Epoch {self.epoch}, step {self.step}: "
        if self.first is None:
            return f"{at}all numbers are finite."
        which = f"{self.first.words} ({_count(self.first)})"
        same = [stage for stage in self.stages if stage.kind == self.first.kind and not stage.finite]
        others = list(dict.fromkeys(str(stage.layer) for stage in same if stage.layer not in (None, self.layer)))
        if others:
            which += f", then of layer{'s' * (len(others) > 1)} {_listed(others)}"
        if len(self.culprits):
            which += f", {'at' if len(self.first.rows) else 'because of'} {_named(self.culprits)}"
        before = _before(self.stages, self.first)
        came = "" if before is self.first else f"; before, the {before.words} reached {before.largest:.2g}"
        return f"{at}the first numbers that are not finite are in the {which}{came}."

    def __repr__(self) -> str:
        """Lay the stages out as a table below the verdict; an arrow marks the first that is not finite."""
        table = [("", "stage", "largest", "NaN", "infinite", "rows")]
        for stage in self.stages:
            mark, rows = "->" if stage is self.first else "", _named(stage.rows).partition(" ")[2]
            table.append((mark, stage.name, f"{stage.largest:.3g}", f"{stage.nan}", f"{stage.infinite}", rows))
        width = max(len(row[1]) for row in table)
        lines = [f"{a:2}  {b:{width}}{c:>10}{d:>10}{e:>10}  {f}".rstrip() for a, b, c, d, e, f in table]
        return "\n".join([self.verdict, *[self.advice] * bool(self.advice), "", *lines])


def replay(program: Program, inputs: Inputs, state: RunState) -> Replay:
    """Take the step that a state stands before again, eagerly, and look at all that is computed.

    The batch, its padding and the dropout masks are those of the run. Eager arithmetic may round otherwise than the
    compiled program's.

    Args:
        program: the structure of the run.
        inputs: its data.
        state: where it stands; it need not have diverged.

    Returns:
        The ``Replay``.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.training.program import start
        >>> from jaxmlp.training.state import keys_of
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
        >>> program, x = Program(recipe, epochs=1, batch_size=3), jnp.array([[1.0], [2.0], [1e30]])
        >>> inputs = Inputs(keys_of(jax.random.key(0)), Batch(x, jnp.zeros((3, 1))))
        >>> print(replay(program, inputs, start(program, inputs)))
        Epoch 1, step 1: the first numbers that are not finite are in the loss of each row (1 of 3 infinite), at row 2;
        before, the outputs of layer 1 reached 7.5e+29.
        The inputs of row 2 reach 1e+30, those of a typical row 2: check them.
        ...
    """
    # What a replay is to show must not raise instead.
    with jax.debug_nans(False), jax.debug_infs(False):
        recipe = resolve(program.recipe, inputs.hyper)
        batch_size = min(program.batch_size, inputs.rows)
        batch, counts, order, key = _batch(batch_size, inputs, state.epoch, state.step)
        rows = np.asarray(order)[int(state.step) * batch_size :][:batch_size]
        if recipe.augment is not None:
            batch = recipe.augment(jax.random.fold_in(key, OF_BATCH), batch)
            recipe = dataclasses.replace(recipe, augment=None)
        plan = plan_step(recipe, state.params, state.opt_state, batch, key)
        after = plan.carried_out(state.params)
        total = state.loss + (after.loss * counts).astype(state.loss.dtype)
        leaves = functools.partial(_of_leaves, by_layer=isinstance(recipe.net, MLP))
        stages = (
            _stage("inputs", batch.x, rows),
            *_unless_finite(leaves("parameters", state.params)),
            *_forward(recipe, state.params, batch, key, rows),
            _stage("mean loss", after.loss),
            *_unless_finite([_stage("sum of losses in the epoch so far", total)]),
            *leaves("gradient", plan.gradient),
            *leaves("update", plan.updates),
            *leaves("new parameters", after.params),
        )
        first = _first(stages)
        culprits = rows[:0] if first is None else first.rows
        if first is not None and first.kind == "gradient":
            culprits = np.sort(rows[_responsible(recipe, state.params, batch, key, len(rows))])
        advice = _advice(recipe, inputs, state, stages, culprits)
        return Replay(int(state.epoch) + 1, int(state.step) + 1, rows, stages, culprits, after, advice)


@functools.partial(jax.jit, static_argnums=0)  # nothing that a compiler would round
def _batch(batch_size: int, inputs: Inputs, epoch: Array, step: Array) -> tuple[Batch, Any, Array, Key]:
    """Return the batch of a step, how much its rows count, the order of all rows, and the key of the step."""
    n, keys = inputs.rows, inputs.keys
    steps = -(-n // batch_size)
    order = data.order(jax.random.fold_in(keys.order, epoch), n)
    padded = jnp.pad(order, (0, steps * batch_size - n))
    batch, counts = gather(inputs.train, padded, step * batch_size, batch_size, inputs.layout)
    return batch, counts, order, jax.random.fold_in(keys.dropout, epoch * steps + step)


def _forward(recipe: Recipe, params: Params, batch: Batch, key: Key, rows: NDArray[Any]) -> Iterator[Stage]:
    """Yield the stages from the first layer to the loss of each row."""
    net, outputs = recipe.net, jnp.zeros(0)
    computed: Iterator[tuple[int | None, str, Any]]
    if isinstance(net, MLP):
        computed = ((i + 1, f"layer {i + 1}: {what}", a) for i, what, a in net.stages(params, batch.x, key=key))
    else:
        computed = iter([(None, "outputs", net.apply(params, batch.x, key=key))])
    for layer, name, outputs in computed:
        for path, values in jax.tree_util.tree_flatten_with_path(outputs)[0]:
            head = jax.tree_util.keystr(path, simple=True, separator=".")
            of_rows = rows if values.shape[:1] == batch.x.shape[:1] else None
            yield _stage(f"{name} for {head}" if head else name, values, of_rows, layer)
    yield _stage("loss of each row", row_losses(recipe, outputs, batch.y), rows)


def _of_leaves(what: str, tree: Params, *, by_layer: bool) -> list[Stage]:
    """Return a stage for each leaf of parameters, or of what has their structure; gradients from the last layer on."""
    parts = [(i, f"layer {i}: ", part) for i, part in enumerate(tree, 1)] if by_layer else [(None, "params", tree)]
    return [
        _stage(f"{what} of {of}{jax.tree_util.keystr(path, simple=by_layer, separator='.' * by_layer)}", leaf, None, i)
        for i, of, part in (parts[::-1] if what == "gradient" else parts)
        for path, leaf in jax.tree_util.tree_flatten_with_path(part)[0]
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]


def _unless_finite(stages: Sequence[Stage]) -> list[Stage]:
    """Return those that a table need only show where they are to blame."""
    return [stage for stage in stages if not stage.finite]


def _stage(name: str, values: Any, rows: NDArray[Any] | None = None, layer: int | None = None) -> Stage:
    """Measure values, whose first axis is the batch where its rows are given; padding is behind them."""
    numbers = np.abs(np.asarray(values).astype(np.float64))
    affected = np.zeros(0, np.int32)
    if rows is not None and numbers.ndim:
        numbers = numbers[: len(rows)]
        affected = np.sort(rows[~np.isfinite(numbers).reshape(len(rows), -1).all(axis=1)])
    finite = np.isfinite(numbers)
    largest = float(np.max(numbers, where=finite, initial=0))
    nan, infinite = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    return Stage(name, layer, numbers.size, largest, nan, infinite, affected)


def _responsible(recipe: Recipe, params: Params, batch: Batch, key: Key, real: int) -> list[int]:
    """Return the places of the batch whose rows, by themselves, have a gradient that is not finite.

    Groups of rows are halved as long as theirs is not. A row stays at its place, where its dropout mask is its own,
    and copies of one of the group fill the others' places: times 0 would not do, since 0 times infinity is NaN.
    """

    @jax.jit
    def is_finite(places: Array) -> Array:
        rows = jax.tree.map(lambda part: part[places], batch)

        def loss(params: Params) -> Array:
            return weighted_mean(row_losses(recipe, recipe.net.apply(params, rows.x, key=key), rows.y), rows.weight)

        return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(params))]).all()

    found: list[int] = []
    everywhere, groups = np.arange(batch.x.shape[0]), [np.arange(real)]
    while groups and len(found) < MOST_ROWS:
        group = groups.pop()
        if is_finite(np.where(np.isin(everywhere, group), everywhere, group[0])):
            continue
        if len(group) == 1:
            found.append(int(group[0]))
        else:
            groups += np.array_split(group, 2)
    return found


def _advice(recipe: Recipe, inputs: Inputs, state: RunState, stages: Sequence[Stage], culprits: NDArray[Any]) -> str:
    """Say what to do."""
    first = _first(stages)
    if first is None:
        near = "The compiled run found others: it rounds otherwise, and some must be close to the largest there is. "
        return near + SCALE if int(state.stop) == DIVERGED else ""
    sizes = np.asarray(jnp.max(jnp.abs(inputs.train.x), axis=tuple(range(1, inputs.train.x.ndim)), initial=0), float)
    typical, largest = float(np.median(sizes)), float(np.max(sizes[culprits], initial=0))
    if largest > FAR_OFF * typical > 0:
        row = culprits[np.argmax(sizes[culprits])]
        return f"The inputs of row {row} reach {largest:.2g}, those of a typical row {typical:.2g}: check them."
    weights = (_stage("", leaf).largest for leaf in jax.tree.leaves(state.params))
    if max(_before(stages, first).largest, *weights) > MODERATE:
        return SCALE
    loss = getattr(base(recipe.loss), "__name__", type(recipe.loss).__name__)
    search = "look for a logarithm, a root or a quotient of a number that may be 0 or negative"
    return {
        "inputs": "The step was given them: mend the data.",
        "parameters": "The step was given them: mend the parameters that the run begins with.",
        "loss of each row": f"The outputs are finite: {search} in the loss {loss!r}, and at the targets of these rows.",
        "gradient": "The losses are finite, but not their derivative: that of a root or a norm at 0 is infinite, "
        "and a quotient by 0 spoils it even in the branch of a jnp.where that is not taken.",
        "update": "The gradient is finite: the learning rate is infinite or far too large, or the optimizer's state "
        "has overflowed. Try a smaller learning rate.",
    }.get(first.kind, f"What came before is moderate: {search}.")


def _first(stages: Sequence[Stage]) -> Stage | None:
    return next((stage for stage in stages if not stage.finite), None)


def _before(stages: Sequence[Stage], first: Stage) -> Stage:
    """Return the stage before, of leaves of parameters the largest; the first itself if there is none."""
    earlier = [stage for stage in stages[: stages.index(first)] if stage.kind != first.kind] or [first]
    return max((stage for stage in earlier if stage.kind == earlier[-1].kind), key=operator.attrgetter("largest"))


def _count(stage: Stage) -> str:
    """Say how many numbers are not finite, and of what sort."""
    if stage.nan and stage.infinite:
        return f"{stage.nan} NaN and {stage.infinite} infinite of {stage.size}"
    return f"{stage.nan} of {stage.size} NaN" if stage.nan else f"{stage.infinite} of {stage.size} infinite"


def _named(rows: NDArray[Any]) -> str:
    """Name some rows: the first five, and how many more there are."""
    if not len(rows):
        return ""
    numbers = [str(row) for row in rows[:5]]
    numbers += [f"{len(rows) - 5} more"] if len(rows) > 5 else []
    return f"row{'s' * (len(rows) > 1)} {_listed(numbers)}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
