"""jaxmlp: trains a multilayer perceptron, or ten thousand of them, as one XLA program.

The modules stand below in reading order; a module imports only from those before it.
"""

import importlib as _importlib
from types import ModuleType as _ModuleType

__all__ = [  # noqa: RUF022  the order is the reading order, not the alphabet
    "types",  # the vocabulary: Layer, Params, Batch, Loss, Metric
    "checks",  # bad input, refused by a sentence
    "masks",  # which of the parameters a transform acts on
    # -- the model --
    "activations",  # threshold, sigmoid, tanh, relu, leaky_relu, softmax and the modern ones
    "initializers",  # which initializer suits which activation
    "neurons",  # McCulloch-Pitts, threshold unit, perceptron and its kin, Adaline
    "regularizers",  # dropout and other noise, penalties, constraints, clipping, averaging
    "normalization",  # layer and root mean square normalization
    "mlp",  # MLP: init and apply; dropout, normalization, residual blocks, heads
    "losses",  # one number per row
    "metrics",  # what a person reads: accuracy, AUC, R2, calibration error
    # -- how it learns --
    "optimizers",  # one published method per file
    "schedules",  # the learning-rate ladder, and what optax lacks
    "chains",  # what a chain's state tells: its order, and where to evaluate
    "early_stopping",  # the patience rule as init/update
    # -- running it --
    "data",  # scaling, splits, the order of batches
    "devices",  # what JAX computes on, what a run takes of it, and many devices as one
    "archive",  # arrays in one file, whole or not at all
    "checkpoints",  # large runs, and those on several hosts, kept through Orbax (needs orbax-checkpoint)
    "training",  # the recipe, one step, the whole run, fit
    "logs",  # the history in a file while a run goes on: CSV, TensorBoard
    # -- looking at it --
    "diagnostics",  # backpropagation step by step, gradient flow, loss surface, curvature, suspect rows
    "plots",  # the pictures (needs matplotlib)
    # -- many at once --
    "sweeps",  # every setting with every seed and fold as one program; halving, range test, ensembles
]


def __dir__() -> list[str]:
    """Return the modules, those not yet imported as well."""
    return __all__


def __getattr__(name: str) -> _ModuleType:
    """Import a module when it is first asked for, so that ``import jaxmlp`` costs nothing."""
    if name in __all__:
        return _importlib.import_module(f"jaxmlp.{name}")
    raise AttributeError(f"jaxmlp has no module {name!r}; it has {', '.join(__all__)}")
