"""Laying out: from where all members stand to the record of the sweep."""

import itertools
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxmlp import training
from jaxmlp.sweeps import members as crew
from jaxmlp.sweeps.members import Group, Slice
from jaxmlp.sweeps.result import Sweep
from jaxmlp.sweeps.settings import Setting
from jaxmlp.training import StopReason


def laid_out(
    settings: Sequence[Setting],
    seeds: int,
    groups: Sequence[Group],
    slices: Sequence[Sequence[Slice]],
    compile_seconds: float,
    run_seconds: float,
    dropped: Container[int] = (),
) -> Sweep:
    """Lay out where the members of all groups stand; settings that were dropped are given by their places."""
    states = [crew.state_of(of_group) for of_group in slices]
    places = np.concatenate([group.places for group in groups])
    back = np.argsort(places)

    def gathered(of_state: Any) -> NDArray[Any]:
        found: NDArray[Any] = np.concatenate([np.asarray(of_state(state)) for state in states])[back]
        return found

    epochs, stop = gathered(lambda state: state.epoch), gathered(lambda state: state.stop)
    of_groups = (
        training.names_in_order(group.program, group.shared.inputs, state.history)
        for group, state in zip(groups, states, strict=True)
    )
    names = dict.fromkeys(itertools.chain.from_iterable(of_groups))

    def ended(place: int) -> StopReason:
        if epochs[place] == groups[0].program.epochs:
            unstopped = StopReason.COMPLETE
        else:
            unstopped = StopReason.DROPPED if place // seeds in dropped else StopReason.INTERRUPTED
        return training.reason(stop[place], unstopped)

    none = np.full((1, groups[0].program.epochs), np.nan)
    return Sweep(
        settings=tuple(settings),
        seeds=seeds,
        setting=np.arange(len(places)) // seeds,
        seed=np.arange(len(places)) % seeds,
        history={
            name: gathered(lambda state, name=name: state.history.get(name, none.repeat(len(state.epoch), 0)))
            for name in names
        },
        epochs=epochs,
        best_epoch=gathered(lambda state: state.best_epoch),
        stop_reason=tuple(ended(place) for place in range(len(places))),
        wasted=_wasted(groups, slices),
        compile_seconds=compile_seconds,
        run_seconds=run_seconds,
        groups=tuple(groups),
        states=tuple(states),
    )


def _wasted(groups: Sequence[Group], slices: Sequence[Sequence[Slice]]) -> float:
    """Return the share of epochs that were computed for members that had stopped already."""
    used = paid = 0
    for group, of_group in zip(groups, slices, strict=True):
        for part in of_group:
            epochs = np.asarray(part.state.epoch)[: part.filled]
            used += int(epochs.sum())
            paid += int(epochs.sum()) if group.mapped else int(epochs.max()) * len(part.state.epoch)
    return 1 - used / paid if paid else 0.0
