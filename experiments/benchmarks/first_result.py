"""How long does it take from starting Python to a fitted model, and how long elsewhere?

    python -m experiments.benchmarks.first_result

Fits the same network to scikit-learn's digits for the same epochs, each time in a fresh process, and takes the
time from its start to the fitted model: imports, compilation and training. The test accuracy stands beside. JAX
compiles before it runs, so expected is that jaxmlp is behind scikit-learn and PyTorch here, less so where its
programs wait in JAX's compilation cache, which Keras on JAX gains from as well. A second fit in the same process
shows what of it was imports and compilation. The last table stands in the README beside this file. Some minutes
on a CPU with two cores.
"""

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import reporting
from experiments.benchmarks import fresh, peers, timing
from experiments.benchmarks.peers import KERAS, OURS, PYTORCH, SCIKIT_LEARN, Task
from jaxmlp import checks

SIZES = (64, 128, 10)
BATCH_SIZE = 32
TRAINING_ROWS = 1408
"""Of the 1,797 digits; the batches divide them evenly."""

WARM = ", warm cache"
ROWS = (OURS, OURS + WARM, SCIKIT_LEARN, KERAS, KERAS + WARM, PYTORCH)


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    epochs: int = 30
    """Epochs of each fit."""
    rounds: int = 7
    """Processes of each library; a round takes one of each in turn."""
    seed: int = 0
    """Decides the split, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/first_result")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 1 round of 2 epochs, jaxmlp and scikit-learn alone."""


def run(config: Config) -> dict[str, Any]:
    """Start the processes in turns, print the table and save it.

    Args:
        config: the options.

    Returns:
        For each row of the table its times and its accuracy.
    """
    checks.whole_number("epochs", config.epochs, 1)
    checks.whole_number("rounds", config.rounds, 1)
    reporting.check_folder(config.out)
    rows = [row for row in ROWS if row.startswith((OURS, SCIKIT_LEARN))] if config.smoke else ROWS
    names = peers.installed(list(dict.fromkeys(library(row) for row in rows)))
    print(timing.begin())
    task, test = digits(2 if config.smoke else config.epochs, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        fresh.save(Path(folder) / "task", task, test)
        found = measure(
            Path(folder), [row for row in rows if library(row) in names], 1 if config.smoke else config.rounds
        )
    print(f"\ndigits, {'-'.join(map(str, SIZES))}, batch {BATCH_SIZE}, {task.epochs} epochs\n{layout(found)}")
    numbers = {"versions": peers.versions(names), "rows": found}
    reporting.save(config.out, config, numbers, {"first_result": figure(found)})
    return found


def library(row: str) -> str:
    """Return the library of a row."""
    return row.removesuffix(WARM)


def digits(epochs: int, seed: int) -> tuple[Task, tuple[NDArray[Any], NDArray[Any]]]:
    """Return what is to be learned, and the inputs and labels of the test part."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    train, test = slice(TRAINING_ROWS), slice(TRAINING_ROWS, None)
    return Task(SIZES, BATCH_SIZE, epochs, seed, x[train], y[train]), (x[test], y[test])


def measure(folder: Path, rows: Iterable[str], rounds: int) -> timing.Found:
    """Run each row in turns; a warm cache is filled by one run before."""
    rows = list(rows)
    caches = {row: fresh.warm_cache(folder / f"cache of {library(row)}") if row.endswith(WARM) else {} for row in rows}
    runs: dict[str, list[dict[str, float]]] = {row: [] for row in rows}
    for row in rows:
        if caches[row]:
            fresh.train(library(row), folder / "task", again=True, environment=caches[row])
    for row in timing.in_turns(rows, rounds):
        runs[row].append(fresh.train(library(row), folder / "task", again=True, environment=caches[row]))
    seconds = {row: np.array([run["seconds"] for run in of]) for row, of in runs.items()}
    return {
        row: {
            "seconds": timing.quartiles(seconds[row]),
            "ratio": timing.quartiles(seconds[row] / seconds[OURS]),
            "ready_seconds": float(np.median([run["ready"] for run in of])),
            "again_seconds": float(np.median([run["again"] for run in of])),
            "accuracy": float(np.median([run["accuracy"] for run in of])),
        }
        for row, of in runs.items()
    }


def layout(found: timing.Found) -> str:
    """Lay the numbers out as a table."""
    columns = {
        "s to a model, quartiles": lambda at: timing.cells(at["seconds"], ".2f"),
        "ratio, quartiles": timing.ratio_cells,
        "until set up s": lambda at: [f"{at['ready_seconds']:.2f}"],
        "second fit s": lambda at: [f"{at['again_seconds']:.3f}"],
        "accuracy": lambda at: [f"{at['accuracy']:.1%}"],
    }
    return timing.layout(found, columns)


def figure(found: Mapping[str, Mapping[str, Any]]) -> Any:
    """Draw the times as bars."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 1.2 + 0.45 * len(found)), layout="constrained")
    panel = drawn.subplots()
    spreads = {row: at["seconds"] for row, at in found.items()}
    labels = [f"{at['seconds'][1]:.1f} s, {at['accuracy']:.1%} right" for at in found.values()]
    timing.bars(panel, spreads, labels)
    panel.set(
        title="digits", xlabel="seconds from starting Python", xlim=(0, 1.4 * max(of[2] for of in spreads.values()))
    )
    panel.invert_yaxis()
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
