"""The plane of two inputs: points of several classes, and where a net or a neuron draws the line between them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.plots import arguments, style

FINENESS = 150
"""Points of the plane along each direction at which a net is asked."""


def decision_boundary(
    predict: Callable[[Any], Any],
    x: Any,
    y: Any,
    *,
    boundary: float | int = 0.0,
    classes: Sequence[Any] | None = None,
    names: tuple[str, str] = ("x 0", "x 1"),
    axes: Axes | None = None,
) -> Axes:
    """Draw which class a net gives to each point of the plane, with the data on it; wrong points have a ring.

    Classes differ by the shade of their region and by the marker and shade of their points.

    Args:
        predict: from inputs of shape (rows, 2) to outputs: one for each class, of shape (rows, classes), of which the
            largest is the answer; or one, of shape (rows, 1) or (rows,), which says yes above ``boundary``.
        x: the data, of shape (rows, 2).
        y: labels of shape (rows,): 0 to classes - 1; for one output 0 and 1, or -1 and 1.
        boundary: of one output: 0 for raw outputs, 0.5 for probabilities or for answers of 0 and 1.
        classes: what to call them, from the first on; 0, 1, ... unless given.
        names: of the two inputs.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: more inputs than two, labels that do not fit the outputs, or outputs that are not finite.

    Example:
        >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 0, 0, 1])
        >>> axes = decision_boundary(lambda x: x[:, 0] + x[:, 1] - 0.5, x, y, classes=["no", "yes"])
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['no, 3', 'yes, 1', 'wrong, 2']
    """
    x = arguments.points(x)
    ends = _ends(x)
    across, up = (np.linspace(low, high, FINENESS) for low, high in ends)
    plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    everywhere, here = _leads(predict, plane, boundary), _leads(predict, x, boundary)
    count = max(2, everywhere.shape[1])
    style.most_of("classes", count)
    several = everywhere.shape[1] > 1
    labels = arguments.classes(y, len(x), count) if several else arguments.yes_or_no(y, len(x))
    axes = style.axes_or_new(axes, (5, 4.5))
    regions = _answers(everywhere).reshape(FINENESS, FINENESS)
    shades = ListedColormap([f"{shade:.3f}" for shade in np.linspace(1.0, 0.7, count)])
    area: Any = (*ends[0], *ends[1])
    axes.imshow(regions, cmap=shades, vmin=0, vmax=count - 1, extent=area, origin="lower", aspect="auto")
    for lead in everywhere.T:
        if lead.min() < 0 < lead.max():
            axes.contour(across, up, lead.reshape(FINENESS, FINENESS), [0.0], colors="black", linewidths=1.2)
    _points(axes, x, labels, count, classes, wrong=_answers(here) != labels)
    _finish(axes, ends, names)
    return axes


def moving_line(
    w: Any,
    b: Any,
    x: Any,
    y: Any,
    *,
    classes: Sequence[Any] | None = None,
    names: tuple[str, str] = ("x 0", "x 1"),
    most: int = 6,
    axes: Axes | None = None,
) -> Axes:
    """Draw the line of a neuron while it learns, the last one thick, among the points that it is to separate.

        w . x + b = 0

    Args:
        w: the weights after each epoch or step, of shape (steps, 2), such as ``run.path.w`` of a perceptron's run; NaN
            for those that were not run.
        b: the biases, of shape (steps,).
        x: the data, of shape (rows, 2).
        y: labels 0 and 1, or -1 and 1, of shape (rows,).
        classes: what to call the two.
        names: of the two inputs.
        most: how many lines are drawn, at least 2; the legend says of how many.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: more inputs than two, shapes that do not fit, or weights that are 0 or not finite throughout.

    Example:
        >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 1])
        >>> axes = moving_line([[1.0, 0.0], [1.0, 1.0]], [0.0, -0.5], x, y, classes=["no", "yes"])
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['no, 1', 'yes, 3', 'line after step 1', 'after step 2, the last']
    """
    x = arguments.points(x)
    labels, most = arguments.yes_or_no(y, len(x)), checks.whole_number("most", most, 2)
    w, b = arguments.numbers("w", w, "(steps, 2)"), arguments.numbers("b", b, "(steps,)")
    checks.same_rows(w=w, b=b)
    run = np.flatnonzero(np.isfinite(w).all(axis=1) & np.isfinite(b) & (w != 0).any(axis=1))
    if not len(run):
        raise ValueError("w is 0 or not finite at every step, and so makes no line; give the weights after learning")
    steps = run[style.spread(len(run), most)]
    axes, ends = style.axes_or_new(axes, (5, 4.5)), _ends(x)
    _points(axes, x, labels, 2, classes)
    for place, step in enumerate(steps):
        last = place == len(steps) - 1
        shade = 0.75 * (1 - (place + 1) / len(steps))
        look: dict[str, Any] = {"linewidth": 2.5 if last else 1.2, "linestyle": "-" if last else "--" if place else ":"}
        (line,) = axes.plot(*_line(w[step], b[step], ends), color=f"{shade:.2f}", zorder=1, **look)
        if last:
            line.set_label(f"after step {step + 1}, the last")
        elif place == 0:
            line.set_label(f"line after step {step + 1}")
        elif place == len(steps) - 2:
            few = "" if len(steps) == len(run) else f", {len(steps)} of {len(run)} shown"
            line.set_label(f"between, later is darker{few}")
    _finish(axes, ends, names)
    return axes


def _ends(x: NDArray[Any]) -> list[tuple[float, float]]:
    """Return the lowest and highest number to be shown along each direction, a margin around the data."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = np.where(high > low, 0.1 * (high - low), 1.0)
    return [(float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True)]


