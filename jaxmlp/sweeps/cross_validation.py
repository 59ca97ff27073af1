"""Cross-validation: every row is held out once, and folds are members like seeds and settings (Stone 1974)."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxmlp import checks, training
from jaxmlp import data as scaling
from jaxmlp.devices import MEMBERS
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.sweeps import members as crew
from jaxmlp.sweeps.folds import Folds, assign, in_order, parts
from jaxmlp.sweeps.members import Members, Shared
from jaxmlp.sweeps.result import Sweep
from jaxmlp.sweeps.sweep import Hyper, carried_out, planned
from jaxmlp.training import AnyRecipe
from jaxmlp.types import Key, Metric, Outputs, Params


@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation:
    """What comes of cross-validation.

    Attributes:
        runs: all members; a setting's seeds are its folds times the seeds, the first ``seeds`` of them those of fold 0.
        fold_of_row: for each repetition the fold in which each row is held out, of shape (repeats, rows).
        seeds: runs of each fold.
    """

    runs: Sweep
    fold_of_row: NDArray[Any]
    seeds: int

    @property
    def folds(self) -> int:
        """The number of folds."""
        return int(self.fold_of_row.max()) + 1

    def scores(self, metric: str | None = None) -> NDArray[Any]:
        """Return what every fold comes to, at each member's best epoch.

        Args:
            metric: a name in ``runs.history``; what the best epochs were chosen by unless given.

        Returns:
            An array of shape (settings, repeats, folds, seeds).

        Raises:
            ValueError: no such name.

        Example:
            >>> validated.scores().shape
            (1, 1, 4, 1)
        """
        values = self.runs.at_best(metric)
        return values.reshape(len(self.runs.settings), len(self.fold_of_row), self.folds, self.seeds)

    def out_of_fold(self, setting: int | None = None, *, last: bool = True) -> Outputs:
        """Return for every row what the runs predict that have not been trained on it: the mean over seeds and repeats.

        They are those of the last parameters. The best epoch of each run was chosen on the very rows that it is to
        predict here, which on few rows and over many epochs makes chance look like skill; so was the best setting, if
        there are many. ``nested`` is free of both.

        Args:
            setting: the place of a setting in ``runs.settings``; the best unless given.
            last: take the last parameters; False takes the best, and the numbers are then too good.

        Returns:
            Predictions of shape (rows, outputs), or a mapping of them by head; for losses of answers probabilities.

        Raises:
            ValueError: no such setting.

        Example:
            >>> validated.out_of_fold().shape
            (40, 1)
        """
        if setting is None:
            setting = self.runs.settings.index(self.runs.best().hyper)
        setting = checks.whole_number("setting", setting, 0)
        if setting >= len(self.runs.settings):
            raise ValueError(f"setting is {setting}, but there are {len(self.runs.settings)}, counted from 0")
        members = np.flatnonzero(self.runs.setting == setting).reshape(len(self.fold_of_row), self.folds, self.seeds)
        x, repeats = self.runs.groups[0].shared.inputs.train.x, []
        for of_repeat, fold_of_row in zip(members, self.fold_of_row, strict=True):
            rows = [np.flatnonzero(fold_of_row == fold) for fold in range(self.folds)]
            predicted = [self.predicted(of.tolist(), x[at], last=last) for of, at in zip(of_repeat, rows, strict=True)]
            repeats.append(in_order(rows, predicted))
        return _mean(repeats)

    def predicted(self, members: Sequence[int], x: Any, *, last: bool = False) -> Outputs:
        """Return the mean of what several runs predict, each from inputs scaled as its own training rows were.

        Args:
            members: places in ``runs``.
            x: inputs of shape (rows, inputs), not scaled.
            last: take the last parameters, not the best.

        Returns:
            Predictions of shape (rows, outputs), or a mapping of them by head.

        Example:
            >>> validated.predicted([0, 2], jnp.zeros((5, 1))).shape
            (5, 1)
        """
        return _mean([self.runs.ensemble(self._scaled(member, x), [member], last=last) for member in members])

    def score(self, member: int, data: Any) -> dict[str, float]:
        """Return the loss and the metrics of a run on other rows, with its best parameters.

        Args:
            member: its place in ``runs``.
            data: (x, y) or (x, y, weight), x not scaled.

        Returns:
            Numbers by name, "loss" first.

        Raises:
            ValueError: data that the net or the loss refuses.

        Example:
            >>> list(validated.score(0, (np.zeros((5, 1)), np.zeros((5, 1)))))
            ['loss']
        """
        run = self.runs.member(member)
        recipe, metrics = self.runs.recipe(member), run.origin.program.metrics
        rows = training.to_batch(recipe, None, "", data)
        rows = rows._replace(x=self._scaled(member, rows.x))
        return {name: float(value) for name, value in training.evaluate(recipe, run.best_params, rows, metrics).items()}

    def _scaled(self, member: int, x: Any) -> Any:
        group, _, row = self.runs.found(member)
        folds = group.shared.folds
        if folds is None or folds.scaler is None or group.members.fold is None:
            return x
        return crew.take(folds, group.members.fold[row]).scaler.apply(x)


def cross_validate(
    recipe: AnyRecipe,
    data: Any,
    *,
    folds: int = 5,
    repeats: int = 1,
    stratify: Any = None,
    groups: Any = None,
    scaler: Any = scaling.StandardScaler,
    hyper: Hyper = None,
    seeds: int = 1,
    epochs: int,
    batch_size: int | None,
    key: Key,
    params: Params = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    evaluate_every: int = 1,
    exact: bool = False,
    at_once: int | None = None,
    progress: bool = True,
    save: str | os.PathLike[str] | None = None,
    resume: bool = False,
    mesh: Mesh | None = None,
) -> CrossValidation:
    """Train every setting on all folds but one, and validate on that one, for each fold in turn: as one program.

    Args:
        recipe: what is trained, and how; or a function from a setting to it.
        data: (x, y) or (x, y, weight), as for ``fit``; x not yet scaled.
        folds: how many, at least 2.
        repeats: how many times all rows are cut into folds anew, at least 1.
        stratify: labels of shape (rows,), such as y: each fold then has every label in its share, to within one row.
        groups: labels of shape (rows,), such as the patient a row is of: rows of a group are never in two folds.
        scaler: a class with ``fit`` and ``apply`` such as ``data.StandardScaler``, fitted for each fold on its training
            rows alone; None leaves x as it is.
        hyper: a setting or a list of them, as for ``sweep``.
        seeds: runs of each fold of each setting, at least 1.
        epochs: how many at most, at least 1.
        batch_size: rows of a step, as for ``fit``.
        key: a random key; it cuts the folds, and each seed has its own from it.
        params: parameters to begin with, as for ``sweep``.
        early_stopping: when a member stops, judged by its held-out fold.
        metrics: what to compute on the held-out fold after each epoch, by name.
        class_weight: how much the rows of a class count, as for ``fit``; "balanced" is reckoned over all rows.
        evaluate_every: epochs from one evaluation to the next.
        exact: as for ``sweep``.
        at_once: as for ``sweep``.
        progress: as for ``sweep``.
        save: as for ``sweep``.
        resume: as for ``sweep``.
        mesh: devices to spread the members over, such as ``devices.mesh(members=8)``; each of them has all rows.

    Returns:
        The ``CrossValidation``. Ctrl-C ends it as it does a ``sweep``.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: fewer rows, groups or rows of a class than folds; a fold whose rows all weigh 0; what ``sweep``
            refuses.

    Example:
        >>> from jaxmlp import losses, optimizers, training
        >>> from jaxmlp.mlp import MLP
        >>> x = np.linspace(-1, 1, 40)[:, None]
        >>> recipe = training.Recipe(MLP((1, 16, 1)), optimizers.adam(0.01), losses.squared_error)
        >>> validated = cross_validate(recipe, (x, x**2), folds=4, epochs=50, batch_size=10, key=jax.random.key(0))
        >>> validated.scores().shape, validated.out_of_fold().shape, bool(validated.runs.best().mean < 0.02)
        ((1, 1, 4, 1), (40, 1), True)
    """
    checks.random_key("key", key)
    _refuse_lost_digits(checks.array("x", training.parts_of("", data)[0]))
    if scaler is not None and not (callable(scaler) and hasattr(scaler, "fit") and hasattr(scaler, "apply")):
        raise TypeError(f"scaler is {scaler!r}; give a class such as data.StandardScaler, or None")
    repeats, seeds = checks.whole_number("repeats", repeats, 1), checks.whole_number("seeds", seeds, 1)
    if mesh is not None and mesh.size > mesh.shape[MEMBERS]:
        raise ValueError("mesh spreads rows or weights, but each fold picks its own rows; spread members alone")
    found: list[NDArray[Any]] = []

    def folded(shared: Shared, members: Members, places: NDArray[Any]) -> tuple[Shared, Members, NDArray[Any]]:
        train = shared.inputs.train
        if not found:
            cut = jax.random.fold_in(key, CUT)
            found.extend(
                assign(len(train.x), folds, key=jax.random.fold_in(cut, repeat), stratify=stratify, groups=groups)
                for repeat in range(repeats)
            )
        masks = [fold_of_row == fold for fold_of_row in found for fold in range(folds)]
        _refuse_weightless(masks, train.weight)
        scalers = [scaler.fit(np.asarray(train.x)[~mask]) for mask in masks] if scaler is not None else []
        cut_up = Folds(
            train=parts([np.flatnonzero(~mask) for mask in masks]),
            held_out=parts([np.flatnonzero(mask) for mask in masks]),
            scaler=jax.tree.map(lambda *of: jnp.asarray(np.stack(of), train.x.dtype), *scalers) if scalers else None,
        )
        count = len(places) // seeds
        rows = np.arange(len(places)).reshape(count, 1, seeds).repeat(len(masks), 1).ravel()
        fold = np.broadcast_to(np.arange(len(masks))[None, :, None], (count, len(masks), seeds)).ravel()
        begins = places.reshape(count, seeds)[:, :1] * len(masks)
        at = (begins + np.arange(len(masks) * seeds)[None]).ravel()
        return shared._replace(folds=cut_up), crew.take(members, rows)._replace(fold=jnp.asarray(fold)), at

    plan = planned(
        recipe, data, hyper, seeds, key, exact=exact, at_once=at_once, folded=folded, epochs=epochs,
        batch_size=batch_size, validation=data, params=params, early_stopping=early_stopping, metrics=metrics,
        class_weight=class_weight, evaluate_every=evaluate_every, mesh=mesh,
    )  # fmt: skip
    plan = plan._replace(seeds=seeds * folds * repeats)
    runs = carried_out(plan, epochs, progress=progress, save=save, resume=resume)
    return CrossValidation(runs, np.stack(found), seeds)


LEAST_SPREAD = 1e-4
"""The least standard deviation, as a share of the mean, at which 32-bit floats still keep three digits of it."""

CUT = 2**31 - 3
"""What the key that cuts the folds is folded with: a number that no seed has."""


def _mean(each: Sequence[Outputs]) -> Outputs:
    mean: Outputs = jax.tree.map(lambda *parts: jnp.mean(jnp.stack(parts), axis=0), *each)
    return mean


def _refuse_weightless(masks: Sequence[NDArray[Any]], weight: Any) -> None:
    counts = np.ones(len(masks[0])) if weight is None else np.asarray(weight)
    for i, mask in enumerate(masks):
        for what, rows in (("are held out in", mask), ("train in", ~mask)):
            if not counts[rows].any():
                raise ValueError(f"weight is 0 for all rows that {what} fold {i}; give fewer folds, or stratify")


def _refuse_lost_digits(x: Any) -> None:
    """Refuse columns far from 0: the folds scale x within the program, where 32-bit floats have lost their digits."""
    seen = np.asarray(x, np.float64)
    spread, off = seen.std(axis=0), np.abs(seen.mean(axis=0))
    lost = np.flatnonzero((spread > 0) & (spread < LEAST_SPREAD * off))
    if jnp.zeros(()).dtype == jnp.float32 and len(lost):
        raise ValueError(
            f"x has a mean of {seen.mean(axis=0)[lost[0]]:.6g} in column {lost[0]} and a standard deviation of only "
            f"{spread[lost[0]]:.3g}, of which 32-bit floats keep few digits; subtract a constant, such as a first date"
        )
