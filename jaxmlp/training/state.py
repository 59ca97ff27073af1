"""What a run is given and where it stands: its structure, its data, its state.

What is structure decides the program and is static; what is data is traced, and changes without compiling.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmlp import checks
from jaxmlp.devices import Layout
from jaxmlp.early_stopping import EarlyStopping, EarlyStoppingState
from jaxmlp.training.fingerprint import fingerprint
from jaxmlp.training.recipe import AnyRecipe
from jaxmlp.types import Batch, Key, Metric, Params

RUNNING, STOPPED_EARLY, DIVERGED, REACHED = range(4)
"""Values of ``RunState.stop``; a run that is still RUNNING after its last epoch is complete."""


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """What decides the program: all that is structure. Those that compute the same are equal and compiled once."""

    recipe: AnyRecipe
    epochs: int
    batch_size: int
    metrics: tuple[tuple[str, Metric], ...] = ()
    evaluate_every: int = 1
    watch: bool | int = False

    @functools.cached_property
    def _fingerprint(self) -> Any:
        return fingerprint(tuple(getattr(self, field.name) for field in dataclasses.fields(self)))

    def __eq__(self, other: object) -> bool:
        """Compare what the programs compute, as it was when they were first compared."""
        return isinstance(other, Program) and self._fingerprint == other._fingerprint

    def __hash__(self) -> int:
        """Hash what the program computes."""
        return hash(self._fingerprint)


class Keys(NamedTuple):
    """One random key for each purpose."""

    init: Key  # the first parameters
    order: Key  # folded with the epoch: the order of its rows
    dropout: Key  # folded with the step, counted over the whole run: its masks


class Inputs(NamedTuple):
    """What the program is run on: all that is data."""

    keys: Keys
    train: Batch
    validation: Batch | None = None
    hyper: Any = None
    early_stopping: EarlyStopping | None = None
    watched: Batch | None = None  # the rows of ``watch``; gathered by the program itself
    layout: Layout | None = None  # where rows and weights lie on a mesh; structure, not data

    @property
    def rows(self) -> int:
        """How many rows are trained on, padding not counted."""
        return self.train.x.shape[0] if self.layout is None else self.layout.train.count


class RunState(NamedTuple):
    """Where a run stands. Epochs and steps count those that are complete.

    Attributes:
        epoch: epochs run.
        step: steps made in the epoch that has begun; 0 unless the run diverged in the midst of one.
        stride: steps that the next turn tries.
        params: the last parameters, at which the next gradient is taken; if the run diverged, the last before it
            did. Where the optimizer averages, ``chains.evaluation_params(opt_state, params)`` is the average.
        opt_state: the optimizer's state.
        loss: sum of the losses in the epoch that has begun, each step's weighing as much as its rows.
        best_params: parameters after the best epoch: that of the lowest validation loss (training loss where there
            is no validation data), or of what early stopping watches; where the optimizer averages, the average.
        best_cost: that loss, or what is watched, with its sign changed where larger is better.
        best_epoch: that epoch, counted from 1; 0 if there was none.
        stopping: state of the early-stopping rule.
        stop: 0 while running or complete, 1 stopped early, 2 diverged, 3 has reached its target.
        history: for each name one number per epoch, NaN for those not run; shape (epochs,).
    """

    epoch: Int[Array, ""]
    step: Int[Array, ""]
    stride: Int[Array, ""]
    params: Params
    opt_state: Params
    loss: Float[Array, ""]
    best_params: Params
    best_cost: Float[Array, ""]
    best_epoch: Int[Array, ""]
    stopping: EarlyStoppingState | None
    stop: Int[Array, ""]
    history: dict[str, Float[Array, "epochs"]]


def judged_by(inputs: Inputs) -> str:
    """Return the data set that is evaluated after each epoch, and whose loss says which epoch is the best."""
    return "train" if inputs.validation is None else "validation"


def history_names(program: Program, inputs: Inputs) -> list[str]:
    """Return what the history holds besides what ``watch`` adds, losses first."""
    of = judged_by(inputs)
    names = ["train/loss", f"{of}/loss", *(f"{of}/{name}" for name, _ in program.metrics)]
    return list(dict.fromkeys(names))


def steps_per_epoch(program: Program, inputs: Inputs) -> int:
    """Return the number of batches that hold all rows, the last one perhaps not full."""
    return -(-inputs.rows // min(program.batch_size, inputs.rows))


def keys_of(root: Key) -> Keys:
    """Return the keys of all purposes."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(root, jnp.arange(len(Keys._fields)))
    return Keys(*keys)


def evaluation_interval(evaluate_every: Any, epochs: int) -> int:
    """Return the number of epochs from one evaluation to the next, refusing one after which there would be none."""
    every = checks.whole_number("evaluate_every", evaluate_every, 1)
    if every > epochs:
        raise ValueError(f"evaluate_every is {every}, so that none of {epochs} epochs is evaluated; give at most those")
    return every


def refuse_other_types(early_stopping: Any, metrics: Any) -> None:
    """Refuse what is no stopping rule, and what are no metrics by name."""
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise TypeError(f"early_stopping is {early_stopping!r}; give an EarlyStopping(patience=...) or None")
    if metrics is not None and not (isinstance(metrics, Mapping) and all(map(callable, metrics.values()))):
        raise TypeError(f"metrics is {metrics!r}; give functions by name, such as {{'accuracy': accuracy}}")
    if metrics is not None and "loss" in metrics:
        raise ValueError("metrics has the name 'loss', which the history already holds; give it another name")
    if early_stopping is not None:
        checks.one_of("early_stopping.metric", early_stopping.metric, ("loss", *(metrics or {})))
