"""How much faster is a sweep on several devices than on one?

    python -m experiments.benchmarks.device_scaling

Trains 256 nets 16-64-64-3 in batches of 32 rows, spread over 1, 2, 4 ... devices by ``devices.mesh(members=...)``, and
without a mesh, as a sweep is run by default: on a CPU by a thread for each core. On a CPU as many devices are made as
there are cores. Expected: on two cores two devices are 1.8 times as fast as one, and a sweep without a mesh is 2.2
times as fast. The last table stands in the README beside this file. Two minutes on a CPU with two cores.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import reporting
from experiments.benchmarks import timing
from jaxmlp import checks, devices, losses, optimizers, sweeps, training
from jaxmlp.mlp import MLP

SIZES, ROWS, BATCH_SIZE, EPOCHS = (16, 64, 64, 3), 2048, 32, 10
NO_MESH = "no mesh"


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    members: int = 256
    """Nets of the sweep."""
    rounds: int = 9
    """Timed sweeps of each kind; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/device_scaling")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 2 rounds of 4 members."""


def run(config: Config) -> dict[str, Any]:
    """Measure each number of devices, print the table and save it.

    Args:
        config: the options.

    Returns:
        For each kind of sweep its times and how many times as fast as one device it is, as three quartiles each.
    """
    rounds = 2 if config.smoke else checks.whole_number("rounds", config.rounds, 1)
    members = 4 if config.smoke else checks.whole_number("members", config.members, 1)
    reporting.check_folder(config.out)
    print(timing.begin())
    counts = [2**power for power in range(jax.device_count().bit_length())]
    kinds = {f"{count} device{'s' * (count > 1)}": count for count in counts} | {NO_MESH: None}
    sweep = {name: sweep_on(config.seed, members, count) for name, count in kinds.items()}
    for name in kinds:
        sweep[name]()  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for name in timing.in_turns(list(kinds), rounds):
        seconds[name].append(sweep[name]())
    one = np.array(seconds["1 device"])
    found = {
        name: {"seconds": timing.quartiles(taken), "speedup": timing.quartiles(one / np.array(taken))}
        for name, taken in seconds.items()
    }
    print(f"\n{members} nets {'-'.join(map(str, SIZES))}, batch {BATCH_SIZE}, {EPOCHS} epochs\n{layout(found)}")
    reporting.save(config.out, config, found, {"device_scaling": figure(found)})
    return found


def sweep_on(seed: int, members: int, count: int | None) -> Callable[[], float]:
    """Return a function that trains all members and returns the seconds."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(ROWS, SIZES[0])), random.integers(0, SIZES[-1], ROWS)
    recipe = training.Recipe(MLP(SIZES), optimizers.adam(1e-3), losses.softmax_cross_entropy)
    mesh = None if count is None else devices.mesh(members=count, data=1, devices=jax.devices()[:count])

    def train() -> float:
        runs = sweeps.sweep(
            recipe, (x, y), seeds=members, epochs=EPOCHS, batch_size=BATCH_SIZE, key=jax.random.key(seed), mesh=mesh,
            progress=False,
        )  # fmt: skip
        return runs.run_seconds

    return train


def layout(found: dict[str, Any]) -> str:
    """Lay the numbers out as a table."""
    columns = {
        "seconds, quartiles": lambda at: timing.cells(at["seconds"], ".3f"),
        "times as fast, quartiles": lambda at: timing.cells(at["speedup"], ".2f"),
    }
    return timing.layout(found, columns, "members on")


def figure(found: dict[str, Any]) -> Any:
    """Draw how many times as fast as one device each is."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 3), layout="constrained")
    panel = drawn.subplots()
    labels = [f"{at['speedup'][1]:.2f}" for at in found.values()]
    timing.bars(panel, {name: at["speedup"] for name, at in found.items()}, labels)
    panel.set(xlabel="times as fast as one device")
    return drawn


if __name__ == "__main__":
    if not os.environ.get("JAX_PLATFORMS", "cpu").startswith(("cuda", "tpu", "gpu")):
        jax.config.update("jax_num_cpu_devices", os.cpu_count())  # type: ignore[no-untyped-call]  # JAX's own lack
    reporting.main(Config, run, __doc__)
