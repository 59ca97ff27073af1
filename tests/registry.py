"""Everything that is exported and must keep the contracts of ``test_contracts.py``.

Each float of a gradient transform stands here with a value at which it shows and with the interval that it must
lie in. A test fails when an export, or one of its floats, is missing.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmlp import (
    activations,
    initializers,
    losses,
    metrics,
    normalization,
    optimizers,
    regularizers,
    schedules,
)
from jaxmlp.mlp import MLP

RATE = (0.1, "[0, inf)")
SHARE = (0.5, "[0, 1)")
AT_LEAST_0 = "[0, inf)"
ABOVE_0 = "(0, inf)"


def small(dtype: Any) -> dict[str, jax.Array]:
    """A layer with weights and biases, some of them 0."""
    rng = np.random.default_rng(0)
    return {"w": jnp.asarray(rng.normal(size=(3, 2)), dtype).at[0, 0].set(0), "b": jnp.asarray([0.5, -2.0], dtype)}


def three_layers(dtype: Any) -> list[jax.Array]:
    """Matrices with one between hidden layers, and a bias."""
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=s), dtype) for s in ((2, 3), (3, 4), (4, 2), (2,))]


def matrix(dtype: Any) -> dict[str, jax.Array]:
    """A matrix alone."""
    return {"w": small(dtype)["w"]}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A function that returns a gradient transform.

    Attributes:
        make: the function; it is called with all floats by name.
        floats: for each float a value and the interval it must lie in.
        params: parameters of a given dtype.
    """

    make: Callable[..., Any]
    floats: dict[str, tuple[float, str]]
    params: Callable[[Any], Any] = small


def _adam_like(**more: tuple[float, str]) -> dict[str, tuple[float, str]]:
    return {"b1": (0.7, "[0, 1)"), "b2": (0.9, "[0, 1)"), "eps": (0.1, AT_LEAST_0), **more}


ROOT = {"eps_root": (0.1, AT_LEAST_0)}
AMSGRAD_RAW = functools.partial(optimizers.scale_by_amsgrad, maximum_of="raw")
CENTERED = functools.partial(optimizers.scale_by_rmsprop, centered=True)
STRENGTH = {"strength": (0.2, AT_LEAST_0)}
DECAY = {"weight_decay": (0.2, AT_LEAST_0)}
MOMENTUM = {"momentum": (0.6, "[0, 1)"), "dampening": (0.4, "[0, 1]")}
ADAGRAD = {"initial_accumulator_value": (0.3, AT_LEAST_0), "eps": (0.1, AT_LEAST_0), **ROOT}
RMSPROP = {"decay": (0.7, "[0, 1)"), "eps": (0.1, AT_LEAST_0), **ROOT}
ADADELTA = {"rho": (0.7, "[0, 1)"), "eps": (0.1, ABOVE_0)}
ADAMAX = _adam_like(eps_outside=(0.2, AT_LEAST_0))
LION = {"b1": (0.9, "[0, 1)"), "b2": (0.9, "[0, 1)")}
FREE = {"b1": (0.7, "[0, 1)"), "weight_lr_power": (2.0, AT_LEAST_0)}


def rising(learning_rate: Any) -> Callable[[jax.Array], Any]:
    """A warm-up, without which the power of Schedule-Free's weights does not show."""
    return lambda count: learning_rate * (1 + count.astype(float))


