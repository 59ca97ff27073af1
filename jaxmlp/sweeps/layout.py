"""Laying out: from where all members stand to the record of the sweep."""

import itertools
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxmlp import devices, training
from jaxmlp.sweeps.members import Group, Slice
from jaxmlp.sweeps.result import Sweep
from jaxmlp.sweeps.settings import Setting
from jaxmlp.training import RunState, StopReason


def laid_out(
    settings: Sequence[Setting],
    seeds: int,
    groups: Sequence[Group],
    states: Sequence[RunState],
    seconds: tuple[float, float],
    spent: NDArray[Any],
    dropped: Container[int] = (),
) -> Sweep:
    """Lay out where the members of all groups stand.

    Args:
        settings: all of them.
        seeds: members of each.
        groups: of the members.
        states: where the members of each group stand.
        seconds: to compile and to run.
        spent: what ``spent`` returns, summed up.
        dropped: the places of settings that were not run to the end on purpose.
    """
    used, paid = spent
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
        wasted=float(1 - used / paid) if paid else 0.0,
        compile_seconds=seconds[0],
        run_seconds=seconds[1],
        groups=tuple(groups),
        states=tuple(states),
    )


def spent(slices: Iterable[Slice], begin: int = 0) -> NDArray[Any]:
    """Return how many epochs the members have run since one, and how many were computed, stopped members' too."""
    used = paid = 0
    for part in slices:
        ran = np.maximum(devices.on_host(part.state.epoch) - begin, 0)[: part.filled]
        used += int(ran.sum())
        paid += int(ran.sum()) if part.group.mapped else int(ran.max()) * len(part.state.epoch)
    return np.array([used, paid])
