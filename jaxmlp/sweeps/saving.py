"""Saving: all members of a sweep in one file, and the sweep that goes on from there, equal to the bit."""

import functools
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp import archive, devices, training
from jaxmlp.sweeps.members import Group, Slice
from jaxmlp.training import RunState

KEEP = 2
"""How many files are kept; a damaged one is passed over when they are read."""

WHAT = {
    **{name: sentence.replace("saved run", "saved sweep") for name, sentence in training.WHAT.items()},
    "hyper": "hyper has other settings than the saved sweep, or seeds is another number",
    "folds": "the folds or their scaler are others than those of the saved sweep",
    "params": "params are others than those of the saved sweep",
}
"""What must be as it was when the sweep was saved, and what is said if it is not."""


class Saver:
    """Writes where all members stand into a folder, and what else there is to say; into none if there is no folder."""

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        groups: Sequence[Group],
        states: Callable[[], Sequence[RunState]],
        resume: bool,
        **also: Any,
    ) -> None:
        if resume and folder is None:
            raise ValueError("resume is True, but save is None; give the folder to go on from as save")
        self._folder = folder
        self._groups = groups
        self._mesh = groups[0].mesh
        self._states = states
        self._resume = resume
        self._about = described(groups) | also if folder is not None else {}
        self._saved = time.perf_counter()
        if folder is not None and not resume:
            if archive.numbers(folder):
                raise ValueError(f"save is {folder}, where something is saved already; give resume=True, or another")
            self.save()  # at once, since it is better to hear now that it cannot be done

    def found(self, slices: Sequence[Sequence[Slice]]) -> tuple[list[RunState], dict[str, Any]] | None:
        """Return where the members of each group stood when they were saved, and what else the file says.

        None if it is not to be gone on from there, or nothing has been saved.

        Raises:
            archive.ArchiveError: the files are damaged.
            ValueError: they are of another sweep.
        """
        if not self._resume or self._folder is None or not archive.numbers(self._folder):
            return None
        return _read(self._folder, self._groups, self._about["groups"], slices)

    def now_and_then(self) -> None:
        """Save if it is some time since it was done last."""
        (seconds,) = devices.agreed(self._mesh, time.perf_counter() - self._saved)
        if seconds > training.SECONDS_PER_SAVE:
            self.save()

    def save(self) -> None:
        """Save."""
        if self._folder is not None:
            states = self._states()
            epochs = sum(int(state.epoch.sum()) for state in states)
            with devices.one_process(self._mesh) as writes:
                if writes:
                    archive.write_next(self._folder, epochs, archive.flatten(list(states)), self._about, KEEP)
        self._saved = time.perf_counter()


def _read(
    folder: str | os.PathLike[str],
    groups: Sequence[Group],
    of_groups: Sequence[dict[str, Any]],
    slices: Sequence[Sequence[Slice]],
) -> tuple[list[RunState], dict[str, Any]]:
    _, arrays, about = archive.read_latest(folder)
    if "groups" not in about:
        raise ValueError(f"{folder} holds a single run and no sweep; give the folder of a sweep")
    for i, (was, now) in enumerate(zip(about["groups"], of_groups, strict=False)):
        of_group = f" (structure {i} of {len(groups)})" if len(groups) > 1 else ""
        for name, sentence in WHAT.items():
            if was.get(name) != now[name]:
                said = sentence.format(now=now[name], saved=was.get(name))
                raise ValueError(f"{said}{of_group}; give those that {folder} began with")
    if len(about["groups"]) != len(groups):
        raise ValueError(f"{folder} holds a sweep of {len(about['groups'])} structures, this one has {len(groups)}")
    states = archive.unflatten([_like(part, about["groups"][0]["epochs"]) for part in slices], arrays)
    epochs, reached = groups[0].program.epochs, max(int(state.epoch.max()) for state in states)
    if reached > epochs:
        raise ValueError(f"epochs is {epochs}, but the saved sweep has run {reached}; give those")
    for was, now in zip(about["groups"], of_groups, strict=True):
        training.warn_of_changes(folder, was, now, stacklevel=5)
    fitted = functools.partial(training.fitted, epochs=epochs)
    return [state._replace(history=jax.tree.map(fitted, state.history)) for state in states], about


def described(groups: Sequence[Group]) -> dict[str, Any]:
    """Return what a file says about its sweep, so that another is not taken for it."""
    of_groups = []
    for group in groups:
        inputs = group.shared.inputs._replace(keys=group.members.keys)
        about = training.describe(group.program, inputs)
        of_groups.append(
            about
            | {
                "hyper": training.digest((group.members.hyper, group.places)),
                "folds": training.digest((group.members.fold, group.shared.folds)),
                "params": training.digest(group.shared.params),
            }
        )
    described: dict[str, Any] = json.loads(json.dumps({"groups": of_groups}))
    return described


def _like(slices: Sequence[Slice], epochs: int) -> RunState:
    """Return the shapes of all members of a group, with a history of so many epochs."""
    count = sum(part.filled for part in slices)

    def like() -> RunState:
        state = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape[1:]), leaf.dtype), slices[0].state)
        history = {name: jnp.zeros((count, epochs), entries.dtype) for name, entries in state.history.items()}
        wanted: RunState = state._replace(history=history)
        return wanted

    shapes: RunState = jax.eval_shape(like)
    return shapes
