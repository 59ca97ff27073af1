"""How long do many runs take at once, and how long elsewhere?

    python -m experiments.benchmarks.sweep_throughput

Trains 112 networks with ``sweeps.sweep``, seven learning rates with two L2 strengths and eight seeds each, then 200
with ``sweeps.cross_validate``, ten folds with twenty seeds each, then more and more seeds of one network, from 1 to
4,096, each with its peers in turns, and reports microseconds per member-step: one step of one member. Expected: at
most 10 on the first and 3 on the second, on two idle cores, and a curve that falls until all cores are busy and is flat
from there on. Who trains one member after another pays for each what one costs; who computes members side by side
shares the dispatch of a step among them. The last table stands in the README beside this file. Some ten minutes on a
CPU with two cores.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import reporting
from experiments.benchmarks import peers, timing
from experiments.benchmarks.peers import PYTORCH, many
from experiments.benchmarks.peers.many import SINGLE, Many
from jaxmlp import checks, schedules

LIBRARIES = tuple(many.LIBRARIES)

MEMBERS = (1, 4, 16, 64, 256, 1024, 4096)

SWEEP = "112 runs of 16-64-64-3, batch 32"
FOLDS = "200 runs of 9-20-12-6-1, batch 20"
GOALS = {SWEEP: 10.0, FOLDS: 3.0}
"""Microseconds per member-step on two idle cores, at most."""

CURVE = ((9, 20, 12, 6, 1), 20, 700, 20)
"""Sizes, batch size, rows and epochs of the seeds."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    members: tuple[int, ...] = MEMBERS
    """Seeds of the curve."""
    peer_members: int = 16
    """The most members for those who train one by itself; in the sweep and the folds they train each setting once."""
    rounds: int = 5
    """Timed runs of each library; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/sweep_throughput")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 2 rounds of 1 epoch and of one seed, the curve's first place, no PyTorch."""


def run(config: Config) -> dict[str, Any]:
    """Measure the sweep, the folds and the curve, print the tables and save them.

    Args:
        config: the options.

    Returns:
        For the sweep, the folds and each place of the curve, and each library, its times and its loss.
    """
    checks.whole_number("rounds", config.rounds, 1)
    checks.whole_number("peer_members", config.peer_members, 1)
    for count in config.members:
        checks.whole_number("members", count, 1)
    reporting.check_folder(config.out)
    wanted = [name for name in LIBRARIES if not (config.smoke and name.startswith(PYTORCH))]  # whose import takes long
    names = peers.installed(wanted, many.LIBRARIES)
    print(timing.begin())
    numbers, found = {}, {}
    for title, task in {SWEEP: sweep(config), FOLDS: folds(config)}.items():
        numbers[title] = measure(task, names, config)
        print(
            f"\n{title}, {task.task.epochs} epochs; goal: at most {GOALS[title]:g} us\n{layout(numbers[title])}",
            flush=True,
        )
    for count in config.members[: 1 if config.smoke else None]:
        feasible = [name for name in names if name not in SINGLE or count <= config.peer_members]
        found[count] = measure(curve(config, count), feasible, config)
        print(f"{count:,} members are done", flush=True)
    sizes, batch_size, _, epochs = CURVE
    rows = timing.together({f"{count:,}": at for count, at in found.items()})
    title = f"{'-'.join(map(str, sizes))}, batch {batch_size}, {1 if config.smoke else epochs} epochs"
    print(f"\n{title}\n{layout(rows, 'members, library')}")
    about = {"versions": peers.versions(names, many.LIBRARIES), "goals": GOALS}
    reporting.save(config.out, config, about | {"runs": numbers, "members": found}, {"sweep_throughput": figure(found)})
    return numbers | {f"{count:,} members": at for count, at in found.items()}


def sweep(config: Config) -> Many:
    """Return 7 learning rates with 2 strengths of L2 and 8 seeds each."""
    return many.make_many(
        (16, 64, 64, 3), batch_size=32, rows=2048, epochs=1 if config.smoke else 10, seed=config.seed,
        seeds=1 if config.smoke else 8, learning_rates=schedules.ladder(), l2=(1e-4, 1e-3),
    )  # fmt: skip


def folds(config: Config) -> Many:
    """Return 10 folds with 20 seeds each."""
    return many.make_many(
        (9, 20, 12, 6, 1), batch_size=20, rows=700, epochs=1 if config.smoke else 20, seed=config.seed,
        seeds=1 if config.smoke else 20, folds=10,
    )  # fmt: skip


def curve(config: Config, seeds: int) -> Many:
    """Return so many seeds of one network."""
    sizes, batch_size, rows, epochs = CURVE
    return many.make_many(
        sizes, batch_size=batch_size, rows=rows, epochs=1 if config.smoke else epochs, seed=config.seed, seeds=seeds
    )


def measure(task: Many, names: Sequence[str], config: Config) -> timing.Found:
    """Time the libraries on one task; those who train a member by itself get fewer seeds of it."""
    tasks = {name: task.at_most(config.peer_members) if name in SINGLE else task for name in names}
    libraries = {name: many.make(name, of) for name, of in tasks.items()}
    work = {name: of.member_steps for name, of in tasks.items()}
    found = timing.take_turns(libraries, 2 if config.smoke else config.rounds, work)
    for row, at in found.items():
        name = timing.library_of(row)
        at["members"] = tasks[name].members
        at["microseconds"] = [1e6 * seconds / work[name] for seconds in at["seconds"]]
        at["loss"] = many.median_loss(libraries[name])
    return found


def layout(found: timing.Found, first: str = "library") -> str:
    """Lay numbers out as a table."""
    columns = {
        "members": lambda at: [f"{at['members']:,}"],
        "seconds": lambda at: [f"{at['seconds'][1]:.3f}"],
        "us/member-step, quartiles": lambda at: timing.cells(at["microseconds"], ".2f"),
        "ratio, quartiles": timing.ratio_cells,
        "compile s": timing.compile_cells,
        "loss": timing.loss_cells,
    }
    return timing.layout(found, columns, first)


def figure(found: Mapping[int, timing.Found]) -> Any:
    """Draw the time of a member-step against the number of members."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7.5, 5), layout="constrained")
    panel = drawn.subplots()
    timing.lines(panel, timing.curves(found, "microseconds"))
    panel.set(xlabel=f"members, each a run of {'-'.join(map(str, CURVE[0]))}", ylabel="µs per member-step")
    panel.set_xticks(list(found), [f"{count:,}" for count in found])
    panel.set_xticks([], minor=True)
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
