"""How long does one training step take, and how long elsewhere?

    python -m experiments.benchmarks.step_time

Trains the same network on the same data for the same epochs with ``training.fit`` and with scikit-learn,
Keras 3 on JAX and Flax NNX, in turns, and reports microseconds per step, shuffling included. Expected as
multiples of jaxmlp's time on the two networks: scikit-learn 18 to 21 and 11 to 12, Keras 7 to 10 and 4 to 6,
NNX 5 to 8 and 3 to 4, for steps this small cost less than their dispatch from Python; 0.8 to 0.95 for NNX with
its epoch written as one ``lax.scan``, which leaves nothing to dispatch. Two minutes on a CPU with two cores.
"""

import dataclasses
import functools
import importlib.metadata
import itertools
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments import reporting
from jaxmlp import losses, optimizers, training
from jaxmlp.mlp import MLP

NETWORKS = (((9, 20, 12, 6, 1), 20, 2500), ((16, 64, 64, 3), 32, 3200))
"""Sizes, batch size and rows; one output means two classes, and the batches divide the rows evenly."""

LEARNING_RATE = 1e-3
WHOLE_CALL = "jaxmlp, whole call"


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    epochs: int = 40
    """Epochs of each timed run, the same for every library."""
    rounds: int = 15
    """Timed runs of each library; a round takes one of each in turn."""
    seed: int = 0
    """Decides the data, the first parameters and the order of the rows."""
    out: Path = Path("results/benchmarks/step_time")
    """Folder for the numbers and the picture."""
    smoke: bool = False
    """Only see whether it runs: 2 rounds of 2 epochs of the first network."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What each library is asked to do: x of shape (rows, inputs), labels y of shape (rows,)."""

    sizes: tuple[int, ...]
    batch_size: int
    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    epochs: int
    seed: int


class Library:
    """One way to do the task, set up by ``__init__(task)``; only ``train`` is timed."""

    def reset(self) -> None:
        """Go back to the first parameters, where ``train`` does not draw its own."""

    def train(self) -> None:
        """Train for the task's epochs, and wait for the result."""
        raise NotImplementedError

    def logits(self) -> Any:
        """Return the outputs for the training rows: log-odds, or one column per class."""
        raise NotImplementedError


class _Jaxmlp(Library):
    """This library, called as a person would."""

    def __init__(self, task: Task) -> None:
        binary = task.sizes[-1] == 1
        loss = losses.sigmoid_binary_cross_entropy if binary else losses.softmax_cross_entropy
        self.net = MLP(sizes=task.sizes, initializer="glorot_uniform")
        self.recipe = training.Recipe(self.net, optimizers.adam(LEARNING_RATE), loss)
        self.task, self.y = task, task.y[:, None] if binary else task.y

    def train(self) -> None:
        key, data = jax.random.key(self.task.seed), (self.task.x, self.y)
        epochs, batch_size = self.task.epochs, self.task.batch_size
        self.run = training.fit(self.recipe, data, epochs=epochs, batch_size=batch_size, key=key, progress=False)

    def logits(self) -> Any:
        return self.net.apply(self.run.params, jnp.asarray(self.task.x))


class _ScikitLearn(Library):
    """MLPClassifier; it starts as Glorot does, too, but draws the biases as well."""

    def __init__(self, task: Task) -> None:
        from sklearn.neural_network import MLPClassifier

        all_epochs = {"max_iter": task.epochs, "tol": 0, "n_iter_no_change": task.epochs + 1}
        adam = {"solver": "adam", "learning_rate_init": LEARNING_RATE, "alpha": 0, "random_state": task.seed}
        self.task = task
        self.model = MLPClassifier(task.sizes[1:-1], batch_size=task.batch_size, **adam, **all_epochs)

    def train(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ConvergenceWarning: all epochs were run, as they should be
            self.model.fit(self.task.x, self.task.y)

    def logits(self) -> Any:
        return np.log(np.maximum(self.model.predict_proba(self.task.x), np.finfo(np.float32).eps))


class _Keras(Library):
    """Keras on JAX, its step compiled, with a whole epoch of steps between two calls of the callbacks."""

    def __init__(self, task: Task) -> None:
        os.environ["KERAS_BACKEND"] = "jax"  # read once, by the import
        import keras

        self.seed = functools.partial(keras.utils.set_random_seed, task.seed)
        self.seed()
        binary, multiclass = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy
        loss = (binary if task.sizes[-1] == 1 else multiclass)(from_logits=True)
        adam = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)  # the others' epsilon; its own is 1e-7
        steps = len(task.x) // task.batch_size
        hidden = [keras.layers.Dense(size, activation="relu") for size in task.sizes[1:-1]]
        layers = [keras.Input(task.sizes[:1]), *hidden, keras.layers.Dense(task.sizes[-1])]
        self.model = keras.Sequential(layers)
        self.model.compile(optimizer=adam, loss=loss, jit_compile=True, steps_per_execution=steps)
        adam.build(self.model.trainable_variables)
        self.variables = [*self.model.variables, *adam.variables]
        self.task, self.start = task, [np.asarray(of.value) for of in self.variables]

    def reset(self) -> None:  # a new model would compile again
        self.seed()
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)

    def train(self) -> None:
        task = self.task
        self.model.fit(task.x, task.y, task.batch_size, task.epochs, shuffle=True, verbose=0)

    def logits(self) -> Any:
        return self.model.predict(self.task.x, batch_size=len(self.task.x), verbose=0)


