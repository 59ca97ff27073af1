"""Curves: what a run, or several, measured after each epoch."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.plots import arguments, style

LINE_OF_LEGEND = 46
"""Letters of the longest line of the legend."""


def learning_curves(
    history: Mapping[str, Any],
    *,
    names: Sequence[str] = ("train/loss", "validation/loss"),
    best_epoch: Any = None,
    stop: Any = None,
    log: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """Draw what a run measured after each epoch, or several runs as a mean line in their band.

    Where no run has a finite number the line has a gap; an epoch between two gaps is a dot.

    Args:
        history: for each name an array of shape (epochs,), or (runs, epochs) for several runs; NaN where a run
            had ended or was not evaluated.
        names: what to draw; names that the history lacks are left out.
        best_epoch: marked by a vertical line, counted from 1; None or 0 for none.
        stop: why the run ended, a sentence or an enumeration of sentences such as ``run.stop_reason``; written into
            the legend, with a vertical line at the last epoch. None leaves it out.
        log: scale the vertical axis by powers of ten, if nothing lies below 0.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: the history has none of the names, arrays of other shapes, or ends before the best epoch.

    Example:
        >>> history = {"train/loss": np.array([1.0, 0.5, np.nan, 0.4])}
        >>> axes = learning_curves(history, best_epoch=4, stop="all epochs were run")
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['train loss', 'best epoch, 4', 'epoch 4: all epochs were run']
    """
    drawn = [name for name in names if name in history]
    if not drawn:
        raise ValueError(f"history has {', '.join(history)}; names asks for {', '.join(names)}, none of them")
    style.most_of("curves", len(drawn))
    curves = {name: _runs(name, history[name]) for name in drawn}
    last = max(runs.shape[1] for runs in curves.values())
    best_epoch = checks.whole_number("best_epoch", 0 if best_epoch is None else best_epoch, 0)
    if best_epoch > last:
        raise ValueError(
            f"best_epoch is {best_epoch}, but the history has {last} epochs with numbers; give one of them"
        )
    axes = style.axes_or_new(axes, (5, 4))
    banded = False
    for (color, dashes), (name, runs) in zip(style.LINES, curves.items(), strict=False):
        epochs, (mean, low, high) = np.arange(1, runs.shape[1] + 1), _over_runs(runs)
        alone = _alone(mean)
        dots: dict[str, Any] = {"markersize": 4, "markevery": list(np.flatnonzero(alone))} if alone.any() else {}
        axes.plot(
            epochs,
            mean,
            color=color,
            linestyle=dashes,
            label=name.replace("/", " "),
            marker="o" if dots else None,
            **dots,
        )
        if len(runs) > 1:
            band = None if banded else f"lowest to highest of {len(runs)} runs"
            axes.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0, label=band)
            banded = True
            if alone.any():
                axes.vlines(epochs[alone], low[alone], high[alone], color=color, linewidth=1)
    if best_epoch:
        axes.axvline(best_epoch, color="tab:gray", linewidth=1, label=f"best epoch, {best_epoch}")
    if stop is not None:
        why = textwrap.fill(f"epoch {last}: {getattr(stop, 'value', stop)}", LINE_OF_LEGEND)
        axes.axvline(last, color="black", linewidth=1.5, linestyle=":", label=why)
    axes.set(xlabel="epoch", ylabel=drawn[0].split("/")[-1])
    if log:
        style.powers(axes, "y", np.concatenate([runs.ravel() for runs in curves.values()]))
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    style.legend_below(axes)
    return axes


def _runs(name: str, values: Any) -> NDArray[Any]:
    """Return an array of (runs, epochs) up to the last epoch that any run reached, NaN for what is not finite."""
    shape = "(epochs,)" if np.ndim(values) < 2 else "(runs, epochs)"
    seen = np.atleast_2d(arguments.numbers(f"history[{name!r}]", values, shape))
    seen = np.where(np.isfinite(seen), seen, np.nan)
    reached = np.flatnonzero(np.isfinite(seen).any(axis=0))
    return seen[:, : reached[-1] + 1 if len(reached) else 0]


def _over_runs(runs: NDArray[Any]) -> NDArray[Any]:
    """Return mean, lowest and highest of the runs at each epoch, NaN where none has a number."""
    over = np.full((3, runs.shape[1]), np.nan)
    there = np.isfinite(runs).any(axis=0)
    found = runs[:, there]
    over[:, there] = [f(found, axis=0) for f in (np.nanmean, np.nanmin, np.nanmax)]
    return over


def _alone(line: NDArray[Any]) -> NDArray[Any]:
    """Return where a number stands between two gaps, and so would not show as a line."""
    there = np.concatenate([[False], np.isfinite(line), [False]])
    alone: NDArray[Any] = there[1:-1] & ~there[:-2] & ~there[2:]
    return alone
