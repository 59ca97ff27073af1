"""Which sort is a pumpkin seed of, and what is left of the lesson's 87 to 89 % once its slips are mended?

    python -m experiments.pumpkin_seeds

The hands-on lesson of the course, on its own 2,500 seeds: nine of twelve measures, a 20-12-6 net with dropout before
its last layer, Adam for 100 epochs. Its scaler was fitted on the test rows, its split had no seed, and the names of its
two classes were swapped. Here every split is stratified and seeded, its scaler fitted on the training rows, and the
last parameters meet the held-out rows once. First the lesson's 80/20, split 20 times; then all twelve measures in
10-fold cross-validation, beside a net without hidden layers, which is logistic regression.
Expected: 88.2 +- 1.6 % of 500 held-out seeds, from 84.8 to 92.0, so that the lesson's 87 and 89 % are two draws of one
lot. With twelve measures 88.2 +- 0.3 % where 88.52 % is published, and 87.6 +- 0.1 % (87.92 %) without hidden layers:
they are worth 0.6 points. Two minutes on two busy CPU cores.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments import data_sets, reporting
from jaxmlp import checks, losses, metrics, optimizers, plots, regularizers, sweeps, training
from jaxmlp.mlp import MLP
from jaxmlp.types import Key, Params

LEFT_OUT = ("Maior_Eixo_Comprimento", "Área_Convexa", "Equiv_Diâmetro")
"""By the lesson, as they go with other measures."""
SORTS = ("Çerçevelik", "Ürgüp Sivrisi")
LESSON = (0.87, 0.89)
"""What the two runs of the lesson's notebook that were kept have, of 500 test rows."""
PUBLISHED = {"the lesson's net": 0.8852, "no hidden layer": 0.8792}
"""By Koklu et al. (2021), 10-fold cross-validation, twelve measures: a multilayer perceptron, logistic regression."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the experiment."""

    hidden: tuple[int, ...] = (20, 12, 6)
    """Units of the hidden layers."""
    dropout: float = 0.5
    """Share of the last hidden layer's units that is dropped while training."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    batch_size: int = 20
    """Rows of a step."""
    epochs: int = 100
    """Passes over the training rows."""
    data_dir: Path | None = None
    """Folder with the folder pumpkin_seeds; see experiments/data_sets.py for where else it is looked for."""
    seed: int = 0
    """Decides all splits and all that is random in training."""
    seeds: int = 20
    """Nets of each split and fold."""
    smoke: bool = False
    """Two epochs and one small net of each split and fold, to see that it runs."""
    out: Path = Path("results/pumpkin_seeds")
    """Folder for result.json and the picture."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the experiment found."""

    lesson: NDArray[Any]
    """Share of 500 held-out seeds told right with nine measures, of shape (splits, seeds)."""
    folds: dict[str, NDArray[Any]]
    """The same of 250 held-out seeds with twelve measures by net, of shape (folds, seeds)."""
    confusion: NDArray[Any]
    """Of the mean predictions of the lesson's nets, with true sorts as rows."""
    seconds: float


@dataclasses.dataclass(frozen=True)
class LessonNet:
    """An MLP with dropout before its last layer only."""

    sizes: tuple[int, ...]
    dropout: float

    def init(self, key: Key) -> Params:
        """Draw parameters as Keras does."""
        return MLP(self.sizes, initializer="glorot_uniform").init(key)

    def apply(
        self, params: Params, x: Float[Array, "*rows inputs"], *, key: Key | None = None
    ) -> Float[Array, "*rows outputs"]:
        """Compute the outputs; a key switches dropout on."""
        for layer in params[:-1]:
            x = jax.nn.relu(x @ layer.w + layer.b)
        if key is not None and len(self.sizes) > 2:
            x = regularizers.dropout(key, x, self.dropout)
        outputs: Float[Array, "*rows outputs"] = x @ params[-1].w + params[-1].b
        return outputs


