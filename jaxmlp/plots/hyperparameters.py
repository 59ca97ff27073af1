"""Hyperparameters: what their values come to, over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.plots import arguments, style

ROOM = 0.1
"""Between the results and the edge of the picture, as a share of their range; three times as much where marks stand."""

SQUASHED = 2
"""How many times farther than the reach of the sensible results others must lie, to be left out of the axis."""

MOST_COLUMNS = 8
"""More labels than these are turned, as they would run into each other."""


def ladder(
    values: Any,
    results: Any,
    *,
    name: str = "learning rate",
    result: str = "loss",
    larger_is_better: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Draw what each value of a hyperparameter comes to: the median over seeds in their band, the best marked.

    Results that are so much worse than the others that these would look all the same stand beyond the axis, as
    triangles at its edge.

    Args:
        values: of the hyperparameter, of shape (values,) in any order; along a scale of powers where none is below 0.
        results: for each value those of the seeds, of shape (values, seeds); NaN or infinite where a seed diverged,
            which is drawn as a cross at the upper edge.
        name: of the hyperparameter.
        result: of what was measured.
        larger_is_better: which end of the results is the best.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit, or a value that is not finite.

    Example:
        >>> axes = ladder([0.01, 0.1, 1.0], np.array([[0.5, 0.6], [0.1, 0.2], [np.nan, np.inf]]))
        >>> axes.get_xscale(), [text.get_text() for text in axes.get_legend().get_texts()]
        ('log', ['median of 2 seeds', 'lowest to highest', 'best, 0.1', 'diverged'])
    """
    seen = arguments.finite("values", values, "(values,)")
    found = arguments.numbers("results", results, "(values, seeds)")
    if len(seen) != len(found):
        raise ValueError(f"results has shape {found.shape} for {seen.size} values; give an array of (values, seeds)")
    axes = style.axes_or_new(axes, (5, 3.9))
    order = np.argsort(seen)
    seen, found = seen[order], np.where(np.isfinite(found[order]), found[order], np.nan)
    there = np.isfinite(found).any(axis=1)
    at, shown = seen[there], found[there]
    style.powers(axes, "x", seen)
    if style.wide_range(shown):
        style.powers(axes, "y", shown)
    if len(shown):
        median = np.nanmedian(shown, axis=1)
        axes.plot(at, median, color="black", marker="o", label=f"median of {found.shape[1]} seeds")
        low, high = np.nanmin(shown, axis=1), np.nanmax(shown, axis=1)
        axes.fill_between(at, low, high, color="black", alpha=0.15, linewidth=0, label="lowest to highest")
        whole = np.isfinite(shown).all(axis=1)
        if whole.any():
            costs = np.where(whole, -shown.mean(axis=1) if larger_is_better else shown.mean(axis=1), np.inf)
            best = int(costs.argmin())
            ring: dict[str, Any] = {"markersize": 11, "fillstyle": "none", "markeredgewidth": 2}
            axes.plot(at[best], median[best], "o", color="tab:orange", label=f"best, {at[best]:g}", **ring)
        _limit(axes, at, shown, larger_is_better)
    diverged = ~np.isfinite(found).all(axis=1)
    if diverged.any():
        _at_edge(axes, seen[diverged], 0.97, "x", "diverged")
    axes.set(xlabel=name, ylabel=result)
    style.legend_below(axes)
    return axes


