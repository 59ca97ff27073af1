"""How long does one training step take, and how long elsewhere?

    python -m experiments.benchmarks.step_time

Trains three networks, from one with steps of microseconds to one with steps of milliseconds, with
``training.fit`` and with each peer that is installed, in turns, on the same data for the same epochs, and reports
microseconds per step, shuffling included. Expected: the smaller the step, the more its dispatch from Python costs,
and the larger the multiples of those who dispatch each step; who compiles the loop as well is rid of that. On the
largest network most come near the yardstick, the products of the step at NumPy's speed and one pass over the
optimizer's memory. The last table stands in the README beside this file. Some minutes on a CPU with two cores.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import reporting
from experiments.benchmarks import peers, timing
from experiments.benchmarks.peers import PYTORCH_GATHER, Library, Task
from jaxmlp import checks

NETWORKS = (
    ((9, 20, 12, 6, 1), 20, 2500, 40),
    ((16, 64, 64, 3), 32, 3200, 40),
    ((784, 512, 512, 10), 128, 4096, 5),
)
"""Sizes, batch size, rows and epochs; one output means two classes, and the batches divide the rows evenly."""

LIBRARIES = tuple(name for name in peers.LIBRARIES if name != PYTORCH_GATHER)
YARDSTICK = "products + one pass"

LARGE = 100_000_000
"""Multiplications and additions of a step from which on the yardstick means something."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    rounds: int = 15
    """Timed runs of each library; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/step_time")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 2 rounds of 2 epochs of the first network."""


class Yardstick(Library):
    """What a step cannot do without, in NumPy: its products, and its optimizer's memory read and written once."""

    def __init__(self, task: Task) -> None:
        rng = np.random.default_rng(task.seed)

        def normal(*shape: int) -> Any:
            return rng.standard_normal(shape, np.float32)

        self.task, rows = task, task.batch_size
        self.products: list[tuple[Any, Any, Any]] = []  # a, b and where a @ b goes
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(task.sizes)):
            a, w, delta = normal(rows, inputs), normal(inputs, outputs), normal(rows, outputs)
            self.products += [(a, w, normal(rows, outputs)), (a.T, delta, normal(inputs, outputs))]
            if layer > 0:  # nobody asks for the gradient of the data
                self.products.append((delta, w.T, normal(rows, inputs)))
        numbers = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(task.sizes))
        self.memory = [(normal(numbers), normal(numbers)) for _ in ("params", "m", "v")]

    def train(self) -> None:
        """Do as many steps as the task has."""
        for _ in range(self.task.steps):
            for a, b, product in self.products:
                np.matmul(a, b, out=product)
            for read, written in self.memory:
                np.copyto(written, read)


def run(config: Config) -> dict[str, Any]:
    """Measure the libraries that are installed on each network, print the tables and save them.

    Args:
        config: the options.

    Returns:
        For each network and library its times and its loss.
    """
    checks.whole_number("rounds", config.rounds, 1)
    reporting.check_folder(config.out)
    names, numbers = peers.installed(LIBRARIES), {}
    print(timing.begin())
    for sizes, batch_size, rows, epochs in NETWORKS[: 1 if config.smoke else None]:
        epochs, rounds = (2, 2) if config.smoke else (epochs, config.rounds)
        task = peers.make_task(sizes, batch_size=batch_size, rows=rows, epochs=epochs, seed=config.seed)
        title = f"{'-'.join(map(str, sizes))}, batch {batch_size}"
        numbers[title] = measure(task, names, rounds)
        print(f"\n{title}, {epochs} epochs\n{layout(numbers[title])}", flush=True)
    found = {"versions": peers.versions(LIBRARIES), "networks": numbers}
    reporting.save(config.out, config, found, {"step_time": figure(numbers)})
    return numbers


def measure(task: Task, names: list[str], rounds: int) -> timing.Found:
    """Time the libraries, and the yardstick where a step is large enough for it to mean something."""
    others = {YARDSTICK: Yardstick(task)} if task.flops >= LARGE else {}
    found = timing.measure(task, names, rounds, others)
    for at in found.values():
        at["microseconds"] = [1e6 * seconds / task.steps for seconds in at["seconds"]]
    return found


def layout(found: timing.Found) -> str:
    """Lay the numbers of one network out as a table."""
    columns = {
        "us/step, quartiles": lambda at: timing.cells(at["microseconds"], ".1f"),
        "ratio, quartiles": timing.ratio_cells,
        "compile s": timing.compile_cells,
        "loss": timing.loss_cells,
    }
    return timing.layout(found, columns)


def figure(numbers: Mapping[str, timing.Found]) -> Any:
    """Draw the times of each network as bars on a logarithmic axis."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(11, 2.2 + 2.8 * len(numbers)), layout="constrained")
    for panel, (title, found) in zip(drawn.subplots(len(numbers), squeeze=False)[:, 0], numbers.items(), strict=True):
        spreads = {name: at["microseconds"] for name, at in found.items()}
        labels = [f"{at['microseconds'][1]:.0f} µs, ratio {at['ratio'][1]:.1f}" for at in found.values()]
        timing.bars(panel, spreads, labels)
        low, high = min(of[0] for of in spreads.values()), max(of[2] for of in spreads.values())
        panel.set(title=title, xlabel="µs per step (logarithmic)", xscale="log", xlim=(low / 2, 5 * high))
        panel.invert_yaxis()
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
