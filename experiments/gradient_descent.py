"""How long may the steps of gradient descent be, and where do they end?

    python -m experiments.gradient_descent

On a quadratic whose steepest curvature is L the steps settle below the rate 2/L and diverge above it; the threshold is
looked for among 2,001 rates at once. Where there are several minima, the one that is found depends on the start: the
double well (x^2 - 1)^2 + 0.3 x is begun at 1,000 places, with and without momentum. In a net the curvature changes
while it learns: it grows, but where it comes to 2/rate it stays near there (Cohen et al. 2021, the edge of stability).
Expected: 1.999 / L; the lower minimum from 51.9 % of the starts, 56.0 % with momentum; nets whose curvature begins at
0.6 to 0.7 end at 0.68 with the rate 3 (2/rate is 0.67), and at 0.93 with the rates 2 and 1, which allow 1 and 2.
A minute on two CPU cores.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import digits, reporting
from jaxmlp import checks, diagnostics, losses, optimizers, plots, training
from jaxmlp.mlp import MLP

CURVATURES = np.array([1.0, 30.0])
"""Of the quadratic."""


def well(x: Any) -> Any:
    """A double well; the lower of its minima is at -1.035, the other at 0.960."""
    return (x**2 - 1) ** 2 + 0.3 * x


def four_minima(p: Any) -> Any:
    """Himmelblau's function (1972) of two numbers: four minima, all of them 0."""
    return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    rates: tuple[float, ...] = (1.0, 2.0, 3.0)
    """Of the nets, which take all rows in a step."""
    steps: int = 3000
    """Of the nets."""
    measured: int = 15
    """How often the curvature of a net is measured."""
    rows: int = 300
    """Digits that the nets learn."""
    seed: int = 0
    """Decides the first weights, and the digits."""
    seeds: int = 1
    """Nets of each rate."""
    smoke: bool = False
    """A hundred steps at one rate, to see that it runs."""
    out: Path = Path("results/gradient_descent")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found."""

    threshold: float
    """The largest rate that settles on the quadratic, times L."""
    lower: dict[str, float]
    """The share of starts from which the lower minimum of the well is found."""
    steps: NDArray[Any]
    """After which the nets were measured."""
    sharpness: NDArray[Any]
    """The largest eigenvalue of the loss's Hessian, of shape (rates, seeds, steps)."""


def run(config: Config) -> Result:
    """Look for the threshold, count minima, and follow the curvature of nets."""
    for rate in config.rates:
        checks.in_range("rates", rate, "(0, inf)")
    for name in ("steps", "measured", "rows", "seeds"):
        checks.whole_number(name, getattr(config, name), 1)
    reporting.check_folder(config.out)
    if config.smoke:
        config = dataclasses.replace(config, rates=config.rates[-1:], steps=100, measured=2, seeds=1)
    starts = jnp.linspace(-2, 2, 1000)
    descents = {"gradient descent": optimizers.sgd(0.02), "with momentum 0.9": optimizers.momentum(0.02)}
    ends = {name: descend(optimizer, well, starts, 2000)[-1] for name, optimizer in descents.items()}
    steps = np.unique(np.linspace(0, config.steps, config.measured + 1).astype(int))[1:]
    result = Result(
        threshold=threshold(),
        lower={name: float((end < 0).mean()) for name, end in ends.items()},
        steps=steps,
        sharpness=np.array(
            [[sharpness(rate, seed, steps, config) for seed in range(config.seeds)] for rate in config.rates]
        ),
    )
    print(summary(config, result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"descent": picture(config, result)})
    return result


