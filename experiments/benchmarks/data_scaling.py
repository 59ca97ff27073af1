"""Does a row cost the same, be there a thousand of them or ten million?

    python -m experiments.benchmarks.data_scaling
    python -m experiments.benchmarks.data_scaling --rows 10000000

Trains a small network on more and more rows, and reports nanoseconds per row and epoch, shuffling included, for
jaxmlp, for a plain ``lax.scan`` with ``jax.random.permutation`` and for scikit-learn. Expected: flat, but for
the few rows over which the cost of a call is spread, and for a slow growth where the rows no longer fit in a cache
and each is fetched from memory. To sort random numbers, as ``jax.random.permutation`` does, costs more per row the
more rows there are; jaxmlp's order sorts nothing. The last table stands in the README beside this file. Some
minutes on a CPU with two cores, some more and a few GB of memory up to ten million rows.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import reporting
from experiments.benchmarks import peers, timing
from experiments.benchmarks.peers import OURS, PLAIN_SCAN, SCIKIT_LEARN, Task
from jaxmlp import checks

SIZES = (10, 32, 2)
BATCH_SIZE = 256
FEWEST_ROWS = 1000
LIBRARIES = (OURS, PLAIN_SCAN, SCIKIT_LEARN)


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    rows: int = 1_000_000
    """The most rows; it begins with 1,000 and goes on by factors of ten, rounded up to whole batches."""
    peer_rows: int = 1_000_000
    """The most rows for scikit-learn, which takes longest."""
    visits: int = 1_000_000
    """Rows that a timed run goes through at least, in as many epochs as it takes."""
    rounds: int = 7
    """Timed runs of each library; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/data_scaling")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 2 rounds with 1,000 and 10,000 rows, and 20,000 visits."""


def run(config: Config) -> dict[str, Any]:
    """Measure each number of rows, print the table and save it.

    Args:
        config: the options.

    Returns:
        For each number of rows and each library its times and its loss.
    """
    checks.whole_number("rows", config.rows, FEWEST_ROWS)
    checks.whole_number("visits", config.visits, 1)
    checks.whole_number("rounds", config.rounds, 1)
    reporting.check_folder(config.out)
    names = peers.installed(LIBRARIES)
    print(timing.begin())
    most, visits, rounds = (10_000, 20_000, 2) if config.smoke else (config.rows, config.visits, config.rounds)
    found = {}
    for rows in peers.decades(FEWEST_ROWS, most, BATCH_SIZE):
        epochs = -(-visits // rows)
        task = peers.make_task(SIZES, batch_size=BATCH_SIZE, rows=rows, epochs=epochs, seed=config.seed)
        feasible = [name for name in names if name != SCIKIT_LEARN or rows < config.peer_rows + BATCH_SIZE]
        found[rows] = measure(task, feasible, rounds)
        print(f"{rows:,} rows are done", flush=True)
    print(f"\n{'-'.join(map(str, SIZES))}, batch {BATCH_SIZE}\n{layout(found)}")
    numbers = {"versions": peers.versions(names), "rows": found}
    reporting.save(config.out, config, numbers, {"data_scaling": figure(found)})
    return {f"{rows:,} rows": at for rows, at in found.items()}


def measure(task: Task, names: list[str], rounds: int) -> timing.Found:
    """Time the libraries on one number of rows."""
    found = timing.measure(task, names, rounds)
    for at in found.values():
        at["nanoseconds"] = [1e9 * seconds / (task.epochs * len(task.x)) for seconds in at["seconds"]]
    return found


def layout(found: Mapping[int, timing.Found]) -> str:
    """Lay the numbers out as one table."""
    columns = {
        "ns/row, quartiles": lambda at: timing.cells(at["nanoseconds"], ".0f"),
        "ratio, quartiles": timing.ratio_cells,
        "compile s": timing.compile_cells,
        "loss": timing.loss_cells,
    }
    return timing.layout(timing.together({f"{rows:,}": at for rows, at in found.items()}), columns, "rows, library")


def figure(found: Mapping[int, timing.Found]) -> Any:
    """Draw the cost per row against the number of rows."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 4.2), layout="constrained")
    panel = drawn.subplots()
    timing.lines(panel, timing.curves(found, "nanoseconds"))
    panel.set(xlabel="rows", ylabel="ns per row and epoch")
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
