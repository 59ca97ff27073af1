"""Metrics of answers: how many are right, and of which kind the wrong ones are.

tp, fp, fn: sums of the weights of rows rightly taken for a class, wrongly taken for it, wrongly not taken for it
"""

from typing import Literal, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmlp import checks
from jaxmlp.losses import weighted_mean
from jaxmlp.metrics import forms
from jaxmlp.types import wide

Average: TypeAlias = Literal["binary", "macro", "micro"]
"""Over what precision, recall and F1 are taken: the second of two classes, each class alone, all answers."""


def accuracy(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Share of the answers that are right.

    Targets of shape (rows,) are labels, and the answer is the class of the largest output. Targets of the
    outputs' own shape are yes (1) or no (0), and the answer is yes where the raw output is above 0, that is
    a probability above one half; with several outputs each counts for its part of the row, where scikit-learn
    wants all of them right.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, outputs).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> accuracy(jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), jnp.array([0, 1, 1]))
        Array(0.6666667, dtype=float32)
        >>> accuracy(jnp.array([[2.0], [-1.0]]), jnp.array([[1.0], [1.0]]))
        Array(0.5, dtype=float32)
    """
    if forms.are_labels(outputs, targets):
        right = (jnp.argmax(outputs, axis=1) == targets.astype(int)).astype(wide(outputs).dtype)
    else:
        answers, truth = forms.yes_or_no(outputs, targets)
        right = jnp.mean((answers == truth).astype(wide(outputs).dtype), axis=1)
    return weighted_mean(right, weight)


def top_k_accuracy(
    outputs: Float[Array, "rows classes"],
    labels: Shaped[Array, "rows"],
    weight: Float[Array, "rows"] | None = None,
    *,
    k: int = 5,
) -> Float[Array, ""]:
    """Share of the rows whose class is among those of the k largest outputs.

    Of equal outputs the first counts as the larger, as in ``accuracy``, which is k = 1; scikit-learn prefers the
    last.

    Args:
        outputs: raw outputs of shape (rows, classes).
        labels: whole numbers 0 ... classes - 1 of shape (rows,).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.
        k: how many guesses a row has, 1 ... classes.

    Returns:
        A number from 0 to 1.

    Raises:
        TypeError: ``k`` is no whole number.
        ValueError: ``k`` is out of its range, the shapes do not match, or the labels are no whole numbers.

    Example:
        >>> outputs = jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        >>> top_k_accuracy(outputs, jnp.array([0, 1, 2]), k=2)
        Array(0.6666667, dtype=float32)
    """
    _refuse_other_than_labels(outputs, labels, weight)
    classes = outputs.shape[1]
    if checks.whole_number("k", k, 1) > classes:
        raise ValueError(f"k is {k}, but there are {classes} classes; give a whole number 1 ... {classes}")
    label = labels[:, None].astype(int)
    of_label = jnp.take_along_axis(outputs, label, axis=1)
    behind = (outputs < of_label) | ((outputs == of_label) & (jnp.arange(classes)[None, :] >= label))
    ahead = jnp.sum(~behind, axis=1)  # NaN is neither smaller nor equal: it is ahead of all, as for argmax
    return weighted_mean((ahead < k).astype(wide(outputs).dtype), weight)


def balanced_accuracy(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Mean over the classes of the share of their rows that is found, so that rare classes count as much.

        mean_c( tp_c / (tp_c + fn_c) )        over the classes c that have rows

    One half for two classes, 1 / classes for several, is what guessing gives.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, 1).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        A number from 0 to 1; 0 if no row counts.

    Raises:
        ValueError: the shapes do not match, or there are several yes-or-no outputs.

    Example:
        >>> outputs = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])  # always class 0
        >>> balanced_accuracy(outputs, jnp.array([0, 0, 0, 1]))
        Array(0.5, dtype=float32)
    """
    outputs, targets = forms.two_classes(outputs, targets)
    if not forms.are_labels(outputs, targets):
        raise ValueError(
            f"targets have shape {targets.shape}, several yes-or-no answers a row; "
            "give labels, or one output, or use recall with average='macro'"
        )
    tp, _, fn, _ = _counts(outputs, targets, weight, "macro")
    return weighted_mean(_ratio(tp, tp + fn), (tp + fn > 0).astype(tp.dtype))


def precision(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
    *,
    average: Average = "binary",
) -> Float[Array, ""]:
    """Share of what was taken for a class that belongs to it.

        tp / (tp + fp)        0 if nothing was taken for it

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, outputs).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.
        average: "binary" for class 1 of two, or yes of one output; "macro" for the mean over the classes that
            occur, in truth or among the answers, or over all yes-or-no outputs; "micro" for all answers together.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the shapes do not match, or "binary" is asked of more than two classes or one output.

    Example:
        >>> outputs, targets = jnp.array([[1.0], [1.0], [1.0], [-1.0]]), jnp.array([[1], [0], [0], [1]])
        >>> print(precision(outputs, targets), recall(outputs, targets), f1(outputs, targets))
        0.33333334 0.5 0.4
    """
    tp, fp, _, occurring = _counts(outputs, targets, weight, average)
    return _averaged(tp, tp + fp, occurring, average)