def descend(optimizer: Any, surface: Callable[[Any], Any], starts: Any, steps: int) -> NDArray[Any]:
    """Return the paths from all starts at once, of shape (steps + 1, starts, ...)."""

    def of_start(start: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            point, state = carry
            updates, state = optimizer.update(jax.grad(surface)(point), state, point)
            return (point + updates, state), point + updates

        return lax.scan(step, (start, optimizer.init(start)), length=steps)[1]

    paths = jax.jit(jax.vmap(of_start, out_axes=1))(starts)
    return np.concatenate([np.asarray(starts)[None], paths])


def threshold() -> float:
    """Return the largest of many rates at which the steps on the quadratic settle, times L."""
    multiples = jnp.linspace(1, 3, 2001)

    def settles(multiple: Any) -> Any:
        factor = 1 - multiple / CURVATURES.max() * jnp.asarray(CURVATURES)  # of each step, as the gradient is h p
        return jnp.abs(lax.fori_loop(0, 5000, lambda _, p: factor * p, jnp.ones(2))).max() < 1

    return float(multiples[jax.jit(jax.vmap(settles))(multiples)].max())


def sharpness(rate: float, seed: int, steps: NDArray[Any], config: Config) -> list[float]:
    """Return the largest eigenvalue of the Hessian of a net, after so many steps on all rows at once."""
    (x, y), *_ = digits.load(config.seed)
    data = (x[: config.rows], np.eye(10)[y[: config.rows]])
    recipe = training.Recipe(MLP((64, 32, 10), "tanh"), optimizers.sgd(rate), losses.squared_error)
    key = jax.random.fold_in(jax.random.key(config.seed), seed)
    run, found = None, []
    for step in steps:
        run = training.fit(recipe, data, epochs=int(step), batch_size=None, key=key, resume=run, progress=False)
        found.append(float(diagnostics.hessian_extremes(recipe, run.params, data, key=key).largest))
    return found


def summary(config: Config, result: Result) -> str:
    """Lay out the threshold, the minima, and the curvature of the nets at the end."""
    rows: list[tuple[Any, ...]] = [("rate of the net", "2 / rate", "curvature at first", "highest", "in the end")]
    for rate, of_rate in zip(config.rates, result.sharpness, strict=True):
        mean = of_rate.mean(axis=0)
        rows.append((f"{rate:g}", f"{2 / rate:.3g}", *(f"{value:.3g}" for value in (mean[0], mean.max(), mean[-1]))))
    lower = ", ".join(f"{share:.1%} {name}" for name, share in result.lower.items())
    return (
        f"The steps on a quadratic settle up to the rate {result.threshold:.3f} / L (theory: 2 / L).\n"
        f"Of 1,000 starts this share finds the lower of two minima: {lower}.\n\n{reporting.table(rows)}"
    )


def picture(config: Config, result: Result) -> Figure:
    """Draw steps in the double well, paths to four minima, and the curvature of the nets."""
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    x = np.linspace(-1.7, 1.6, 300)
    left.plot(x, well(x), color="tab:gray")
    for start, marker in ((-1.6, "o"), (1.5, "s")):
        path = descend(optimizers.sgd(0.02), well, jnp.array([start]), 30)[:, 0]
        left.plot(path, well(path), marker=marker, color="black", markersize=4, label=f"from {start}")
    left.set(xlabel="x", ylabel=r"$(x^2 - 1)^2 + 0.3\, x$", title="two minima, 30 steps")
    left.legend(frameon=False)
    starts = jnp.array([[-0.5, 5.0], [0.5, -1.0], [-1.0, -1.5], [-0.5, 0.5]])
    paths = descend(optimizers.sgd(0.005), four_minima, starts, 60)
    at = np.linspace(-5, 5, 121)
    heights = four_minima(np.stack(np.meshgrid(at, at)))
    named = {f"from ({start[0]:g}, {start[1]:g})": paths[:, i] for i, start in enumerate(np.asarray(starts))}
    plots.loss_surface(at, at, heights, paths=named, axes=middle)
    middle.set_title("four minima: the start decides")
    for rate, of_rate, line in zip(config.rates, result.sharpness, ("-", "--", ":"), strict=False):
        mean = of_rate.mean(axis=0)
        right.plot(result.steps, mean, color="black", linestyle=line, marker="o", label=f"rate {rate:g}")
        right.axhline(2 / rate, color="tab:orange", linestyle=line)
    right.set(
        xlabel="step",
        ylabel="largest curvature of a net",
        title="it grows, at most to 2 / rate (orange)",
        ylim=(0, 1.1),
    )
    right.legend(frameon=False)
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
