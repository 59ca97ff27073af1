"""When does a net overfit: how far apart are training and test digits, by the size of net and training set?

    python -m experiments.overfitting
    python -m experiments.overfitting --wrong 0.4

Nets of one hidden layer, trained for 2,000 steps on some of scikit-learn's digits, with right labels and with 20 % of
them drawn anew at random; all are tested on the same 360 digits with right labels. Expected: more digits close the gap,
from 14.7 +- 0.9 % (50 digits) to 2.1 +- 0.5 % (1,400) with 256 units. More units do not open it: with 50 digits it is
40.9 +- 4.8 % with 4 units, and the test accuracy grows with the width for every number of digits. That a net is too
large shows only where labels are wrong, and not for long: of 1,400 digits 87.1 +- 1.6 % with 16 units, 82.2 +- 2.0 with
64, 85.5 +- 1.4 with 256; on the way there these had 92.4, 93.0 and 92.3 %, so that stopping in time is worth more than
the size. The spread is that of first weights and orders; all nets of a size see the same digits. A minute and a half on
two CPU cores.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import digits, reporting
from jaxmlp import checks, losses, metrics, optimizers, plots, sweeps, training
from jaxmlp.mlp import MLP

LOOKS = 50  # at the test digits, on the way
MOST_ROWS = 1400


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    rows: tuple[int, ...] = (50, 150, 450, 1400)
    """Training digits, 1,400 at most."""
    widths: tuple[int, ...] = (4, 16, 64, 256)
    """Units of the hidden layer."""
    wrong: float = 0.2
    """Share of the training labels that are drawn anew, in the second of two passes."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    batch_size: int = 50
    """Rows of a step."""
    steps: int = 2000
    """Steps of every net, however many epochs they make."""
    seed: int = 0
    """Decides the split, the wrong labels and all that is random in training."""
    seeds: int = 8
    """Nets of each size."""
    smoke: bool = False
    """Two nets of two sizes, on few digits and for few steps, to see that it runs."""
    out: Path = Path("results/overfitting")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found; the axes are (right or wrong labels, rows, widths, seeds)."""

    train: NDArray[Any]
    """Accuracy on the training digits after the last step."""
    test: NDArray[Any]
    """Accuracy on digits never trained on, whose labels are all right, after the last step."""
    on_the_way: NDArray[Any]
    """The highest accuracy on those digits on the way, which one does not know in earnest."""
    rise: NDArray[Any]
    """The loss on those digits after the last step, as a multiple of its lowest."""
    seconds: float


def run(config: Config) -> Result:
    """Train nets of all widths on training sets of all sizes, with right labels and with some that are wrong."""
    checks.in_range("wrong", config.wrong, "[0, 1]")
    for rows in config.rows:
        checks.whole_number("rows", rows, config.batch_size)
        checks.in_range("rows", rows, f"[{config.batch_size}, {MOST_ROWS}]")
    steps = checks.whole_number("steps", config.steps, 1)
    if config.smoke:
        config, steps = dataclasses.replace(config, rows=config.rows[:1], widths=config.widths[:2], seeds=2), 50
    reporting.check_folder(config.out)
    (x, y), *others = digits.load(config.seed)
    held_out = tuple(np.concatenate(parts) for parts in zip(*others, strict=True))
    rng = np.random.default_rng(config.seed)
    guesses, share = rng.integers(0, 10, len(y)), rng.uniform(size=len(y))
    shape = (2, len(config.rows), len(config.widths), checks.whole_number("seeds", config.seeds, 1))
    found, seconds = {name: np.zeros(shape) for name in ("train", "test", "on_the_way", "rise")}, 0.0
    for r, rows in enumerate(config.rows):
        epochs = max(1, steps * config.batch_size // rows)
        every = max(1, epochs // LOOKS)
        for world, wrong in enumerate((0.0, config.wrong)):
            labels = np.where(share < wrong, guesses, y)
            runs = sweeps.sweep(
                recipe, (x[:rows], labels[:rows]), validation=held_out, seeds=shape[3],
                hyper=sweeps.grid(width=list(config.widths), learning_rate=[float(config.learning_rate)]),
                epochs=epochs // every * every, batch_size=config.batch_size, evaluate_every=every,
                metrics={"accuracy": metrics.accuracy}, key=jax.random.key(config.seed), progress=False,
            )  # fmt: skip
            right, loss = (runs.history[f"validation/{of}"].reshape(*shape[2:], -1) for of in ("accuracy", "loss"))
            answers = np.asarray(runs.outputs(x[:rows], range(len(runs)), last=True)).argmax(axis=-1)
            found["train"][world, r] = (answers == labels[:rows]).mean(axis=-1).reshape(shape[2:])
            found["test"][world, r], found["on_the_way"][world, r] = right[..., -1], np.nanmax(right, axis=-1)
            found["rise"][world, r] = loss[..., -1] / np.nanmin(loss, axis=-1)
            seconds += runs.compile_seconds + runs.run_seconds
    result = Result(**found, seconds=seconds)
    print(summary(config, result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"overfitting": picture(config, result)})
    return result


def recipe(hyper: Any) -> training.Recipe:
    """Return a net with one hidden layer, and how it is trained."""
    optimizer = optimizers.adam(hyper["learning_rate"])
    return training.Recipe(MLP((64, hyper["width"], 10)), optimizer, losses.softmax_cross_entropy)


def summary(config: Config, result: Result) -> str:
    """Lay out accuracies and what overfitting costs."""
    rows: list[tuple[Any, ...]] = [
        ("digits, hidden units", "training, %", "test, %", "gap", "best on the way, %", "rise of the test loss")
    ]
    sizes = list(itertools.product(enumerate((0.0, config.wrong)), enumerate(config.rows), enumerate(config.widths)))
    for (world, wrong), (r, count), (w, width) in sizes:
        at = world, r, w
        train, test, best = (100 * values[at] for values in (result.train, result.test, result.on_the_way))
        rows.append(
            (
                f"{count:,}, {width}" + f", {wrong:.0%} of the labels drawn anew" * world,
                *(f"{values.mean():.1f} +- {values.std():.1f}" for values in (train, test, train - test, best)),
                f"{np.median(result.rise[at]):.2g} times",
            )
        )
    nets = f"{result.train.size:,} nets in {result.seconds:.1f} s, on {reporting.environment()['device']}"
    return f"{reporting.table(rows)}\n{nets}"


def picture(config: Config, result: Result) -> Figure:
    """Draw the gap over sizes of nets and of training sets, and the test accuracy."""
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    panels = figure.subplots(2, 2)
    titles = "right labels", f"{config.wrong:.0%} of the labels drawn anew"
    for world, title in enumerate(titles):
        gap, test = ((100 * v[world]).mean(axis=-1) for v in (result.train - result.test, result.test))
        names = ("training digits", "hidden units")
        options: dict[str, Any] = {"names": names}
        plots.heat_map(config.rows, config.widths, gap, result="gap", axes=panels[world, 0], **options)
        plots.heat_map(
            config.rows, config.widths, test, result="test", larger_is_better=True, axes=panels[world, 1], **options
        )
        panels[world, 0].set_title(f"training less test accuracy, %; {title}")
        panels[world, 1].set_title(f"test accuracy, %; {title}")
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
