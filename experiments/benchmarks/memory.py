"""How much memory does training take for each byte of data, and how much elsewhere?

    python -m experiments.benchmarks.memory

Trains the same network on rows like those of the digits, each time in a fresh process, and takes the most memory
that the process has held, less that of the same process with a single batch of rows: what is left is due to the
rows. The rows themselves count, so 1 byte for each byte of data is the least. Expected: one for the rows that were
handed over, up to one for a copy of them on the device, more for who converts or shuffles them as a whole; the fewest
rows are within the noise of what the libraries themselves take. The host's memory alone is measured. The last
table stands in the README beside this file. Some minutes on a CPU with two cores, and a few GB of memory.
"""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import reporting
from experiments.benchmarks import fresh, peers, timing
from experiments.benchmarks.peers import KERAS, OURS, PYTORCH, PYTORCH_GATHER, SCIKIT_LEARN
from jaxmlp import checks

SIZES = (64, 128, 10)
BATCH_SIZE = 128
EPOCHS = 2
FEWEST_ROWS = 10_000
LIBRARIES = (OURS, SCIKIT_LEARN, KERAS, PYTORCH, PYTORCH_GATHER)


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    rows: int = 1_000_000
    """The most rows, of 64 numbers each; it begins with 10,000 and goes on by factors of ten, in whole batches."""
    rounds: int = 3
    """Processes of each library and number of rows; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/memory")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 1 round with 100,000 rows, jaxmlp and scikit-learn alone."""


def run(config: Config) -> dict[str, Any]:
    """Start the processes in turns, print the table and save it.

    Args:
        config: the options.

    Returns:
        For each number of rows and each library its memory and its loss.
    """
    checks.whole_number("rows", config.rows, FEWEST_ROWS)
    checks.whole_number("rounds", config.rounds, 1)
    reporting.check_folder(config.out)
    names = peers.installed(LIBRARIES[: 2 if config.smoke else None])
    print(timing.begin())
    least, most = (10 * FEWEST_ROWS, 10 * FEWEST_ROWS) if config.smoke else (FEWEST_ROWS, config.rows)
    rows = peers.decades(least, most, BATCH_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), names, rows, 1 if config.smoke else config.rounds, config.seed)
    print(f"\n{'-'.join(map(str, SIZES))}, batch {BATCH_SIZE}, {EPOCHS} epochs\n{layout(found)}")
    numbers = {"versions": peers.versions(names), "rows": found}
    reporting.save(config.out, config, numbers, {"memory": figure(found)})
    return {f"{many:,} rows": at for many, at in found.items()}


def measure(folder: Path, names: list[str], rows: list[int], rounds: int, seed: int) -> dict[int, timing.Found]:
    """Run each library on a single batch and on each number of rows, in turns."""
    bytes_of = {}
    for many in (BATCH_SIZE, *rows):
        task = peers.make_task(SIZES, batch_size=BATCH_SIZE, rows=many, epochs=EPOCHS, seed=seed)
        fresh.save(folder / str(many), task)
        bytes_of[many] = task.x.nbytes + task.y.nbytes
    runs: dict[tuple[int, str], list[dict[str, float]]] = {(many, name): [] for many in bytes_of for name in names}
    for name in timing.in_turns(names, rounds):
        for many in bytes_of:
            runs[many, name].append(fresh.train(name, folder / str(many)))
    found: dict[int, timing.Found] = {many: {} for many in rows}
    for many in rows:
        for name in names:
            peak = np.array([run["peak_bytes"] for run in runs[many, name]])
            empty = np.array([run["peak_bytes"] for run in runs[BATCH_SIZE, name]])
            found[many][name] = {
                "data_bytes": bytes_of[many],
                "empty_bytes": float(np.median(empty)),
                "bytes_per_byte": timing.quartiles((peak - empty) / bytes_of[many]),
                "loss": float(np.median([run["loss"] for run in runs[many, name]])),
            }
    return found


def layout(found: Mapping[int, timing.Found]) -> str:
    """Lay the numbers out as one table."""
    columns = {
        "data MB": lambda at: [f"{at['data_bytes'] / 1e6:.1f}"],
        "bytes/byte, quartiles": lambda at: timing.cells(at["bytes_per_byte"], ".2f"),
        "without rows MB": lambda at: [f"{at['empty_bytes'] / 1e6:.0f}"],
        "loss": timing.loss_cells,
    }
    return timing.layout(timing.together({f"{rows:,}": at for rows, at in found.items()}), columns, "rows, library")


def figure(found: Mapping[int, timing.Found]) -> Any:
    """Draw the bytes for each byte of data against the number of rows."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 4.2), layout="constrained")
    panel = drawn.subplots()
    timing.lines(panel, timing.curves(found, "bytes_per_byte"))
    panel.set(xlabel="rows of 64 numbers", ylabel="bytes of memory for a byte of data", yscale="linear")
    panel.set_ylim(bottom=0)
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