def _schedule_free(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda learning_rate, **floats: function(rising(learning_rate), **floats)


TRANSFORMS: dict[str, Entry] = {
    "optimizers.sgd": Entry(optimizers.sgd, {"learning_rate": RATE}),
    "optimizers.momentum": Entry(optimizers.momentum, {"learning_rate": RATE, **MOMENTUM}),
    "optimizers.scale_by_momentum": Entry(optimizers.scale_by_momentum, MOMENTUM),
    "optimizers.nesterov": Entry(optimizers.nesterov, {"learning_rate": RATE, "momentum": (0.6, "[0, 1)")}),
    "optimizers.scale_by_nesterov": Entry(optimizers.scale_by_nesterov, {"momentum": (0.6, "[0, 1)")}),
    "optimizers.adagrad": Entry(optimizers.adagrad, {"learning_rate": RATE, **ADAGRAD}),
    "optimizers.scale_by_adagrad": Entry(optimizers.scale_by_adagrad, ADAGRAD),
    "optimizers.adadelta": Entry(optimizers.adadelta, {"learning_rate": RATE, **ADADELTA}),
    "optimizers.scale_by_adadelta": Entry(optimizers.scale_by_adadelta, ADADELTA),
    "optimizers.rmsprop": Entry(
        optimizers.rmsprop, {"learning_rate": RATE, **RMSPROP, "momentum": (0.6, "[0, 1)")}
    ),
    "optimizers.scale_by_rmsprop": Entry(optimizers.scale_by_rmsprop, RMSPROP),
    "optimizers.scale_by_rmsprop, centred": Entry(CENTERED, RMSPROP),
    "optimizers.adam": Entry(optimizers.adam, {"learning_rate": RATE, **_adam_like(**ROOT)}),
    "optimizers.scale_by_adam": Entry(optimizers.scale_by_adam, _adam_like(**ROOT)),
    "optimizers.amsgrad": Entry(optimizers.amsgrad, {"learning_rate": RATE, **_adam_like(**ROOT)}),
    "optimizers.scale_by_amsgrad": Entry(optimizers.scale_by_amsgrad, _adam_like(**ROOT)),
    "optimizers.scale_by_amsgrad, raw": Entry(AMSGRAD_RAW, _adam_like(**ROOT)),
    "optimizers.adamax": Entry(optimizers.adamax, {"learning_rate": RATE, **ADAMAX}),
    "optimizers.scale_by_adamax": Entry(optimizers.scale_by_adamax, ADAMAX),
    "optimizers.nadam": Entry(optimizers.nadam, {"learning_rate": RATE, **_adam_like(**ROOT, mu=(0.6, "[0, 1)"))}),
    "optimizers.scale_by_nadam": Entry(optimizers.scale_by_nadam, _adam_like(**ROOT, mu=(0.6, "[0, 1)"))),
    "optimizers.adamw": Entry(optimizers.adamw, {"learning_rate": RATE, **_adam_like(**ROOT), **DECAY}),
    "optimizers.lion": Entry(optimizers.lion, {"learning_rate": RATE, **LION, **DECAY}),
    "optimizers.scale_by_lion": Entry(optimizers.scale_by_lion, LION),
    "optimizers.muon": Entry(
        optimizers.muon,
        {
            "learning_rate": RATE, "momentum": (0.6, "[0, 1)"), "eps": (0.5, ABOVE_0), **DECAY,
            "adam_learning_rate": RATE, "adam_b1": (0.7, "[0, 1)"), "adam_b2": (0.9, "[0, 1)"),
            "adam_eps": (0.1, AT_LEAST_0),
        },
        params=three_layers,
    ),
    "optimizers.orthogonalize": Entry(optimizers.orthogonalize, {"eps": (0.5, ABOVE_0)}, params=matrix),
    "optimizers.schedule_free": Entry(
        _schedule_free(functools.partial(optimizers.schedule_free, direction=optax.identity())),
        {"learning_rate": RATE, **FREE},
    ),
    "optimizers.schedule_free_sgd": Entry(
        _schedule_free(optimizers.schedule_free_sgd), {"learning_rate": RATE, **FREE, **DECAY}
    ),
    "optimizers.schedule_free_adamw": Entry(
        _schedule_free(optimizers.schedule_free_adamw),
        {"learning_rate": RATE, **FREE, "b2": (0.9, "[0, 1)"), "eps": (0.1, AT_LEAST_0), **DECAY},
    ),
    "optimizers.sam": Entry(optimizers.sam, {"learning_rate": RATE, "rho": (0.5, AT_LEAST_0)}),
    "optimizers.scale_by_sam": Entry(optimizers.scale_by_sam, {"rho": (0.5, AT_LEAST_0)}),
    "regularizers.l1": Entry(regularizers.l1, STRENGTH),
    "regularizers.l2": Entry(regularizers.l2, STRENGTH),
    "regularizers.elastic_net": Entry(
        regularizers.elastic_net, {"l1": (0.2, AT_LEAST_0), "l2": (0.3, AT_LEAST_0)}
    ),
    "regularizers.weight_decay": Entry(regularizers.weight_decay, STRENGTH),
    "regularizers.proximal_l1": Entry(regularizers.proximal_l1, {**STRENGTH, "learning_rate": RATE}),
    "regularizers.max_norm": Entry(regularizers.max_norm, {"limit": (0.5, ABOVE_0)}),
    "regularizers.unit_norm": Entry(regularizers.unit_norm, {}),
    "regularizers.non_negative": Entry(regularizers.non_negative, {}),
    "regularizers.clip_by_value": Entry(regularizers.clip_by_value, {"limit": (0.2, ABOVE_0)}),
    "regularizers.clip_by_norm": Entry(regularizers.clip_by_norm, {"limit": (0.2, ABOVE_0)}),
    "regularizers.clip_by_global_norm": Entry(regularizers.clip_by_global_norm, {"limit": (0.2, ABOVE_0)}),
    "regularizers.clip_adaptive": Entry(
        regularizers.clip_adaptive, {"limit": (0.01, ABOVE_0), "eps": (5.0, ABOVE_0)}
    ),
    "regularizers.gradient_noise": Entry(
        regularizers.gradient_noise, {"variance": (0.3, AT_LEAST_0), "decay": (0.6, AT_LEAST_0)}
    ),
    "regularizers.ema": Entry(regularizers.ema, {"decay": (0.6, "[0, 1)")}),
    "schedules.reduce_on_plateau": Entry(
        functools.partial(schedules.reduce_on_plateau, patience=1),
        {
            "factor": (0.5, "(0, 1)"), "rtol": (0.4, "[0, 1)"), "atol": (0.4, AT_LEAST_0),
            "min_scale": (0.4, "[0, 1]"),
        },
    ),
}  # fmt: skip

SCHEDULES: dict[str, tuple[Callable[..., Any], dict[str, tuple[float, str]]]] = {
    "flat_cosine": (functools.partial(schedules.flat_cosine, steps=10), {"learning_rate": RATE, "flat": SHARE}),
    "coslog4": (functools.partial(schedules.coslog4, steps=10), {"learning_rate": RATE}),
}

OTHERS = {
    "optimizers": {"newton_schulz"},  # a function of a matrix
    "regularizers": {"dropout", "alpha_dropout", "input_noise", "mixup", "Augment"},  # on the forward side
    "schedules": {"ladder", "reduce_on_plateau"},  # numbers to try; a transform, above
}
"""Exports that are no gradient transforms, or no schedules; each has tests of its own."""

ACTIVATIONS = activations.ACTIVATIONS
INITIALIZERS = initializers.INITIALIZERS

PARAMETRIC: dict[str, tuple[Callable[..., Any], dict[str, tuple[float, str]]]] = {
    "activations.PReLU": (activations.PReLU, {"slope": (0.5, "(-inf, inf)")}),
    "normalization.LayerNorm": (normalization.LayerNorm, {"eps": (0.5, AT_LEAST_0)}),
    "normalization.RMSNorm": (normalization.RMSNorm, {"eps": (0.5, AT_LEAST_0)}),
}
"""What an MLP learns besides weights and biases, and the floats it is made with."""

NETS = {
    "plain": MLP((3, 5, 2)),
    "linear": MLP((3, 2)),
    "an activation for each layer": MLP((3, 5, 4, 2), ("tanh", "prelu")),
    "layer normalization": MLP((3, 5, 2), "gelu", normalization="layer"),
    "root mean square normalization": MLP((3, 5, 2), "mish", normalization="rms"),
    "residual": MLP((3, 5, 5, 2), "relu", residual=True, dropout=0.3),
    "heads": MLP((3, 5, 3), "tanh", heads={"b": 1, "a": 2}, dropout=0.3),
    "NTK": MLP((3, 5, 2), "selu", parametrization="ntk", dropout=0.3),
    "all together": MLP(
        (3, 5, 5, 3), ("prelu", "silu"), "orthogonal", 0.3, "layer", True, {"b": 1, "a": 2}, "ntk", "float32", "highest"
    ),
}
"""Nets with every option that MLP has."""


@dataclasses.dataclass(frozen=True)
class LossEntry:
    """A loss, and targets for four rows of three outputs.

    Attributes:
        loss: the function.
        targets: an array whose first axis are the rows.
        floats: for each float a value at which it shows and the interval it must lie in.
    """

    loss: Callable[..., Any]
    targets: Any
    floats: dict[str, tuple[float, str]] = dataclasses.field(default_factory=dict)


LABELS = np.array([0, 2, 1, 1])
YES_OR_NO = np.eye(4, 3)
NUMBERS = np.arange(12.0).reshape(4, 3) / 4
SHARES = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.1, 0.2, 0.7]])
SMOOTHING = {"label_smoothing": (0.3, "[0, 1]")}
FOCAL = {"gamma": (1.5, AT_LEAST_0), "alpha": (0.3, "[0, 1]")}

