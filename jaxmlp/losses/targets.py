"""Targets: what each loss wants of them, checked on the host before anything is compiled."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.losses.classification import sigmoid_binary_cross_entropy, sigmoid_focal, softmax_cross_entropy
from jaxmlp.losses.heads import PerHead, same_names
from jaxmlp.losses.margins import hinge, perceptron
from jaxmlp.losses.regression import absolute_error, huber, poisson, quantile, squared_error
from jaxmlp.types import Loss, Outputs, base

SUM_TOLERANCE = 0.01
"""How far the probabilities of a row may sum from 1, as those rounded to two places do."""


def targets_for(loss: Loss, name: str, y: Any, outputs: int | Mapping[str, int]) -> Outputs:
    """Turn targets on the host into what a loss wants, refusing what it would silently misread.

    Labels become int32, all else floats. JAX clamps an index outside an array, so a label that no class has
    would otherwise train the wrong one. A loss is known by its function, with or without numbers filled in by
    ``functools.partial``.

    Args:
        loss: one of this module, or a user's own, whose targets only have to be finite.
        name: the argument's name, for the messages.
        y: targets, an array of shape (rows, ...) or what ``numpy.asarray`` takes; or a mapping of them by head.
        outputs: the number of outputs of the net, or of each head by its name.

    Returns:
        The targets as a JAX array of shape (rows, ...), or one for each head.

    Raises:
        TypeError: labels of float type with fractions, a mapping where the net has no heads, no mapping where it has
            some; see also ``checks.array``.
        ValueError: another shape than the loss wants; labels outside 0 ... outputs - 1, probabilities outside 0 ... 1
            or of a sum other than 1, counts below 0, answers other than yes and no; a Python number of the loss out
            of its range; see ``checks.array``.

    Example:
        >>> targets_for(softmax_cross_entropy, "y", [0.0, 2.0], 3)
        Array([0, 2], dtype=int32)
        >>> import functools
        >>> targets_for(functools.partial(softmax_cross_entropy, label_smoothing=0.1), "y", [0, 3], 3)
        Traceback (most recent call last):
        ValueError: y holds the label 3 at row 1, but the net has 3 outputs; number the classes 0 ... 2
    """
    if isinstance(loss, PerHead):
        return _of_heads(loss, name, y, outputs)
    wanted = dict(_WANTED).get(base(loss))
    if wanted is None:
        of_heads = isinstance(y, Mapping)
        return {head: _any(f"{name}[{head!r}]", y[head]) for head in y} if of_heads else _any(name, y)
    if isinstance(y, Mapping) or isinstance(outputs, Mapping):
        what = f"the net has the heads {', '.join(outputs)}" if isinstance(outputs, Mapping) else f"{name} is a mapping"
        raise TypeError(
            f"{what}, but {base(loss).__name__} is for one output; give losses.PerHead with a loss for each head "
            "of a net with heads, or one output and one array of targets"
        )
    targets = wanted(base(loss), name, checks.array(name, y), outputs)
    # In a program the loss's own numbers may be traced; here they are Python's, and it checks them.
    jax.eval_shape(loss, jnp.zeros((1, outputs)), targets[:1])
    return targets


def _of_heads(loss: PerHead, name: str, y: Any, outputs: Any) -> dict[str, Any]:
    """Targets by head, each as its own loss wants them."""
    same_names(loss, outputs=outputs)
    if not isinstance(y, Mapping):
        heads = ", ".join(f"{head!r}: ..." for head in loss.by_head)
        raise TypeError(f"{name} is a {type(y).__name__}, but the net has heads; give their targets as {{{heads}}}")
    same_names(loss, **{name: y})
    return {head: targets_for(one, f"{name}[{head!r}]", y[head], outputs[head]) for head, one in loss.by_head.items()}


def _any(name: str, y: Any) -> jax.Array:
    """Targets of a loss that is a user's own: finite numbers, whole ones staying whole."""
    seen = checks.array(name, y)
    if jnp.issubdtype(seen.dtype, jnp.integer):
        return _whole_numbers(name, seen)
    return checks.to_floats(name, seen)


