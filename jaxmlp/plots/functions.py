"""Functions: what an activation makes of a weighted sum, and how much of the gradient it lets through."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from jaxmlp import activations
from jaxmlp.types import Parametric

SATURATED = 0.05
"""The share of the steepest slope up to which a function counts as saturated, as in ``fit(watch=True)``."""

Z = np.linspace(-6.0, 6.0, 601)
"""The weighted sums that are shown."""


def activation_gallery(
    chosen: Sequence[Any] | Mapping[str, Any] | None = None, *, figure: Figure | None = None
) -> Figure:
    """Draw activations side by side, each with its derivative; where it is saturated it is shaded.

        |derivative| <= 5 % of the steepest: there a unit learns next to nothing

    Derivatives are those of ``jax.grad``, which backpropagation uses.

    Args:
        chosen: names from ``activations.ACTIVATIONS``, functions, or functions by names of your own; all that have a
            name unless given. Those with parameters are drawn as they begin.
        figure: where to draw; a new one unless given.

    Returns:
        The figure, with axes for each activation.

    Raises:
        ValueError: nothing to draw, an unknown name, or a function that is not element-wise.

    Example:
        >>> figure = activation_gallery(["relu", "tanh"])
        >>> [axes.get_title() for axes in figure.axes if axes.lines]
        ['relu', 'tanh']
    """
    named = _named(activations.ACTIVATIONS if chosen is None else chosen)
    if not named:
        raise ValueError("chosen is empty; give names such as ['relu', 'tanh'], or None for all")
    columns = min(len(named), 4)
    rows = math.ceil(len(named) / columns)
    if figure is None:
        figure = Figure(figsize=(2.3 * max(columns, 2), 2.0 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, (name, activation) in zip(panels, named.items(), strict=False):
        _draw(axes, activation)
        axes.set_title(name, fontsize="medium")
    for axes in panels[max(0, len(named) - columns) : len(named)]:
        axes.tick_params(labelbottom=True)
    for axes in panels[len(named) :]:
        axes.set_axis_off()
    handles = [
        Line2D([], [], color="black"),
        Line2D([], [], color="tab:orange", linestyle="--"),
        Patch(facecolor="0.85"),
    ]
    texts = ["the activation", "its derivative", "saturated" if columns < 3 else "saturated: below 5 % of the steepest"]
    figure.legend(handles, texts, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _named(chosen: Any) -> dict[str, Any]:
    pairs = chosen.items() if isinstance(chosen, Mapping) else ((_name_of(one), one) for one in chosen)
    found: dict[str, Any] = {}
    for name, one in pairs:
        if name in found:
            raise ValueError(f"chosen has two called {name!r}; give each a name of its own, as in {{'mine': function}}")
        activations.check(name, one)
        found[name] = activations.find(one)
    return found


def _name_of(activation: Any) -> str:
    if isinstance(activation, str):
        return activation
    return getattr(activation, "__name__", type(activation).__name__)


def _draw(axes: Axes, activation: Any) -> None:
    def function(z: Any) -> Any:
        return (
            activation.apply(activation.init(1), z[:, None])[:, 0]
            if isinstance(activation, Parametric)
            else activation(z)
        )

    z = jnp.asarray(Z, float)
    a, slope = np.asarray(function(z)), np.asarray(jax.grad(lambda z: jnp.sum(function(z)))(z))
    still = np.abs(slope) <= SATURATED * np.abs(slope).max()
    low, high = min(a.min(), slope.min()), max(a.max(), slope.max())
    margin = 0.08 * (high - low)
    axes.fill_between(Z, low - margin, high + margin, where=still.tolist(), color="0.85", linewidth=0)
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.axvline(0, color="0.6", linewidth=0.6)
    axes.plot(Z, a, color="black")
    axes.plot(Z, slope, color="tab:orange", linestyle="--")
    axes.set(xlim=(Z[0], Z[-1]), ylim=(low - margin, high + margin))