def heat_map(
    rows: Sequence[Any],
    columns: Sequence[Any],
    results: Any,
    *,
    names: tuple[str, str] = ("row", "column"),
    result: str = "loss",
    larger_is_better: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Draw what each pair of two hyperparameters comes to, darker being better, with the numbers in the cells.

    Args:
        rows: values of the first hyperparameter.
        columns: values of the second.
        results: of shape (rows, columns); NaN or infinite where it diverged, which is drawn as a cross.
        names: of the two.
        result: of what was measured.
        larger_is_better: which end of the results is the best; the best has a frame.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> axes = heat_map([0.1, 1.0], [0, 1e-4], np.array([[0.5, 0.25], [np.nan, 0.75]]))
        >>> [text.get_text() for text in axes.texts]
        ['0.5', '0.25', 'x', '0.75']
    """
    found = arguments.numbers("results", results, "(rows, columns)")
    if found.shape != (len(rows), len(columns)):
        raise ValueError(
            f"results has shape {found.shape}; give one number for {len(rows)} rows, {len(columns)} columns"
        )
    finite = np.isfinite(found)
    texts = np.where(finite, np.vectorize("{:.3g}".format)(found), "x")
    wide = max(0.7, 0.1 + 0.085 * max(map(len, texts.ravel())))  # inches that a number takes
    axes = style.axes_or_new(axes, (max(5.0, wide * len(columns)), max(4.0, 0.35 * len(rows))))
    costs = np.where(finite, -found if larger_is_better else found, np.inf)
    # By rank, as one number far off would hide the rest.
    places = costs.ravel().argsort().argsort().reshape(costs.shape)
    shades = np.where(finite, 1 - places / max(1, finite.sum() - 1), 0.0)
    axes.imshow(shades, cmap="Greys", vmin=0, vmax=1.3, aspect="auto")
    for (row, column), text in np.ndenumerate(texts):
        color = "white" if shades[row, column] > 0.65 else "black"
        axes.text(column, row, str(text), ha="center", va="center", color=color)
    if finite.any():
        row, column = np.unravel_index(int(costs.argmin()), costs.shape)
        corner = (float(column) - 0.5, float(row) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="tab:orange", linewidth=2.5))
    crowded: dict[str, Any] = {"rotation": 60, "ha": "right"} if len(columns) > MOST_COLUMNS else {}
    axes.set_xticks(range(len(columns)), [style.short(value) for value in columns], **crowded)
    axes.set_yticks(range(len(rows)), [style.short(value) for value in rows])
    lost = "" if finite.all() else ", x diverged"
    axes.set(xlabel=names[1], ylabel=names[0], title=f"{result}, darker is better{lost}")
    return axes


def settings(
    labels: Sequence[str],
    results: Any,
    *,
    result: str = "loss",
    larger_is_better: bool = False,
    most: int = 20,
    axes: Axes | None = None,
) -> Axes:
    """Draw what settings come to, one line of dots each, a dot for each seed, the best at the top.

    Args:
        labels: what to call them.
        results: of shape (settings, seeds); those with NaN or infinity are left out, and counted in the title.
        result: of what was measured.
        larger_is_better: which end of the results is the best.
        most: how many are drawn, at least 1; the title says of how many.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> axes = settings(["relu", "tanh", "gelu"], np.array([[0.5, 0.6], [0.1, 0.2], [0.3, np.nan]]))
        >>> [label.get_text() for label in axes.get_yticklabels()], axes.get_title(loc="left")
        (['tanh', 'relu'], '1 with a diverged seed is left out')
    """
    most = checks.whole_number("most", most, 1)
    found = arguments.numbers("results", results, "(settings, seeds)")
    if len(found) != len(labels):
        raise ValueError(
            f"results has shape {found.shape} for {len(labels)} settings; give an array of (settings, seeds)"
        )
    whole = np.isfinite(found).all(axis=1)
    means = np.full(len(found), np.nan)
    means[whole] = found[whole].mean(axis=1)
    order = np.argsort(-means if larger_is_better else means)[: whole.sum()][:most]
    axes = style.axes_or_new(axes, (6, 1 + 0.25 * max(4, len(order))))
    for line, place in enumerate(order):
        axes.plot(found[place], np.full(found.shape[1], line), "o", color="tab:gray", alpha=0.6)
        axes.plot(means[place], line, "|", color="black", markersize=14, markeredgewidth=2)
    if style.wide_range(found[order]):
        style.powers(axes, "x", found[order])
    axes.set_yticks(range(len(order)), [labels[place] for place in order])
    axes.invert_yaxis()
    diverged = int((~whole).sum())
    said = [f"best {most} of {whole.sum()}"] * bool(whole.sum() > most)
    said += [f"{diverged} with a diverged seed {'is' if diverged == 1 else 'are'} left out"] * bool(diverged)
    axes.set_title("; ".join(said), loc="left", fontsize="small")
    axes.set(xlabel=f"{result} by seed")
    return axes


def _limit(axes: Axes, at: NDArray[Any], found: NDArray[Any], larger: bool) -> None:
    """Leave room for marks at the edge, and results out of the axis that are out of all proportion.

    With t the results along the axis, whose scale may be one of powers, those within reach of the best one stay::

        reach = max(4 |middle - best|, 2 powers of ten), or 20 |middle - best| along a linear axis

    and so do all if the worst lies within twice that reach.
    """
    log = axes.get_yscale() != "linear"
    above = found[found > 0]
    t = np.log10(np.maximum(found, above.min() / 10)) if log else found  # zeros one step below, where they are drawn
    cost = -t if larger else t
    best, apart = np.nanmin(cost), np.nanmedian(cost) - np.nanmin(cost)
    reach = max(4 * apart, 2.0) if log else 20 * apart
    beyond = cost > best + reach
    if reach == 0 or np.nanmax(cost) - best <= SQUASHED * reach:
        axes.margins(y=ROOM)
        return
    inside = np.isfinite(found) & ~beyond
    low, high = t[inside].min(), t[inside].max()
    room = ((high - low) or abs(high) or 1.0) * np.array([-3 * ROOM, ROOM] if larger else [-ROOM, 3 * ROOM])
    ends = np.array([low, high]) + room
    axes.set_ylim(*(10**ends if log else ends))
    if (found[inside] == 0).any():
        axes.set_ylim(bottom=-above.min() / 10 if log else None)
    worst = found[beyond].min() if larger else found[beyond].max()
    label = f"beyond the axis, {'down' if larger else 'up'} to {worst:.2g}"
    _at_edge(axes, at[beyond.any(axis=1)], 0.05 if larger else 0.88, "v" if larger else "^", label)


def _at_edge(axes: Axes, at: NDArray[Any], height: float, marker: str, label: str) -> None:
    """Mark values of a hyperparameter at a height between 0 and 1, whatever the axis shows there."""
    edge = axes.get_xaxis_transform()
    axes.plot(at, np.full(len(at), height), marker, color="tab:blue", transform=edge, label=label, linestyle="none")
