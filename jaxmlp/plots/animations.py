"""Animations: learning in motion, as GIF files that any browser shows."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxmlp import checks
from jaxmlp.plots import style
from jaxmlp.plots.plane import decision_boundary
from jaxmlp.plots.surface import loss_surface

INKS = ((255, 127, 14), (31, 119, 180))
"""The colors that lines and marks have besides grays: matplotlib's tab:orange and tab:blue."""

MIXED = tuple((share, paper) for paper in (255, 128, 0) for share in (0.4, 0.7))
"""At their rims: shares of ink on white, gray and black."""

DOTS = 80
"""Per inch."""


def decision_boundary_gif(
    path: str | os.PathLike[str],
    predict: Callable[[Any, Any], Any],
    params: Any,
    x: Any,
    y: Any,
    *,
    epochs: Any = None,
    frames: int = 20,
    seconds: float | int = 0.2,
    **options: Any,
) -> Path:
    """Write a decision boundary while it is learned as a GIF; 20 frames take some 150 kB.

    Args:
        path: the file, ending in .gif; one that is there is replaced.
        predict: from parameters and inputs of shape (rows, 2) to outputs, such as ``net.apply``.
        params: the parameters after some epochs, such as ``[run.at(epoch).params for epoch in epochs]``.
        x: the data, of shape (rows, 2).
        y: labels of shape (rows,), as for ``decision_boundary``.
        epochs: of the parameters, written above; 0, 1, ... unless given.
        frames: how many at most, at least 2, spread evenly over the epochs.
        seconds: that a frame stays; the last stays for a second more.
        **options: of ``decision_boundary``.

    Returns:
        The path.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: no parameters, another ending, or a folder that is not there.

    Example:
        >>> import tempfile
        >>> params, corners = [np.array([1.0, t]) for t in (0.0, 1.0)], [[-1.0, 1.0], [1.0, -0.5]]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = decision_boundary_gif(f"{folder}/turn.gif", lambda w, x: x @ w, params, corners, [0, 1])
        ...     print(written.name, written.stat().st_size < 50_000)
        turn.gif True
    """
    path, frames = _checked(path, frames, seconds)
    if not len(params):
        raise ValueError("params is empty; give the parameters after one epoch at least")
    at = list(range(len(params))) if epochs is None else list(epochs)
    if len(at) != len(params):
        raise ValueError(f"epochs has {len(at)} entries for {len(params)} parameters; give one for each")

    def pictures() -> Iterator[Figure]:
        for i in style.spread(len(params), frames):
            figure = Figure(figsize=(5, 4.5), layout="constrained")
            decision_boundary(functools.partial(predict, params[i]), x, y, axes=figure.subplots(), **options)
            figure.suptitle(f"epoch {at[i]}")
            yield figure

    return _write(path, pictures(), seconds)


def race_gif(
    path: str | os.PathLike[str],
    columns: Any,
    rows: Any,
    losses: Any,
    paths: Mapping[str, Any],
    *,
    frames: int = 20,
    seconds: float | int = 0.2,
    **options: Any,
) -> Path:
    """Write a race of optimizers over a loss surface as a GIF; 20 frames take some 250 kB.

    Args:
        path: the file, ending in .gif; one that is there is replaced.
        columns: places along the first weight, of shape (columns,).
        rows: places along the second, of shape (rows,).
        losses: at each place, of shape (rows, columns).
        paths: where each optimizer went, by its name, of shape (steps, 2); shorter ones wait at their end.
        frames: how many at most, at least 2, spread evenly over the steps.
        seconds: that a frame stays; the last stays for a second more.
        **options: of ``loss_surface``.

    Returns:
        The path.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: no paths, another ending, or a folder that is not there.

    Example:
        >>> import tempfile
        >>> at = np.linspace(-1, 1, 9)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bowl, way = at[:, None] ** 2 + at**2, [[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]]
        ...     print(race_gif(f"{folder}/race.gif", at, at, bowl, {"sgd": way}).name)
        race.gif
    """
    path, frames = _checked(path, frames, seconds)
    if not paths:
        raise ValueError("paths is empty; give one at least, such as {'sgd': path}")
    longest = max(len(route) for route in paths.values())

    def pictures() -> Iterator[Figure]:
        for step in style.spread(longest, frames):
            figure = Figure(figsize=(6, 4.5), layout="constrained")
            so_far = {name: np.asarray(route)[: step + 1] for name, route in paths.items()}
            loss_surface(columns, rows, losses, paths=so_far, axes=figure.subplots(), **options)
            figure.suptitle(f"step {step}")
            yield figure

    return _write(path, pictures(), seconds)


def _checked(path: str | os.PathLike[str], frames: int, seconds: float | int) -> tuple[Path, int]:
    """Refuse what no file can come of, before anything is drawn."""
    to = Path(path)
    if to.suffix.lower() != ".gif":
        raise ValueError(f"path is {str(path)!r}; give one that ends in .gif")
    if not to.absolute().parent.is_dir():
        raise ValueError(f"path is {str(path)!r}, but there is no folder {str(to.parent)!r}; make it first")
    checks.in_range("seconds", seconds, "(0, 60]")
    try:
        import PIL  # noqa: F401  before the first frame, rather than after the last
    except ImportError as error:
        raise ImportError("a GIF needs Pillow, which is not installed; pip install pillow") from error
    return to, checks.whole_number("frames", frames, 2)


def _write(path: Path, figures: Iterator[Figure], seconds: float | int) -> Path:
    from PIL import Image

    drawn = []
    for figure in figures:
        figure.set_dpi(DOTS)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        drawn.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for color in _colors() for level in color])  # the same for all, lest they flicker
    first, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in drawn)
    milliseconds = [round(1000 * seconds)] * len(drawn)
    milliseconds[-1] += 1000
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=False)
    return path


def _colors() -> list[tuple[int, ...]]:
    """Return the colors of a file: 18 grays, the inks, and what they are at their rims."""
    grays = [(level, level, level) for level in np.linspace(0, 255, 18).round().astype(int).tolist()]
    rims = [tuple(round(share * part + (1 - share) * paper) for part in ink) for ink in INKS for share, paper in MIXED]
    return [*grays, *INKS, *rims]
