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

from jaxmlp import activations, initializers, losses, masks, optimizers, regularizers, schedules

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
        stateless: whether it is the same at every step.
        acts_on: the leaves it changes by default, None for all.
    """

    make: Callable[..., Any]
    floats: dict[str, tuple[float, str]]
    params: Callable[[Any], Any] = small


def _adam_like(**more: tuple[float, str]) -> dict[str, tuple[float, str]]:
    return {"b1": (0.7, "[0, 1)"), "b2": (0.9, "[0, 1)"), "eps": (0.1, AT_LEAST_0), **more}


ROOT = {"eps_root": (0.1, AT_LEAST_0)}
AMSGRAD_RAW = functools.partial(optimizers.scale_by_amsgrad, maximum_of="raw")
CENTERED = functools.partial(optimizers.scale_by_rmsprop, centered=True)
EVERYTHING = {"mask": masks.everything}
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
LOSSES: dict[str, tuple[Callable[..., Any], Any]] = {
    "softmax_cross_entropy": (losses.softmax_cross_entropy, np.array([0, 2, 1, 1])),
    "sigmoid_binary_cross_entropy": (losses.sigmoid_binary_cross_entropy, np.eye(4, 3)),
    "squared_error": (losses.squared_error, np.arange(12.0).reshape(4, 3)),
}
"""Each loss, and targets for four rows of three outputs."""
