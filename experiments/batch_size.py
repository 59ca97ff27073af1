"""How many rows should a step take: what does the batch size change per epoch, per second and in the gradient's noise?

    python -m experiments.batch_size
    python -m experiments.batch_size --learning-rate 0.03

Gradient descent at the one rate 0.1 on scikit-learn's digits, for 50 epochs. A net's seconds are those of the sweep
divided by its nets, which share the cores. Expected: per epoch fewer rows win, 95 % of the validation digits take 2.1
epochs with 4 rows, 3.5 with 16, 29 with 256 (7 of 8 nets) and more than 50 with 1,024. Per second neither end does: a
step of 4 rows uses the machine badly, and 16 are the fastest to 95 %. Longer training with 4 rows ends at a higher
loss, 0.22 +- 0.08 against 0.13 +- 0.03 with 16, at the same accuracy. The gradient's noise is that of a mean of rows
drawn without replacement, within 13 % in 200 draws. Half a minute on two CPU cores. Another rate for each batch size
could change the order; it was not tried.
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
from jaxmlp import checks, data, losses, metrics, optimizers, sweeps, training
from jaxmlp.mlp import MLP

NET = MLP((64, 64, 10))
TARGET = 0.95


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    batch_sizes: tuple[int, ...] = (4, 16, 64, 256, 1024)
    """Rows of a step."""
    learning_rate: float = 0.1
    """Of gradient descent, the same for all."""
    epochs: int = 50
    """Passes over the digits."""
    draws: int = 200
    """Batches of each size by which the noise of the gradient is measured."""
    seed: int = 0
    """Decides the split and all that is random in training."""
    seeds: int = 8
    """Nets of each batch size."""
    smoke: bool = False
    """Two epochs, two nets of two sizes, to see that it runs."""
    out: Path = Path("results/batch_size")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found."""

    losses: NDArray[Any]
    """Of the validation digits, of shape (sizes, seeds, epochs)."""
    accuracy: NDArray[Any]
    """Of the validation digits, of shape (sizes, seeds, epochs)."""
    seconds_per_epoch: NDArray[Any]
    """Of one net, its evaluation included, while nets share the cores, of shape (sizes,)."""
    noise: NDArray[Any]
    """Mean squared distance of a batch's gradient from that of all rows, at the first weights, of shape (sizes,)."""
    theory: NDArray[Any]
    """The same by theory: variance / size * (rows - size) / (rows - 1), as rows are drawn without replacement."""


def run(config: Config) -> Result:
    """Train with all batch sizes, and measure the noise of their gradients."""
    train, validation, _ = digits.load(config.seed)
    for size in config.batch_sizes:
        checks.in_range("batch_sizes", checks.whole_number("batch_sizes", size, 1), f"[1, {len(train[0])}]")
    seeds, draws = checks.whole_number("seeds", config.seeds, 1), checks.whole_number("draws", config.draws, 1)
    epochs = config.epochs
    if config.smoke:
        config, seeds, epochs = dataclasses.replace(config, batch_sizes=config.batch_sizes[1:3]), 2, 2
    reporting.check_folder(config.out)
    histories, seconds = [], []
    for size in config.batch_sizes:
        runs = sweeps.sweep(
            lambda hyper: training.Recipe(NET, optimizers.sgd(hyper["rate"]), losses.softmax_cross_entropy),
            train, validation=validation, hyper={"rate": float(config.learning_rate)}, seeds=seeds, epochs=epochs,
            batch_size=size, metrics={"accuracy": metrics.accuracy}, key=jax.random.key(config.seed), progress=False,
        )  # fmt: skip
        histories.append(runs.history)
        seconds.append(runs.run_seconds / (seeds * epochs))
    noise, theory = gradient_noise(config, train, draws)
    result = Result(
        losses=np.stack([history["validation/loss"] for history in histories]),
        accuracy=np.stack([history["validation/accuracy"] for history in histories]),
        seconds_per_epoch=np.array(seconds),
        noise=noise,
        theory=theory,
    )
    print(summary(config, result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"batch_size": picture(config, result)})
    return result


