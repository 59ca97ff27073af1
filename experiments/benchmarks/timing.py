"""How the benchmarks take times: in turns, from the first parameters, to the end of the last step.

Each library is called once before the clock runs, which compiles. Then a round takes one run of each, every
second round in the opposite order. A ratio is taken within its round, where the machine was alike for all.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from experiments import reporting
from experiments.benchmarks import peers
from experiments.benchmarks.peers import OURS, Library, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHOLE_CALL = "jaxmlp, whole call"

Found = dict[str, dict[str, Any]]
"""For each row of a table "seconds" and "ratio", each as three quartiles, "compile_seconds" and "loss"."""

Columns = Mapping[str, Callable[[dict[str, Any]], list[str]]]


def begin() -> str:
    """Start the device, which is nobody's compile time, and say what is measured on."""
    jnp.zeros(1).block_until_ready()
    device = reporting.environment()["device"]
    return f"On {device}" + ("; no GPU was at hand, and none was measured" if device.startswith("cpu") else "")


def measure(task: Task, names: Sequence[str], rounds: int, others: Mapping[str, Library] | None = None) -> Found:
    """Time libraries in turns.

    Args:
        task: what they are to do.
        names: which of ``peers.LIBRARIES``, jaxmlp among them.
        rounds: timed runs of each.
        others: what else takes its turn, and learns nothing.

    Returns:
        What was found for jaxmlp's program, for the whole call of it, and for each other row.
    """
    learning = {name: peers.make(name, task) for name in names}
    found = take_turns(learning | dict(others or {}), rounds)
    for row, at in found.items():
        name = library_of(row)
        at["loss"] = peers.mean_loss(learning[name], task) if name in learning else None
    return found


def take_turns(libraries: Mapping[str, Library], rounds: int, work: Mapping[str, float] | None = None) -> Found:
    """Time libraries in turns, and leave their losses to the caller.

    Args:
        libraries: by name, jaxmlp among them.
        rounds: timed runs of each.
        work: how much each does; a ratio is between times for as much work. Unless given all do the same.

    Returns:
        What was found, without losses.
    """
    ours = libraries[OURS]
    first = {name: timed(library) for name, library in libraries.items()}
    compiling = {name: library.compile_seconds for name, library in libraries.items()}
    seconds: dict[str, list[float]] = {name: [] for name in (OURS, WHOLE_CALL, *libraries)}
    for name in in_turns(list(libraries), rounds):
        seconds[WHOLE_CALL if name == OURS else name].append(timed(libraries[name]))
        if name == OURS:
            seconds[OURS].append(ours.run_seconds or 0.0)
    found: Found = {}
    for row, times in seconds.items():
        name = library_of(row)
        told = compiling[name] if row != WHOLE_CALL else None
        share = work[OURS] / work[name] if work else 1.0
        found[row] = {
            "seconds": quartiles(times),
            "ratio": quartiles(share * np.array(times) / np.array(seconds[OURS])),
            "compile_seconds": max(0.0, first[name] - float(np.median(times))) if told is None else told,
        }
    return found


def library_of(row: str) -> str:
    """Return the name of the library that a row of a table is of."""
    return OURS if row == WHOLE_CALL else row


def in_turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Yield each name once a round, every second round backwards: nobody always follows the same neighbor."""
    for turn in range(rounds):
        yield from names if turn % 2 == 0 else reversed(names)


def timed(library: Library) -> float:
    """Train from the first parameters and return the seconds."""
    library.reset()
    began = time.perf_counter()
    library.train()
    return time.perf_counter() - began


def quartiles(values: Any) -> list[float]:
    """Return the lower quartile, the median and the upper quartile."""
    return [float(of) for of in np.percentile(np.asarray(values), [25, 50, 75])]


def cells(three: Sequence[float], form: str, scale: float = 1.0) -> list[str]:
    """Write quartiles as two cells of a table: the median, and the other two."""
    low, middle, high = (format(scale * of, form) for of in three)
    return [middle, f"{low} .. {high}"]


def layout(found: Found, columns: Columns, first: str = "library") -> str:
    """Lay what was found out as a table.

    Args:
        found: the rows.
        columns: by heading, what makes the cells of a row; "us/step, quartiles" is the heading of two.
        first: the heading of the first column.
    """
    rows = [[first, *(part for heading in columns for part in heading.split(", "))]]
    for name, at in found.items():
        rows.append([name, *(cell for make in columns.values() for cell in make(at))])
    return reporting.table(rows)


def together(found: Mapping[str, Found]) -> Found:
    """Put the rows of several tables into one, with what tells them apart before each name."""
    width = max(map(len, found))
    return {f"{which:>{width}}  {name}": at for which, rows in found.items() for name, at in rows.items()}


def curves(found: Mapping[int, Found], what: str) -> dict[str, dict[int, list[float]]]:
    """Return for each library what was found at each place."""
    names = dict.fromkeys(name for rows in found.values() for name in rows)
    return {name: {at: rows[name][what] for at, rows in found.items() if name in rows} for name in names}


def ratio_cells(at: dict[str, Any]) -> list[str]:
    """Write the ratio to jaxmlp's time."""
    return cells(at["ratio"], ".2f")


def compile_cells(at: dict[str, Any]) -> list[str]:
    """Write the seconds of compilation."""
    return [f"{at['compile_seconds']:.2f}"]


def loss_cells(at: dict[str, Any]) -> list[str]:
    """Write the loss that was reached, or a dash where nothing is learned."""
    return ["-" if at["loss"] is None else f"{at['loss']:.4f}"]


def bars(panel: "Axes", spreads: Mapping[str, Sequence[float]], labels: Sequence[str]) -> None:
    """Draw medians as bars from above, quartiles as whiskers, jaxmlp's darker."""
    low, middle, high = np.array(list(spreads.values())).T
    shades = ["0.25" if name.startswith(OURS) else "0.75" for name in spreads]
    whiskers: dict[str, Any] = {"xerr": [middle - low, high - middle], "capsize": 3}
    drawn = panel.barh(list(spreads), middle, color=shades, edgecolor="black", **whiskers)
    panel.bar_label(drawn, labels, padding=6)
    panel.spines[["top", "right"]].set_visible(False)


def lines(panel: "Axes", curves: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    """Draw medians as lines on logarithmic axes, quartiles as whiskers, jaxmlp's thicker."""
    for (name, points), marker in zip(curves.items(), "osD^v<>P", strict=False):
        low, middle, high = np.array(list(points.values())).T
        width = 2.5 if name.startswith(OURS) else 1.2
        spread = [middle - low, high - middle]
        panel.errorbar(list(points), middle, spread, marker=marker, linewidth=width, capsize=3, label=name)
    panel.set(xscale="log", yscale="log")
    panel.legend(frameon=False)
    panel.grid(visible=True, alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
