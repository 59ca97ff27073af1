"""Many runs at once: the task, and the libraries that do it, one module for each.

A member is a run with a seed of its own, and with a setting and a fold where there are several. All do the work of
the package above for each member. Members lie setting by setting, within a setting fold by fold, within a fold seed
by seed. Importing this package imports NumPy alone.
"""

import dataclasses
import functools
import importlib
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks import peers
from experiments.benchmarks.peers import (
    JUDGED_ROWS,
    LEARNING_RATE,
    OURS,
    PYTORCH,
    SCIKIT_LEARN,
    Libraries,
    Library,
    Task,
)

PLAIN_VMAP = "plain jitted vmap"
SCIKIT_LEARN_CORES = f"{SCIKIT_LEARN}, one per core"
PYTORCH_CORES = f"{PYTORCH}, one per core"
PYTORCH_VMAP = f"{PYTORCH}, torch.func.vmap"
PYTORCH_STACKED = f"{PYTORCH}, stacked by hand"

LIBRARIES: Libraries = {
    OURS: ("jaxmlp", "ours", {}),
    PLAIN_VMAP: ("optax", "plain_vmap", {}),
    SCIKIT_LEARN_CORES: ("scikit-learn", "scikit_learn", {"cores": -1}),
    PYTORCH: ("torch", "pytorch", {}),
    PYTORCH_CORES: ("torch joblib", "pytorch", {"cores": -1}),
    PYTORCH_VMAP: ("torch", "pytorch_stacked", {"vmap": True}),
    PYTORCH_STACKED: ("torch", "pytorch_stacked", {}),
}
"""Each way to do the task, as in ``peers.LIBRARIES``."""

SINGLE = (SCIKIT_LEARN_CORES, PYTORCH, PYTORCH_CORES)
"""Those that train a member by itself: what one costs does not hang on how many there are."""

JUDGED_MEMBERS = 256
"""How many members the loss is computed for, at most."""

Layers = list[tuple[NDArray[Any], NDArray[Any]]]
"""For each layer w of shape (members, inputs, outputs) and b of shape (members, outputs)."""


@dataclasses.dataclass(frozen=True)
class Many:
    """What each library is asked to do.

    Attributes:
        task: what a single run does; its rows are all there are.
        seeds: members of each fold of each setting.
        learning_rates: to be tried, each with each strength of ``l2``.
        l2: strengths of the penalty strength / 2 * sum w^2 on the weights; a single 0 is none.
        folds: how many; each holds out its share of the rows and scales the others. 1 trains on all of them.
    """

    task: Task
    seeds: int
    learning_rates: tuple[float, ...] = (LEARNING_RATE,)
    l2: tuple[float, ...] = (0.0,)
    folds: int = 1

    @property
    def settings(self) -> list[tuple[float, float]]:
        """The pairs of learning rate and strength."""
        return list(itertools.product(self.learning_rates, self.l2))

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.settings) * self.folds * self.seeds

    @property
    def member_steps(self) -> int:
        """Steps of all members."""
        rows = len(self.rows[1][0])
        return self.members * self.task.epochs * -(-rows // self.task.batch_size)

    @property
    def fold(self) -> NDArray[Any]:
        """The fold of each member."""
        return np.tile(np.repeat(np.arange(self.folds), self.seeds), len(self.settings))

    @functools.cached_property
    def rows(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The rows that each fold trains on: x of shape (folds, rows, inputs) and y of shape (folds, rows)."""
        order = np.random.default_rng(self.task.seed).permutation(len(self.task.x))
        return training_rows(self.task, self.folds, order % self.folds)

    def member(self, i: int) -> tuple[Task, float, float]:
        """Return what one member does by itself: the task of a single run, its learning rate and its strength."""
        x, y = self.rows
        task = dataclasses.replace(self.task, seed=self.task.seed + i, x=x[self.fold[i]], y=y[self.fold[i]])
        return task, *self.settings[i * len(self.settings) // self.members]

    def at_most(self, members: int) -> "Many":
        """Return the same with fewer seeds, as few as one: every setting and every fold stays."""
        each = len(self.settings) * self.folds
        return dataclasses.replace(self, seeds=max(1, min(self.seeds, members // each)))


class ManyLibrary(Library):
    """One way to do the task; only ``train`` is timed.

    Attributes:
        rows: what each fold was trained on, as ``Many.rows``.
    """

    def __init__(self, many: Many) -> None:
        self.many, self.rows = many, many.rows

    def layers(self) -> Layers:
        """Return the last parameters of all members."""
        raise NotImplementedError


def make(name: str, many: Many) -> ManyLibrary:
    """Import a library and set it up for a task."""
    _, module, options = LIBRARIES[name]
    library: ManyLibrary = importlib.import_module(f"{__name__}.{module}").Peer(many, **options)
    return library


def make_many(
    sizes: tuple[int, ...], *, batch_size: int, rows: int, epochs: int, seed: int, seeds: int, **options: Any
) -> Many:
    """Return a task on the data of a single run; ``options`` are the other fields of ``Many``."""
    task = peers.make_task(sizes, batch_size=batch_size, rows=rows, epochs=epochs, seed=seed)
    many = Many(task, seeds, **options)
    if rows % many.folds:
        raise ValueError(f"folds is {many.folds}, but there are {rows} rows; give a divisor, so that folds are equal")
    return many


def training_rows(task: Task, folds: int, fold_of_row: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return for each fold the rows that it does not hold out, scaled by their own mean and deviation."""
    if folds == 1:
        return task.x[None], task.y[None]
    inside = [fold_of_row != fold for fold in range(folds)]
    scaled = [(task.x[of] - task.x[of].mean(axis=0)) / task.x[of].std(axis=0) for of in inside]
    return np.stack(scaled), np.stack([task.y[of] for of in inside])


def median_loss(library: ManyLibrary) -> float:
    """Return the median over members of the mean cross-entropy of the rows that they were trained on.

    It is computed alike from each library's parameters. A median, as the largest learning rates end anywhere.
    """
    layers, (x, y), fold = library.layers(), library.rows, library.many.fold
    members = range(0, library.many.members, -(-library.many.members // JUDGED_MEMBERS))
    losses = [
        peers.cross_entropy(
            _logits([(w[i], b[i]) for w, b in layers], x[fold[i]][:JUDGED_ROWS]), y[fold[i]][:JUDGED_ROWS]
        )
        for i in members
    ]
    return float(np.median(np.nan_to_num(losses, nan=np.inf)))


def _logits(layers: Layers, x: NDArray[Any]) -> NDArray[Any]:
    for w, b in layers[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = layers[-1]
    return x @ w + b