LOSSES: dict[str, LossEntry] = {
    "softmax_cross_entropy": LossEntry(losses.softmax_cross_entropy, LABELS, SMOOTHING),
    "softmax_cross_entropy, probabilities": LossEntry(losses.softmax_cross_entropy, SHARES, SMOOTHING),
    "sigmoid_binary_cross_entropy": LossEntry(losses.sigmoid_binary_cross_entropy, YES_OR_NO, SMOOTHING),
    "sigmoid_focal": LossEntry(losses.sigmoid_focal, YES_OR_NO, FOCAL),
    "hinge": LossEntry(losses.hinge, YES_OR_NO),
    "hinge, labels": LossEntry(losses.hinge, LABELS),
    "perceptron": LossEntry(losses.perceptron, YES_OR_NO),
    "perceptron, labels": LossEntry(losses.perceptron, LABELS),
    "squared_error": LossEntry(losses.squared_error, NUMBERS),
    "absolute_error": LossEntry(losses.absolute_error, NUMBERS),
    "huber": LossEntry(losses.huber, NUMBERS, {"delta": (0.8, ABOVE_0)}),
    "quantile": LossEntry(losses.quantile, NUMBERS, {"level": (0.3, "(0, 1)")}),
    "poisson": LossEntry(losses.poisson, NUMBERS),
}

