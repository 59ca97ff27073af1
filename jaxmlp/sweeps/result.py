"""What a sweep leaves behind: every run of it, and what they come to together."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp import chains, checks, losses, training
from jaxmlp.sweeps import members as crew
from jaxmlp.sweeps.judging import OF_TABLE, as_table, known_mode
from jaxmlp.sweeps.members import Group
from jaxmlp.sweeps.picture import picture
from jaxmlp.sweeps.settings import Setting
from jaxmlp.training import Recipe, Run, RunState, StopReason
from jaxmlp.types import Outputs, Params


@dataclasses.dataclass(frozen=True)
class Best:
    """The best setting of a sweep.

    Attributes:
        hyper: the setting.
        mean: of what it is judged by, over the seeds, each at its own best epoch.
        std: the standard deviation over the seeds.
        members: its runs, by their places in the sweep.
        run: the best of them.
    """

    hyper: Setting
    mean: float
    std: float
    members: tuple[int, ...]
    run: Run


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """Many runs: those of the first setting, one for each seed, then those of the second, and so on.

    Attributes:
        settings: the hyperparameters that were tried.
        seeds: runs of each setting.
        setting: for each member the place of its setting in ``settings``.
        seed: for each member its seed, from 0 to ``seeds`` - 1.
        history: for each name as in ``Run.history`` an array of shape (members, epochs), NaN for epochs not run.
        epochs: for each member the number of epochs run.
        best_epoch: for each member its best epoch, counted from 1; 0 if none has a finite loss.
        stop_reason: for each member why it ended.
        wasted: the share of the time that went into members that had stopped already, while others of their slice ran
            on; 0 where members are computed one after another.
        compile_seconds: time to build the programs.
        run_seconds: time to run them.
    """

    settings: tuple[Setting, ...]
    seeds: int
    setting: NDArray[Any]
    seed: NDArray[Any]
    history: dict[str, NDArray[Any]]
    epochs: NDArray[Any]
    best_epoch: NDArray[Any]
    stop_reason: tuple[StopReason, ...]
    wasted: float
    compile_seconds: float
    run_seconds: float
    groups: tuple[Group, ...] = dataclasses.field(repr=False)
    states: tuple[RunState, ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.epochs)

    def member(self, i: int | np.integer[Any]) -> Run:
        """Return one of the runs, as ``training.fit`` would have: to be replayed, saved, or gone on with.

        Args:
            i: its place, from 0 to ``len`` - 1.

        Returns:
            The run, without times of its own.

        Example:
            >>> runs.member(1).epochs, runs.member(1).stop_reason.value
            (20, 'all epochs were run')
        """
        i = checks.whole_number("i", i, 0)
        group, state, row = self.found(i)
        inputs = crew.inputs_of(group.shared, crew.take(group.members, row))
        origin = training.Origin(group.program, inputs, group.shared.params)
        return training.to_run(crew.take(state, row), origin, 0.0, 0.0, self.stop_reason[i])

    def recipe(self, i: int | np.integer[Any]) -> Recipe:
        """Return what a member was made from, with its own numbers.

        Args:
            i: its place, from 0 to ``len`` - 1.

        Returns:
            The recipe.

        Example:
            >>> runs.recipe(0).net.sizes
            (1, 16, 1)
        """
        group, _, row = self.found(i)
        return training.resolve(group.program.recipe, jax.tree.map(float, crew.take(group.members, row).hyper))

    @property
    def params(self) -> Params:
        """The last parameters of all members, with a leading axis of members, where all nets are of one shape."""
        return self._together(_params)

    @property
    def best_params(self) -> Params:
        """The best parameters of all members, with a leading axis of members, where all nets are of one shape."""
        return self._together(lambda state: state.best_params)

    @property
    def judged_by(self) -> str:
        """The name in ``history`` by which each member's best epoch was chosen."""
        rule = self.groups[0].shared.inputs.early_stopping
        data = "validation" if "validation/loss" in self.history else "train"
        return f"{data}/{rule.metric if rule else 'loss'}"

    def best(self, metric: str | None = None, mode: str | None = None) -> Best:
        """Return the setting whose seeds are the best on average, each at its own best epoch.

        A setting of which a seed has no finite value is behind all others.

        Args:
            metric: a name in ``history``; what the best epochs were chosen by unless given.
            mode: "min" where smaller is better, "max" where larger is; known for the losses, for this project's metrics
                and for what early stopping watches.

        Returns:
            The setting, its mean and spread, its members, and the best of its runs.

        Raises:
            ValueError: no such name, or no setting with finite values.

        Example:
            >>> best = runs.best()
            >>> best.hyper, best.members, best.run.epochs
            ({'learning_rate': 0.01}, (3, 4, 5), 20)
        """
        values = self.at_best(metric)
        sign = -1 if self.larger_is_better(metric, mode) else 1
        costs = np.where(np.isfinite(values), sign * values, np.inf).reshape(-1, self.seeds)
        means = costs.mean(axis=1)
        if not np.isfinite(means).any():
            raise ValueError("no setting has finite values for all seeds; try smaller learning rates")
        place = int(means.argmin())
        of_setting = np.flatnonzero(self.setting == place)
        best = values[of_setting]
        return Best(
            hyper=dict(self.settings[place]),
            mean=float(best.mean()),
            std=float(best.std()),
            members=tuple(of_setting.tolist()),
            run=self.member(int(of_setting[costs[place].argmin()])),
        )

    def table(self, metric: str | None = None, mode: str | None = None) -> Any:
        """Lay out the settings, the best first.

        Args:
            metric: a name in ``history``, as for ``best``.
            mode: "min" or "max", as for ``best``.

        Returns:
            For each setting its hyperparameters; mean, std, lowest and highest of the metric over the seeds, each at
            its best epoch; the mean of the epochs run and of the best epochs; and how many seeds diverged. A pandas
            data frame if pandas is installed, else a list of dictionaries.

        Raises:
            ValueError: no such name.

        Example:
            >>> [rate for rate in runs.table()["learning_rate"]]
            [0.01, 1e-05]
        """
        values = self.at_best(metric).reshape(-1, self.seeds)
        diverged = np.array([reason is StopReason.DIVERGED for reason in self.stop_reason]).reshape(-1, self.seeds)
        rows = [
            {
                **{name if name not in OF_TABLE else f"{name} (hyper)": value for name, value in setting.items()},
                "mean": float(of_seeds.mean()),
                "std": float(of_seeds.std()),
                "lowest": float(of_seeds.min()),
                "highest": float(of_seeds.max()),
                "epochs": float(self.epochs[self.setting == i].mean()),
                "best epoch": float(self.best_epoch[self.setting == i].mean()),
                "diverged": int(diverged[i].sum()),
            }
            for i, (setting, of_seeds) in enumerate(zip(self.settings, values, strict=True))
        ]
        larger = self.larger_is_better(metric, mode)
        rows.sort(key=lambda row: math.inf if math.isnan(row["mean"]) else (-1 if larger else 1) * row["mean"])
        return as_table(rows)

    def plot(self, metric: str | None = None, mode: str | None = None, *, axes: Any = None) -> Any:
        """Draw the settings (needs matplotlib): a ladder for one number that varies, a map for two, else lines of dots.

        Args:
            metric: a name in ``history``, as for ``best``.
            mode: "min" or "max", as for ``best``.
            axes: matplotlib's axes to draw on; new ones unless given.

        Returns:
            The axes.

        Raises:
            ValueError: no such name.

        Example:
            >>> runs.plot().get_xlabel()
            'learning_rate'
        """
        results = self.at_best(metric).reshape(-1, self.seeds)
        name, larger = metric or self.judged_by, self.larger_is_better(metric, mode)
        return picture(self.settings, results, name.replace("/", " "), larger, axes)

    def outputs(self, x: Any, members: Sequence[int] | None = None, *, last: bool = False) -> Outputs:
        """Compute what several members answer, each with its best parameters or with its last.

        Args:
            x: inputs of shape (rows, inputs), scaled as the training data were.
            members: which; those of the best setting unless given. One may be named more than once.
            last: take the last parameters, not the best.

        Returns:
            Raw outputs of shape (members, rows, outputs), or a mapping of them by head.

        Example:
            >>> runs.outputs(jnp.zeros((5, 1))).shape
            (3, 5, 1)
        """
        x = checks.to_floats("x", checks.array("x", x))
        chosen = self.best().members if members is None else tuple(members)
        if not chosen:
            raise ValueError("members is empty; give one at least")
        each = []
        for i in chosen:
            _, state, row = self.found(checks.whole_number("members", i, 0))
            each.append(self.recipe(i).net.apply(crew.take(_params(state) if last else state.best_params, row), x))
        together: Outputs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        return together

    def ensemble(self, x: Any, members: Sequence[int] | None = None, *, last: bool = False) -> Outputs:
        """Return the mean of what several members predict: of probabilities for losses of answers, else of numbers.

        Args:
            x: inputs of shape (rows, inputs), scaled as the training data were.
            members: which; those of the best setting unless given. One may be named more than once, to count more.
            last: take the last parameters, not the best.

        Returns:
            Predictions of shape (rows, outputs), or a mapping of them by head.

        Raises:
            ValueError: no members, or one that there is not.

        Example:
            >>> runs.ensemble(jnp.zeros((5, 1))).shape
            (5, 1)
        """
        chosen = self.best().members if members is None else tuple(members)
        outputs = self.outputs(x, chosen, last=last)
        each = [
            losses.predictions(self.recipe(i).loss, jax.tree.map(lambda leaf, at=at: leaf[at], outputs))
            for at, i in enumerate(chosen)
        ]
        mean: Outputs = jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), axis=0), *each)
        return mean

    def __repr__(self) -> str:
        """Say in a sentence what came out."""
        runs = f"Sweep of {len(self)} runs, {len(self.settings)} settings with {self.seeds} seeds each"
        diverged = sum(reason is StopReason.DIVERGED for reason in self.stop_reason)
        try:
            best = self.best()
        except ValueError:
            return f"{runs}; none of the settings has finite values"
        spread = f" +- {best.std:.2g}" if self.seeds > 1 else ""
        lost = f"; {diverged} diverged" if diverged else ""
        return f"{runs}; best: {best.hyper} with {self.judged_by} {best.mean:.4g}{spread}{lost}"

    def larger_is_better(self, metric: str | None = None, mode: str | None = None) -> bool:
        """Return whether what is judged by is to become large.

        Args:
            metric: a name in ``history``, as for ``best``.
            mode: "min" or "max", as for ``best``.

        Example:
            >>> runs.larger_is_better()
            False
        """
        name, rule = metric or self.judged_by, self.groups[0].shared.inputs.early_stopping
        known = "min" if name.endswith("/loss") else known_mode(self.groups[0].program.metrics, name)
        if rule is not None and name == self.judged_by:
            known = rule.mode
        if mode is None and known is None:
            raise ValueError(f"mode is None, but {name!r} is not known to be better small or large; say 'min' or 'max'")
        if mode is not None:
            checks.one_of("mode", mode, ("min", "max"))
        return (mode or known) == "max"

    def at_best(self, metric: str | None = None) -> NDArray[Any]:
        """Return what each member comes to at its best epoch.

        Args:
            metric: a name in ``history``, as for ``best``.

        Returns:
            An array of shape (members,), NaN for members without a best epoch.

        Example:
            >>> runs.at_best().shape
            (6,)
        """
        name = self.judged_by if metric is None else metric
        checks.one_of("metric", name, self.history)
        at_best = self.history[name][np.arange(len(self)), np.maximum(self.best_epoch - 1, 0)]
        return np.where(self.best_epoch > 0, at_best, np.nan)

    def found(self, i: int | np.integer[Any]) -> tuple[Group, RunState, int]:
        """Return where a member is kept: its group, the states of the group, and its place among them.

        Args:
            i: its place in the sweep, from 0 to ``len`` - 1.

        Raises:
            ValueError: there is none.

        Example:
            >>> runs.found(4)[2]
            4
        """
        for group, state in zip(self.groups, self.states, strict=True):
            row = np.flatnonzero(group.places == i)
            if len(row):
                return group, state, int(row[0])
        raise ValueError(f"there is no member {i}; there are {len(self)}, counted from 0")

    def _together(self, of_state: Any) -> Params:
        if len(self.groups) > 1:
            raise ValueError(
                f"the nets are of {len(self.groups)} structures, which no array holds; take member(i) of each"
            )
        return of_state(self.states[0])


def _params(state: RunState) -> Params:
    return chains.evaluation_params(state.opt_state, state.params)
