"""Which optimizer is the fastest, on two simple surfaces and on real digits, each at its own best rate?

    python -m experiments.optimizer_race

On a bowl that is 30 times steeper in one direction than in the other, and in Rosenbrock's bent valley, each optimizer
makes 100 steps at the rate, of 25, with which it comes to the lowest loss. On scikit-learn's digits it is judged by the
epochs that it takes to read 97 % of the validation digits right, at the best of the ladder of rates. AdaGrad's early
halt is seen on a slope that never ends: in t steps it comes 2 rate sqrt(t) far, RMSProp rate t.
Expected: RMSProp, Adam, AdamW and NAdam take 5 epochs, AdaGrad 10, SGD 15; momentum and Nesterov do not reach 97 % with
every seed. On the bowl and in the valley it is AdaGrad, at the rate 10, that comes the lowest of all: what is fast on
two numbers says little about a net. Forty seconds on two CPU cores.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import digits, reporting
from jaxmlp import checks, losses, metrics, optimizers, plots, schedules, sweeps, training
from jaxmlp.mlp import MLP

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    name: getattr(optimizers, name)
    for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion")
}
DRAWN = ("sgd", "momentum", "adagrad", "adam")
"""Whose paths are drawn; more would hide one another."""

RATES = np.geomspace(1e-5, 10, 25)

SURFACES: dict[str, tuple[Callable[[Any], Any], tuple[float, float]]] = {
    "bowl": (lambda p: 0.5 * (p[0] ** 2 + 30 * p[1] ** 2), (-4.0, 1.0)),
    "Rosenbrock": (lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2, (-1.2, 1.0)),
}
"""Losses over two numbers, and where the race begins; each is 0 at its lowest."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    steps: int = 100
    """On the surfaces."""
    target: float = 0.97
    """Share of the validation digits to read right."""
    epochs: int = 40
    """Passes over the digits at most."""
    seed: int = 0
    """Decides the split and all that is random in training."""
    seeds: int = 8
    """Nets of each optimizer and rate."""
    smoke: bool = False
    """Two optimizers, two epochs and two nets, to see that it runs."""
    out: Path = Path("results/optimizer_race")
    """Folder for result.json and the pictures."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found, by optimizer."""

    lowest: dict[str, dict[str, float]]
    """On each surface, the loss after the last step at the best rate."""
    walked: dict[str, float]
    """How far 10,000 steps at the rate 0.01 carry it down a slope of 1 that never ends."""
    rate: dict[str, float]
    """The best on digits."""
    epochs: dict[str, NDArray[Any]]
    """To the target, one for each seed; NaN if it is never reached."""
    accuracy: dict[str, NDArray[Any]]
    """On the validation digits after each epoch at that rate, the mean over the seeds."""


def run(config: Config) -> Result:
    """Race on both surfaces, then on digits."""
    checks.in_range("target", config.target, "(0, 1]")
    checks.whole_number("seeds", config.seeds, 1)
    reporting.check_folder(config.out)
    chosen = OPTIMIZERS
    if config.smoke:
        chosen = {name: OPTIMIZERS[name] for name in ("sgd", "adam")}
        config = dataclasses.replace(config, epochs=2, seeds=2)
    on_surfaces = {
        surface: {name: race(optimizer, *of, config.steps) for name, optimizer in chosen.items()}
        for surface, of in SURFACES.items()
    }
    on_digits = {name: train(optimizer, config) for name, optimizer in chosen.items()}
    result = Result(
        lowest={surface: {name: lowest for name, (_, lowest) in of.items()} for surface, of in on_surfaces.items()},
        walked={name: walk(OPTIMIZERS[name], 0.01, 10_000) for name in ("adagrad", "rmsprop")},
        rate={name: of[0] for name, of in on_digits.items()},
        epochs={name: of[1] for name, of in on_digits.items()},
        accuracy={name: of[2] for name, of in on_digits.items()},
    )
    print(summary(config, result))
    paths = {surface: {name: path for name, (path, _) in of.items()} for surface, of in on_surfaces.items()}
    reporting.save(config.out, config, dataclasses.asdict(result), {"race": picture(config, result, paths)})
    return result


def walk(optimizer: Callable[..., Any], rate: float, steps: int) -> float:
    """Return how far steps of one optimizer carry it where the gradient is always 1."""
    of_rate = optimizer(rate)

    def step(carry: Any, _: Any) -> Any:
        point, state = carry
        updates, state = of_rate.update(jnp.ones(()), state, point)
        return (optax.apply_updates(point, updates), state), None

    first = jnp.zeros(())
    return -float(jax.jit(lambda: lax.scan(step, (first, of_rate.init(first)), length=steps)[0][0])())


