"""Halving: many settings for a few epochs, the better ones for more (Jamieson and Talwalkar 2016)."""

import dataclasses
import functools
import math
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmlp import checks, training
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.sweeps import members as crew
from jaxmlp.sweeps import saving
from jaxmlp.sweeps.layout import laid_out, spent
from jaxmlp.sweeps.result import Sweep
from jaxmlp.sweeps.settings import Setting
from jaxmlp.sweeps.sweep import Hyper, planned, run_with_bar
from jaxmlp.training import AnyRecipe, RunState
from jaxmlp.types import Key, Metric, Params, Scalar


class Rung(NamedTuple):
    """A rung of the ladder: until which epoch its settings are run, and which they are, by their places."""

    epochs: int
    settings: tuple[int, ...]


class Halving(NamedTuple):
    """What comes of halving.

    Attributes:
        runs: all members; those that were dropped as far as they have come.
        rungs: which settings were run how far.
    """

    runs: Sweep
    rungs: tuple[Rung, ...]

    @property
    def survivors(self) -> tuple[Setting, ...]:
        """The settings that were run to the end."""
        return tuple(self.runs.settings[place] for place in self.rungs[-1].settings)


def halving(
    recipe: AnyRecipe,
    data: Any,
    *,
    hyper: Hyper = None,
    seeds: int = 1,
    epochs: int,
    first: int = 1,
    factor: Scalar = 3.0,
    batch_size: int | None,
    key: Key,
    validation: Any = None,
    params: Params = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    exact: bool = False,
    at_once: int | None = None,
    progress: bool = True,
    save: str | os.PathLike[str] | None = None,
    resume: bool = False,
    mesh: Mesh | None = None,
) -> Halving:
    """Run all settings for a few epochs, keep the best third of them for three times as many, and so on.

    A setting is judged by the mean over its seeds of the best they have come to; one of which a seed diverged comes
    last. Whoever stays is run on from where it stands, and its curve is the one that it has in a ``sweep``: others that
    leave change nothing of it.

    Args:
        recipe: what is trained, and how; or a function from a setting to it.
        data: (x, y) or (x, y, weight), as for ``fit``.
        hyper: the settings, as for ``sweep``.
        seeds: runs of each setting, at least 1.
        epochs: of those that come to the end, at least 1.
        first: epochs of all settings, at least 1.
        factor: by how much the epochs grow and the settings shrink from rung to rung, above 1.
        batch_size: rows of a step, as for ``fit``.
        key: a random key.
        validation: (x, y) or (x, y, weight) to evaluate after each epoch.
        params: parameters to begin with, as for ``sweep``.
        early_stopping: when a member stops, as for ``fit``.
        metrics: what to compute after each epoch, by name.
        class_weight: how much the rows of a class count, as for ``fit``.
        exact: as for ``sweep``.
        at_once: as for ``sweep``.
        progress: as for ``sweep``.
        save: as for ``sweep``.
        resume: as for ``sweep``; at the rung where it was.
        mesh: as for ``sweep``.

    Returns:
        All runs, and the rungs. Ctrl-C ends it at the rung where it is.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: ``first`` above ``epochs``, ``factor`` not above 1; what ``sweep`` refuses.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> x = np.linspace(-1, 1, 32)[:, None]
        >>> def recipe(hyper):
        ...     return training.Recipe(MLP((1, 16, 1)), optimizers.adam(hyper["learning_rate"]), losses.squared_error)
        >>> halved = halving(recipe, (x, x**2), epochs=9, batch_size=8, key=jax.random.key(0))  # the ladder of rates
        >>> [(rung.epochs, len(rung.settings)) for rung in halved.rungs], sorted(halved.runs.epochs.tolist())
        ([(1, 7), (3, 3), (9, 1)], [1, 1, 1, 1, 3, 3, 9])
    """
    epochs = checks.whole_number("epochs", epochs, 1)
    first = checks.whole_number("first", first, 1)
    if first > epochs:
        raise ValueError(f"first is {first}, but epochs is {epochs}; give at most those")
    checks.in_range("factor", factor, "(1, inf)")
    plan = planned(
        recipe, data, hyper, seeds, key, exact=exact, at_once=at_once, epochs=epochs, batch_size=batch_size,
        validation=validation, params=params, early_stopping=early_stopping, metrics=metrics,
        class_weight=class_weight, mesh=mesh,
    )  # fmt: skip
    until = _epochs_of_rungs(first, epochs, float(factor))
    last = functools.reduce(lambda count, _: _staying(count, factor), until[1:], len(plan.settings))
    rungs = [Rung(until[0], tuple(range(len(plan.settings))))]

    began = time.perf_counter()
    slices = [crew.slices_of(group) for group in plan.groups]
    crew.compile_all([part for of_group in slices for part in of_group])
    states = [crew.state_of(of_group) for of_group in slices]
    compile_seconds, began = time.perf_counter() - began, time.perf_counter()

    rows: list[Any] = [[] for _ in plan.groups]
    running: list[list[crew.Slice]] = [[] for _ in plan.groups]

    def standing() -> list[RunState]:
        return [_put_back(*of_group) for of_group in zip(states, rows, running, strict=True)]

    saver = saving.Saver(save, plan.groups, standing, resume, rungs=rungs)
    if found := saver.found(slices):
        states, about = found
        rungs[:] = [Rung(epoch, tuple(kept)) for epoch, kept in about["rungs"]]
    total = spent([])
    with training.interruptible() as interrupted:
        while True:
            epoch, kept = rungs[-1]
            rows = [np.flatnonzero(np.isin(group.places // plan.seeds, kept)) for group in plan.groups]
            groups = [
                group if at_once or mesh is not None else _suited(group, len(of_group), last * plan.seeds)
                for group, of_group in zip(plan.groups, rows, strict=True)
            ]
            running = [
                crew.regrouped(group, state, of_group) if len(of_group) else []
                for group, state, of_group in zip(groups, states, rows, strict=True)
            ]
            everyone = [part for of_group in running for part in of_group]
            to_run = sum(int((epoch - state.epoch[at]).sum()) for state, at in zip(states, rows, strict=True))
            with training.progress_bar(progress, to_run, "epoch") as show:
                run_with_bar(everyone, epoch, interrupted, show, saver.now_and_then)
            states = standing()
            total = total + spent(everyone, rungs[-2].epochs if len(rungs) > 1 else 0)
            if interrupted.is_set() or epoch >= until[-1]:
                break
            costs = _costs(plan.groups, states, len(plan.settings), plan.seeds)
            better = sorted(kept, key=lambda place: costs[place])[: _staying(len(kept), factor)]
            rungs.append(Rung(next(end for end in until if end > epoch), tuple(sorted(better))))
            saver.now_and_then()
    saver.save()
    dropped = set(range(len(plan.settings))) - set(rungs[-1].settings)
    seconds = compile_seconds, time.perf_counter() - began
    runs = laid_out(plan.settings, plan.seeds, plan.groups, states, seconds, total, dropped)
    return Halving(runs, tuple(rungs))


def _epochs_of_rungs(first: int, epochs: int, factor: float) -> list[int]:
    rungs, epoch = [], float(first)
    while round(epoch) < epochs:
        rungs.append(round(epoch))
        epoch = max(epoch * factor, epoch + 1)
    return [*rungs, epochs]


def _staying(settings: int, factor: Scalar) -> int:
    return max(1, math.ceil(settings / float(factor)))


def _suited(group: crew.Group, members: int, last: int) -> crew.Group:
    """Return a group whose slices suit so many of its members.

    Computed side by side, they are as wide as there are members. One after another they are as wide as they have been,
    which is compiled already, while there are enough for all cores; then so narrow that the last members are.
    """
    if not group.mapped:
        return dataclasses.replace(group, at_once=min(group.at_once, members) or 1)
    if members >= 2 * crew.workers() * group.at_once:
        return group
    return dataclasses.replace(group, at_once=min(group.at_once, max(1, last // crew.workers())))


def _put_back(state: RunState, rows: Any, running: list[crew.Slice]) -> RunState:
    if not len(rows):
        return state
    back: RunState = jax.tree.map(lambda whole, part: whole.at[rows].set(part), state, crew.state_of(running))
    return back


def _costs(groups: Any, states: Any, settings: int, seeds: int) -> Any:
    """Return for each setting the mean over its seeds of the best so far; infinite where one has nothing finite."""
    costs = np.full(settings * seeds, np.inf)
    for group, state in zip(groups, states, strict=True):
        found = np.asarray(jnp.where(state.stop == training.DIVERGED, jnp.inf, state.best_cost))
        costs[group.places] = np.where(np.isfinite(found), found, np.inf)
    return costs.reshape(settings, seeds).mean(axis=1)