class _FlaxNnx(Library):
    """Flax NNX and optax, as a functional training loop: split once, merged inside the compiled program.

    A batch is a view into the host's rows, shuffled once an epoch, which costs less than a gather on the
    device. With ``scan`` the loop over the batches is compiled as well.
    """

    def __init__(self, task: Task, *, scan: bool = False) -> None:
        init, rngs = nnx.initializers.glorot_uniform(), nnx.Rngs(task.seed)
        linear = [nnx.Linear(*of, kernel_init=init, rngs=rngs) for of in itertools.pairwise(task.sizes)]
        model = nnx.Sequential(*[part for layer in linear[:-1] for part in (layer, nnx.relu)], linear[-1])
        optimizer = nnx.Optimizer(model, optax.adam(LEARNING_RATE), wrt=nnx.Param)
        self.graph, state = nnx.split((model, optimizer))
        self.start = nnx.to_pure_dict(state)  # plain arrays are dispatched faster than variables
        advance = functools.partial(_nnx_epoch if scan else _nnx_step, self.graph)
        self.task, self.scan, self.advance = task, scan, jax.jit(advance, donate_argnums=0)
        self.rows: Any = (task.x, task.y) if not scan else (jnp.asarray(task.x), jnp.asarray(task.y))

    def reset(self) -> None:
        self.state = jax.tree.map(jnp.copy, self.start)
        self.rng = np.random.default_rng(self.task.seed)

    def train(self) -> None:
        (x, y), batch_size = self.rows, self.task.batch_size
        for _ in range(self.task.epochs):
            order = self.rng.permutation(len(x))
            if self.scan:
                self.state, _ = self.advance(self.state, x, y, order.reshape(-1, batch_size))
                continue
            of_epoch = x[order], y[order]
            for i in range(0, len(x), batch_size):
                self.state, _ = self.advance(self.state, *(part[i : i + batch_size] for part in of_epoch))
        jax.tree.leaves(self.state)[0].block_until_ready()  # all leaves come out of one program

    def logits(self) -> Any:
        return nnx.merge(self.graph, self.state)[0](jnp.asarray(self.task.x))


def _nnx_loss(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    logits = model(x)
    if logits.shape[1] == 1:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits[:, 0], y.astype(logits.dtype)))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))


