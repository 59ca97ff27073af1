"""Members: many runs of one structure as one program, and the workers that run them.

Members are cut into slices of equal size. On a CPU a slice maps its members one after another through the program of a
single run (``lax.map``), so that each gives the same bits as alone and costs nothing once it has stopped; two slices
run on two cores, started by a thread each, which XLA leaves alone together. On GPUs and TPUs the members of a slice are
computed side by side (``vmap``), and a slice is as large as the memory allows.
"""

import concurrent.futures
import dataclasses
import functools
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Int
from numpy.typing import NDArray

from jaxmlp import devices, training
from jaxmlp.devices import MEMBERS, Layout
from jaxmlp.sweeps.folds import Folds
from jaxmlp.training import Inputs, Keys, Program, RunState
from jaxmlp.types import Params

SLICES = 32
"""At least so many slices on a CPU, if there are as many members, so that no core waits long for the other's last."""

MOST_AT_ONCE = 256
"""Members of a slice on a CPU at most; with more, less is heard of how far it has come."""

SHARE_OF_MEMORY = 0.8
"""How much of a device's memory the members of a slice may take."""


class Members(NamedTuple):
    """What the members do not share: an array each, with a leading axis of members."""

    keys: Keys
    hyper: Any
    fold: Int[Array, "members"] | None = None


class Shared(NamedTuple):
    """What they share."""

    inputs: Inputs
    folds: Folds | None = None
    params: Params = None


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Members of one structure.

    Attributes:
        program: what they run.
        shared: the data.
        members: keys, numbers and folds of each.
        places: which member of the sweep each of them is.
        mapped: whether they are computed one after another, which gives the bits of a single run.
        at_once: members of a slice.
    """

    program: Program
    shared: Shared
    members: Members
    places: NDArray[Any]
    mapped: bool
    at_once: int

    @functools.cached_property
    def options(self) -> dict[str, int]:
        """XLA's options that suit the net."""
        first: Members = take(self.members, 0)
        return training.options_of(self.program, self.shared.inputs._replace(hyper=first.hyper))

    @property
    def layout(self) -> Layout | None:
        """Where data lie on a mesh, if on any."""
        return self.shared.inputs.layout

    @property
    def mesh(self) -> Mesh | None:
        """The mesh, if there is one."""
        return None if self.layout is None else self.layout.mesh

    def placed(self, tree: Any) -> Any:
        """Bring what the members do not share to where they are computed."""
        return tree if self.layout is None else self.layout.placed(tree, of_members=True)


@dataclasses.dataclass
class Slice:
    """Some members of a group, and how far they have come. Only its worker changes it."""

    group: Group
    members: Members  # the last of them again and again, where they do not fill the slice
    state: RunState
    filled: int  # how many of them are no repetition
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)  # held while the state is written over

    def standing(self) -> RunState:
        """Return a copy of where the slice stands, at any time and from any thread."""
        with self.lock:
            copy: RunState = devices.on_host(self.state)
            return copy


def take(tree: Any, rows: Any) -> Any:
    """Take some members out of a pytree of arrays with a leading axis of members."""
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def inputs_of(shared: Shared, member: Members) -> Inputs:
    """Return what one member is run on, as ``fit`` would be given it."""
    inputs = shared.inputs._replace(keys=member.keys, hyper=member.hyper)
    if shared.folds is None or member.fold is None or inputs.validation is None:
        return inputs
    fold: Folds = take(shared.folds, member.fold)
    # Both hold all rows; those that are validated on count without their classes' weights.
    train, held_out = fold.train.of(inputs.train), fold.held_out.of(inputs.validation)
    if fold.scaler is not None:
        train, held_out = (rows._replace(x=fold.scaler.apply(rows.x)) for rows in (train, held_out))
    # What picks the rows must not be mixed into the kernels of the run: it could change the last bits.
    train, held_out = lax.optimization_barrier((train, held_out))  # type: ignore[no-untyped-call]  # JAX's own lack
    return inputs._replace(train=train, validation=held_out)


