"""Metrics of errors: how far the outputs lie from numbers.

z: outputs        y: targets        each of shape (rows, outputs)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmlp.losses import absolute_error, squared_error, weighted_mean
from jaxmlp.metrics import forms
from jaxmlp.types import wide


def mean_squared_error(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Mean of the squared errors over rows and outputs.

        mse = mean_ik( (z_ik - y_ik)^2 )

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
    return weighted_mean(squared_error(*_same_shape(outputs, targets)), weight)


def root_mean_squared_error(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Root of the mean squared error of each output, its mean over the outputs.

        rmse = mean_k sqrt( mean_i (z_ik - y_ik)^2 )

    As in scikit-learn; Keras takes one root over all outputs together.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: numbers of the same shape.
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        The error in units of the targets.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> print(root_mean_squared_error(jnp.array([[1.0, 0.0], [7.0, 0.0]]), jnp.zeros((2, 2))))  # (5 + 0) / 2
        2.5
    """
    outputs, y = _same_shape(outputs, targets)
    return jnp.mean(jnp.sqrt(_mean_of_columns(jnp.square(outputs - y), weight)))


def mean_absolute_error(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Mean of the absolute errors over rows and outputs.

        mae = mean_ik |z_ik - y_ik|

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: numbers of the same shape.
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        The error in units of the targets.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> mean_absolute_error(jnp.array([[1.0], [5.0]]), jnp.array([[1.0], [2.0]]))
        Array(1.5, dtype=float32)
    """
    return weighted_mean(absolute_error(*_same_shape(outputs, targets)), weight)


def r2(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Share of the targets' variance that the outputs explain, its mean over the outputs.

        r2 = mean_k( 1 - sum_i (z_ik - y_ik)^2 / sum_i (y_ik - mean_i y_ik)^2 )

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: numbers of the same shape.
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        A number of at most 1: 0 is what the mean of the targets reaches, and below is worse. As in scikit-learn,
        where an output's targets are all equal it is 1 if they are met and 0 if not, and with fewer than two
        rows that count it is NaN.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> print(r2(jnp.array([[0.0], [2.0], [5.0]]), jnp.array([[1.0], [3.0], [5.0]])))
        0.75
    """
    outputs, y = _same_shape(outputs, targets)
    w = forms.weights(outputs, weight)
    y_0 = y[jnp.argmax(w)][None, :]  # of a row that counts: equal targets leave exactly 0, whatever they are
    y, outputs = y - y_0, outputs - y_0
    unexplained = _mean_of_columns(jnp.square(outputs - y), w)
    variance = _mean_of_columns(jnp.square(y - _mean_of_columns(y, w)[None, :]), w)
    of_equal = jnp.where(unexplained == 0, 1, 0).astype(y.dtype)
    shares = jnp.where(variance > 0, 1 - unexplained / jnp.where(variance > 0, variance, 1), of_equal)
    return jnp.where(jnp.sum(w > 0) < 2, jnp.nan, jnp.mean(shares))


def _same_shape(outputs: Array, targets: Array) -> tuple[Array, Array]:
    if outputs.ndim != 2 or targets.shape != outputs.shape:
        raise ValueError(
            f"outputs have shape {outputs.shape} and targets {targets.shape}; give both of shape (rows, outputs)"
        )
    outputs = wide(outputs)
    return outputs, targets.astype(outputs.dtype)


def _mean_of_columns(values: Array, weight: Array | None) -> Float[Array, "outputs"]:
    return jax.vmap(weighted_mean, in_axes=(1, None))(values, weight)
