"""Shall I go to the concert: how do weights and a threshold turn three answers into one decision?

    python -m experiments.concert
    python -m experiments.concert --weights 6 2 2 --threshold 5

The example of many lectures (after Nielsen 2015, chapter 1): is the weather good, does a friend come along, is there a
tram stop near the hall? All 8 evenings are decided at every threshold. A question is decisive on an evening if its
answer alone turns the decision; the share of such evenings is its power (Banzhaf 1965), which is not its weight.
Expected: with the weights 2, 3, 2 and the threshold 5, 3 of the 8 evenings are worth going to; the friend decides 3 of
4 times, weather and tram once in 4 each. Perceptrons that are shown the 8 decisions in 10 random orders all learn them,
with other weights. Seconds on one CPU core.
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

QUESTIONS = ("weather", "friend", "tram")
EVENINGS = np.array(list(itertools.product([0, 1], repeat=3)))


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    weights: tuple[float, float, float] = (2.0, 3.0, 2.0)
    """What good weather, a friend who comes along and a tram stop nearby count, each at least 0."""
    threshold: float = 5.0
    """What they must add up to."""
    seed: int = 0
    """Decides the orders in which perceptrons are shown the decisions."""
    seeds: int = 10
    """How many perceptrons."""
    smoke: bool = False
    """Two perceptrons, to see that it runs."""
    out: Path = Path("results/concert")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found."""

    thresholds: NDArray[Any]
    goes: NDArray[Any]
    """The decision, of shape (thresholds, 8 evenings)."""
    power: NDArray[Any]
    """The share of evenings on which a question is decisive, of shape (thresholds, 3)."""
    chosen_goes: NDArray[Any]
    chosen_power: NDArray[Any]
    learned: NDArray[Any]
    """The weights and the offset of each perceptron, of shape (seeds, 4)."""


def run(config: Config) -> Result:
    """Decide all evenings at all thresholds, say which answers matter, and teach the decisions to perceptrons."""
    for question, weight in zip(QUESTIONS, config.weights, strict=True):
        checks.in_range(f"weights, {question}", weight, "[0, inf)")
    checks.in_range("threshold", config.threshold, "(-inf, inf)")
    seeds = 2 if config.smoke else checks.whole_number("seeds", config.seeds, 1)
    reporting.check_folder(config.out)
    thresholds = np.arange(0, sum(config.weights) + 1.5)
    chosen = decisions(config.weights, config.threshold)
    keys = jax.random.split(jax.random.key(config.seed), seeds)
    taught = jax.vmap(lambda key: neurons.learn_perceptron(EVENINGS, chosen.astype(int), key=key))(keys)
    if not bool(taught.converged.all()):
        raise RuntimeError("a perceptron has not settled, though a plane separates the decisions")
    result = Result(
        thresholds=thresholds,
        goes=np.stack([decisions(config.weights, threshold) for threshold in thresholds]),
        power=np.stack([decisive(config.weights, threshold).mean(axis=0) for threshold in thresholds]),
        chosen_goes=chosen,
        chosen_power=decisive(config.weights, config.threshold).mean(axis=0),
        learned=np.column_stack([taught.unit.w, taught.unit.b]),
    )
    print(summary(config, result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"decisions": picture(config, result)})
    return result


def decisions(weights: Any, threshold: float) -> NDArray[Any]:
    """Return for each evening whether one goes."""
    unit = neurons.ThresholdUnit(w=jnp.asarray(weights, float), threshold=threshold)
    return np.asarray(unit.apply(jnp.asarray(EVENINGS))) == 1


def decisive(weights: Any, threshold: float) -> NDArray[Any]:
    """Return for each evening and question whether the other answer would turn the decision, of shape (8, 3)."""
    goes = decisions(weights, threshold)
    places = EVENINGS @ [4, 2, 1]
    return np.stack([goes != goes[places ^ bit] for bit in (4, 2, 1)], axis=1)


def summary(config: Config, result: Result) -> str:
    """Lay out the evenings at the chosen threshold, and the power of the questions."""
    rows: list[tuple[Any, ...]] = [("evening", "points", "go?", "what would turn it")]
    turns = decisive(config.weights, config.threshold)
    for evening, goes, turn in zip(EVENINGS, result.chosen_goes, turns, strict=True):
        others = ", ".join(np.array(QUESTIONS)[turn]) or "nothing alone"
        rows.append((describe(evening), f"{evening @ config.weights:g}", "yes" if goes else "no", others))
    power = ", ".join(f"{name} {share:.0%}" for name, share in zip(QUESTIONS, result.chosen_power, strict=True))
    return (
        f"{reporting.table(rows)}\n\nDecisive at the threshold {config.threshold:g}: {power} of the evenings.\n"
        f"{len(result.learned)} perceptrons have learned these decisions, with the weights and offsets\n"
        f"{np.unique(result.learned, axis=0)}"
    )


def describe(evening: NDArray[Any]) -> str:
    """Name what holds on an evening."""
    return " + ".join(np.array(QUESTIONS)[evening == 1]) or "none of the three"


def picture(config: Config, result: Result) -> Figure:
    """Draw the decisions over thresholds, and how often each question is decisive."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    order = np.argsort(EVENINGS @ config.weights, kind="stable")
    left.imshow(result.goes.T[order], cmap="Greys", vmin=0, vmax=1.4, aspect="auto", origin="lower")
    left.set_yticks(range(8), [f"{describe(EVENINGS[i])}: {EVENINGS[i] @ config.weights:g}" for i in order])
    left.set_xticks(range(len(result.thresholds)), [f"{threshold:g}" for threshold in result.thresholds])
    left.axvline(config.threshold, color="tab:orange", linestyle="--")
    left.set(xlabel="threshold", title="evenings to go to (dark), with their points")
    for i, (name, shade) in enumerate(zip(QUESTIONS, ("black", "tab:gray", "white"), strict=True)):
        at = result.thresholds + 0.28 * (i - 1)
        right.bar(at, 100 * result.power[:, i], width=0.26, facecolor=shade, edgecolor="black", label=name)
    right.axvspan(
        config.threshold - 0.5, config.threshold + 0.5, color="tab:orange", alpha=0.25, zorder=0, label="chosen"
    )
    right.set(xlabel="threshold", ylabel="evenings, %", title="on which one answer decides", ylim=(0, 105))
    right.legend(frameon=False, ncols=2, loc="upper left")
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