def workers() -> int:
    """Return how many slices run at the same time: one for each core, on a CPU."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slices_of(group: Group) -> list[Slice]:
    """Cut a group into slices that stand before their first epoch."""
    start, slices = _compiled_start(**group.options), []
    for rows, filled in _cut(len(group.places), group.at_once):
        members = group.placed(_chosen(group.members, rows))
        slices.append(Slice(group, members, start(group.program, group.mapped, group.shared, members, filled), filled))
    return slices


def regrouped(group: Group, state: RunState, rows: Any = None) -> list[Slice]:
    """Cut members that have come some way already into slices: all of a group, or those in some of its rows."""
    rows = np.arange(len(group.places)) if rows is None else np.asarray(rows)
    return [
        Slice(
            group,
            group.placed(_chosen(group.members, rows[cut])),
            group.placed(_picked(state, rows[cut], filled)),
            filled,
        )
        for cut, filled in _cut(len(rows), group.at_once)
    ]


def state_of(slices: Sequence[Slice]) -> RunState:
    """Return where the members of one group stand, in order."""

    def joined(*leaves: Any) -> Any:
        parts = [leaf[: part.filled] for leaf, part in zip(leaves, slices, strict=True)]
        return jnp.concatenate(parts) if training.is_key(parts[0]) else jnp.asarray(np.concatenate(parts))

    together: RunState = jax.tree.map(joined, *[part.standing() for part in slices])
    return together


def compile_all(slices: Sequence[Slice]) -> None:
    """Compile what the groups need, side by side."""
    first = {id(part.group): part for part in reversed(slices)}
    with concurrent.futures.ThreadPoolExecutor(_threads(slices)) as pool:
        list(pool.map(lambda part: _run(part, 0), first.values()))


def run_all(
    slices: Sequence[Slice],
    until: int,
    interrupted: threading.Event,
    told: Callable[[int], None] = lambda epochs: None,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Run all members on until an epoch; each worker takes the next slice when it is done with one.

    Args:
        slices: they are changed.
        until: the epoch.
        interrupted: ends it after the chunks that are running.
        told: called with the number of epochs that were run, summed over members, as they are run.
        between: called now and then by this thread.
    """
    if slices and devices.shared_by_processes(slices[0].group.mesh):
        _run_in_step(slices, until, interrupted, told, between)
        return
    remaining, lock, failed = iter(slices), threading.Lock(), threading.Event()

    def ending() -> bool:
        return interrupted.is_set() or failed.is_set()

    def work() -> None:
        pace = 1
        while not ending():
            with lock:
                part = next(remaining, None)
            if part is None:
                return
            while not ending() and (ran := _run_a_little(part, until, pace, told)):
                pace = training.next_pace(pace, *ran)

    with concurrent.futures.ThreadPoolExecutor(_threads(slices)) as pool:
        working = {pool.submit(work) for _ in range(_threads(slices))}
        try:
            while working:
                done, working = concurrent.futures.wait(
                    working, timeout=training.SECONDS_PER_CHUNK, return_when=concurrent.futures.FIRST_EXCEPTION
                )
                for worker in done:
                    worker.result()
                between()
        except BaseException:
            failed.set()  # what one has failed at, the others need not go on with
            raise


def _threads(slices: Sequence[Slice]) -> int:
    """Return how many threads run the slices: a single one on a mesh, all of whose devices each slice takes."""
    return 1 if slices and slices[0].group.layout is not None else workers()


def _run_in_step(
    slices: Sequence[Slice],
    until: int,
    interrupted: threading.Event,
    told: Callable[[int], None],
    between: Callable[[], None],
) -> None:
    """Run the members on in one thread, as all processes must do the same in the same order."""
    mesh, pace = slices[0].group.mesh, 1
    for part in slices:
        while ran := _run_a_little(part, until, pace, told):
            seconds, ending = devices.agreed(mesh, ran[1], interrupted.is_set())
            between()
            if ending:
                interrupted.set()  # in this process as well
                return
            pace = training.next_pace(pace, ran[0], seconds)


def _run_a_little(part: Slice, until: int, pace: int, told: Callable[[int], None]) -> tuple[int, float] | None:
    """Run a slice on by so many epochs, and return how many it ran and in what time; None if there is none."""
    before, stop = devices.on_host((part.state.epoch, part.state.stop))
    running = (stop == training.RUNNING) & (before < until)
    if not running.any():
        return None
    began = time.perf_counter()
    _run(part, min(int(before[running].min()) + pace, until))
    ran = devices.on_host(part.state.epoch) - before
    told(int(ran[: part.filled].sum()))
    return max(1, int(ran.max())), time.perf_counter() - began