def gradient_noise(config: Config, train: Any, draws: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the mean squared distance of batches' gradients from the whole one, measured and by theory."""
    x, y = jnp.asarray(train[0], float), jnp.asarray(train[1])
    key = jax.random.key(config.seed)
    params = NET.init(key)

    def of_row(x: Any, y: Any) -> Any:
        def loss(params: Any) -> Any:
            outputs: Any = NET.apply(params, x[None])
            return losses.softmax_cross_entropy(outputs, y[None]).mean()

        return jax.grad(loss)(params)

    each = jax.jit(jax.vmap(of_row))(x, y)
    rows = np.concatenate([np.asarray(leaf).reshape(len(x), -1) for leaf in jax.tree.leaves(each)], axis=1)
    whole = rows.mean(axis=0)
    variance, n = ((rows - whole) ** 2).sum(axis=1).mean(), len(rows)
    orders = np.asarray(jax.vmap(lambda key: data.order(key, n))(jax.random.split(key, draws)))
    sizes = np.array(config.batch_sizes)
    noise = [np.mean([((rows[order[:size]].mean(axis=0) - whole) ** 2).sum() for order in orders]) for size in sizes]
    return np.array(noise), variance / sizes * (n - sizes) / (n - 1)


def reached(result: Result) -> NDArray[Any]:
    """Return the first epoch at which each net reads the target share right; NaN if it never does."""
    there = result.accuracy >= TARGET
    first: NDArray[Any] = np.where(there.any(axis=-1), there.argmax(axis=-1) + 1, np.nan)
    return first


def summary(config: Config, result: Result) -> str:
    """Lay out what each batch size comes to."""
    share = f"{TARGET:.0%}"
    rows: list[tuple[Any, ...]] = [
        ("rows of a step", "last loss", "last accuracy, %", f"epochs to {share}", "reached", "ms an epoch",
         f"ms to {share}", "noise", "by theory")
    ]  # fmt: skip
    for i, (size, first) in enumerate(zip(config.batch_sizes, reached(result), strict=True)):
        loss, right = result.losses[i, :, -1], 100 * result.accuracy[i, :, -1]
        there, ms = first[np.isfinite(first)], 1000 * result.seconds_per_epoch[i]
        rows.append(
            (
                size,
                *(f"{v.mean():.{places}f} +- {v.std():.{places}f}" for v, places in ((loss, 3), (right, 1))),
                f"{there.mean():.1f}" if len(there) else "never",
                f"{len(there)} of {len(first)}",
                f"{ms:.2f}",
                f"{ms * there.mean():.1f}" if len(there) else "never",
                f"{result.noise[i]:.3g}",
                f"{result.theory[i]:.3g}",
            )
        )
    return f"{reporting.table(rows)}\nOn {reporting.environment()['device']}"


def picture(config: Config, result: Result) -> Figure:
    """Draw the loss by epoch and by second, and the noise of the gradient."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    epochs = np.arange(1, result.losses.shape[-1] + 1)
    shades = np.linspace(0.0, 0.65, len(config.batch_sizes))
    for size, loss, seconds, shade, marker in zip(
        config.batch_sizes, result.losses.mean(axis=1), result.seconds_per_epoch, shades, "os^DvPX*", strict=False
    ):
        style: dict[str, Any] = {"color": str(shade), "marker": marker, "markevery": 0.15, "label": f"{size} rows"}
        left.plot(epochs, loss, **style)
        middle.plot(epochs * seconds, loss, **style)
    label = "validation loss"
    left.set(yscale="log", xlabel="epoch", ylabel=label, title=f"mean of {result.losses.shape[1]} nets")
    middle.set(xscale="log", yscale="log", xlabel="seconds of one net", ylabel=label, title="the same by time")
    left.legend(frameon=False)
    right.plot(config.batch_sizes, result.theory, color="black", label="variance / size, without replacement")
    right.plot(config.batch_sizes, result.noise, "o", color="black", markerfacecolor="white", label="measured")
    right.set(xscale="log", yscale="log", xlabel="rows of a step", ylabel="mean squared error of the gradient")
    right.legend(frameon=False)
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