def _leads(predict: Callable[[Any], Any], x: NDArray[Any], boundary: float | int) -> NDArray[Any]:
    """Return by how much each output leads: over the other classes, or a single one over the boundary."""
    outputs = predict(checks.to_floats("x", x))
    if np.ndim(outputs) not in (1, 2) or len(outputs) != len(x):
        shape = "a mapping of heads" if isinstance(outputs, dict) else f"shape {np.shape(outputs)}"
        raise ValueError(
            f"predict returns {shape} for {len(x)} rows; let it return (rows, classes), (rows, 1) or (rows,)"
        )
    seen = np.asarray(outputs, float).reshape(len(x), -1)
    bad = np.flatnonzero(~np.isfinite(seen).all(axis=1))
    if len(bad):
        first = ", ".join(f"{number:.3g}" for number in x[bad[0]])
        raise ValueError(
            f"predict returns NaN or infinity at {len(bad)} of {len(x)} points, the first at ({first}); {style.BEFORE}"
        )
    if seen.shape[1] == 1:
        return seen - boundary
    others = [np.delete(seen, i, axis=1).max(axis=1) for i in range(seen.shape[1])]
    return seen - np.stack(others, axis=1)


def _answers(leads: NDArray[Any]) -> NDArray[Any]:
    """Return the class that each row gets; a tie of one output says no, and one of several the first."""
    return leads.argmax(axis=1) if leads.shape[1] > 1 else (leads[:, 0] > 0).astype(int)


def _points(
    axes: Axes,
    x: NDArray[Any],
    labels: NDArray[Any],
    count: int,
    classes: Sequence[Any] | None,
    wrong: NDArray[Any] | None = None,
) -> None:
    """Draw the data, for each class a marker and a shade."""
    named = list(range(count) if classes is None else classes)
    if len(named) != count:
        raise ValueError(f"classes has {len(named)} names for {count} classes; give one for each")
    size = float(np.clip(60 / np.sqrt(len(x)), 2.5, 8))
    look: dict[str, Any] = {"linestyle": "none", "markersize": size, "markeredgecolor": "black", "zorder": 3}
    for label, marker, shade in zip(range(count), style.MARKERS, np.linspace(1.0, 0.15, count), strict=False):
        of_class = x[labels == label]
        text = f"{named[label]}, {len(of_class)}"
        axes.plot(*of_class.T, marker=marker, markerfacecolor=f"{shade:.3f}", markeredgewidth=0.7, label=text, **look)
    if wrong is not None and wrong.any():
        ring: dict[str, Any] = {
            **look,
            "zorder": 2,
            "markersize": size + 5,
            "markeredgecolor": "tab:orange",
            "markeredgewidth": 2,
        }
        rim = [patheffects.withStroke(linewidth=4, foreground="white")]  # tells it from a gray region
        axes.plot(*x[wrong].T, marker="o", fillstyle="none", label=f"wrong, {wrong.sum()}", path_effects=rim, **ring)


def _line(w: NDArray[Any], b: Any, ends: list[tuple[float, float]]) -> NDArray[Any]:
    """Return two points of the line w . x + b = 0, on both sides of the picture, of shape (2 inputs, 2 points)."""
    w, b = w / np.linalg.norm(w), b / np.linalg.norm(w)
    (left, right), (bottom, top) = ends
    middle = np.array([left + right, bottom + top]) / 2
    nearest = middle - (w @ middle + b) * w
    along = np.array([-w[1], w[0]]) * np.hypot(right - left, top - bottom)
    return np.stack([nearest - along, nearest + along], axis=1)


def _finish(axes: Axes, ends: list[tuple[float, float]], names: tuple[str, str]) -> None:
    axes.set(xlim=ends[0], ylim=ends[1], xlabel=names[0], ylabel=names[1])
    style.legend_below(axes)
