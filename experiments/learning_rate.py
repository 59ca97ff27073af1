"""Which learning rate converges best, what do the others do, and does a range test find it in one short run?

    python -m experiments.learning_rate
    python -m experiments.learning_rate --optimizer sgd

The lecture's advice is to try 0.001, 0.003 ... 1. Here each is tried from several first weights, on scikit-learn's
digits, all runs in one program; beside it the range test of Smith (2017), which lets the rate grow from step to step.
Expected, for Adam: 0.003 has the lowest validation loss, 0.12 +- 0.03, and reads 97.5 +- 0.6 % of the test digits;
0.001 comes to the same but takes 10 epochs to 95 % where 0.01 takes 2; from 0.03 on it gets worse, to 90 % at 1. The
range test suggests 0.006. 56 nets in three seconds on two CPU cores, besides compiling.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import digits, reporting
from jaxmlp import checks, losses, metrics, optimizers, plots, schedules, sweeps, training
from jaxmlp.mlp import MLP

OPTIMIZERS = {"sgd": optimizers.sgd, "momentum": optimizers.momentum, "adam": optimizers.adam}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    optimizer: str = "adam"
    """sgd, momentum or adam."""
    width: int = 64
    """Units of the hidden layer."""
    batch_size: int = 32
    """Rows of a step."""
    epochs: int = 30
    """Passes over the digits."""
    seed: int = 0
    """Decides the split and all that is random in training."""
    seeds: int = 8
    """Nets of each rate."""
    smoke: bool = False
    """Two epochs and two nets of each rate, to see that it runs."""
    out: Path = Path("results/learning_rate")
    """Folder for result.json and the pictures."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found."""

    rates: NDArray[Any]
    losses: NDArray[Any]
    """The lowest validation loss, of shape (rates, seeds)."""
    test_accuracy: NDArray[Any]
    """Of the best epoch's parameters, of shape (rates, seeds)."""
    epochs_to_95: NDArray[Any]
    """The first epoch with 95 % of the validation digits read right, of shape (rates, seeds); NaN if there is none."""
    suggestion: float
    """The range test's."""
    reason: str
    seconds: float


def run(config: Config) -> Result:
    """Train the ladder of rates over all seeds, and run the range test."""
    checks.one_of("optimizer", config.optimizer, OPTIMIZERS)
    epochs, seeds = (2, 2) if config.smoke else (config.epochs, checks.whole_number("seeds", config.seeds, 1))
    reporting.check_folder(config.out)
    train, validation, test = digits.load(config.seed)

    def recipe(hyper: Any) -> training.Recipe:
        optimizer = OPTIMIZERS[config.optimizer](hyper["learning_rate"])
        return training.Recipe(MLP((64, config.width, 10)), optimizer, losses.softmax_cross_entropy)

    key = jax.random.key(config.seed)
    runs = sweeps.sweep(
        recipe, train, seeds=seeds, epochs=epochs, batch_size=config.batch_size, validation=validation,
        metrics={"accuracy": metrics.accuracy}, key=key,
    )  # fmt: skip
    tested = sweeps.lr_range_test(recipe, train, seeds=seeds, batch_size=config.batch_size, key=key)
    outputs: Any = runs.outputs(test[0], range(len(runs)))
    accuracy = np.asarray(jax.vmap(metrics.accuracy, in_axes=(0, None))(outputs, jnp.asarray(test[1])))
    reached = runs.history["validation/accuracy"] >= 0.95
    result = Result(
        rates=np.array(schedules.ladder()),
        losses=runs.at_best().reshape(-1, seeds),
        test_accuracy=accuracy.reshape(-1, seeds),
        epochs_to_95=np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, np.nan).reshape(-1, seeds),
        suggestion=tested.suggestion,
        reason=tested.reason,
        seconds=runs.compile_seconds + runs.run_seconds,
    )
    print(summary(config, result))
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plots.ladder(result.rates, result.losses, result="lowest validation loss", axes=left)
    left.set_title(f"{config.optimizer}, {seeds} nets of each rate")
    there = np.isfinite(tested.losses).any(axis=0)
    rates, curves = tested.learning_rates[there], np.nanquantile(tested.losses[:, there], (0, 0.5, 1), axis=0)
    right.fill_between(rates, curves[0], curves[2], color="black", alpha=0.15, linewidth=0)
    right.plot(rates, curves[1], color="black", label=f"median of {seeds} seeds, in their band")
    right.axvline(tested.suggestion, color="tab:orange", linestyle="--", label=f"suggested: {tested.suggestion:.2g}")
    right.set(xscale="log", xlabel="learning rate of the step", ylabel="smoothed training loss", title="range test")
    right.legend(frameon=False)
    reporting.save(config.out, config, dataclasses.asdict(result), {"learning_rate": figure})
    return result


def summary(config: Config, result: Result) -> str:
    """Lay out what each rate comes to."""
    rows: list[tuple[Any, ...]] = [
        ("learning rate", "validation loss", "test accuracy, %", "epochs to 95 %", "reached")
    ]
    for rate, of_rate, accuracy, epochs in zip(
        result.rates, result.losses, 100 * result.test_accuracy, result.epochs_to_95, strict=True
    ):
        there = epochs[np.isfinite(epochs)]
        rows.append(
            (
                f"{rate:g}",
                f"{of_rate.mean():.3f} +- {of_rate.std():.3f}",
                f"{accuracy.mean():.1f} +- {accuracy.std():.1f}",
                f"{there.mean():.1f}" if len(there) else "never",
                f"{len(there)} of {len(epochs)}",
            )
        )
    return (
        f"{reporting.table(rows)}\n{result.losses.size} nets in {result.seconds:.1f} s, on "
        f"{reporting.environment()['device']}\nRange test: {result.reason}"
    )


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
