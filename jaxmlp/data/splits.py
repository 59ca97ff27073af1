"""Splits: rows at random into a training part and others, every label in its share if wanted."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.data.order import order
from jaxmlp.types import Key


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
        >>> import jax
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
