"""Data: scaling, splits, and the order of batches.

Scalers are pytrees with ``fit``, ``apply`` and ``invert``; fit them on the training part only, or the test set leaks
into the model. Random order is a keyed bijection of the row numbers: nothing is sorted, and nothing is stored.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.types import Key


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


def split(
    arrays: Sequence[Any], parts: Sequence[float], *, key: Key, stratify: Any = None
) -> list[tuple[NDArray[Any], ...]]:
    """Split rows at random into parts, the same rows in every array.

    Args:
        arrays: arrays of shape (rows, ...), such as ``(x, y)``; they are not changed.
        parts: the share of each part, such as ``(0.7, 0.15, 0.15)``; they sum to 1.
        key: a random key; the same key gives the same split.
        stratify: labels of shape (rows,); each part then has every label in its share, to within one row.

    Returns:
        For each part a tuple with its rows of each array, in random order.

    Raises:
        TypeError: ``arrays`` is no sequence of arrays.
        ValueError: unequal lengths, shares that do not sum to 1, a part that would be empty.

    Example:
        >>> x, y = np.arange(10), np.array([0] * 5 + [1] * 5)
        >>> train, test = split((x, y), (0.6, 0.4), key=jax.random.key(0), stratify=y)
        >>> [part[0].shape for part in (train, test)], sorted(test[1].tolist())
        ([(6,), (4,)], [0, 0, 1, 1])
    """
    checks.random_key("key", key)
    if not isinstance(arrays, tuple | list) or not arrays:
        raise TypeError(f"arrays is a {type(arrays).__name__}; give a tuple of arrays, such as (x, y)")
    if not isinstance(parts, tuple | list):
        raise TypeError(f"parts is {parts!r}; give the share of each part, such as (0.8, 0.2)")
    seen = [np.asarray(a) for a in arrays]
    for i, a in enumerate(seen):
        if a.ndim == 0 or len(a) == 0:
            raise ValueError(f"arrays[{i}] has no rows; give an array with one entry or more per row")
    checks.same_rows(**{f"arrays[{i}]": a for i, a in enumerate(seen)})
    if not parts or min(parts) <= 0 or not math.isclose(sum(parts), 1.0, abs_tol=1e-6):
        raise ValueError(f"parts is {tuple(parts)}; give shares above 0 that sum to 1, such as (0.8, 0.2)")
    n = len(seen[0])
    rows = np.asarray(order(key, n))
    part_of_row = np.searchsorted(_ends(n, parts), np.arange(n), side="right")
    if stratify is not None:
        labels = np.asarray(stratify)
        if labels.ndim != 1:
            raise ValueError(f"stratify has shape {labels.shape}; give one label per row, of shape (rows,)")
        checks.same_rows(**{"arrays[0]": seen[0], "stratify": labels})
        by_label = np.argsort(labels[rows], kind="stable")
        part_of_row = _stratified_parts(labels[rows][by_label], parts)[np.argsort(by_label)]
    chosen = [rows[part_of_row == part] for part in range(len(parts))]
    if not all(len(c) for c in chosen):
        counts = ", ".join(str(len(c)) for c in chosen)
        raise ValueError(f"parts {tuple(parts)} of {n} rows would hold {counts} rows; give more rows")
    return [tuple(a[c] for a in seen) for c in chosen]


ROUNDS = 12
"""Rounds of the Feistel network behind ``order``; with 6, rows that are neighbours in the data are so too
often in the order, and with 8 the places of a handful of rows are still visibly uneven."""


def order(key: Key, n: int) -> Int[Array, "n"]:
    """The numbers 0 ... n - 1 in random order: each exactly once, without sorting.

    A Feistel network (Luby and Rackoff 1988) on pairs (left, right) with left < a, right < b, a b >= n: each
    round adds to one half a hash of the other, modulo its size, which can be undone and so is a bijection.
    Numbers that come out at n or above walk on through the network until they fall below ("cycle walking",
    Black and Rogaway 2002, section 4); a and b near sqrt(n) leave few of them.

    Args:
        key: a random key.
        n: how many numbers; at least 1 and at most 2^31 - 1.

    Returns:
        The numbers as int32, of shape (n,).

    Example:
        >>> sorted(order(jax.random.key(0), 6).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def permute(i: UInt32[Array, "n"]) -> UInt32[Array, "n"]:
        left, right = i // b, i % b
        for r in range(0, ROUNDS, 2):
            left = (left + _hash(right, round_keys[r]) % a) % a
            right = (right + _hash(left, round_keys[r + 1]) % b) % b
        return left * b + right

    def walk(state: tuple[Array, Array]) -> tuple[Array, Array]:
        i, walking = state
        i = jnp.where(walking, permute(i), i)
        return i, i >= n

    everyone = (jnp.arange(n, dtype=jnp.uint32), jnp.ones(n, bool))
    return jax.lax.while_loop(lambda state: jnp.any(state[1]), walk, everyone)[0].astype(jnp.int32)


def _hash(x: UInt32[Array, "n"], round_key: UInt32[Array, ""]) -> UInt32[Array, "n"]:
    """Mix 32 bits; the multipliers are those of murmur3's finaliser (Appleby 2011)."""
    x = x ^ round_key
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _ends(n: int, parts: Sequence[float]) -> NDArray[Any]:
    return np.rint(np.cumsum(parts) / np.sum(parts) * n).astype(int)


def _stratified_parts(labels: NDArray[Any], parts: Sequence[float]) -> NDArray[Any]:
    """Give each row of sorted labels its part: shares rounded down, and what is over to whom it is owed."""
    part_of_row, owed = [], np.zeros(len(parts))
    for count in np.unique(labels, return_counts=True)[1]:
        share = np.asarray(parts) / np.sum(parts) * count
        want = np.floor(share).astype(int)
        owed += share - want
        favoured = np.argsort(-owed, kind="stable")[: count - want.sum()]
        want[favoured] += 1
        owed[favoured] -= 1
        part_of_row.append(np.repeat(np.arange(len(parts)), want))
    return np.concatenate(part_of_row)


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
