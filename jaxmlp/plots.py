"""Plots: one function, one picture.

Each draws on the matplotlib axes it is given, or on new ones that need no display, and returns them.
Lines differ by their dashes and shades by their lightness, so pictures survive black and white.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmlp import checks

_LINES = (("black", "-"), ("tab:orange", "--"), ("tab:blue", "-."), ("tab:gray", ":"))


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
