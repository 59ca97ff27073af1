"""The loss as a landscape over two weights, and the ways that optimizers take through it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from numpy.typing import NDArray

from jaxmlp.plots import arguments, style

LEVELS = 12
"""Contours of a surface."""

MARKS = 8
"""Marks along a path, at most."""


def loss_surface(
    columns: Any,
    rows: Any,
    losses: Any,
    *,
    paths: Mapping[str, Any] | None = None,
    names: tuple[str, str] = ("w 0", "w 1"),
    result: str = "loss",
    axes: Axes | None = None,
) -> Axes:
    """Draw the loss over a plane of two weights by its contours, lighter being lower, and paths on it.

    The levels are powers, counted from the lowest loss, so that the bottom of a valley shows as well as its walls.

    Args:
        columns: places along the first weight, ascending, of shape (columns,).
        rows: places along the second, ascending, of shape (rows,).
        losses: at each place, of shape (rows, columns); NaN or infinite places stay white and crossed.
        paths: where each optimizer went, by its name, of shape (steps, 2); a path ends where it is no longer finite.
        names: of the two weights.
        result: of what the contours show.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit, places that do not ascend, or a loss that is the same everywhere.

    Example:
        >>> at = np.linspace(-1, 1, 5)
        >>> axes = loss_surface(at, at, at[:, None] ** 2 + at**2, paths={"sgd": [[1.0, 1.0], [0.5, 0.5], [0.1, 0.1]]})
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['sgd, 2 steps', 'start']
    """
    across, up, found = _checked(columns, rows, losses)
    routes = {name: _route(name, path) for name, path in (paths or {}).items()}
    style.most_of("paths", len(routes))
    there = np.isfinite(found)
    low, span = found[there].min(), np.ptp(found[there])
    levels = _levels(found[there])
    shades = [f"{shade:.3f}" for shade in np.linspace(1.0, 0.55, len(levels) - 1)]
    axes = style.axes_or_new(axes, (6, 4.8))
    masked = np.ma.masked_where(~there, found)
    drawn = axes.contourf(across, up, masked, levels, colors=shades)
    axes.contour(across, up, masked, levels[1:-1], colors="0.45", linewidths=0.6)
    if not there.all():
        axes.patch.set(hatch="xx", edgecolor="0.6")
        axes.fill_between([], [], hatch="xx", facecolor="white", edgecolor="0.6", label="not finite")
    bar = axes.figure.colorbar(drawn, ax=axes, label=result)
    digits = 2 if abs(low) < span else 4  # enough to tell levels apart
    texts = [f"{level:.0f}" if 100 <= abs(level) < 1e5 else f"{level:.{digits}g}" for level in levels[::2]]
    bar.set_ticks(list(levels[::2]), labels=texts)
    ends = ((across[0], across[-1]), (up[0], up[-1]))
    for i, (name, route) in enumerate(routes.items()):
        _draw(axes, i, name, route, ends)
    axes.set(xlim=ends[0], ylim=ends[1], xlabel=names[0], ylabel=names[1])
    if routes:
        axes.plot([], [], "o", color="white", markeredgecolor="black", markersize=8, label="start")
    if routes or not there.all():
        style.legend_below(axes)
    return axes


def _checked(columns: Any, rows: Any, losses: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    across, up = arguments.finite("columns", columns, "(columns,)"), arguments.finite("rows", rows, "(rows,)")
    found = arguments.numbers("losses", losses, "(rows, columns)")
    for name, places in (("columns", across), ("rows", up)):
        if len(places) < 2 or (np.diff(places) <= 0).any():
            raise ValueError(f"{name} does not ascend over two places or more; give them as numpy.linspace does")
    if found.shape != (len(up), len(across)):
        raise ValueError(f"losses has shape {found.shape}; give one number for {len(up)} rows, {len(across)} columns")
    there = found[np.isfinite(found)]
    if not len(there) or np.ptp(there) == 0:
        what = "not finite anywhere" if not len(there) else f"{there[0]:g} everywhere"
        raise ValueError(f"losses is {what}, and so has no contours; give a plane on which it differs")
    return across, up, found


def _route(name: str, path: Any) -> NDArray[Any]:
    """Return a path up to where it is no longer finite, refusing one that goes through more than two weights."""
    if np.ndim(path) == 2 and np.shape(path)[1] > 2:
        raise ValueError(
            f"paths[{name!r}] goes through {np.shape(path)[1]} weights, and a picture shows 2; "
            "give its coordinates along two directions"
        )
    seen = arguments.numbers(f"paths[{name!r}]", path, "(steps, 2)")
    if not np.isfinite(seen[0]).all():
        raise ValueError(f"paths[{name!r}] begins with {seen[0]}; give a finite start")
    lost = np.flatnonzero(~np.isfinite(seen).all(axis=1))
    return seen[: lost[0] if len(lost) else None]


def _levels(losses: NDArray[Any]) -> NDArray[Any]:
    """Return the lowest loss, and powers above it, up to the highest; the first leaves 1 % of the plane below it."""
    above = losses - losses.min()
    first = max(np.quantile(above, 0.01), 1e-6 * above.max())
    first = min(first, above.max() / 2)
    return np.concatenate([[losses.min()], losses.min() + np.geomspace(first, above.max(), LEVELS)])


def _draw(axes: Axes, place: int, name: str, route: NDArray[Any], ends: Any) -> None:
    """Draw one path, with marks on the way, a white start and a large end; say if it leaves the picture."""
    color, dashes = style.LINES[place]
    marker = style.MARKERS[place]
    (left, right), (bottom, top) = ends
    at = route[-1]
    outside = not (left <= at[0] <= right and bottom <= at[1] <= top)
    steps = len(route) - 1
    text = f"{name}, {steps} step{'' if steps == 1 else 's'}{', ends outside' if outside else ''}"
    rim = [patheffects.withStroke(linewidth=3, foreground="white")]
    marks: dict[str, Any] = {"marker": marker, "markersize": 3.5, "markevery": max(1, -(-steps // MARKS))}
    axes.plot(*route.T, color=color, linestyle=dashes, linewidth=1.6, label=text, path_effects=rim, **marks)
    axes.plot(*route[:1].T, "o", color="white", markeredgecolor="black", markersize=8, zorder=4)
    axes.plot(*route[-1:].T, marker, color=color, markeredgecolor="white", markersize=11, zorder=5)
