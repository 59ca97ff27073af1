"""Metrics of probabilities: whether a net is as sure as it is right.

p: probabilities, softmax or sigmoid of the outputs        y: 1 for what is true, else 0
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmlp import checks
from jaxmlp.losses import sigmoid_binary_cross_entropy, softmax_cross_entropy, weighted_mean
from jaxmlp.metrics import forms
from jaxmlp.types import wide


def log_loss(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Minus the log of the probability that was given to the truth, its mean over the rows.

        mean_i( -log p_i,label )                                                    labels
        mean_ik( -y_ik log p_ik - (1 - y_ik) log(1 - p_ik) )        yes or no for each output

    It is the mean of ``losses.softmax_cross_entropy`` or ``losses.sigmoid_binary_cross_entropy``, without label
    smoothing, whatever loss was trained. scikit-learn takes probabilities and clips them; nothing is clipped here.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros, ones or probabilities of shape (rows, outputs); -1 counts as 0.
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        A number of nats, at least 0.

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> log_loss(jnp.array([[0.0, 0.0], [1000.0, 0.0]]), jnp.array([0, 0]))  # the mean of log(2) and 0
        Array(0.3465736, dtype=float32)
    """
    loss = softmax_cross_entropy if forms.are_labels(outputs, targets) else sigmoid_binary_cross_entropy
    return weighted_mean(loss(wide(outputs), forms.no_below_zero(targets)), weight)


def brier(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Brier's score: the squared distance of the probabilities from the truth (Brier 1950).

        mean_i sum_k (p_ik - y_ik)^2        labels; half of it for two classes
        mean_ik (p_ik - y_ik)^2             yes or no for each output

    As in scikit-learn, two classes score as one yes-or-no output does.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros, ones or probabilities of shape (rows, outputs); -1 counts as 0.
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        A number from 0 to 1; up to 2 for labels of more than two classes.

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> print(brier(jnp.array([[0.0], [100.0]]), jnp.array([[1.0], [1.0]])))
        0.125
        >>> print(brier(jnp.array([[0.0, 0.0], [0.0, 100.0]]), jnp.array([1, 1])))
        0.125
    """
    outputs = wide(outputs)
    if forms.are_labels(outputs, targets):
        p, (_, y) = jax.nn.softmax(outputs, axis=1), forms.yes_or_no(outputs, targets)
        scale = 1 / 2 if outputs.shape[1] == 2 else 1
        return weighted_mean(scale * jnp.sum(jnp.square(p - y.astype(p.dtype)), axis=1), weight)
    p, y = jax.nn.sigmoid(outputs), forms.no_below_zero(targets)
    return weighted_mean(jnp.mean(jnp.square(p - y.astype(p.dtype)), axis=1), weight)


def expected_calibration_error(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
    *,
    bins: int = 15,
) -> Float[Array, ""]:
    """How far confidence and accuracy lie apart (Naeini et al. 2015; Guo et al. 2017, equation 3).

        ece = sum_m share_m |accuracy_m - confidence_m|        bin m: ((m - 1) / bins, m / bins], m = 1 ... bins

    A row's confidence is the probability of its answer, and it goes into the bin that holds it. One yes-or-no
    output counts as two classes; of several each is a row of its own. The number depends on the bins: the more
    there are, the more noise counts as error.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, outputs).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.
        bins: how many bins of equal width, at least 1.

    Returns:
        A number from 0 to 1; 0 if no row counts.

    Raises:
        TypeError: ``bins`` is no whole number.
        ValueError: the shapes do not match, or ``bins`` is below 1.

    Example:
        >>> outputs = jnp.array([[0.0, -100.0]] * 4)  # certain that it is class 0, and right in three of four
        >>> print(expected_calibration_error(outputs, jnp.array([0, 0, 0, 1])))
        0.25
    """
    checks.whole_number("bins", bins, 1)
    outputs, w = wide(outputs), forms.weights(outputs, weight)
    if forms.are_labels(outputs, targets):
        confidence = jnp.max(jax.nn.softmax(outputs, axis=1), axis=1)
        right = jnp.argmax(outputs, axis=1) == targets.astype(int)
    else:
        answers, truth = forms.yes_or_no(outputs, targets)
        confidence, right = jax.nn.sigmoid(jnp.abs(outputs)).ravel(), (answers == truth).ravel()
        w = jnp.repeat(w, outputs.shape[1])
    bin_of = jnp.clip(jnp.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = jnp.where(w > 0, w * (right.astype(w.dtype) - confidence), 0)
    total = jnp.sum(w)
    return jnp.sum(jnp.abs(jnp.zeros(bins, w.dtype).at[bin_of].add(gap))) / jnp.where(total > 0, total, 1)
