"""Predictions: what raw outputs mean to the loss that they were trained with."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp.losses.classification import sigmoid_binary_cross_entropy, sigmoid_focal, softmax_cross_entropy
from jaxmlp.losses.heads import PerHead
from jaxmlp.losses.regression import poisson
from jaxmlp.types import Loss, Outputs, base

MEANING = {
    softmax_cross_entropy: jax.nn.softmax,
    sigmoid_binary_cross_entropy: jax.nn.sigmoid,
    sigmoid_focal: jax.nn.sigmoid,
    poisson: jnp.exp,
}
"""What turns raw outputs into probabilities, or into the mean of counts; for other losses they are what they are."""


def predictions(loss: Loss, outputs: Outputs) -> Outputs:
    """Return what a net predicts, from its raw outputs.

        softmax_cross_entropy                           softmax(z), the probabilities of the classes
        sigmoid_binary_cross_entropy, sigmoid_focal     1 / (1 + exp(-z)), the probability of yes
        poisson                                         exp(z), the expected count
        others, user's own among them                   z

    Args:
        loss: with which the net was trained; ``PerHead`` for one with heads.
        outputs: raw outputs of shape (..., outputs), or a mapping of them by head.

    Returns:
        Predictions of the same shape.

    Example:
        >>> predictions(softmax_cross_entropy, jnp.array([0.0, 0.0]))
        Array([0.5, 0.5], dtype=float32)
    """
    if isinstance(loss, PerHead) and isinstance(outputs, Mapping):
        return {head: _of(loss.by_head[head], part) for head, part in outputs.items()}
    return _of(loss, outputs)


def _of(loss: Loss, outputs: Any) -> Any:
    meaning: Any = MEANING.get(base(loss))
    return outputs if meaning is None else meaning(outputs)
