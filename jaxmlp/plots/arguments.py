"""What may be drawn: numbers of the right shape, points of a plane, classes; the rest is refused by a sentence."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxmlp import checks


def numbers(name: str, values: Any, shape: str) -> NDArray[Any]:
    """Return an array of floats of a shape such as "(steps, 2)"; NaN and infinity are let through.

    Args:
        name: the argument's name, for the message.
        values: an array of that shape, or what ``numpy.asarray`` takes.
        shape: a word for an axis of any length above 0, a number for one of that length.

    Returns:
        The array.

    Raises:
        TypeError: not numbers.
        ValueError: another shape, or nothing in it.

    Example:
        >>> numbers("path", [[0, 1], [2, 3]], "(steps, 2)").tolist()
        [[0.0, 1.0], [2.0, 3.0]]
        >>> numbers("path", [0, 1], "(steps, 2)")
        Traceback (most recent call last):
        ValueError: path has shape (2,); give an array of shape (steps, 2)
    """
    checks.not_traced(name, values, "draw outside of jit and vmap")
    try:
        seen = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be made numbers ({error}); give an array of shape {shape}") from error
    axes = [axis.strip() for axis in shape.strip("()").split(",") if axis.strip()]
    fits = seen.ndim == len(axes) and all(
        size == int(axis) if axis.isdigit() else size > 0 for size, axis in zip(seen.shape, axes, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has shape {seen.shape}; give an array of shape {shape}")
    return seen


def finite(name: str, values: Any, shape: str, advice: str = "fill or drop such rows first") -> NDArray[Any]:
    """Return an array of floats as ``numbers`` does, refusing NaN and infinity.

    Args:
        name: the argument's name, for the message.
        values: an array of that shape.
        shape: such as "(rows,)".
        advice: what to do, for the message.

    Returns:
        The array.

    Raises:
        TypeError: not numbers.
        ValueError: another shape, NaN or infinity.

    Example:
        >>> finite("true", [1.0, float("nan")], "(rows,)")
        Traceback (most recent call last):
        ValueError: true holds NaN or infinity in 1 place, the first at index (1,); fill or drop such rows first
    """
    seen = numbers(name, values, shape)
    bad = np.argwhere(~np.isfinite(seen))
    if len(bad):
        places = f"{len(bad)} place{'' if len(bad) == 1 else 's'}, the first at index {tuple(map(int, bad[0]))}"
        raise ValueError(f"{name} holds NaN or infinity in {places}; {advice}")
    return seen


def points(x: Any) -> NDArray[Any]:
    """Return the points of a plane, refusing more inputs than a picture has directions.

    Args:
        x: an array of shape (rows, 2).

    Returns:
        The array.

    Raises:
        ValueError: another number of inputs, NaN or infinity.

    Example:
        >>> points([[1, 2, 3]])
        Traceback (most recent call last):
        ValueError: x has 3 inputs, and a picture shows 2; give two of them, x[:, [0, 1]], and a predict that fills in
        the others
    """
    seen = finite("x", x, "(rows, inputs)")
    if seen.shape[1] != 2:
        advice = "two of them, x[:, [0, 1]], and a predict that fills in the others" if seen.shape[1] > 2 else "two"
        raise ValueError(f"x has {seen.shape[1]} inputs, and a picture shows 2; give {advice}")
    return seen


def yes_or_no(y: Any, rows: int) -> NDArray[Any]:
    """Return 1 where a label says yes and 0 where it says no.

    Args:
        y: labels 0 and 1, or -1 and 1, of shape (rows,) or (rows, 1).
        rows: how many there are to be.

    Returns:
        Whole numbers of shape (rows,).

    Raises:
        ValueError: other labels, or another number of them.

    Example:
        >>> yes_or_no([-1, 1, 1], 3)
        array([0, 1, 1])
    """
    seen = _labels(y, rows)
    if not (set(seen) <= {0, 1} or set(seen) <= {-1, 1}):
        raise ValueError(f"y holds {_named(seen)}; give 0 and 1, or -1 and 1, where there is one output")
    return (seen > 0).astype(int)


def classes(y: Any, rows: int, count: int) -> NDArray[Any]:
    """Return labels as whole numbers from 0 to ``count`` - 1.

    Args:
        y: labels of shape (rows,) or (rows, 1).
        rows: how many there are to be.
        count: how many classes there are.

    Returns:
        Whole numbers of shape (rows,).

    Raises:
        ValueError: other labels, or another number of them.

    Example:
        >>> classes([0, 2, 3], 3, 3)
        Traceback (most recent call last):
        ValueError: y holds 0, 2, 3; give whole numbers from 0 to 2, one for each of the 3 outputs
    """
    seen = _labels(y, rows)
    if not set(seen) <= set(range(count)):
        wanted = f"whole numbers from 0 to {count - 1}, one for each of the {count} outputs"
        raise ValueError(f"y holds {_named(seen)}; give {wanted}")
    return seen.astype(int)


def _labels(y: Any, rows: int) -> NDArray[Any]:
    seen = np.asarray(checks.array("y", y), float)
    seen = seen[:, 0] if seen.ndim == 2 and seen.shape[1] == 1 else seen
    if seen.shape != (rows,):
        raise ValueError(f"y has shape {seen.shape} for {rows} rows; give one label for each")
    return seen


def _named(labels: NDArray[Any]) -> str:
    found = np.unique(labels)
    return ", ".join(f"{label:g}" for label in found[:5]) + ", ..." * (len(found) > 5)