def _classes(loss: Any, name: str, seen: Any, outputs: int) -> jax.Array:
    """Labels of shape (rows,), or probabilities of shape (rows, outputs)."""
    if seen.ndim == 1:
        return _labels(loss, name, seen, outputs)
    if seen.shape[1:] != (outputs,):
        how = f"numpy.asarray({_variable(name)}).ravel()" if seen.size == len(seen) else "a net with as many outputs"
        raise ValueError(
            f"{name} has shape {seen.shape}, but {loss.__name__} wants labels of shape (rows,) or probabilities of "
            f"shape (rows, {outputs}); give {how}"
        )
    probabilities = _probabilities(loss, name, seen, outputs)
    sums = np.asarray(seen).sum(axis=1, dtype=np.float64)
    if (abs(sums - 1) > SUM_TOLERANCE).any():
        row = int(np.argmax(abs(sums - 1) > SUM_TOLERANCE))
        raise ValueError(
            f"{name} sums to {sums[row]:.4g} at row {row}; {loss.__name__} wants probabilities that sum to 1, or "
            "labels of shape (rows,); for several labels at once use sigmoid_binary_cross_entropy"
        )
    return probabilities


def _labels(loss: Any, name: str, seen: Any, classes: int) -> jax.Array:
    """Whole numbers 0 ... classes - 1 of shape (rows,)."""
    labels = np.asarray(seen)
    if jnp.issubdtype(labels.dtype, jnp.floating) and (labels != np.round(labels)).any():
        at = int(np.argwhere(labels != np.round(labels))[0][0])
        raise TypeError(
            f"{name} holds the label {labels[at]} at row {at}; {loss.__name__} wants whole numbers 0 ... {classes - 1}"
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(np.argwhere(outside)[0][0])
        raise ValueError(
            f"{name} holds the label {labels[at]} at row {at}, but the net has {classes} outputs; "
            f"number the classes 0 ... {classes - 1}"
        )
    return jnp.asarray(labels.astype(np.int32))


def _numbers(loss: Any, name: str, seen: Any, outputs: int) -> jax.Array:
    """Any numbers of shape (rows, outputs)."""
    del loss
    if seen.shape[1:] != (outputs,):
        how = f", such as numpy.asarray({_variable(name)})[:, None]" if seen.ndim == 1 and outputs == 1 else ""
        raise ValueError(
            f"{name} has shape {seen.shape}, but the net has {outputs} outputs; "
            f"give targets of shape (rows, {outputs}){how}"
        )
    return checks.to_floats(name, seen)


def _probabilities(loss: Any, name: str, seen: Any, outputs: int) -> jax.Array:
    """Numbers 0 ... 1 of shape (rows, outputs)."""
    numbers, targets = _numbers(loss, name, seen, outputs), np.asarray(seen)
    _refuse_where((targets < 0) | (targets > 1), name, targets, loss, "0, 1 or a probability between them")
    return numbers


def _counts(loss: Any, name: str, seen: Any, outputs: int) -> jax.Array:
    """Numbers of at least 0 of shape (rows, outputs)."""
    numbers, targets = _numbers(loss, name, seen, outputs), np.asarray(seen)
    _refuse_where(targets < 0, name, targets, loss, "counts of at least 0")
    return numbers


def _answers(loss: Any, name: str, seen: Any, outputs: int) -> jax.Array:
    """Labels of shape (rows,), or yes and no of shape (rows, outputs): 1 and 0, or 1 and -1."""
    if seen.ndim == 1 and outputs > 1:
        return _labels(loss, name, seen, outputs)
    numbers, targets = _numbers(loss, name, seen, outputs), np.asarray(seen)
    no = -1 if bool((targets == -1).any()) else 0
    _refuse_where((targets != no) & (targets != 1), name, targets, loss, "1 and 0, or 1 and -1, for yes and no")
    return numbers


def _refuse_where(wrong: NDArray[Any], name: str, targets: NDArray[Any], loss: Any, wanted: str) -> None:
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name} holds {targets[index]} at index {index}; {loss.__name__} wants {wanted}")


def _whole_numbers(name: str, seen: Any) -> jax.Array:
    numbers = jnp.asarray(seen)
    if (np.asarray(numbers) != np.asarray(seen)).any():
        raise ValueError(
            f"{name} holds whole numbers that do not fit into {numbers.dtype}; give floats or smaller ones"
        )
    return numbers


def _variable(name: str) -> str:
    """Return the name that the user wrote: "y" of "validation y"."""
    return name.removeprefix("validation ")


_WANTED: tuple[tuple[Loss, Callable[[Any, str, Any, int], jax.Array]], ...] = (
    (softmax_cross_entropy, _classes),
    (sigmoid_binary_cross_entropy, _probabilities),
    (sigmoid_focal, _probabilities),
    (hinge, _answers),
    (perceptron, _answers),
    (squared_error, _numbers),
    (absolute_error, _numbers),
    (huber, _numbers),
    (quantile, _numbers),
    (poisson, _counts),
)