OTHERS_OF_LOSSES = {"weighted_mean", "targets_for", "PerHead", "predictions"}
"""Exports of ``losses`` that are no function of outputs and targets; each has tests of its own."""

OTHERS_OF_METRICS = {"OfHead"}
"""Exports of ``metrics`` that are no function of outputs and targets; each has tests of its own."""

SIX_LABELS = np.array([0, 2, 1, 1, 2, 0])
SIX_ANSWERS = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 1, 0]])

METRICS: dict[str, tuple[Callable[..., Any], Any]] = {
    "accuracy": (metrics.accuracy, SIX_LABELS),
    "accuracy, yes or no": (metrics.accuracy, SIX_ANSWERS),
    "top_k_accuracy": (functools.partial(metrics.top_k_accuracy, k=2), SIX_LABELS),
    "balanced_accuracy": (metrics.balanced_accuracy, SIX_LABELS),
    "precision": (metrics.precision, SIX_ANSWERS[:, :1]),
    "precision, macro": (functools.partial(metrics.precision, average="macro"), SIX_LABELS),
    "recall": (metrics.recall, SIX_ANSWERS[:, :1]),
    "recall, macro": (functools.partial(metrics.recall, average="macro"), SIX_ANSWERS),
    "f1": (metrics.f1, SIX_ANSWERS[:, :1]),
    "f1, macro": (functools.partial(metrics.f1, average="macro"), SIX_LABELS),
    "f1, micro": (functools.partial(metrics.f1, average="micro"), SIX_ANSWERS),
    "confusion_matrix": (metrics.confusion_matrix, SIX_LABELS),
    "log_loss": (metrics.log_loss, SIX_LABELS),
    "log_loss, yes or no": (metrics.log_loss, SIX_ANSWERS),
    "brier": (metrics.brier, SIX_LABELS),
    "brier, yes or no": (metrics.brier, SIX_ANSWERS),
    "expected_calibration_error": (metrics.expected_calibration_error, SIX_LABELS),
    "expected_calibration_error, yes or no": (
        functools.partial(metrics.expected_calibration_error, bins=2), SIX_ANSWERS
    ),
    "roc_auc": (metrics.roc_auc, SIX_ANSWERS[:, :1]),
    "roc_auc, labels": (metrics.roc_auc, SIX_LABELS),
    "mean_squared_error": (metrics.mean_squared_error, SIX_ANSWERS),
    "root_mean_squared_error": (metrics.root_mean_squared_error, SIX_ANSWERS),
    "mean_absolute_error": (metrics.mean_absolute_error, SIX_ANSWERS),
    "r2": (metrics.r2, SIX_ANSWERS),
}  # fmt: skip
"""Each metric, and targets for six rows of three outputs, or of one where the targets have one column."""