def _nnx_step(graph: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
    model, optimizer = nnx.merge(graph, state)
    loss, gradient = nnx.value_and_grad(_nnx_loss)(model, x, y)
    optimizer.update(model, gradient)
    return nnx.to_pure_dict(nnx.state((model, optimizer))), loss


def _nnx_epoch(graph: Any, state: Any, x: jax.Array, y: jax.Array, batches: jax.Array) -> Any:
    return jax.lax.scan(lambda state, rows: _nnx_step(graph, state, x[rows], y[rows]), state, batches)


LIBRARIES: dict[str, tuple[str, Callable[[Task], Library]]] = {
    "jaxmlp": ("jaxmlp", _Jaxmlp),
    "scikit-learn": ("scikit-learn", _ScikitLearn),
    "Keras on JAX": ("keras", _Keras),
    "Flax NNX": ("flax", _FlaxNnx),
    "Flax NNX, scanned epoch": ("flax", functools.partial(_FlaxNnx, scan=True)),
}
"""Each way to do the task: its package and how it is set up."""


def run(config: Config) -> dict[str, Any]:
    """Measure the libraries that are installed on each network, print the tables and save them.

    Args:
        config: the options.

    Returns:
        For each network and library its times and its loss.
    """
    reporting.check_folder(config.out)
    if config.smoke:
        config = dataclasses.replace(config, epochs=2, rounds=2)
    jnp.zeros(1).block_until_ready()  # starts the device, which is nobody's compile time
    versions = {package: version(package) for package, _ in LIBRARIES.values()}
    for package in [package for package, seen in versions.items() if seen is None]:
        print(f"{package}: not installed (pip install {package})")
    numbers = {}
    for sizes, batch_size, rows in NETWORKS[: 1 if config.smoke else None]:
        title = f"{'-'.join(map(str, sizes))}, batch {batch_size}"
        numbers[title] = measure(make_task(config, sizes, batch_size, rows), config.rounds)
        print(f"\n{title}, {config.epochs} epochs\n{layout(numbers[title])}")
    found = {"versions": versions, "networks": numbers}
    reporting.save(config.out, config, found, {"step_time": figure(numbers)})
    return numbers


def version(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def make_task(config: Config, sizes: tuple[int, ...], batch_size: int, rows: int) -> Task:
    """Label normal inputs by a random network plus noise: there is something to learn, but not all."""
    rng = np.random.default_rng(config.seed)
    x = rng.normal(size=(rows, sizes[0]))
    scores = np.tanh(x @ rng.normal(size=(sizes[0], 8))) @ rng.normal(size=(8, max(2, sizes[-1])))
    y = np.argmax(2 * scores + rng.gumbel(size=scores.shape), axis=1)
    return Task(sizes, batch_size, x.astype(np.float32), y.astype(np.int32), config.epochs, config.seed)


def measure(task: Task, rounds: int) -> dict[str, Any]:
    """Call each library once, which compiles, then in turns; return quartiles, ratios and losses."""
    libraries = {name: make(task) for name, (package, make) in LIBRARIES.items() if version(package)}
    ours: Any = libraries["jaxmlp"]
    first = {name: timed(library) for name, library in libraries.items()}
    compiling = ours.run.compile_seconds
    seconds: dict[str, list[float]] = {name: [] for name in ("jaxmlp", WHOLE_CALL, *libraries)}
    for _ in range(rounds):
        for name, library in libraries.items():
            seconds[WHOLE_CALL if library is ours else name].append(timed(library))
        seconds["jaxmlp"].append(ours.run.run_seconds)

    found, steps = {}, task.epochs * len(task.x) // task.batch_size
    for row, times in seconds.items():
        name = "jaxmlp" if row == WHOLE_CALL else row
        ratios = np.array(times) / np.array(seconds["jaxmlp"])  # within a round, where the machine was alike
        found[row] = {
            "microseconds": np.percentile(np.array(times) / steps * 1e6, [25, 50, 75]).tolist(),
            "ratio": np.percentile(ratios, [25, 50, 75]).tolist(),
            "compile_seconds": compiling if row == "jaxmlp" else max(0, first[name] - float(np.median(times))),
            "loss": mean_loss(np.asarray(libraries[name].logits()), task.y),
        }
    return found


def timed(library: Library) -> float:
    """Train from the first parameters and return the seconds."""
    library.reset()
    began = time.perf_counter()
    library.train()
    return time.perf_counter() - began


def mean_loss(logits: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float:
    """The mean cross-entropy; one column holds log-odds, which are logits beside a column of zeros."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(y)), y]))


def layout(found: dict[str, Any]) -> str:
    """Lay the numbers of one network out as a table."""
    rows = [["library", "us/step", "quartiles", "ratio", "quartiles", "compile s", "loss"]]
    for name, at in found.items():
        (low, middle, high), (least, ratio, most) = at["microseconds"], at["ratio"]
        times = [f"{middle:.1f}", f"{low:.1f} .. {high:.1f}", f"{ratio:.2f}", f"{least:.2f} .. {most:.2f}"]
        rows.append([name, *times, f"{at['compile_seconds']:.2f}", f"{at['loss']:.4f}"])
    return reporting.table(rows)


def figure(numbers: dict[str, Any]) -> Any:
    """Draw the medians as bars on a logarithmic axis, the quartiles as whiskers."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(11, 3.6), layout="constrained")
    panels = drawn.subplots(1, len(numbers), sharey=True, squeeze=False)[0]
    for panel, (title, found) in zip(panels, numbers.items(), strict=True):
        low, middle, high = np.array([at["microseconds"] for at in found.values()]).T
        shades = ["0.25" if name.startswith("jaxmlp") else "0.75" for name in found]
        whiskers = {"xerr": [middle - low, high - middle], "capsize": 3}
        bars = panel.barh(list(found), middle, color=shades, edgecolor="black", **whiskers)
        labels = [f"{at['microseconds'][1]:.0f} µs, ratio {at['ratio'][1]:.1f}" for at in found.values()]
        panel.bar_label(bars, labels, padding=6)
        panel.set(title=title, xlabel="µs per step (logarithmic)", xscale="log", xlim=(5, 20 * middle.max()))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()  # the axis is shared
    return drawn


if __name__ == "__main__":
    reporting.main(Config, run, __doc__)