def race(optimizer: Callable[..., Any], surface: Any, begin: Any, steps: int) -> tuple[NDArray[Any], float]:
    """Return the path that comes to the lowest loss, (steps + 1, 2), and that loss; all rates in one program."""

    def at_rate(rate: Any) -> Any:
        of_rate = optimizer(rate)

        def step(carry: Any, _: Any) -> Any:
            point, state = carry
            updates, state = of_rate.update(jax.grad(lambda of: surface(of[0]))(point), state, point)
            after = optax.apply_updates(point, updates)
            return (after, state), after[0]

        first = jnp.array([begin])  # a matrix, as weights are, so that AdamW and Lion let it decay
        path = lax.scan(step, (first, of_rate.init(first)), length=steps)[1]
        return jnp.concatenate([first, path]), surface(path[-1])

    paths, lowest = jax.jit(jax.vmap(at_rate))(jnp.asarray(RATES, float))
    best = int(np.nanargmin(np.where(np.isfinite(lowest), lowest, np.inf)))
    return np.asarray(paths[best]), float(lowest[best])


def train(optimizer: Callable[..., Any], config: Config) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """Return the best rate on digits, the epochs to the target, and the accuracy after each epoch."""
    train, *others = digits.load(config.seed)
    validation = tuple(np.concatenate(parts) for parts in zip(*others, strict=True))  # nothing is chosen for a test

    def recipe(hyper: Any) -> training.Recipe:
        return training.Recipe(MLP((64, 64, 10)), optimizer(hyper["learning_rate"]), losses.softmax_cross_entropy)

    rates = [1e-4, 3e-4, *schedules.ladder()]
    runs = sweeps.sweep(
        recipe, train, hyper=sweeps.grid(learning_rate=rates), seeds=config.seeds, epochs=config.epochs, batch_size=32,
        validation=validation, metrics={"accuracy": metrics.accuracy}, key=jax.random.key(config.seed),
    )  # fmt: skip
    accuracy = np.nan_to_num(runs.history["validation/accuracy"]).reshape(len(rates), config.seeds, -1)
    reached = accuracy >= config.target
    epochs = np.where(reached.any(axis=2), reached.argmax(axis=2) + 1, np.inf)
    best = int(np.argmin(np.where(np.isfinite(epochs), epochs, 2 * config.epochs).mean(axis=1)))
    return rates[best], np.where(np.isfinite(epochs[best]), epochs[best], np.nan), accuracy[best].mean(axis=0)


def summary(config: Config, result: Result) -> str:
    """Lay the races out, the fastest on digits first."""
    on_digits = f"epochs to {config.target:.0%} on digits"
    rows: list[tuple[Any, ...]] = [("optimizer", *result.lowest, on_digits, "reached", "rate")]
    late = {name: np.nan_to_num(epochs, nan=2 * config.epochs).mean() for name, epochs in result.epochs.items()}
    for name in sorted(late, key=lambda name: float(late[name])):
        epochs = result.epochs[name]
        there = epochs[np.isfinite(epochs)]
        cells = f"{there.mean():.1f} +- {there.std():.1f}" if len(there) else "never"
        lowest = (f"{of[name]:.2g}" for of in result.lowest.values())
        rows.append((name, *lowest, cells, f"{len(there)} of {len(epochs)}", f"{result.rate[name]:g}"))
    walked = ", ".join(f"{name} {distance:.2f}" for name, distance in result.walked.items())
    return f"{reporting.table(rows)}\n10,000 steps at the rate 0.01 down a slope that never ends come so far: {walked}"


def picture(config: Config, result: Result, paths: dict[str, dict[str, NDArray[Any]]]) -> Figure:
    """Draw the paths on both surfaces, and the accuracy by epoch."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    for axes, (name, (surface, _)) in zip(figure.subplots(1, 3)[:2], SURFACES.items(), strict=True):
        columns, rows = np.linspace(-4.5, 4.5, 121), np.linspace(-2, 2, 121)
        if name == "Rosenbrock":
            columns, rows = np.linspace(-2, 2, 121), np.linspace(-1, 3, 121)
        heights = surface(np.stack(np.meshgrid(columns, rows)))
        drawn = {of: path for of, path in paths[name].items() if of in DRAWN}
        plots.loss_surface(columns, rows, heights, paths=drawn, axes=axes)
        axes.set_title(f"{name}, {config.steps} steps at the best rate")
    right = figure.axes[2]
    lines = ("-", "--", "-.", ":")
    for (name, accuracy), line in zip(
        ((of, result.accuracy[of]) for of in DRAWN if of in result.accuracy), lines, strict=False
    ):
        right.plot(range(1, len(accuracy) + 1), 100 * accuracy, color="black", linestyle=line, label=name)
    right.axhline(100 * config.target, color="tab:orange", linewidth=1)
    right.set(
        xlabel="epoch", ylabel="validation digits read right, %", ylim=(90, 100), title="digits, at the best rate"
    )
    right.legend(frameon=False)
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
