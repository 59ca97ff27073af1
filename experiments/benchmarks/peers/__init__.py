"""The task, and the libraries that do it: one module for each, which imports its library and no other.

Importing this package imports NumPy alone, so that a fresh process pays for one library only. All train a ReLU
network that begins as Glorot says, with Adam(1e-3, eps 1e-8), on equal batches of rows in a new order each epoch.
Each is used in the fastest of its documented ways that were tried.
"""

import dataclasses
import importlib
import importlib.metadata
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LEARNING_RATE = 1e-3

JUDGED_ROWS = 10_000
"""How many rows the loss is computed from, at most."""

OURS = "jaxmlp"
PLAIN_SCAN = "plain jitted scan"
SCIKIT_LEARN = "scikit-learn"
KERAS = "Keras on JAX"
PYTORCH = "PyTorch"
PYTORCH_GATHER = "PyTorch, batch by batch"
NNX = "Flax NNX"
NNX_SCAN = "Flax NNX, scanned epoch"
EQUINOX = "Equinox"

Libraries: TypeAlias = Mapping[str, tuple[str, str, dict[str, Any]]]
"""Ways to do a task: the packages to install, the module that holds it, and its options."""

LIBRARIES: Libraries = {
    OURS: ("jaxmlp", "ours", {}),
    PLAIN_SCAN: ("optax", "plain_scan", {}),
    SCIKIT_LEARN: ("scikit-learn", "scikit_learn", {}),
    KERAS: ("keras", "keras_on_jax", {}),
    PYTORCH: ("torch", "pytorch", {}),
    PYTORCH_GATHER: ("torch", "pytorch", {"gather": True}),
    NNX: ("flax", "flax_nnx", {}),
    NNX_SCAN: ("flax", "flax_nnx", {"scan": True}),
    EQUINOX: ("equinox", "equinox_optax", {}),
}
"""Each way to do the task; the modules lie here."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What each library is asked to do.

    Attributes:
        sizes: units of each layer; one output means two classes.
        batch_size: rows of a step; it divides the rows evenly.
        epochs: how many.
        seed: decides the first parameters and the order of the rows.
        x: inputs of shape (rows, inputs).
        y: labels of shape (rows,).
    """

    sizes: tuple[int, ...]
    batch_size: int
    epochs: int
    seed: int
    x: NDArray[Any]
    y: NDArray[Any]

    @property
    def binary(self) -> bool:
        """Whether one output tells two classes apart."""
        return self.sizes[-1] == 1

    @property
    def steps(self) -> int:
        """Steps of all epochs."""
        return self.epochs * (len(self.x) // self.batch_size)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products of a step, three for each layer but the first."""
        weights = [inputs * outputs for inputs, outputs in itertools.pairwise(self.sizes)]
        return 2 * self.batch_size * (3 * sum(weights) - weights[0])


class Library:
    """One way to do the task; only ``train`` is timed.

    Attributes:
        run_seconds: time of the last training without compilation and checks, where the library tells it.
        compile_seconds: time of its compilation, likewise.
    """

    run_seconds: float | None = None
    compile_seconds: float | None = None

    def reset(self) -> None:
        """Go back to the first parameters, where ``train`` does not draw its own."""

    def train(self) -> None:
        """Train for the task's epochs, and wait for the result."""
        raise NotImplementedError

    def logits(self, x: NDArray[Any]) -> Any:
        """Return the outputs for inputs of shape (rows, inputs): log-odds, or one column per class."""
        raise NotImplementedError


def make(name: str, task: Task) -> Library:
    """Import a library and set it up for a task."""
    _, module, options = LIBRARIES[name]
    library: Library = importlib.import_module(f"{__name__}.{module}").Peer(task, **options)
    return library


def version(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def installed(names: Sequence[str], libraries: Libraries = LIBRARIES) -> list[str]:
    """Return those libraries that are installed, and print the install line of each other package."""
    missing = [package for package, installed in versions(names, libraries).items() if installed is None]
    for package in missing:
        print(f"{package}: not installed, so its row is left out (pip install {package})")
    return [name for name in names if not set(libraries[name][0].split()) & set(missing)]


def versions(names: Iterable[str], libraries: Libraries = LIBRARIES) -> dict[str, str | None]:
    """Return the version of each library's packages."""
    return {package: version(package) for name in names for package in libraries[name][0].split()}


def make_task(sizes: tuple[int, ...], *, batch_size: int, rows: int, epochs: int, seed: int) -> Task:
    """Label normal inputs by a random network plus noise: there is something to learn, but not all."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, sizes[0]), np.float32)
    first = rng.standard_normal((sizes[0], 8), np.float32) * np.float32(3 / sizes[0] ** 0.5)
    scores = np.tanh(x @ first) @ rng.standard_normal((8, max(2, sizes[-1])), np.float32)
    noise = -np.log(rng.standard_exponential(scores.shape, np.float32))  # Gumbel's distribution
    y = np.argmax(2 * scores + noise, axis=1).astype(np.int32)
    return Task(sizes, batch_size, epochs, seed, x, y)


def decades(first: int, last: int, batch_size: int) -> list[int]:
    """Return numbers of rows from first to last, each ten times the one before, rounded up to whole batches."""
    found = []
    while first <= last:
        found.append(-(-first // batch_size) * batch_size)
        first *= 10
    return found


def mean_loss(library: Library, task: Task) -> float:
    """Return the mean cross-entropy of the task's first rows, computed alike from each library's outputs."""
    return cross_entropy(np.asarray(library.logits(task.x[:JUDGED_ROWS])), task.y[:JUDGED_ROWS])


def cross_entropy(logits: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the mean cross-entropy of log-odds, or of one column per class."""
    if logits.shape[1] == 1:  # log-odds are logits beside a column of zeros
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(y)), y]))
