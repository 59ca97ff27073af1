"""Plots: one function, one picture.

Each draws on the matplotlib axes it is given, or on new ones that need no display, and returns them.
Lines differ by their dashes and shades by their lightness, so pictures survive black and white.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxmlp import checks

_LINES = (("black", "-"), ("tab:orange", "--"), ("tab:blue", "-."), ("tab:gray", ":"))

MOST_COLUMNS = 8
"""More labels than these are turned, as they would run into each other."""


def learning_curves(
    history: Mapping[str, Any],
    *,
    names: Sequence[str] = ("train/loss", "validation/loss"),
    best_epoch: int | None = None,
    log: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """Draw what a run measured after each epoch, or several runs as a mean line in their band.

    Args:
        history: for each name an array of shape (epochs,), or (runs, epochs) for several runs; NaN where a run
            had ended.
        names: what to draw; names that the history lacks are left out.
        best_epoch: marked by a vertical line, counted from 1.
        log: scale the vertical axis by powers of ten.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: the history has none of the names.

    Example:
        >>> axes = learning_curves({"train/loss": np.array([1.0, 0.5, 0.4])}, best_epoch=3)
        >>> axes.get_xlabel(), len(axes.lines)
        ('epoch', 2)
    """
    axes = Figure(figsize=(5, 3.5), layout="constrained").add_subplot() if axes is None else axes
    drawn = [name for name in names if name in history]
    if not drawn:
        raise ValueError(f"history has {', '.join(history)}; names asks for {', '.join(names)}, none of them")
    for (color, dashes), name in zip(_LINES, drawn, strict=False):
        runs = np.atleast_2d(np.asarray(history[name]))
        epochs = np.arange(1, runs.shape[1] + 1)
        reached = np.isfinite(runs).any(axis=0)
        mean = np.nanmean(runs[:, reached], axis=0)
        axes.plot(epochs[reached], mean, color=color, linestyle=dashes, label=name.replace("/", " "))
        if len(runs) > 1:
            low, high = np.nanmin(runs[:, reached], axis=0), np.nanmax(runs[:, reached], axis=0)
            axes.fill_between(epochs[reached], low, high, color=color, alpha=0.15, linewidth=0)
    if best_epoch:
        axes.axvline(best_epoch, color="tab:gray", linewidth=1, label=f"best epoch, {best_epoch}")
    positive = any((np.asarray(line.get_ydata(), float) > 0).any() for line in axes.lines)
    axes.set(xlabel="epoch", ylabel=drawn[0].split("/")[-1], yscale="log" if log and positive else "linear")
    axes.legend(frameon=False)
    return axes


def confusion_matrix(counts: Any, *, labels: Sequence[Any] | None = None, axes: Axes | None = None) -> Axes:
    """Draw how often each class (row) was taken for each class (column), with the numbers in the cells.

    Args:
        counts: an array of shape (classes, classes), such as ``metrics.confusion_matrix`` returns.
        labels: names of the classes; 0, 1, ... unless given.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: ``counts`` is not square.

    Example:
        >>> axes = confusion_matrix(np.array([[9, 1], [0, 5]]), labels=["no", "yes"])
        >>> [text.get_text() for text in axes.texts]
        ['9', '1', '', '5']
    """
    seen = np.asarray(checks.array("counts", counts))
    if seen.ndim != 2 or seen.shape[0] != seen.shape[1]:
        raise ValueError(f"counts has shape {seen.shape}; give as many columns as rows, one for each class")
    axes = Figure(figsize=(5, 5), layout="constrained").add_subplot() if axes is None else axes
    shares = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(seen):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:g}" if count else "", ha="center", va="center", color=color)
    ticks = range(len(seen))
    names = [str(label) for label in (ticks if labels is None else labels)]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return axes


def ladder(
    values: Sequence[float],
    results: Any,
    *,
    name: str = "learning rate",
    result: str = "loss",
    larger_is_better: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Draw what each value of a hyperparameter comes to: the median over seeds in their band, the best marked.

    Args:
        values: of the hyperparameter, in any order; along a scale of powers where all are above 0.
        results: for each value those of the seeds, of shape (values, seeds); NaN or infinite where a seed diverged,
            which is drawn as a cross at the upper edge.
        name: of the hyperparameter.
        result: of what was measured.
        larger_is_better: which end of the results is the best.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> axes = ladder([0.01, 0.1, 1.0], np.array([[0.5, 0.6], [0.1, 0.2], [np.nan, np.inf]]))
        >>> axes.get_xscale(), [text.get_text() for text in axes.get_legend().get_texts()]
        ('log', ['median of 2 seeds', 'lowest to highest', 'best, 0.1', 'diverged'])
    """
    seen, found = np.asarray(values, float), np.asarray(results, float)
    if found.ndim != 2 or seen.shape != found.shape[:1]:
        raise ValueError(f"results has shape {found.shape} for {seen.size} values; give an array of (values, seeds)")
    axes = Figure(figsize=(5, 3.5), layout="constrained").add_subplot() if axes is None else axes
    order = np.argsort(seen)
    seen, found = seen[order], np.where(np.isfinite(found[order]), found[order], np.nan)
    there = np.isfinite(found).any(axis=1)
    at, shown = seen[there], found[there]
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
    diverged = ~np.isfinite(found).all(axis=1)
    if diverged.any():
        edge = axes.get_xaxis_transform()
        axes.plot(
            seen[diverged], np.full(diverged.sum(), 0.97), "x", color="tab:blue", transform=edge, label="diverged"
        )
    if (seen > 0).all():
        axes.set_xscale("log")
    if len(shown) and (shown[np.isfinite(shown)] > 0).all() and np.nanmax(shown) > 10 * np.nanmin(shown):
        axes.set_yscale("log")
    axes.set(xlabel=name, ylabel=result)
    axes.legend(frameon=False)
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
    found = np.asarray(results, float)
    if found.shape != (len(rows), len(columns)):
        raise ValueError(
            f"results has shape {found.shape}; give one number for {len(rows)} rows, {len(columns)} columns"
        )
    size = (max(5.0, 0.7 * len(columns)), max(4.0, 0.35 * len(rows)))
    axes = Figure(figsize=size, layout="constrained").add_subplot() if axes is None else axes
    finite = np.isfinite(found)
    costs = np.where(finite, -found if larger_is_better else found, np.inf)
    places = (
        costs.ravel().argsort().argsort().reshape(costs.shape)
    )  # by rank, as one number far off would hide the rest
    shades = np.where(finite, 1 - places / max(1, finite.sum() - 1), 0.0)
    axes.imshow(shades, cmap="Greys", vmin=0, vmax=1.3, aspect="auto")
    for (row, column), value in np.ndenumerate(found):
        text, color = (f"{value:.3g}", "white" if shades[row, column] > 0.65 else "black")
        axes.text(column, row, text if finite[row, column] else "x", ha="center", va="center", color=color)
    if finite.any():
        row, column = np.unravel_index(int(costs.argmin()), costs.shape)
        corner = (float(column) - 0.5, float(row) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="tab:orange", linewidth=2.5))
    crowded: dict[str, Any] = {"rotation": 60, "ha": "right"} if len(columns) > MOST_COLUMNS else {}
    axes.set_xticks(range(len(columns)), [_short(value) for value in columns], **crowded)
    axes.set_yticks(range(len(rows)), [_short(value) for value in rows])
    axes.set(xlabel=names[1], ylabel=names[0], title=f"{result}, darker is better")
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
        results: of shape (settings, seeds); those with NaN or infinity are left out.
        result: of what was measured.
        larger_is_better: which end of the results is the best.
        most: how many are drawn, at least 1.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> axes = settings(["relu", "tanh"], np.array([[0.5, 0.6], [0.1, 0.2]]))
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['tanh', 'relu']
    """
    found = np.asarray(results, float)
    if found.ndim != 2 or len(found) != len(labels):
        raise ValueError(
            f"results has shape {found.shape} for {len(labels)} settings; give an array of (settings, seeds)"
        )
    means = np.where(np.isfinite(found).all(axis=1), found.mean(axis=1), np.nan)
    order = np.argsort(-means if larger_is_better else means)[: np.isfinite(means).sum()][:most]
    height = 1 + 0.25 * max(4, len(order))
    axes = Figure(figsize=(6, height), layout="constrained").add_subplot() if axes is None else axes
    for line, place in enumerate(order):
        axes.plot(found[place], np.full(found.shape[1], line), "o", color="tab:gray", alpha=0.6)
        axes.plot(means[place], line, "|", color="black", markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(order)), [labels[place] for place in order])
    axes.invert_yaxis()
    axes.set(xlabel=f"{result} by seed")
    return axes


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
