"""Folds: which rows train and which are held out, fold by fold, all of one shape.

A fold is rows by number. Folds of unequal size are filled up with row 0 at weight 0, so that all of them run as one
program; a fold that needs no filling trains on just the batches that its own rows would make.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from jaxmlp import checks, data
from jaxmlp.types import Batch, Key


class Part(NamedTuple):
    """Rows by number, and how much they count: 1, or 0 for those that fill up; None where all of them count."""

    rows: Int[Array, "... rows"]
    weight: Float[Array, "... rows"] | None = None

    def of(self, batch: Batch) -> Batch:
        """Take the rows out of a batch."""
        taken: Batch = jax.tree.map(lambda array: jnp.take(array, self.rows, axis=0, mode="clip"), batch)
        if self.weight is None:
            return taken
        weight = self.weight if taken.weight is None else taken.weight * self.weight
        return taken._replace(weight=weight)


class Folds(NamedTuple):
    """For each fold the rows that train and those that are held out, and how the inputs are scaled."""

    train: Part
    held_out: Part
    scaler: Any = None  # its numbers with a leading axis of folds


def parts(rows_of_parts: Sequence[NDArray[Any]]) -> Part:
    """Return parts of unequal size as one array, filled up with rows of weight 0.

    Example:
        >>> parts([np.array([3, 4]), np.array([5])])
        Part(rows=Array([[3, 4],
               [5, 0]], dtype=int32), weight=Array([[1., 1.],
               [1., 0.]], dtype=float32))
    """
    size = max(map(len, rows_of_parts))
    rows = np.stack([np.pad(part, (0, size - len(part))) for part in rows_of_parts])
    weight = np.stack([np.arange(size) < len(part) for part in rows_of_parts])
    return Part(jnp.asarray(rows, jnp.int32), None if weight.all() else jnp.asarray(weight, float))


def assign(n: int, folds: int, *, key: Key, stratify: Any = None, groups: Any = None) -> NDArray[Any]:
    """Say for each row in which fold it is held out.

    Args:
        n: rows.
        folds: how many, at least 2.
        key: a random key.
        stratify: labels of shape (n,); each fold then has every label in its share, to within one row.
        groups: labels of shape (n,), such as the patient a row is of; rows of a group are never in two folds. The
            folds are then as equal in size as the groups allow, the largest group going first to the emptiest fold.

    Returns:
        Numbers from 0 to folds - 1, of shape (n,).

    Raises:
        ValueError: fewer rows, groups, or rows of a label than folds; both ``stratify`` and ``groups``.

    Example:
        >>> fold = assign(6, 3, key=jax.random.key(0), stratify=np.array([0, 0, 0, 1, 1, 1]))
        >>> sorted(fold[:3].tolist()), sorted(fold[3:].tolist())
        ([0, 1, 2], [0, 1, 2])
    """
    folds = checks.whole_number("folds", folds, 2)
    if n < folds:
        raise ValueError(f"folds is {folds}, but there are {n} rows; give at most {n}")
    if stratify is not None and groups is not None:
        raise ValueError(
            "stratify and groups are both given; a group cannot be divided to keep the shares, so give one"
        )
    shuffled = np.asarray(_order(key, n))
    if groups is not None:
        return _by_group(_labels("groups", groups, n), folds, shuffled)
    fold = np.empty(n, int)
    if stratify is None:
        fold[shuffled] = np.arange(n) % folds
        return fold
    labels = _labels("stratify", stratify, n)
    sorted_rows = shuffled[np.argsort(labels[shuffled], kind="stable")]
    found, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        label = found[counts.argmin()]
        some = f"at most {counts.min()} folds" if counts.min() > 1 else "labels that several rows share"
        raise ValueError(
            f"folds is {folds}, but class {label} has {counts.min()} rows, so that some fold would lack it; give "
            f"{some}, or stratify=None"
        )
    # Row after row of one label, so that none is more than a row off its share.
    fold[sorted_rows] = np.arange(n) % folds
    return fold


_order = jax.jit(data.order, static_argnums=1)


def in_order(rows_of_parts: Sequence[NDArray[Any]], of_parts: Sequence[Any]) -> Any:
    """Put what was computed part by part back in the order of the rows.

    Args:
        rows_of_parts: the rows of each part by number, each row in one of them.
        of_parts: for each part a pytree of arrays with its rows first.

    Returns:
        A pytree of arrays with all rows first.

    Example:
        >>> in_order([np.array([2, 0]), np.array([1])], [jnp.array([20.0, 0.0]), jnp.array([10.0])])
        Array([ 0., 10., 20.], dtype=float32)
    """
    back = np.argsort(np.concatenate(rows_of_parts))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[back], *of_parts)


def _by_group(groups: NDArray[Any], folds: int, shuffled: NDArray[Any]) -> NDArray[Any]:
    _, first, place, counts = np.unique(groups[shuffled], return_index=True, return_inverse=True, return_counts=True)
    if len(counts) < folds:
        raise ValueError(f"folds is {folds}, but there are {len(counts)} groups; give at most {len(counts)}")
    sizes, of_group = np.zeros(folds, int), np.empty(len(counts), int)
    for group in np.lexsort((first, -counts)):  # the largest first, in random order where they are alike
        of_group[group] = sizes.argmin()
        sizes[of_group[group]] += counts[group]
    fold = np.empty(len(groups), int)
    fold[shuffled] = of_group[place.reshape(-1)]
    return fold


def _labels(name: str, labels: Any, n: int) -> NDArray[Any]:
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{name} has shape {labels.shape}; give one label for each of the {n} rows")
    return labels
