"""Which logic functions does a single unit compute, and which need a second layer?

    python -m experiments.logic_gates

McCulloch and Pitts (1943) built nets of logic out of threshold units; Minsky and Papert (1969) asked what one unit can
do by itself. Every function of one, two and three binary inputs is tried in two ways: a linear program looks for a
separating plane, and the perceptron's rule learns it from each of several random orders of the rows.
Expected: one unit computes 4 of 4, 14 of 16 and 104 of 256 functions, as the theory of threshold logic counts them
(Muroga 1971; OEIS A000609), and learns exactly those; XOR and its negation need two layers, which compute all.
No spread. Seconds on two CPU cores.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import reporting
from jaxmlp import checks, neurons

NAMES = (
    "never", "AND", "x and not y", "x", "y and not x", "y", "XOR", "OR",
    "NOR", "XNOR", "not y", "x or not y", "not x", "y or not x", "NAND", "always",
)  # fmt: skip
"""Of the functions of two inputs, in the order of ``tables(2)``."""

KNOWN = {1: 4, 2: 14, 3: 104}
"""How many functions of so many inputs one unit computes (OEIS A000609)."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    inputs: int = 3
    """Functions of 1, 2 ... so many inputs are tried, at most 3."""
    epochs: int = 100
    """Passes over the rows that the perceptron is given."""
    seed: int = 0
    """Decides the orders in which the perceptron sees the rows."""
    seeds: int = 5
    """How many orders."""
    smoke: bool = False
    """Two inputs at most and two orders, to see that it runs."""
    out: Path = Path("results/logic_gates")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found, for each number of inputs."""

    separable: dict[int, NDArray[Any]]
    """Whether a plane separates the ones of each function from its zeros."""
    learned: dict[int, NDArray[Any]]
    """Whether the perceptron settled, for each order and function."""
    two_layers: dict[int, NDArray[Any]]
    """Whether a circuit of two layers computes it."""


def run(config: Config) -> Result:
    """Try all functions with one unit and with two layers, and count."""
    if not 1 <= checks.whole_number("inputs", config.inputs, 1) <= 3:
        raise ValueError(f"inputs is {config.inputs}; give 1, 2 or 3, as there are 65,536 functions of 4")
    checks.whole_number("seeds", config.seeds, 1)
    reporting.check_folder(config.out)
    most, seeds = (min(config.inputs, 2), 2) if config.smoke else (config.inputs, config.seeds)
    keys = jax.random.split(jax.random.key(config.seed), seeds)
    result = Result({}, {}, {})
    for n in range(1, most + 1):
        x, functions = rows(n), tables(n)
        result.separable[n] = np.array([neurons.separability(x, y).separable for y in functions])
        result.learned[n] = np.asarray(learned(x, functions, keys, config.epochs))
        result.two_layers[n] = np.array([bool((circuit(y).apply(jnp.asarray(x)) == y).all()) for y in functions])
    print(summary(result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"functions": picture()})
    return result


def rows(n: int) -> NDArray[Any]:
    """Return all inputs, 00, 01, 10, 11 for n = 2."""
    return np.array(list(itertools.product([0, 1], repeat=n)))


def tables(n: int) -> NDArray[Any]:
    """Return the truth tables of all functions, one in a row."""
    return np.array(list(itertools.product([0, 1], repeat=2**n)))


def learned(x: NDArray[Any], functions: NDArray[Any], keys: Any, epochs: int) -> Any:
    """Return for each order of the rows and each function whether the perceptron settles: one program."""

    def settles(key: Any, y: Any) -> Any:
        return neurons.learn_perceptron(jnp.asarray(x), y, key=key, epochs=epochs).converged

    every = jax.vmap(jax.vmap(settles, in_axes=(None, 0)), in_axes=(0, None))
    return jax.jit(every)(keys, jnp.asarray(functions))


def circuit(y: NDArray[Any]) -> neurons.Circuit:
    """Return two layers that compute a function: a unit for each row with a 1, and a unit that waits for any."""
    hidden = tuple(
        neurons.McCullochPitts(tuple(np.flatnonzero(row == 1)), tuple(np.flatnonzero(row == 0)), int(row.sum()))
        for row, one in zip(rows(int(np.log2(len(y)))), y, strict=True)
        if one
    )
    hidden = hidden or (neurons.McCullochPitts((), (), threshold=1),)  # one that never fires
    return neurons.Circuit(hidden, neurons.McCullochPitts(tuple(range(len(hidden))), (), threshold=1))


def summary(result: Result) -> str:
    """Lay the counts out beside the theory's, and name what one unit cannot do."""
    lines: list[tuple[Any, ...]] = [("inputs", "functions", "one unit", "theory", "learned", "two layers")]
    for n, separable in result.separable.items():
        always = result.learned[n].all(axis=0)
        lines.append((n, len(separable), separable.sum(), KNOWN[n], always.sum(), result.two_layers[n].sum()))
    text = reporting.table(lines)
    if 2 in result.separable:
        beyond = [name for name, one in zip(NAMES, result.separable[2], strict=True) if not one]
        text += f"\nOf two inputs, one unit does not compute: {', '.join(beyond)}"
    return text


def picture() -> Figure:
    """Draw the 16 functions of two inputs, with a line where one separates."""
    figure = Figure(figsize=(8, 8), layout="constrained")
    x = rows(2)
    for axes, y, name in zip(figure.subplots(4, 4).flat, tables(2), NAMES, strict=True):
        found = neurons.separability(x, y)
        axes.scatter(*x[y == 1].T, s=90, color="black", zorder=2)
        axes.scatter(*x[y == 0].T, s=90, facecolor="white", edgecolor="black", zorder=2)
        if found.separable and found.w.any():
            along = np.array([-found.w[1], found.w[0]])
            ends = [-found.b * found.w + end * along for end in (-2, 2)]
            axes.plot(*zip(*ends, strict=True), color="tab:orange", zorder=1)
        axes.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xticks=(0, 1), yticks=(0, 1), aspect="equal")
        axes.set_title(name if found.separable else f"{name}: two layers", fontsize=10)
        axes.title.set_fontweight("normal" if found.separable else "bold")
    figure.supxlabel("x")
    figure.supylabel("y")
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
