"""Weights and gradients in numbers: by strength of a penalty, over time, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.plots import arguments, style

MOST_TICKS = 10
"""Up to so many columns all have a label; of more only some."""

MOST_WITH_NUMBERS = 8
"""Up to so many columns cells hold their numbers; more would run into each other."""


def regularization_paths(
    strengths: Any,
    weights: Any,
    *,
    names: Sequence[str] | None = None,
    name: str = "strength",
    axes: Axes | None = None,
) -> Axes:
    """Draw what becomes of each weight as a penalty grows stronger.

    The eight that are the largest at any strength have lines of their own; the others are thin and gray.

    Args:
        strengths: of the penalty, of shape (strengths,), at least 0 and in any order; along a scale of powers.
        weights: at each strength, of shape (strengths, weights); a gap where one is NaN.
        names: of the weights; 0, 1, ... unless given.
        name: of the strength.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit, or a strength below 0.

    Example:
        >>> axes = regularization_paths([1e-3, 1e-2, 0.1], [[2.0, -1.0], [1.0, 0.0], [0.0, 0.0]], names=["age", "sex"])
        >>> axes.get_xscale(), [text.get_text() for text in axes.get_legend().get_texts()]
        ('log', ['age', 'sex'])
    """
    at = arguments.finite("strengths", strengths, "(strengths,)")
    found = arguments.numbers("weights", weights, "(strengths, weights)")
    if len(at) != len(found):
        raise ValueError(f"weights has shape {found.shape} for {len(at)} strengths; give (strengths, weights)")
    if at.min() < 0:
        raise ValueError(f"strengths has {at.min():g}; give numbers of at least 0")
    called = [str(n) for n in (range(found.shape[1]) if names is None else names)]
    if len(called) != found.shape[1]:
        raise ValueError(f"names has {len(called)} names for {found.shape[1]} weights; give one for each")
    order = np.argsort(at)
    at, found = at[order], np.where(np.isfinite(found[order]), found[order], np.nan)
    sizes = np.max(np.nan_to_num(np.abs(found)), axis=0)
    large = np.sort(np.argsort(-sizes, kind="stable")[: len(style.LINES)])
    small = np.setdiff1d(np.arange(len(sizes)), large)
    axes = style.axes_or_new(axes, (6, 3.5))
    axes.axhline(0, color="black", linewidth=0.5)
    if len(small):
        thin = axes.plot(at, found[:, small], color="0.75", linewidth=0.8, zorder=1)
        thin[0].set_label(f"the {len(small)} smaller ones" if len(small) > 1 else "the smallest one")
    for (color, dashes), weight in zip(style.LINES, large, strict=False):
        axes.plot(at, found[:, weight], color=color, linestyle=dashes, label=called[weight])
    style.powers(axes, "x", at)
    axes.set(xlabel=name, ylabel="weight")
    handles, texts = axes.get_legend_handles_labels()
    last = len(small) > 0  # the thin ones were drawn first, and are named last
    beside: dict[str, Any] = {"frameon": False, "loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    axes.legend([*handles[last:], *handles[:last]], [*texts[last:], *texts[:last]], **beside)
    return axes


def weight_histograms(
    params: Any,
    *,
    layer: int = 0,
    epochs: Any = None,
    bins: int = 40,
    most: int = 8,
    axes: Axes | None = None,
) -> Axes:
    """Draw how the weights of a layer are spread, one ridge for each epoch, from the bottom to the top.

    All ridges have the same bins and the same scale, so that their areas are equal.

    Args:
        params: the parameters after some epochs, such as ``[run.at(epoch).params for epoch in epochs]``, each a tuple
            of layers (w, b), w of shape (inputs, outputs).
        layer: which of them, counted from 0; biases are left out.
        epochs: of the parameters; 0, 1, ... unless given.
        bins: of the histograms, at least 1.
        most: how many ridges are drawn, at least 2; the title says of how many.
        axes: where to draw; new ones unless given.

    Returns:
        The axes.

    Raises:
        ValueError: no parameters, no such layer, or weights that are not finite.

    Example:
        >>> snapshots = [((scale * np.linspace(-1, 1, 50).reshape(5, 10), np.zeros(10)),) for scale in (1, 2)]
        >>> axes = weight_histograms(snapshots, epochs=[1, 10])
        >>> [label.get_text() for label in axes.get_yticklabels()], axes.get_xlabel()
        (['1', '10'], 'weights of layer 0')
    """
    if not len(params):
        raise ValueError("params is empty; give the parameters after one epoch at least")
    at = list(range(len(params))) if epochs is None else list(epochs)
    if len(at) != len(params):
        raise ValueError(f"epochs has {len(at)} entries for {len(params)} parameters; give one for each")
    layer, bins, most = (
        checks.whole_number(name, value, least)
        for name, value, least in (("layer", layer, 0), ("bins", bins, 1), ("most", most, 2))
    )
    kept = style.spread(len(params), most)
    weights = [_weights_of(params[i], layer, f"w of layer {layer} at epoch {at[i]}") for i in kept]
    ends = np.histogram_bin_edges(np.concatenate(weights), bins)
    heights = [np.histogram(w, ends)[0] / len(w) for w in weights]
    scale = 1.5 / max(map(np.max, heights))  # in steps from one ridge to the next, so that they overlap
    axes = style.axes_or_new(axes, (5, 1.2 + 0.35 * (len(kept) + 1)))
    for place, height in enumerate(heights):
        top, order = place + scale * np.repeat(height, 2), 2 + 2 * (len(kept) - place)
        across = np.repeat(ends, 2)[1:-1]
        shade = f"{0.95 - 0.4 * place / max(1, len(kept) - 1):.2f}"
        axes.fill_between(across, place, top, facecolor=shade, linewidth=0, zorder=order)
        axes.plot(across, top, color="black", linewidth=1, zorder=order + 1)
    axes.axvline(0, color="black", linestyle=":", linewidth=1, zorder=100)
    axes.set_yticks(range(len(kept)), [str(at[i]) for i in kept])
    axes.set(xlabel=f"weights of layer {layer}", ylabel="epoch", ylim=(-0.2, len(kept) + 1), xlim=(ends[0], ends[-1]))
    if len(kept) < len(params):
        axes.set_title(f"{len(kept)} of {len(params)} epochs shown", loc="left", fontsize="small")
    return axes


def gradient_flow(
    norms: Any,
    *,
    layers: Sequence[Any] | None = None,
    columns: Any = None,
    name: str = "gradient norm",
    across: str = "epoch",
    axes: Axes | None = None,
) -> Axes:
    """Draw how much of the gradient arrives at each layer: a map of layers by epochs, darker being more.

    Shades go by powers of ten, as gradients vanish and explode by factors. Zeros, which have none, and numbers that are
    not finite are hatched.

    Args:
        norms: of shape (layers, columns), at least 0. Columns without a single number, epochs that were not measured,
            are left out, and counted at the axis.
        layers: what to call the rows, the first at the top; 0, 1, ... unless given.
        columns: the epochs, or the names of other quantities; 1, 2, ... unless given.
        name: of what was measured.
        across: what the columns are.
        axes: where to draw; new ones unless given.

    Returns:
        The axes; cells hold their numbers where there are few.

    Raises:
        ValueError: shapes that do not fit, or a number below 0.

    Example:
        >>> axes = gradient_flow(np.array([[0.5, 1e-5], [0.25, np.nan]]), columns=[1, 10])
        >>> axes.images[0].get_array().round(2).tolist(), [text.get_text() for text in axes.texts]
        ([[-0.3, -5.0], [-0.6, None]], ['0.5', '1e-05', '0.25', 'nan'])
    """
    found = arguments.numbers("norms", norms, "(layers, columns)")
    rows = list(range(len(found)) if layers is None else layers)
    heads = list(range(1, found.shape[1] + 1) if columns is None else columns)
    if found.shape != (len(rows), len(heads)):
        raise ValueError(f"norms has shape {found.shape} for {len(rows)} layers and {len(heads)} columns; name each")
    if (found < 0).any():
        raise ValueError(
            f"norms has {np.nanmin(found):.3g}; give numbers of at least 0, such as the sizes of gradients"
        )
    measured = np.flatnonzero(~np.isnan(found).all(axis=0))
    if not len(measured):
        raise ValueError("norms is all NaN; give what was measured at one epoch at least, as fit(watch=True) does")
    found = found[:, measured]
    heads = [heads[i] for i in measured]
    axes = style.axes_or_new(axes, (6, max(2.5, 1.5 + 0.3 * len(rows))))
    logs = np.ma.log10(np.ma.masked_where(~(np.isfinite(found) & (found > 0)), found))
    drawn = axes.imshow(logs, cmap="Greys", aspect="auto", interpolation="nearest", **_ends(logs))
    bar = axes.figure.colorbar(drawn, ax=axes, label=name)
    bar.locator = MaxNLocator(nbins=6, integer=True)
    bar.update_ticks()
    bar.ax.yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:g}}}$")
    zero, lost = found == 0, ~np.isfinite(found)
    hatched = {"0": (zero, "...."), "not finite, or not measured": (lost, "////")}
    if len(heads) <= MOST_WITH_NUMBERS:
        dark = np.asarray(drawn.norm(logs.filled(-99))) > 0.6
        for (row, column), value in np.ndenumerate(found):
            look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small"}
            if zero[row, column] or lost[row, column]:
                look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            axes.text(column, row, f"{value:.2g}", color="white" if dark[row, column] else "black", **look)
    shown = style.spread(len(heads), MOST_TICKS)
    axes.set_xticks(shown, [style.short(heads[i]) for i in shown])
    axes.set_yticks(range(len(rows)), [style.short(row) for row in rows])
    of = "" if len(measured) == np.shape(norms)[1] else f" ({len(measured)} of {np.shape(norms)[1]} measured)"
    axes.set(xlabel=f"{across}{of}", ylabel="layer")
    _hatch(axes, {text: cells for text, cells in hatched.items() if cells[0].any()})
    return axes


def _ends(logs: Any) -> dict[str, Any]:
    """Return the ends of the shades, whole powers of ten around all numbers."""
    if logs.count() == 0:
        return {"vmin": -1.0, "vmax": 0.0}
    low, high = np.floor(logs.min()), np.ceil(logs.max())
    return {"vmin": float(low), "vmax": float(max(high, low + 1))}


def _hatch(axes: Axes, hatched: dict[str, tuple[NDArray[Any], str]]) -> None:
    """Hatch some cells of a map, and say below it what that means."""
    for where, hatch in hatched.values():
        cells = np.ma.masked_where(~where, np.zeros(where.shape))
        edges = (np.arange(size + 1) - 0.5 for size in where.shape[::-1])
        axes.pcolor(*edges, cells, hatch=hatch, cmap="Greys", vmin=0, vmax=1, edgecolor="0.5", linewidth=0)
    if hatched:
        patches = [Patch(hatch=hatch, facecolor="white", edgecolor="0.5") for _, hatch in hatched.values()]
        style.legend_below(axes, patches, list(hatched))


def _weights_of(params: Any, layer: int, what: str) -> NDArray[Any]:
    if layer >= len(params):
        raise ValueError(f"layer is {layer}, but there are {len(params)}, counted from 0; give one of them")
    return arguments.finite(what, params[layer][0], "(inputs, outputs)", style.BEFORE).ravel()