def run(config: Config) -> Result:
    """Repeat the lesson over splits and seeds, then cross-validate with all measures."""
    seeds, epochs = (checks.whole_number(name, getattr(config, name), 1) for name in ("seeds", "epochs"))
    checks.in_range("dropout", config.dropout, "[0, 1)")
    reporting.check_folder(config.out)
    table, y = data_sets.pumpkin_seeds(config.data_dir)
    seeds, epochs, hidden = (1, 2, (4,)) if config.smoke else (seeds, epochs, config.hidden)
    options: dict[str, Any] = {
        "stratify": y, "seeds": seeds, "epochs": epochs, "batch_size": config.batch_size, "evaluate_every": epochs,
        "metrics": {"accuracy": metrics.accuracy}, "key": jax.random.key(config.seed),
    }  # fmt: skip

    def recipe(hyper: Any) -> training.Recipe:
        net = LessonNet((hyper["measures"], *hyper["hidden"], 1), config.dropout)
        return training.Recipe(net, optimizers.adam(config.learning_rate), losses.sigmoid_binary_cross_entropy)

    nine = np.column_stack([values for name, values in table.items() if name not in LEFT_OUT])
    lesson = sweeps.cross_validate(
        recipe, (nine, y[:, None]), hyper=sweeps.grid(measures=[9], hidden=[hidden]), folds=5,
        repeats=1 if config.smoke else 4, **options,
    )  # fmt: skip
    twelve = np.column_stack(list(table.values()))
    validated = sweeps.cross_validate(
        recipe, (twelve, y[:, None]), hyper=sweeps.grid(measures=[12], hidden=[hidden, ()]), folds=10, **options
    )
    told = np.asarray(validated.out_of_fold(0))[:, 0] > 0.5
    result = Result(
        lesson=lesson.scores("validation/accuracy").reshape(-1, seeds),
        folds=dict(zip(PUBLISHED, validated.scores("validation/accuracy")[:, 0], strict=True)),
        confusion=np.array([[np.sum((y == true) & (told == sort)) for sort in (0, 1)] for true in (0, 1)]),
        seconds=sum(of.runs.compile_seconds + of.runs.run_seconds for of in (lesson, validated)),
    )
    print(summary(result))
    reporting.save(config.out, config, dataclasses.asdict(result), {"pumpkin_seeds": picture(result)})
    return result


def summary(result: Result) -> str:
    """Lay the accuracies out beside what was published."""
    rows: list[tuple[Any, ...]] = [("held-out seeds told right, %", "mean", "spread", "lowest", "highest", "published")]
    splits = 100 * result.lesson.ravel()
    rows.append((f"the lesson, {len(splits)} nets on {len(result.lesson)} splits", *cells(splits, splits), "87, 89"))
    for net, scores in result.folds.items():
        each = 100 * scores
        published = f"{100 * PUBLISHED[net]:.2f}"
        rows.append((f"{net}, {each.shape[1]} x 10 folds", *cells(each.mean(axis=0), each), published))
    nets = result.lesson.size + sum(scores.size for scores in result.folds.values())
    return (
        f"{reporting.table(rows)}\nThe spread is over splits and seeds for the lesson, below over the seeds' means "
        f"of ten folds.\n{nets} nets in {result.seconds:.1f} s, on {reporting.environment()['device']}"
    )


def cells(means: NDArray[Any], each: NDArray[Any]) -> tuple[str, ...]:
    """Write mean, spread, lowest and highest."""
    return tuple(f"{value:.2f}" for value in (means.mean(), means.std(), each.min(), each.max()))


def picture(result: Result) -> Figure:
    """Draw what splits come to, what cross-validation comes to, and which sort is taken for which."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    at = 100 * result.lesson.ravel()
    left.hist(at, bins=np.arange(at.min() - 0.3, at.max() + 0.6, 0.6), color="tab:gray", edgecolor="white")
    left.margins(y=0.3)
    for value, line in zip(LESSON, (":", "--"), strict=True):
        left.axvline(100 * value, color="tab:orange", linestyle=line, ymax=0.85, label=f"the lesson, {value:.0%}")
    left.set(xlabel="of 500 held-out seeds told right, %", ylabel="nets", title="the lesson, its slips mended")
    left.legend(frameon=False, loc="upper center", ncols=2)
    for place, (net, scores) in enumerate(result.folds.items()):
        means = 100 * scores.mean(axis=0)
        spread = np.linspace(-0.2, 0.2, len(means)) if len(means) > 1 else [0]
        middle.plot(place + np.asarray(spread), np.sort(means), "o", color="black", markersize=4, alpha=0.7)
        middle.hlines(100 * PUBLISHED[net], place - 0.35, place + 0.35, color="tab:orange", linestyle="--",
                      label="published" if place == 0 else None)  # fmt: skip
    middle.set_xticks(range(len(result.folds)), list(result.folds))
    middle.set(xlim=(-0.6, 1.6), ylabel="told right, %", title="twelve measures, a dot per seed")
    middle.legend(frameon=False)
    plots.confusion_matrix(result.confusion, labels=SORTS, axes=right)
    right.set_title("all folds, by the mean of the nets")
    return figure


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
