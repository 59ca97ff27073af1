"""Metrics: what a person reads.

Each takes the outputs and targets of a whole data set, and optionally a weight per row, and returns one
number. They are pure and run inside the compiled program; a row of weight 0 does not count.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmlp.losses import squared_error, weighted_mean


def accuracy(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Share of the answers that are right.

    Targets of shape (rows,) are labels, and the answer is the class of the largest output. Targets of the
    outputs' own shape are yes (1) or no (0), and the answer is yes where the raw output is above 0, that is
    a probability above one half; with several outputs each counts for its part of the row.

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
    if targets.shape == outputs.shape:
        right = (outputs > 0) == (targets.astype(outputs.dtype) > 0.5)
    elif targets.shape == outputs.shape[:1] and outputs.shape[-1] > 1:
        right = (jnp.argmax(outputs, axis=-1) == targets)[:, None]
    else:
        raise ValueError(
            f"outputs have shape {outputs.shape} and targets {targets.shape}; "
            "give labels of shape (rows,) for two outputs or more, or zeros and ones of the outputs' shape"
        )
    return weighted_mean(jnp.mean(right.astype(outputs.dtype), axis=-1), weight)


def mean_squared_error(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Mean of the squared errors over rows and outputs.

        mse = mean_ik( (output_ik - target_ik)^2 )

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: numbers of the same shape.
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        The error in squared units of the targets.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> mean_squared_error(jnp.array([[1.0], [5.0]]), jnp.array([[1.0], [2.0]]))
        Array(4.5, dtype=float32)
    """
    return weighted_mean(squared_error(outputs, targets), weight)


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
    shape = outputs.shape[:1]
    if outputs.ndim != 2 or labels.shape != shape or (weight is not None and weight.shape != shape):
        of_weight = "" if weight is None else f" and weight {weight.shape}"
        raise ValueError(
            f"outputs have shape {outputs.shape} and labels {labels.shape}{of_weight}; "
            "give outputs of shape (rows, classes), and labels and weight of shape (rows,)"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels have dtype {labels.dtype}; give whole numbers 0 ... classes - 1")
    classes, dtype = outputs.shape[1], jnp.zeros(()).dtype
    counts = jnp.ones(shape, dtype) if weight is None else weight.astype(dtype)
    empty = jnp.zeros((classes, classes), dtype)
    return empty.at[labels, jnp.argmax(outputs, axis=-1)].add(counts)
