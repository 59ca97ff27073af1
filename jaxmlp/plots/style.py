"""What the pictures have in common: axes that need no display, lines and marks that survive black and white, scales."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

LINES: tuple[tuple[str, Any], ...] = (
    *(("black", "-"), ("tab:orange", "--"), ("tab:blue", "-."), ("tab:gray", ":")),
    *(("black", (0, (1, 1))), ("tab:orange", "-"), ("tab:blue", (0, (6, 2))), ("tab:gray", (0, (3, 1, 1, 1, 1, 1)))),
)
"""Colors and dashes of lines: no two of the same dashes are equally light."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Of points, by their class or line."""

BEFORE = "give parameters from before the run diverged"
"""What to do where parameters are not finite."""

BELOW_AXES, WIDTH_OF_HANDLE, WIDTH_OF_LETTER = 0.5, 0.5, 0.066
"""In inches: what ticks and label of an axis take, and what an entry of a legend takes besides its letters, and for
each of them."""


def axes_or_new(axes: Axes | None, size: tuple[float | int, float | int]) -> Axes:
    """Return axes, or make new ones of a size in inches."""
    return Figure(figsize=size, layout="constrained").add_subplot() if axes is None else axes


def legend_below(axes: Axes, handles: Sequence[Any] | None = None, texts: Sequence[str] | None = None) -> None:
    """Put the legend below the label of the horizontal axis, where it hides nothing, in as many columns as fit."""
    if handles is None or texts is None:
        handles, texts = axes.get_legend_handles_labels()
    figure = axes.figure
    inches = 1.1 * axes.get_position().width * figure.bbox.width / figure.dpi  # a little beside them may be used
    widths = [WIDTH_OF_HANDLE + WIDTH_OF_LETTER * max(map(len, text.split("\n"))) for text in texts]
    under = axes.transAxes + ScaledTranslation(0, -BELOW_AXES, figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": under}
    axes.legend(
        handles,
        texts,
        ncols=columns_that_fit(widths, inches),
        fontsize="small",
        frameon=False,
        borderaxespad=0.0,
        **place,
    )


def columns_that_fit(widths: Sequence[float], inches: Any) -> int:
    """Return in how many columns, of 4 at most, entries of these widths fit; a column is as wide as its widest entry.

    Example:
        >>> columns_that_fit([2.0, 1.0, 1.0], 3.5), columns_that_fit([2.0, 1.0, 1.0], 4.5)
        (2, 3)
    """
    fitting = [
        count
        for count in range(1, min(4, len(widths)) + 1)
        if sum(max(part) for part in np.array_split(widths, count)) <= inches
    ]
    return max(fitting, default=1)


def most_of(kind: str, count: int) -> None:
    """Refuse more lines or classes than there are dashes or markers."""
    if count > len(LINES):
        raise ValueError(f"there are {count} {kind}, and a picture tells {len(LINES)} apart; draw some of them")


def spread(count: int, most: int) -> NDArray[Any]:
    """Return the places of at most so many of a sequence, evenly spread, the first and the last among them.

    Args:
        count: how many there are.
        most: how many to keep, at least 2.

    Returns:
        Ascending places of shape (kept,).

    Example:
        >>> spread(3, 5), spread(10, 4)
        (array([0, 1, 2]), array([0, 3, 6, 9]))
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def powers(axes: Axes, axis: str, values: Any) -> None:
    """Scale the "x" or "y" axis by powers of ten, as far as these numbers allow.

    Zeros among them stand one step below the smallest of the others, rather than make all of it linear; numbers below
    0 do.
    """
    seen = np.asarray(values, float)
    seen = seen[np.isfinite(seen)]
    scale: dict[str, Any] = {"value": "linear"}
    if len(seen) and (seen >= 0).all() and (seen > 0).any():
        above = seen[seen > 0].min()
        scale = {"value": "log"} if (seen > 0).all() else {"value": "symlog", "linthresh": above, "linscale": 0.5}
    getattr(axes, f"set_{axis}scale")(**scale)


def wide_range(values: Any) -> bool:
    """Return whether positive numbers differ so much that powers of ten show them better; zeros do not count."""
    seen = np.asarray(values, float)
    seen = seen[np.isfinite(seen)]
    above = seen[seen > 0]
    return bool(len(above) and (seen >= 0).all() and above.max() > 10 * above.min())


def short(value: Any) -> str:
    """Return a hyperparameter as text, a float with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