def slice_size(program: Program, shared: Shared, members: Members, mapped: bool) -> int:
    """Return how many members a slice holds: on a CPU a power of 2, elsewhere what the memory allows."""
    count, layout = len(jax.tree.leaves(members)[0]), shared.inputs.layout
    side_by_side = 1 if layout is None else layout.mesh.shape[MEMBERS]
    if mapped and layout is not None:
        return side_by_side * MOST_AT_ONCE
    if mapped:
        return 2 ** int(math.log2(min(max(count // SLICES, 1), MOST_AT_ONCE)))
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit is None:
        return count
    group = Group(program, shared, members, np.arange(count), mapped, 1)
    state = jax.eval_shape(lambda: _start_one(program, shared, take(members, 0)))
    some = np.minimum(np.arange(side_by_side), count - 1)  # one for each device
    one = (program, mapped, shared, take(members, some), _stacked(state, side_by_side), 1)
    size = _compiled_advance(**group.options).lower(*one).compile().memory_analysis()
    per_member = size.temp_size_in_bytes + size.output_size_in_bytes + size.argument_size_in_bytes
    fitting = int(max(side_by_side, min(count, side_by_side * (SHARE_OF_MEMORY * limit // per_member))))
    if fitting < count:
        warnings.warn(
            f"{count} members of {per_member:,} bytes each do not fit into the {limit:,} bytes of the device; they are "
            f"computed in slices of {fitting}, one slice after another",
            stacklevel=4,
        )
    return fitting


def _stacked(state: Any, count: int) -> Any:
    return jax.eval_shape(lambda: jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), state))


def _cut(count: int, size: int) -> list[tuple[NDArray[Any], int]]:
    """Return the rows of each slice, and how many of them are no repetition."""
    begins = range(0, count, size)
    return [(np.minimum(np.arange(begin, begin + size), count - 1), min(size, count - begin)) for begin in begins]


def _stopped_behind(state: RunState, filled: Any) -> RunState:
    """Stop what only fills a slice, so that it costs nothing."""
    stop = jnp.where(jnp.arange(len(state.stop)) < filled, state.stop, training.STOPPED_EARLY)
    return state._replace(stop=stop.astype(state.stop.dtype))


_chosen = jax.jit(take)


@jax.jit
def _picked(state: RunState, rows: Any, filled: Any) -> RunState:
    return _stopped_behind(take(state, rows), filled)


def _run(part: Slice, until: int) -> None:
    group = part.group
    advance = _compiled_advance(**group.options)
    with part.lock:
        state = advance(group.program, group.mapped, group.shared, part.members, part.state, until)
        jax.tree.map(lambda leaf: leaf.block_until_ready(), state)
        part.state = state


def _start_one(program: Program, shared: Shared, member: Members) -> RunState:
    params = jax.tree.map(jnp.copy, shared.params)
    started = training.start(program, inputs_of(shared, member), params)
    # What puts the members together must not be mixed into the kernels of one: it could change the last bits.
    apart: RunState = lax.optimization_barrier(started)  # type: ignore[no-untyped-call]  # JAX's own lack
    return apart


def _for_each(function: Callable[..., Any], mapped: bool, common: tuple[Shared, Any], members: Any) -> RunState:
    """Return function(common, member) of every member."""

    def alone(common: tuple[Shared, Any], members: Any) -> Any:
        shared = common[0]._replace(inputs=common[0].inputs._replace(layout=None))
        here = functools.partial(function, (shared, common[1]))
        return lax.map(here, members) if mapped else jax.vmap(here)(members)

    layout = common[0].inputs.layout
    states: RunState = (alone if layout is None else layout.for_members(function, alone))(common, members)
    return states


def _start_all(program: Program, mapped: bool, shared: Shared, members: Members, filled: Any) -> RunState:
    def start(common: tuple[Shared, Any], member: Members) -> RunState:
        return _start_one(program, common[0], member)

    return _stopped_behind(_for_each(start, mapped, (shared, None), members), filled)


def _advance_all(
    program: Program, mapped: bool, shared: Shared, members: Members, states: RunState, until: Any
) -> RunState:
    def advance(common: tuple[Shared, Any], both: tuple[Members, RunState]) -> RunState:
        return training.advance(program, inputs_of(common[0], both[0]), both[1], common[1])

    return _for_each(advance, mapped, (shared, jnp.asarray(until)), (members, states))


@functools.cache
def _compiled_start(**options: Any) -> Callable[..., RunState]:
    return jax.jit(_start_all, static_argnums=(0, 1), compiler_options=options or None)


@functools.cache
def _compiled_advance(**options: Any) -> Any:
    return jax.jit(_advance_all, static_argnums=(0, 1), donate_argnums=4, compiler_options=options or None)
