"""More layers or more neurons: which of them reads more digits, and where does overfitting begin?

    python -m experiments.architecture

ReLU nets of one to four hidden layers and 4 to 256 units in each are trained on scikit-learn's digits under Adam, each
at the better of two rates. The test part is read with the parameters of the lowest validation loss; where that loss is
lowest long before the end and then grows, the net overfits.
Expected: one hidden layer of 256 reads 97.8 +- 0.7 % of the test digits, one of 16 already 96.9 +- 1.5 %; a second
layer makes nets of every width worse, a third changes little, a fourth comes to 95.9 +- 0.5 % with 256 units and to 74
+- 5 % with 4. The loss hardly grows again with one layer, and by 0.05 to 0.07 with three of 16 or 64 and four of 16 to
256: depth overfits here, not the number of parameters. 40 epochs; how residuals or normalization change it was not
tried. Two minutes on two busy CPU cores, most of it to compile 16 programs.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import digits, reporting
from jaxmlp import checks, losses, optimizers, sweeps, training
from jaxmlp.mlp import MLP


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    depths: tuple[int, ...] = (1, 2, 3, 4)
    """Hidden layers."""
    widths: tuple[int, ...] = (4, 16, 64, 256)
    """Units of each hidden layer."""
    rates: tuple[float, ...] = (1e-3, 3e-3)
    """Adam's learning rates, of which each net takes the one with the lower validation loss."""
    epochs: int = 40
    """Passes over the digits."""
    batch_size: int = 32
    """Rows of a step."""
    seed: int = 0
    """Decides the split and all that is random in training."""
    seeds: int = 4
    """Nets of each depth, width and rate."""
    smoke: bool = False
    """Two epochs of two small nets, to see that it runs."""
    out: Path = Path("results/architecture")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found, of shape (depths, widths) or (depths, widths, seeds)."""

    parameters: NDArray[Any]
    test_accuracy: NDArray[Any]
    gap: NDArray[Any]
    """The validation loss of the last epoch, less that of the best."""
    seconds: float


def run(config: Config) -> Result:
    """Train all nets, and read the test digits."""
    epochs, seeds = (checks.whole_number(name, getattr(config, name), 1) for name in ("epochs", "seeds"))
    for name in ("depths", "widths"):
        for value in getattr(config, name):
            checks.whole_number(name, value, 1)
    reporting.check_folder(config.out)
    if config.smoke:
        config = dataclasses.replace(config, depths=(1, 2), widths=(4,), epochs=2, seeds=2)
        epochs, seeds = config.epochs, config.seeds
    train, validation, test = digits.load(config.seed)
    runs = sweeps.sweep(
        recipe, train, validation=validation, seeds=seeds, epochs=epochs, batch_size=config.batch_size,
        hyper=sweeps.grid(depth=config.depths, width=config.widths, learning_rate=config.rates),
        key=jax.random.key(config.seed),
    )  # fmt: skip
    shape = len(config.depths), len(config.widths), len(config.rates), seeds
    best = runs.at_best().reshape(shape)
    chosen = np.nanmean(best, axis=3).argmin(axis=2)[:, :, None, None]
    members = np.take_along_axis(np.arange(len(runs)).reshape(shape), chosen, axis=2)[:, :, 0]
    last = runs.history["validation/loss"][:, -1].reshape(shape)
    outputs: list[Any] = [runs.outputs(test[0], [int(i)]) for i in members.ravel()]
    answers = np.stack([np.asarray(of[0]).argmax(axis=1) for of in outputs])
    result = Result(
        parameters=np.array([[sizes_count(runs, of[0]) for of in of_depth] for of_depth in members]),
        test_accuracy=np.mean(answers == test[1], axis=1).reshape(members.shape),
        gap=np.take_along_axis(last - best, chosen, axis=2)[:, :, 0],
        seconds=runs.compile_seconds + runs.run_seconds,
    )
    print(summary(config, result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"architecture": picture(config, result)})
    return result


def recipe(hyper: Any) -> training.Recipe:
    """Return a net of so many equal layers, and how it is trained."""
    net = MLP((64, *[hyper["width"]] * hyper["depth"], 10))
    return training.Recipe(net, optimizers.adam(hyper["learning_rate"]), losses.softmax_cross_entropy)


def sizes_count(runs: sweeps.Sweep, member: int) -> int:
    """Count a member's parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(runs.member(member).params))


def summary(config: Config, result: Result) -> str:
    """Lay out accuracy, parameters and overfitting by depth and width."""
    rows: list[tuple[Any, ...]] = [
        ("hidden layers", "units of each", "parameters", "test accuracy, %", "loss grows again by")
    ]
    for at in np.ndindex(result.parameters.shape):
        accuracy, gap = 100 * result.test_accuracy[at], result.gap[at]
        rows.append(
            (config.depths[at[0]], config.widths[at[1]], f"{result.parameters[at]:,}",
             f"{accuracy.mean():.1f} +- {accuracy.std():.1f}", f"{gap.mean():.3f} +- {gap.std():.3f}")
        )  # fmt: skip
    return f"{reporting.table(rows)}\nin {result.seconds:.1f} s, on {reporting.environment()['device']}"


def picture(config: Config, result: Result) -> Figure:
    """Draw accuracy and overfitting over parameters, a line for each depth."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = [(line, marker) for marker in "osD^v" for line in ("-", "--", "-.", ":")]
    for i, depth in enumerate(config.depths):
        line, marker = styles[(i * 5) % len(styles)]
        for axes, values in ((left, 100 * result.test_accuracy[i]), (right, result.gap[i])):
            axes.errorbar(
                result.parameters[i], values.mean(axis=1), values.std(axis=1), color="black", linestyle=line,
                marker=marker, capsize=2, markersize=4, label=f"{depth} hidden",
            )  # fmt: skip
    left.set(xscale="log", xlabel="parameters", ylabel="test digits read right, %", title="seeds: mean and spread")
    right.set(xscale="log", xlabel="parameters", ylabel="validation loss: last less lowest", title="overfitting")
    left.legend(frameon=False)
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
