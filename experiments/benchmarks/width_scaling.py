"""How does the time of a step grow with the width of the network, and how much arithmetic is done in it?

    python -m experiments.benchmarks.width_scaling

Trains 64-W-W-10 in batches of 128 rows for W from 16 to 1024 with jaxmlp, with the same steps in a plain
``lax.scan`` and with PyTorch, and reports microseconds per step and the GFLOP/s of its matrix products. Expected:
narrow networks cost what their dispatch costs, and wide ones what their products cost, where all come together.
The last table stands in the README beside this file. Some minutes on a CPU with two cores.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import reporting
from experiments.benchmarks import peers, timing
from experiments.benchmarks.peers import OURS, PLAIN_SCAN, PYTORCH, Task
from jaxmlp import checks

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
BATCH_SIZE = 128
ROWS = 16 * BATCH_SIZE
LIBRARIES = (OURS, PLAIN_SCAN, PYTORCH)

FLOPS = 10_000_000_000
"""What a timed run takes, were its steps arithmetic alone: it decides the epochs, from 1 to 40."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    widths: tuple[int, ...] = WIDTHS
    """Units of both hidden layers."""
    rounds: int = 9
    """Timed runs of each library; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/width_scaling")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 2 rounds of 1 epoch with the first width."""


def run(config: Config) -> dict[str, Any]:
    """Measure each width, print the table and save it.

    Args:
        config: the options.

    Returns:
        For each width and library its times, its GFLOP/s and its loss.
    """
    checks.whole_number("rounds", config.rounds, 1)
    for width in config.widths:
        checks.whole_number("widths", width, 1)
    reporting.check_folder(config.out)
    names = peers.installed(LIBRARIES)
    print(timing.begin())
    found = {}
    for width in config.widths[: 1 if config.smoke else None]:
        task = make_task(width, config.seed)
        if config.smoke:
            task = dataclasses.replace(task, epochs=1)
        found[width] = measure(task, names, 2 if config.smoke else config.rounds)
        print(f"width {width} is done", flush=True)
    print(f"\n64-W-W-10, batch {BATCH_SIZE}\n{layout(found)}")
    numbers = {"versions": peers.versions(names), "widths": found}
    reporting.save(config.out, config, numbers, {"width_scaling": figure(found)})
    return {f"width {width}": at for width, at in found.items()}


def make_task(width: int, seed: int) -> Task:
    """Return what is to be done with a width, for as many epochs as take about as long with each."""
    task = peers.make_task((64, width, width, 10), batch_size=BATCH_SIZE, rows=ROWS, epochs=1, seed=seed)
    return dataclasses.replace(task, epochs=min(max(1, round(FLOPS / (task.flops * task.steps))), 40))


def measure(task: Task, names: list[str], rounds: int) -> timing.Found:
    """Time the libraries on one width."""
    found = timing.measure(task, names, rounds)
    for at in found.values():
        at["microseconds"] = [1e6 * seconds / task.steps for seconds in at["seconds"]]
        at["gflops"] = task.flops / at["microseconds"][1] / 1e3
    return found


def layout(found: Mapping[int, timing.Found]) -> str:
    """Lay the numbers out as one table."""
    columns = {
        "us/step, quartiles": lambda at: timing.cells(at["microseconds"], ".1f"),
        "GFLOP/s": lambda at: [f"{at['gflops']:.1f}"],
        "ratio, quartiles": timing.ratio_cells,
        "compile s": timing.compile_cells,
        "loss": timing.loss_cells,
    }
    return timing.layout(timing.together({str(width): at for width, at in found.items()}), columns, "width, library")


def figure(found: Mapping[int, timing.Found]) -> Any:
    """Draw the time of a step against the width."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 4.2), layout="constrained")
    panel = drawn.subplots()
    timing.lines(panel, timing.curves(found, "microseconds"))
    panel.set(xlabel="units of each hidden layer", ylabel="µs per step")
    panel.set_xticks(list(found), [str(width) for width in found])
    panel.set_xticks([], minor=True)
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
