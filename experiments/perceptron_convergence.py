"""Does the perceptron's rule always find a separating line, and within how many mistakes?

    python -m experiments.perceptron_convergence

Novikoff (1962): on rows (x, 1) no longer than R, which some plane separates by the margin gamma, the rule makes at most
(R / gamma)^2 mistakes, in whatever order the rows come. 1,000 sets of points in the plane, each with a line of its own
and a margin between 0.01 and 0.3, are learned by one program; then XOR, which no line separates.
Expected: all 1,000 settle, none beyond its bound; the median set makes 10 mistakes, a sixteenth of what its best margin
allows. XOR makes mistakes in every one of 2,000 epochs, whose weights are the same few again and again. Ten seconds on
one CPU core.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import reporting
from jaxmlp import checks, neurons, plots

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    rows: int = 50
    """Points of each set."""
    narrowest: float = 0.01
    """The narrowest margin; the widest is 0.3."""
    epochs: int = 2000
    """Passes over the rows at most."""
    measured: int = 50
    """Sets of which the best margin is computed, to compare with the line that they were drawn with."""
    seed: int = 0
    """Decides all sets."""
    seeds: int = 1000
    """How many sets."""
    smoke: bool = False
    """Twenty sets, to see that it runs."""
    out: Path = Path("results/perceptron_convergence")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found; one entry per set."""

    mistakes: NDArray[Any]
    bound: NDArray[Any]
    """Novikoff's, by the line that a set was drawn with."""
    best_bound: NDArray[Any]
    """The same by the best margin, of the first sets."""
    epochs: NDArray[Any]
    converged: NDArray[Any]
    xor_mistakes: NDArray[Any]
    """In each epoch."""
    xor_units: int
    """How many different weights XOR's epochs end with."""


def run(config: Config) -> Result:
    """Learn all sets in one program, compare mistakes with their bounds, and try XOR."""
    checks.in_range("narrowest", config.narrowest, "(0, 0.3)")
    checks.whole_number("rows", config.rows, 2)
    sets = 20 if config.smoke else checks.whole_number("seeds", config.seeds, 1)
    reporting.check_folder(config.out)
    keys = jax.random.split(jax.random.key(config.seed), sets)
    x, y, bound = jax.vmap(lambda key: drawn(key, config.rows, config.narrowest))(keys)
    runs = jax.jit(jax.vmap(lambda x, y: neurons.learn_perceptron(x, y, epochs=config.epochs)))(x, y)
    of_xor = neurons.learn_perceptron(*XOR, epochs=config.epochs, key=jax.random.key(config.seed))
    measured = range(min(config.measured, sets))
    result = Result(
        mistakes=np.asarray(runs.total_mistakes),
        bound=np.asarray(bound),
        best_bound=np.array([neurons.separability(x[i], y[i]).mistake_bound for i in measured]),
        epochs=np.asarray(runs.epochs),
        converged=np.asarray(runs.converged),
        xor_mistakes=np.asarray(of_xor.mistakes),
        xor_units=len(np.unique(np.column_stack([of_xor.path.w, of_xor.path.b]), axis=0)),
    )
    print(summary(result))
    one = int(np.argsort(result.epochs)[-len(result.epochs) // 10])  # slower than most
    path = jax.tree.map(lambda leaf: leaf[one], runs.path)
    reporting.save(
        config.out, config, dataclasses.asdict(result), {"convergence": picture(result, path, x[one], y[one])}
    )
    return result


def drawn(key: Any, rows: int, narrowest: float) -> tuple[Any, Any, Any]:
    """Draw points, a line and a margin, move the points away from the line, and return Novikoff's bound with them."""
    of_points, of_line, of_margin = jax.random.split(key, 3)
    b = 0.5 * jax.random.uniform(of_line, minval=-1)
    angle = 2 * jnp.pi * jax.random.uniform(jax.random.fold_in(of_line, 1))
    w = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    margin = jnp.exp(jax.random.uniform(of_margin, minval=jnp.log(narrowest), maxval=jnp.log(0.3)))
    x = jax.random.uniform(of_points, (rows, 2), minval=-1)
    side = jnp.sign(x @ w + b)
    x = x + margin * side[:, None] * w
    gamma = jnp.min(jnp.abs(x @ w + b)) / jnp.sqrt(1 + b**2)
    return x, (side > 0).astype(int), jnp.max(jnp.sum(x**2, axis=1) + 1) / gamma**2


def summary(result: Result) -> str:
    """Lay out mistakes beside bounds."""
    share = result.mistakes / result.bound
    of_best = result.mistakes[: len(result.best_bound)] / result.best_bound
    rows: list[tuple[Any, ...]] = [("", "median", "lowest", "highest")]
    for name, values, digits in (
        ("mistakes", result.mistakes, ".0f"),
        ("epochs", result.epochs, ".0f"),
        ("mistakes / bound", share, ".3f"),
        (f"mistakes / bound by the best margin, {len(of_best)} sets", of_best, ".3f"),
    ):
        rows.append((name, *(format(float(of(values)), digits) for of in (np.median, np.min, np.max))))
    return (
        f"{result.converged.sum()} of {len(result.converged)} sets settled, "
        f"{(share > 1).sum() + (of_best > 1).sum()} beyond a bound.\n{reporting.table(rows)}\n"
        f"XOR: {result.xor_mistakes.min()} to {result.xor_mistakes.max()} mistakes in each of "
        f"{len(result.xor_mistakes)} epochs, which end with the same {result.xor_units} weights again and again"
    )


def picture(result: Result, path: Any, x: Any, y: Any) -> Figure:
    """Draw mistakes against bounds, the line of one set while it learns, and XOR's mistakes."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.loglog(result.bound, np.maximum(result.mistakes, 1), ".", color="tab:gray", alpha=0.5, label="a set each")
    ends = np.array([result.bound.min(), result.bound.max()])
    left.plot(ends, ends, color="black", label="bound")
    left.set(xlabel=r"Novikoff's bound, $(R / \gamma)^2$", ylabel="mistakes", title="never beyond the bound")
    left.legend(frameon=False)
    plots.moving_line(path.w, path.b, x, y, axes=middle)
    middle.set_title("the line of one set while it learns")
    right.plot(range(1, 31), result.xor_mistakes[:30], color="black", marker=".", label="XOR")
    right.set(xlabel="epoch", ylabel="mistakes in 4 rows", ylim=(0, 4.2), title="XOR never settles")
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
