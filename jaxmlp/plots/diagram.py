"""The diagram of a net: its units as circles, its weights as lines between them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.plots import arguments, style

THICKEST = 4.0
"""Width in points of the largest weight's line."""

RADIUS = 0.3
"""Of a unit, where units stand 1 apart."""

ACROSS = 2.6
"""From one layer to the next."""


def network(
    params: Any,
    *,
    activations: Sequence[Any] | None = None,
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    most: int = 8,
    axes: Axes | None = None,
) -> Axes:
    """Draw a net: lines as thick as the weights are large, dashed where they are negative, units as dark as active.

    Of large layers only the first units are drawn, and above them stands of how many. Biases are not drawn.

    Args:
        params: the layers (w, b) of a net, w of shape (inputs, outputs).
        activations: for one row of the data, what each layer holds: the inputs, each hidden layer, the outputs, of
            shape (units,) each. They are written into the units, and shade them from the lowest to the highest of
            their layer.
        inputs: names of the inputs.
        outputs: names of the outputs.
        most: how many units of a layer are drawn, at least 1.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: no layers, layers that do not fit each other, NaN, or activations of another net.

    Example:
        >>> axes = network([(np.array([[1.0], [-2.0]]), np.zeros(1))], inputs=["age", "height"])
        >>> [text.get_text() for text in axes.texts], [text.get_text() for text in axes.get_legend().get_texts()]
        (['age', 'height'], ['positive, up to 1', 'negative, down to -2'])
    """
    weights, most = _weights(params), checks.whole_number("most", most, 1)
    sizes = [len(weights[0]), *(w.shape[1] for w in weights)]
    values = None if activations is None else _values(activations, sizes)
    shown = [min(size, most) for size in sizes]
    places = [_places(layer, count) for layer, count in enumerate(shown)]
    size = (1.2 + 1.4 * len(sizes), 1.3 + 0.5 * max(shown))
    axes = style.axes_or_new(axes, size)
    _lines(axes, weights, places)
    for layer, centers in enumerate(places):
        shades = _shades(values[layer]) if values else [1.0] * len(centers)
        for unit, center in enumerate(centers):
            color = f"{shades[unit]:.3f}"
            axes.add_patch(Circle(tuple(center), RADIUS, facecolor=color, edgecolor="black", zorder=3))
            if values:
                look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "x-small", "zorder": 4}
                ink = "white" if shades[unit] < 0.5 else "black"
                axes.text(center[0], center[1], f"{values[layer][unit]:.2g}", color=ink, **look)
    for names, layer, side in ((inputs, 0, -1), (outputs, -1, 1)):
        _name(axes, names, sizes[layer], places[layer], side)
    top = max(count for count in shown) / 2
    for layer, (count, of) in enumerate(zip(shown, sizes, strict=True)):
        if count < of:
            text = f"{count} of {of}\nshown"
            axes.text(ACROSS * layer, top + 0.1, text, ha="center", va="bottom", fontsize="small")
    _finish(axes, len(sizes), top)
    return axes


def _weights(params: Any) -> list[NDArray[Any]]:
    weights = [
        arguments.finite(f"params[{i}].w", layer[0], "(inputs, outputs)", style.BEFORE)
        for i, layer in enumerate(params)
    ]
    if not weights:
        raise ValueError("params is empty; give the layers (w, b) of a net")
    for i, (w, following) in enumerate(itertools.pairwise(weights)):
        if w.shape[1] != len(following):
            raise ValueError(
                f"params[{i}] has {w.shape[1]} outputs, but params[{i + 1}] has {len(following)} inputs; "
                "give the layers of one net in their order"
            )
    return weights


def _values(activations: Sequence[Any], sizes: list[int]) -> list[NDArray[Any]]:
    if len(activations) != len(sizes):
        raise ValueError(
            f"activations has {len(activations)} entries for {len(sizes)} layers of units; "
            "give the inputs, each hidden layer and the outputs"
        )
    each = zip(activations, sizes, strict=True)
    return [arguments.finite(f"activations[{i}]", a, f"({size},)") for i, (a, size) in enumerate(each)]


def _places(layer: int, count: int) -> NDArray[Any]:
    """Return where the units of a layer stand, from the top to the bottom, of shape (units, 2)."""
    return np.stack([np.full(count, ACROSS * layer), (count - 1) / 2 - np.arange(count)], axis=1)


def _lines(axes: Axes, weights: list[NDArray[Any]], places: list[NDArray[Any]]) -> None:
    """Draw the weights between the units that are drawn, and say in the legend how large they are."""
    drawn = [w[: len(a), : len(b)] for w, a, b in zip(weights, places[:-1], places[1:], strict=True)]
    ends = [
        np.stack([np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))], axis=1) for a, b in itertools.pairwise(places)
    ]
    w, segments = np.concatenate([part.ravel() for part in drawn]), np.concatenate(ends)
    largest = np.abs(w).max() or 1.0
    handles, texts = [], []
    look: dict[str, Any]
    signs: Any = ((w > 0, "black", "-"), (w < 0, "tab:orange", "--"))
    for of_sign, color, dashes in signs:
        if of_sign.any():
            widths, look = THICKEST * np.abs(w[of_sign]) / largest, {"colors": color, "linestyles": dashes}
            axes.add_collection(LineCollection(list(segments[of_sign]), linewidths=widths, zorder=1, **look))
            handles.append(Line2D([], [], color=color, linestyle=dashes, linewidth=2))
            extreme = w[of_sign][np.abs(w[of_sign]).argmax()]
            texts.append(f"{'positive, up' if extreme > 0 else 'negative, down'} to {extreme:.2g}")
    look = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": 2, "frameon": False, "fontsize": "small"}
    axes.legend(handles, texts, **look)


def _shades(values: NDArray[Any]) -> NDArray[Any]:
    """Return the lightness of each unit of a layer, the most active being the darkest."""
    span = np.ptp(values)
    return 1 - 0.85 * (values - values.min()) / span if span > 0 else np.full(len(values), 1.0)


def _name(axes: Axes, names: Sequence[Any] | None, size: int, centers: NDArray[Any], side: int) -> None:
    if names is None:
        return
    if len(names) != size:
        where = "inputs" if side < 0 else "outputs"
        raise ValueError(f"{where} has {len(names)} names for {size} units; give one for each")
    for name, (x, y) in zip(names, centers, strict=False):
        look: dict[str, Any] = {"ha": "right" if side < 0 else "left", "va": "center", "fontsize": "small"}
        axes.text(x + side * (RADIUS + 0.15), y, str(name), **look)


def _finish(axes: Axes, layers: int, top: float) -> None:
    axes.set(xlim=(-0.8, ACROSS * (layers - 1) + 0.8), ylim=(-top, top), aspect="equal")
    axes.set_axis_off()
