"""Answers: what a net says, against what is true."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.plots import arguments, style

MOST_COLUMNS = 8
"""More labels than these are turned, as they would run into each other."""


def confusion_matrix(counts: Any, *, labels: Sequence[Any] | None = None, axes: Axes | None = None) -> Axes:
    """Draw how often each class (row) was taken for each class (column), with the numbers in the cells.

    Args:
        counts: an array of shape (classes, classes), such as ``metrics.confusion_matrix`` returns.
        labels: names of the classes; 0, 1, ... unless given.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: ``counts`` is not square, or has another number of classes than ``labels``.

    Example:
        >>> axes = confusion_matrix(np.array([[9, 1], [0, 5]]), labels=["no", "yes"])
        >>> [text.get_text() for text in axes.texts]
        ['9', '1', '', '5']
    """
    seen = np.asarray(checks.array("counts", counts))
    if seen.ndim != 2 or seen.shape[0] != seen.shape[1]:
        raise ValueError(f"counts has shape {seen.shape}; give as many columns as rows, one for each class")
    ticks = range(len(seen))
    names = [str(label) for label in (ticks if labels is None else labels)]
    if len(names) != len(seen):
        raise ValueError(f"labels has {len(names)} names for {len(seen)} classes; give one for each")
    size = max(5.0, 0.42 * len(seen))
    axes = style.axes_or_new(axes, (size, size))
    shares = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(seen):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:g}" if count else "", ha="center", va="center", color=color)
    crowded = len(seen) > MOST_COLUMNS and max(map(len, names)) > 2
    turned: dict[str, Any] = {"rotation": 60, "ha": "right"} if crowded else {}
    axes.set_xticks(ticks, names, **turned)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return axes


def calibration(probabilities: Any, y: Any, *, bins: int = 10, axes: Axes | None = None) -> Axes:
    """Draw whether a net is as sure as it is right: the reliability diagram (Guo et al. 2017, figure 1).

        bin m: ((m - 1) / bins, m / bins]        at (mean probability, share that is true) of its rows

    Points below the diagonal are surer than they are right. Bars hold the true share in 95 of 100 cases (Wilson 1927),
    and above the picture stands how many rows each bin has.

    Args:
        probabilities: of yes, of shape (rows,) or (rows, 1); or of each class, of shape (rows, classes), of which the
            largest counts: how sure the answer is.
        y: labels of shape (rows,): 0 and 1, or -1 and 1, for yes or no; else 0 to classes - 1.
        bins: how many of equal width, at least 1.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: numbers outside [0, 1], such as raw outputs, or shapes that do not fit.

    Example:
        >>> axes = calibration(np.array([0.9, 0.9, 0.9, 0.9, 0.2]), np.array([1, 1, 1, 0, 0]))
        >>> axes.lines[1].get_xydata().round(2).tolist()
        [[0.2, 0.0], [0.9, 0.75]]
    """
    bins = checks.whole_number("bins", bins, 1)
    p = arguments.finite("probabilities", probabilities, "(rows,)" if np.ndim(probabilities) < 2 else "(rows, classes)")
    if p.min() < 0 or p.max() > 1 + 1e-5:
        raise ValueError(
            f"probabilities reach from {p.min():.3g} to {p.max():.3g}; give numbers from 0 to 1, such as "
            "losses.predictions(loss, outputs) for raw outputs"
        )
    several = p.ndim == 2 and p.shape[1] > 1
    sure = p.max(axis=1) if several else p.ravel()
    true = arguments.classes(y, len(p), p.shape[1]) == p.argmax(axis=1) if several else arguments.yes_or_no(y, len(p))
    bin_of = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    there = counts > 0
    mean_sure = np.bincount(bin_of, sure, bins)[there] / counts[there]
    share = np.bincount(bin_of, true, bins)[there] / counts[there]
    error = float((counts[there] * np.abs(share - mean_sure)).sum() / len(p))
    axes = style.axes_or_new(axes, (5, 5))
    axes.plot([0, 1], [0, 1], color="tab:gray", linestyle=":", label="as sure as right")
    axes.plot(mean_sure, share, color="black", marker="o", label=f"{len(p):,} rows, calibration error {error:.3f}")
    axes.vlines(mean_sure, *_wilson(share, counts[there]), color="tab:blue", linewidth=1.5, label="95 % interval")
    above = axes.secondary_xaxis("top")
    above.set_xticks((np.arange(bins)[there] + 0.5) / bins, [f"{count:,}" for count in counts[there]])
    above.tick_params(labelsize="small", length=0, rotation=90 if bins > 10 or counts.max() >= 10_000 else 0)
    above.set_xlabel("rows in the bin", fontsize="small")
    what = ("probability of the answer", "share that is right") if several else ("probability of yes", "share of yes")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel=what[0], ylabel=what[1])
    style.legend_below(axes)
    return axes


def predicted_against_true(predicted: Any, true: Any, *, name: str = "", axes: Axes | None = None) -> Axes:
    """Draw what was predicted against what is true, with the diagonal on which both are the same.

        RMSE = sqrt(mean((predicted - true)^2)),    R2 = 1 - sum((predicted - true)^2) / sum((true - mean(true))^2)

    Args:
        predicted: of shape (rows,) or (rows, 1).
        true: of the same shape.
        name: of what is predicted, with its unit, such as "price in $1,000".
        axes: where to draw; new ones unless given.

    Returns:
        The axes, both with the same limits.

    Raises:
        ValueError: several outputs, shapes that do not fit, NaN or infinity.

    Example:
        >>> axes = predicted_against_true(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
        >>> axes.get_legend().get_texts()[0].get_text()
        '3 rows, RMSE 0.577, R2 0.500'
    """
    p, t = _one_output("predicted", predicted), _one_output("true", true)
    checks.same_rows(predicted=p, true=t)
    axes = style.axes_or_new(axes, (5, 5))
    squares, spread = np.square(p - t), np.square(t - t.mean()).sum()
    explained = f", R2 {1 - squares.sum() / spread:.3f}" if spread > 0 else ""
    label = f"{len(p):,} rows, RMSE {np.sqrt(squares.mean()):.3g}{explained}"
    axes.plot(t, p, "o", color="black", markersize=4, alpha=max(0.1, min(0.7, 60 / len(p))), mew=0, label=label)
    low, high = min(p.min(), t.min()), max(p.max(), t.max())
    margin = 0.05 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color="tab:orange", linestyle="--", label="predicted = true")
    of = f" {name}" if name else ""
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"true{of}", ylabel=f"predicted{of}")
    style.legend_below(axes)
    return axes


def _one_output(name: str, values: Any) -> NDArray[Any]:
    seen = np.asarray(checks.array(name, values), float)
    if seen.ndim == 2 and seen.shape[1] > 1:
        raise ValueError(f"{name} has {seen.shape[1]} outputs; draw one at a time, such as {name}[:, 0]")
    return arguments.finite(name, seen[:, 0] if seen.ndim == 2 else seen, "(rows,)")


def _wilson(share: NDArray[Any], count: NDArray[Any], z: float = 1.96) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the ends of the interval in which a true share lies, z standard errors wide (Wilson 1927)."""
    scale = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / scale
    half = z / scale * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half
