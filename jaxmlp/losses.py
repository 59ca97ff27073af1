"""Losses: how wrong the outputs are, one number per row.

The library takes one weighted mean over the rows (``weighted_mean``); sample weights, class weights, folds
and the padding of the last batch are that one mechanism. ``outputs`` are raw: each loss holds the squashing
that it needs, which keeps it exact where a probability would round to 0 or 1.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Shaped
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.types import Loss


def softmax_cross_entropy(logits: Float[Array, "rows classes"], labels: Int[Array, "rows"]) -> Float[Array, "rows"]:
    """Cross-entropy of classes that exclude each other: minus the log of the true class's probability.

        l = -log softmax(logits)_label = log(sum_j exp(logits_j)) - logits_label

    Args:
        logits: raw outputs of shape (rows, classes).
        labels: whole numbers 0 ... classes - 1 of shape (rows,).

    Returns:
        Losses in nats, of shape (rows,); log(classes) for a net that knows nothing.

    Raises:
        ValueError: the shapes do not match, or the labels are no whole numbers.

    Example:
        >>> softmax_cross_entropy(jnp.array([[0.0, 0.0], [1000.0, 0.0]]), jnp.array([1, 0]))
        Array([0.6931472, 0.       ], dtype=float32)
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits have shape {logits.shape} and labels {labels.shape}; "
            "give logits of shape (rows, classes) and labels of shape (rows,)"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels have dtype {labels.dtype}; give whole numbers 0 ... classes - 1")
    return jnp.asarray(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def sigmoid_binary_cross_entropy(
    logits: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"]
) -> Float[Array, "rows"]:
    """Cross-entropy of yes-or-no answers, one per output; their mean is the row's loss.

        p = sigmoid(logit)
        l = -mean_k( target_k log(p_k) + (1 - target_k) log(1 - p_k) )

    Args:
        logits: raw outputs of shape (rows, outputs).
        targets: 0, 1 or a probability between them, of the same shape.

    Returns:
        Losses in nats, of shape (rows,); log(2) for a net that knows nothing.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> sigmoid_binary_cross_entropy(jnp.array([[0.0], [1000.0]]), jnp.array([[1.0], [1.0]]))
        Array([0.6931472, 0.       ], dtype=float32)
    """
    _refuse_other_shape("logits", logits, targets)
    losses = optax.sigmoid_binary_cross_entropy(logits, targets.astype(logits.dtype))
    return jnp.mean(losses, axis=tuple(range(1, logits.ndim)))


def squared_error(
    outputs: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"]
) -> Float[Array, "rows"]:
    """Squared error, its mean over the outputs of a row.

        l = mean_k( (output_k - target_k)^2 )

    There is no factor 1/2; scikit-learn's MLPRegressor has one.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: numbers of the same shape.

    Returns:
        Losses in squared units of the targets, of shape (rows,).

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> squared_error(jnp.array([[1.0, 5.0]]), jnp.array([[1.0, 2.0]]))
        Array([4.5], dtype=float32)
    """
    _refuse_other_shape("outputs", outputs, targets)
    errors = jnp.square(outputs - targets.astype(outputs.dtype))
    return jnp.mean(errors, axis=tuple(range(1, outputs.ndim)))


def weighted_mean(rows: Float[Array, "rows"], weight: Float[Array, "rows"] | None = None) -> Float[Array, ""]:
    """The mean of one number per row, each row counting as much as its weight says.

        mean = sum_i weight_i rows_i / sum_i weight_i        (0 where all weights are 0)

    A row of weight 0 does not count even if its number is NaN or infinite; its gradient does, so fill such rows.
    Sums are taken in float32 at least.

    Args:
        rows: numbers of shape (rows,).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        The mean, a scalar.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> weighted_mean(jnp.array([1.0, 2.0, 9.0]), jnp.array([1.0, 1.0, 0.0]))
        Array(1.5, dtype=float32)
    """
    rows = rows.astype(jnp.float32) if rows.dtype.itemsize < 4 else rows
    if weight is None:
        return jnp.mean(rows)
    if weight.shape != rows.shape:
        raise ValueError(
            f"weight has shape {weight.shape}, but there are {rows.shape[0]} rows; give one number per row"
        )
    weight = weight.astype(rows.dtype)
    total = jnp.sum(weight)
    return jnp.sum(jnp.where(weight > 0, weight * rows, 0)) / jnp.where(total > 0, total, 1)


def targets_for(loss: Loss, name: str, y: Any, outputs: int) -> jax.Array:
    """Turn targets on the host into what a loss wants, refusing what it would silently misread.

    Labels become int32, all else floats. JAX clamps an index outside an array, so a label that no class has
    would otherwise train the wrong one.

    Args:
        loss: one of this module, or a user's own, whose targets only have to be finite.
        name: the argument's name, for the messages.
        y: targets, an array of shape (rows, ...) or what ``numpy.asarray`` takes.
        outputs: the number of outputs of the net.

    Returns:
        The targets as a JAX array of shape (rows, ...).

    Raises:
        TypeError: labels of float type with fractions; see also ``checks.array``.
        ValueError: labels outside 0 ... outputs - 1, probabilities outside 0 ... 1; see ``checks.array``.

    Example:
        >>> targets_for(softmax_cross_entropy, "y", [0.0, 2.0], 3)
        Array([0, 2], dtype=int32)
        >>> targets_for(softmax_cross_entropy, "y", [0, 3], 3)
        Traceback (most recent call last):
        ValueError: y holds the label 3 at row 1, but the net has 3 outputs; number the classes 0 ... 2
    """
    seen = checks.array(name, y)
    if loss is softmax_cross_entropy:
        return _labels(name, seen, outputs)
    if loss in (squared_error, sigmoid_binary_cross_entropy):
        _refuse_other_columns(name, seen, outputs)
        if loss is sigmoid_binary_cross_entropy:
            _refuse_improbable(name, np.asarray(seen))
        return checks.to_floats(name, seen)
    if jnp.issubdtype(seen.dtype, jnp.integer):
        return _whole_numbers(name, seen)
    return checks.to_floats(name, seen)


def _labels(name: str, seen: Any, classes: int) -> jax.Array:
    labels = np.asarray(seen)
    if labels.ndim != 1:
        how = "ravel()" if labels.size == len(labels) else "argmax(axis=1) if it is one-hot"
        raise ValueError(
            f"{name} has shape {labels.shape}, but softmax_cross_entropy wants labels of shape (rows,); "
            f"give numpy.asarray({name.split()[-1]}).{how}"
        )
    if jnp.issubdtype(labels.dtype, jnp.floating) and (labels != np.round(labels)).any():
        at = int(np.argwhere(labels != np.round(labels))[0][0])
        raise TypeError(
            f"{name} holds the label {labels[at]} at row {at}; "
            f"softmax_cross_entropy wants whole numbers 0 ... {classes - 1}"
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(np.argwhere(outside)[0][0])
        raise ValueError(
            f"{name} holds the label {labels[at]} at row {at}, but the net has {classes} outputs; "
            f"number the classes 0 ... {classes - 1}"
        )
    return jnp.asarray(labels.astype(np.int32))


def _whole_numbers(name: str, seen: Any) -> jax.Array:
    numbers = jnp.asarray(seen)
    if (np.asarray(numbers) != np.asarray(seen)).any():
        raise ValueError(
            f"{name} holds whole numbers that do not fit into {numbers.dtype}; give floats or smaller ones"
        )
    return numbers


def _refuse_other_columns(name: str, seen: Any, outputs: int) -> None:
    if seen.shape[1:] != (outputs,):
        how = f", such as numpy.asarray({name.split()[-1]})[:, None]" if seen.ndim == 1 and outputs == 1 else ""
        raise ValueError(
            f"{name} has shape {seen.shape}, but the net has {outputs} outputs; "
            f"give targets of shape (rows, {outputs}){how}"
        )


def _refuse_improbable(name: str, targets: NDArray[Any]) -> None:
    outside = (targets < 0) | (targets > 1)
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(
            f"{name} holds {targets[index]} at index {index}; "
            "sigmoid_binary_cross_entropy wants 0, 1 or a probability between them"
        )


def _refuse_other_shape(name: str, outputs: Array, targets: Array) -> None:
    if outputs.shape != targets.shape:
        hint = ", such as y[:, None]" if targets.ndim == outputs.ndim - 1 else ""
        raise ValueError(
            f"{name} have shape {outputs.shape} and targets {targets.shape}; "
            f"give targets of the same shape as the net's outputs{hint}"
        )
