"""How many hidden units does XOR need, and how often does training find them?

    python -m experiments.xor_mlp

Two hidden units are enough in theory (one for "any", one for "both"); whether gradient descent finds them depends on
where it begins. 1,000 nets of each width and activation are trained on the four rows, each from its own first weights.
Expected, of nets with two hidden units: 16 % with ReLU, 42 % with tanh, 54 % with leaky ReLU and 58 % with the sigmoid
learn XOR, to within 1.6 %; of nets with eight, 92 % and three times all but one at most; with one hidden unit none. A
minute and a half on two CPU cores.
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
from jaxmlp import checks, losses, metrics, optimizers, plots, sweeps, training
from jaxmlp.mlp import MLP

X, Y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([[0], [1], [1], [0]])


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    widths: tuple[int, ...] = (1, 2, 3, 4, 8, 16)
    """Hidden units."""
    activations: tuple[str, ...] = ("relu", "leaky_relu", "tanh", "sigmoid")
    """Activations of the hidden units."""
    learning_rate: float = 0.03
    """Adam's learning rate."""
    epochs: int = 1000
    """Steps, each on all four rows."""
    seed: int = 0
    """Decides the first weights of all nets."""
    seeds: int = 1000
    """Nets of each width and activation."""
    smoke: bool = False
    """Four nets of two widths and activations, to see that it runs."""
    out: Path = Path("results/xor_mlp")
    """Folder for result.json and the pictures."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found."""

    share: NDArray[Any]
    """Nets that have learned XOR, as a share, of shape (activations, widths)."""
    seconds: float


def run(config: Config) -> Result:
    """Train all nets, count those that answer right, and look into one with two hidden units."""
    seeds = checks.whole_number("seeds", config.seeds, 1)
    reporting.check_folder(config.out)
    if config.smoke:
        config = dataclasses.replace(config, widths=config.widths[:2], activations=config.activations[:2])
    activations, widths = list(config.activations), list(config.widths)
    runs = sweeps.sweep(
        recipe,
        (X, Y),
        hyper=sweeps.grid(activation=activations, width=widths, learning_rate=[float(config.learning_rate)]),
        seeds=4 if config.smoke else seeds,
        epochs=config.epochs,
        batch_size=None,
        metrics={"accuracy": metrics.accuracy},
        evaluate_every=config.epochs,
        key=jax.random.key(config.seed),
    )
    learned = (runs.history["train/accuracy"][:, -1] == 1).reshape(len(activations), len(widths), runs.seeds)
    result = Result(learned.mean(axis=2), runs.compile_seconds + runs.run_seconds)
    print(summary(config, result, runs.seeds))
    figure = picture(config, learned, runs)
    reporting.save(config.out, config, dataclasses.asdict(result), {"xor": figure})
    return result


def recipe(hyper: Any) -> training.Recipe:
    """Return a net with one hidden layer, and how it is trained."""
    net = MLP((2, hyper["width"], 1), activation=hyper["activation"])
    return training.Recipe(net, optimizers.adam(hyper["learning_rate"]), losses.sigmoid_binary_cross_entropy)


def summary(config: Config, result: Result, seeds: int) -> str:
    """Lay the shares out by activation and width, with their standard error."""
    rows: list[tuple[Any, ...]] = [("learned XOR, %", *(f"{width} hidden" for width in config.widths))]
    for activation, shares in zip(config.activations, result.share, strict=True):
        errors = 100 * np.sqrt(shares * (1 - shares) / seeds)
        cells = (f"{100 * share:.1f} +- {error:.1f}" for share, error in zip(shares, errors, strict=True))
        rows.append((activation, *cells))
    nets = seeds * result.share.size
    return f"{reporting.table(rows)}\n{nets:,} nets in {result.seconds:.1f} s, on {reporting.environment()['device']}"


def picture(config: Config, learned: NDArray[Any], runs: sweeps.Sweep) -> Figure:
    """Draw the shares, and the plane and the hidden space of a net with two hidden units that has learned XOR."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for activation, line, of_widths in zip(config.activations, ("-", "--", "-.", ":"), learned, strict=False):
        left.plot(config.widths, 100 * of_widths.mean(axis=1), "o", color="black", linestyle=line, label=activation)
    left.set(xlabel="hidden units", ylabel=f"of {runs.seeds} nets have learned XOR, %", xscale="log", ylim=(-3, 103))
    left.set_xticks(config.widths, [str(width) for width in config.widths])
    left.minorticks_off()
    left.legend(frameon=False)
    of_two = [i for i in np.flatnonzero(learned.ravel()) if runs.settings[runs.setting[i]]["width"] == 2]
    if not of_two:
        return figure
    smooth = [i for i in of_two if runs.settings[runs.setting[i]]["activation"] == "tanh"]
    i = int((smooth or of_two)[0])
    net: Any = runs.recipe(i).net
    params = runs.member(i).params
    plots.decision_boundary(lambda x: net.apply(params, jnp.asarray(x)), X, Y, axes=middle)
    middle.set_title(f"the plane of one with 2 hidden {net.activation} units")
    hidden = next(values for _, stage, values in net.stages(params, jnp.asarray(X)) if stage == "activations")
    plots.decision_boundary(
        lambda h: jnp.asarray(h) @ params[-1].w + params[-1].b, np.asarray(hidden), Y, names=("h 0", "h 1"), axes=right
    )
    right.set_title("its hidden space, where a line is enough")
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
