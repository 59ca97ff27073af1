"""Nested selection: how good a setting is that was chosen by cross-validation."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jaxmlp import checks, training
from jaxmlp.sweeps.cross_validation import CUT, cross_validate
from jaxmlp.sweeps.folds import assign, in_order
from jaxmlp.sweeps.settings import Setting
from jaxmlp.sweeps.sweep import Hyper
from jaxmlp.training import AnyRecipe, StopReason
from jaxmlp.types import Key, Metric, Outputs


class Nested(NamedTuple):
    """What comes of nested selection.

    Attributes:
        scores: by name, "loss" and the metrics, for each outer fold what the chosen setting comes to on its rows: the
            mean over the runs of the inner folds.
        settings: for each outer fold the setting that was chosen.
        fold_of_row: the outer fold in which each row is held out.
        out_of_fold: for every row what the ensemble of those runs predicts, none of which has seen it in any way.
    """

    scores: dict[str, NDArray[Any]]
    settings: tuple[Setting, ...]
    fold_of_row: NDArray[Any]
    out_of_fold: Outputs


def nested(
    recipe: AnyRecipe,
    data: Any,
    *,
    hyper: Hyper = None,
    outer: int = 5,
    folds: int = 5,
    stratify: Any = None,
    groups: Any = None,
    metrics: Mapping[str, Metric] | None = None,
    key: Key,
    save: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Nested:
    """Say how good a setting is that was chosen by cross-validation, on rows that had no part in the choice.

    For each outer fold, ``cross_validate`` runs on all other rows, and its best setting's runs are tried on that fold:
    what was chosen for being best on some rows is a little too good there (Cawley and Talbot 2010).

    Args:
        recipe: a function from a setting to what is trained, and how.
        data: (x, y) or (x, y, weight), as for ``cross_validate``.
        hyper: the settings to choose from, as for ``sweep``.
        outer: folds to try the choice on, at least 2.
        folds: folds to choose by, at least 2.
        stratify: labels of shape (rows,), as for ``cross_validate``.
        groups: labels of shape (rows,), as for ``cross_validate``.
        metrics: what to compute besides the loss, by name.
        key: a random key.
        save: a folder in which each outer fold has a folder of its own, as for ``cross_validate``.
        **options: all else that ``cross_validate`` takes.

    Returns:
        The scores by name, and what was chosen. Ctrl-C ends it without any; with ``save`` nothing is lost, and
        ``resume=True`` goes on.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: what ``cross_validate`` refuses.
        KeyboardInterrupt: Ctrl-C was pressed.

    Example:
        >>> from jaxmlp import losses, optimizers, training
        >>> from jaxmlp.mlp import MLP
        >>> x = np.linspace(-1, 1, 48)[:, None]
        >>> def recipe(hyper):
        ...     return training.Recipe(MLP((1, 16, 1)), optimizers.adam(hyper["learning_rate"]), losses.squared_error)
        >>> chosen = nested(
        ...     recipe, (x, x**2), hyper=[{"learning_rate": 1e-5}, {"learning_rate": 0.01}], outer=3, folds=2,
        ...     epochs=20, batch_size=8, key=jax.random.key(0),
        ... )
        >>> chosen.scores["loss"].shape, {setting["learning_rate"] for setting in chosen.settings}
        ((3,), {0.01})
    """
    checks.random_key("key", key)
    outer, rows = checks.whole_number("outer", outer, 2), _rows(data)
    x = rows[0]
    cut = jax.random.fold_in(key, CUT)
    fold_of_row = assign(len(x), outer, key=cut, stratify=stratify, groups=groups)
    scores: dict[str, list[float]] = {}
    settings: list[Setting] = []
    held_out, predicted = [np.flatnonzero(fold_of_row == fold) for fold in range(outer)], []
    for fold, outside in enumerate(held_out):
        inside = np.flatnonzero(fold_of_row != fold)
        validated = cross_validate(
            recipe,
            _taken(rows, inside),
            hyper=hyper,
            folds=folds,
            stratify=None if stratify is None else np.asarray(stratify)[inside],
            groups=None if groups is None else np.asarray(groups)[inside],
            metrics=metrics,
            key=jax.random.fold_in(key, fold),
            save=None if save is None else Path(save) / f"outer_{fold}",
            **options,
        )
        if StopReason.INTERRUPTED in validated.runs.stop_reason:
            raise KeyboardInterrupt
        best = validated.runs.best()
        settings.append(best.hyper)
        each = [validated.score(member, _taken(rows, outside)) for member in best.members]
        for name in each[0]:
            scores.setdefault(name, []).append(float(np.mean([of_member[name] for of_member in each])))
        predicted.append(validated.predicted(best.members, checks.to_floats("x", x[outside])))
    return Nested(
        scores={name: np.array(values) for name, values in scores.items()},
        settings=tuple(settings),
        fold_of_row=fold_of_row,
        out_of_fold=in_order(held_out, predicted),
    )


def _rows(data: Any) -> tuple[Any, ...]:
    """Return x, y and weight as arrays that can be cut."""
    x, *others = training.parts_of("", data)
    rows: list[Any] = [checks.array("x", x)]
    for name, part in zip(("y", "weight"), others, strict=True):
        heads = part if isinstance(part, Mapping) else {None: part}
        arrays = {head: checks.array(name, of) for head, of in heads.items() if of is not None}
        for array in arrays.values():
            checks.same_rows(x=rows[0], **{name: array})
        rows.append(arrays if isinstance(part, Mapping) else arrays.get(None))
    return tuple(rows)


def _taken(rows: tuple[Any, ...], at: NDArray[Any]) -> tuple[Any, ...]:
    taken: tuple[Any, ...] = jax.tree.map(lambda array: array[at], rows)
    return taken
