"""Scalers: pytrees with ``fit``, ``apply`` and ``invert``.

Notation: x is the data in its own units, z what the net sees.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import checks


class StandardScaler(NamedTuple):
    """Columns of mean 0 and standard deviation 1.

        z = (x - mean) / scale

    Example:
        >>> x = np.array([[1.0, 10.0], [3.0, 10.0]])
        >>> scaler = StandardScaler.fit(x)
        >>> scaler.apply(x)
        array([[-1.,  0.],
               [ 1.,  0.]])
        >>> scaler.invert(scaler.apply(x)).tolist() == x.tolist()
        True
    """

    mean: Any  # (columns,)
    scale: Any  # (columns,)

    @classmethod
    def fit(cls, x: Any) -> "StandardScaler":
        """Measure the columns of ``x``; a constant column gets the scale 1 and so becomes 0.

        Args:
            x: the training part, an array of shape (rows, ...) or what ``numpy.asarray`` takes.

        Returns:
            The scaler, in float64.

        Raises:
            TypeError: ``x`` is not numbers.
            ValueError: ``x`` is empty or not finite.

        Example:
            >>> StandardScaler.fit([[0.0], [2.0]]).mean
            array([1.])
        """
        seen = np.asarray(checks.array("x", x)).astype(np.float64)
        constant = seen.max(axis=0) == seen.min(axis=0)
        return cls(mean=seen.mean(axis=0), scale=np.where(constant, 1.0, seen.std(axis=0)))

    def apply(self, x: Any) -> Any:
        """Scale ``x``; a JAX array keeps its dtype, all else becomes NumPy float64.

        Args:
            x: an array of shape (..., columns).

        Returns:
            An array of the same shape.

        Example:
            >>> StandardScaler(mean=1.0, scale=2.0).apply(np.array([5.0]))
            array([2.])
        """
        x, (mean, scale) = _together(x, self)
        return (x - mean) / scale

    def invert(self, z: Any) -> Any:
        """Undo ``apply``.

        Args:
            z: an array of shape (..., columns).

        Returns:
            An array of the same shape, in the units of the data.

        Example:
            >>> StandardScaler(mean=1.0, scale=2.0).invert(np.array([2.0]))
            array([5.])
        """
        z, (mean, scale) = _together(z, self)
        return z * scale + mean


class MinMaxScaler(NamedTuple):
    """Columns from 0 to 1.

        z = (x - low) / width,    width = high - low

    Rows that were not in the training part may fall outside of [0, 1].

    Example:
        >>> x = np.array([[1.0, 10.0], [3.0, 10.0], [2.0, 10.0]])
        >>> MinMaxScaler.fit(x).apply(x)
        array([[0. , 0. ],
               [1. , 0. ],
               [0.5, 0. ]])
    """

    low: Any  # (columns,)
    width: Any  # (columns,)

    @classmethod
    def fit(cls, x: Any) -> "MinMaxScaler":
        """Measure the columns of ``x``; a constant column gets the width 1 and so becomes 0.

        Args:
            x: the training part, an array of shape (rows, ...) or what ``numpy.asarray`` takes.

        Returns:
            The scaler, in float64.

        Raises:
            TypeError: ``x`` is not numbers.
            ValueError: ``x`` is empty or not finite.

        Example:
            >>> MinMaxScaler.fit([[0.0], [2.0]]).width
            array([2.])
        """
        seen = np.asarray(checks.array("x", x)).astype(np.float64)
        low, high = seen.min(axis=0), seen.max(axis=0)
        return cls(low=low, width=np.where(high == low, 1.0, high - low))

    def apply(self, x: Any) -> Any:
        """Scale ``x``; a JAX array keeps its dtype, all else becomes NumPy float64.

        Args:
            x: an array of shape (..., columns).

        Returns:
            An array of the same shape.

        Example:
            >>> MinMaxScaler(low=1.0, width=2.0).apply(np.array([5.0]))
            array([2.])
        """
        x, (low, width) = _together(x, self)
        return (x - low) / width

    def invert(self, z: Any) -> Any:
        """Undo ``apply``.

        Args:
            z: an array of shape (..., columns).

        Returns:
            An array of the same shape, in the units of the data.

        Example:
            >>> MinMaxScaler(low=1.0, width=2.0).invert(np.array([2.0]))
            array([5.])
        """
        z, (low, width) = _together(z, self)
        return z * width + low


def _together(x: Any, scaler: Any) -> tuple[Any, Any]:
    """Bring an array and a scaler's numbers to one dtype: x's own for a JAX array, else float64."""
    on_device = isinstance(x, jax.Array)
    if not on_device:
        x = np.asarray(x, np.float64)
    elif not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(float)
    columns = np.shape(scaler[0])
    if x.shape[x.ndim - len(columns) :] != columns:
        raise ValueError(f"x has shape {x.shape}, but the scaler was fitted on rows of shape {columns}; give such rows")
    return x, tuple(jnp.broadcast_to(jnp.asarray(s, x.dtype), x.shape) for s in scaler) if on_device else tuple(scaler)