def recall(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
    *,
    average: Average = "binary",
) -> Float[Array, ""]:
    """Share of what belongs to a class that was found.

        tp / (tp + fn)        0 if nothing belongs to it

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, outputs).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.
        average: "binary" for class 1 of two, or yes of one output; "macro" for the mean over the classes that
            occur, in truth or among the answers, or over all yes-or-no outputs; "micro" for all answers together.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the shapes do not match, or "binary" is asked of more than two classes or one output.

    Example:
        >>> outputs, labels = jnp.array([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), jnp.array([0, 0, 1])
        >>> print(recall(outputs, labels, average="macro"), recall(outputs, labels, average="micro"))
        0.5 0.6666667
    """
    tp, _, fn, occurring = _counts(outputs, targets, weight, average)
    return _averaged(tp, tp + fn, occurring, average)


def f1(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
    *,
    average: Average = "binary",
) -> Float[Array, ""]:
    """The harmonic mean of precision and recall.

        2 tp / (2 tp + fp + fn)        0 if the class neither occurs nor is answered

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, outputs).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.
        average: "binary" for class 1 of two, or yes of one output; "macro" for the mean over the classes that
            occur, in truth or among the answers, or over all yes-or-no outputs; "micro" for all answers together.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the shapes do not match, or "binary" is asked of more than two classes or one output.

    Example:
        >>> outputs, labels = jnp.array([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]]), jnp.array([0, 1, 1, 1])
        >>> print(f1(outputs, labels))  # precision 1, recall 2/3
        0.8
    """
    tp, fp, fn, occurring = _counts(outputs, targets, weight, average)
    return _averaged(2 * tp, 2 * tp + fp + fn, occurring, average)


def confusion_matrix(
    outputs: Float[Array, "rows classes"],
    labels: Shaped[Array, "rows"],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, "classes classes"]:
    """How often each class (row) was taken for each class (column).

    Args:
        outputs: raw outputs of shape (rows, classes).
        labels: whole numbers 0 ... classes - 1 of shape (rows,).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        Sums of weights of shape (classes, classes), in float32 at least.

    Raises:
        ValueError: the shapes do not match, or the labels are no whole numbers.

    Example:
        >>> confusion_matrix(jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), jnp.array([0, 1, 1]))
        Array([[1., 0.],
               [1., 1.]], dtype=float32)
    """
    _refuse_other_than_labels(outputs, labels, weight)
    classes, dtype = outputs.shape[1], jnp.zeros(()).dtype
    counts = jnp.ones(labels.shape, jnp.int32) if weight is None else jnp.asarray(weight).astype(dtype)
    empty = jnp.zeros((classes, classes), counts.dtype)  # in float32 a count would stop at 2^24
    return empty.at[labels, jnp.argmax(outputs, axis=-1)].add(counts).astype(dtype)


def _counts(outputs: Array, targets: Array, weight: Array | None, average: str) -> tuple[Array, Array, Array, Array]:
    """Return tp, fp and fn of each class or output, and 1 for those that enter the mean over them, else 0.

    They are those that scikit-learn takes: every output, but of classes only what occurs, in rows that count. If
    ``average`` is "binary", it is the second class alone.
    """
    checks.one_of("average", average, ("binary", "macro", "micro"))
    outputs, targets = forms.two_classes(outputs, targets)
    exclusive = forms.are_labels(outputs, targets)
    answers, truth = forms.yes_or_no(outputs, targets)
    if average == "binary":
        if not (exclusive and outputs.shape[1] == 2):
            raise ValueError(
                f"average is 'binary', but outputs have shape {outputs.shape} and targets {targets.shape}; "
                "give 'macro' or 'micro' for more than two classes or one output"
            )
        answers, truth = answers[:, 1:], truth[:, 1:]
    w = forms.weights(outputs, weight)[:, None]
    tp, fp, fn = (jnp.sum(jnp.where(a, w, 0), axis=0) for a in (answers & truth, answers & ~truth, ~answers & truth))
    occurring = tp + fp + fn > 0 if exclusive else jnp.ones(tp.shape, bool)
    return tp, fp, fn, occurring.astype(tp.dtype)


def _ratio(part: Array, whole: Array) -> Array:
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def _averaged(part: Array, whole: Array, occurring: Array, average: str) -> Float[Array, ""]:
    if average == "micro":
        return _ratio(jnp.sum(part), jnp.sum(whole))
    return weighted_mean(_ratio(part, whole), occurring)


def _refuse_other_than_labels(outputs: Array, labels: Array, weight: Array | None) -> None:
    shape = outputs.shape[:1]
    if outputs.ndim != 2 or labels.shape != shape or (weight is not None and weight.shape != shape):
        of_weight = "" if weight is None else f" and weight {weight.shape}"
        raise ValueError(
            f"outputs have shape {outputs.shape} and labels {labels.shape}{of_weight}; "
            "give outputs of shape (rows, classes), and labels and weight of shape (rows,)"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels have dtype {labels.dtype}; give whole numbers 0 ... classes - 1")
