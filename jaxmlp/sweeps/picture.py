"""The picture of a sweep: which one suits depends on what varies."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxmlp.sweeps.settings import Setting


def picture(settings: Sequence[Setting], results: NDArray[Any], result: str, larger: bool, axes: Any) -> Any:
    """Draw what settings come to: a ladder for one number that varies, a map for two, else lines of dots.

    Args:
        settings: what was tried.
        results: of shape (settings, seeds).
        result: what to call them.
        larger: whether larger is better.
        axes: matplotlib's axes to draw on, or None.

    Returns:
        The axes.
    """
    from jaxmlp import plots  # here, since matplotlib is optional

    options: dict[str, Any] = {"result": result, "larger_is_better": larger, "axes": axes}
    values = {name: list({repr(s[name]): s[name] for s in settings}.values()) for name in settings[0]}
    varied = [name for name in values if len(values[name]) > 1]
    if len(varied) == 1 and all(isinstance(value, float | int) for value in values[varied[0]]):
        return plots.ladder([setting[varied[0]] for setting in settings], results, name=varied[0], **options)
    if len(varied) == 2 and math.prod(len(values[name]) for name in varied) == len(settings):
        rows, columns = (values[name] for name in varied)
        grid = np.full((len(rows), len(columns)), np.nan)
        for setting, of_seeds in zip(settings, results, strict=True):
            grid[rows.index(setting[varied[0]]), columns.index(setting[varied[1]])] = of_seeds.mean()
        return plots.heat_map(rows, columns, grid, names=(varied[0], varied[1]), **options)
    labels = [", ".join(f"{name} {_short(setting[name])}" for name in varied) or "all" for setting in settings]
    return plots.settings(labels, results, **options)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
