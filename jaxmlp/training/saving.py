"""Saving: a run in a file, and the run that goes on from there, equal to the bit to one that was never interrupted.

What is saved is the state alone: parameters, optimizer, history, the stopping rule, and where the run stands. All that
is random is a function of the key and the step, so nothing else is needed; but the recipe, the data and the key are
given again, and what was saved of them is compared, since a state that goes on with others would be no run at all. A
recipe whose step computes something else gets a warning and no refusal: another rate from here on may be wanted.
"""

import functools
import hashlib
import itertools
import os
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxmlp import archive, devices
from jaxmlp.devices import Rows
from jaxmlp.training import watch
from jaxmlp.training.kernel import is_key
from jaxmlp.training.program import start
from jaxmlp.training.state import Inputs, Program, RunState
from jaxmlp.training.step import first_step
from jaxmlp.training.store import Archives, Store, Writer
from jaxmlp.types import Batch, Params

WHAT = {
    "batch_size": "batch_size is {now}, that of the saved run {saved}",
    "evaluate_every": "evaluate_every is {now}, that of the saved run {saved}",
    "key": "key is another than that of the saved run",
    "train": "data are others than those of the saved run",
    "validation": "validation data are others than those of the saved run",
}
"""What must be as it was when the run was saved, and what is said if it is not."""

BYTES_AT_ONCE = 2**24
"""Bytes of rows that a checksum takes at a time."""


def describe(program: Program, inputs: Inputs) -> dict[str, Any]:
    """Return what a file says about its run, so that another is not taken for it."""
    layout = inputs.layout
    return {
        "epochs": program.epochs,
        "batch_size": program.batch_size,
        "evaluate_every": program.evaluate_every,
        "key": digest(inputs.keys),
        "train": checksum(inputs.train, None if layout is None else layout.train),
        "validation": checksum(inputs.validation, None if layout is None else layout.validation),
        "step": _digest_of_step(program, inputs),
        "jax": jax.__version__,
    }


def warn_of_changes(
    path: Store | str | os.PathLike[str], saved: dict[str, Any], now: dict[str, Any], stacklevel: int
) -> None:
    """Say if what was saved can go on, but not as it would have done."""
    if saved["jax"] != now["jax"]:
        what = f"was saved under jax {saved['jax']}, and this is {now['jax']}; the last bits may differ"
    elif saved.get("step", now["step"]) != now["step"]:
        what = "was saved with another recipe: a step computed something else; it goes on with the one given now"
    else:
        return
    warnings.warn(f"{path} {what}", RuntimeWarning, stacklevel=stacklevel + 1)


def save(path: str | os.PathLike[str], state: RunState, about: dict[str, Any], mesh: Mesh | None = None) -> None:
    """Write a state into one file, which is there whole or not at all."""
    arrays = archive.flatten(state if mesh is None else devices.on_host(state))
    with devices.one_process(mesh) as writes:
        if writes:
            archive.write(path, arrays, about)


def write(writer: Writer, state: RunState, about: dict[str, Any]) -> None:
    """Write a state into a store, with what was measured last."""
    epoch = int(state.epoch)
    measured = {name: float(entries[epoch - 1]) for name, entries in state.history.items()} if epoch else {}
    writer.write(epoch, archive.flatten(state), about, measured)


def load(
    source: Store | str | os.PathLike[str],
    program: Program,
    inputs: Inputs,
    params: Params = None,
    at_most: int | None = None,
) -> RunState:
    """Read a state from a file, or the last from a store or a folder, for a run of these epochs.

    Raises:
        archive.ArchiveError: the file is damaged, or holds the state of another recipe.
        FileNotFoundError: there is none.
        ValueError: it was saved by a run of other data or another key, or has run more epochs already.
    """
    now, layout = describe(program, inputs), inputs.layout
    wanted: Any = jax.eval_shape(lambda: start(program, inputs, params))
    if layout is not None:
        wanted = jax.tree.map(lambda leaf: leaf.update(sharding=layout.sharding(leaf)), wanted)

    def like(about: dict[str, Any], names: Collection[str]) -> Any:
        for name, sentence in WHAT.items():
            if about.get(name) != now[name]:
                said = sentence.format(now=now[name], saved=about.get(name))
                raise ValueError(f"{said}; give those that {source} began with")
        measured = {name.removeprefix("history/") for name in names if watch.is_measured(name.removeprefix("history/"))}
        kept = {name: leaf for name, leaf in wanted.history.items() if not watch.is_measured(name)}
        history = kept | dict.fromkeys(measured, wanted.history["train/loss"])
        return wanted._replace(history={name: leaf.update(shape=(about["epochs"],)) for name, leaf in history.items()})

    state, about = (source if isinstance(source, Store) else Archives(source)).read(like, at_most)
    state = with_room(state, wanted.history, program.epochs)
    warn_of_changes(source, about, now, stacklevel=4)
    return state


def with_room(state: RunState, names: Iterable[str], epochs: int) -> RunState:
    """Return a copy of a state whose history has these names, and room for so many epochs.

    Another ``watch`` than before may be asked for, as it does not change the run: what was not measured is NaN.
    """
    if int(state.epoch) > epochs:
        raise ValueError(
            f"epochs is {epochs}, but the saved run has run {int(state.epoch)} already; give at least those"
        )
    copied: RunState = jax.tree.map(jnp.copy, state)
    none = copied.history["train/loss"][:0]
    return copied._replace(history={name: fitted(copied.history.get(name, none), epochs) for name in names})


def fitted(entries: Any, epochs: int) -> Any:
    """Return what was measured, (..., epochs), with room for so many epochs."""
    more = [(0, 0)] * (entries.ndim - 1) + [(0, max(0, epochs - entries.shape[-1]))]
    return jnp.pad(entries[..., :epochs], more, constant_values=jnp.nan)


def digest(tree: Any) -> str:
    """Return a checksum of all arrays in a pytree."""
    checksum = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = jax.random.key_data(leaf) if is_key(leaf) else leaf
        checksum.update(f"{array.dtype}{array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return checksum.hexdigest()


def checksum(batch: Batch | None, rows: Rows | None = None) -> list[str]:
    """Return a checksum of each array of a data set: the same on one device and wherever on a mesh its rows lie.

    s = sum_i mix(mix(i) xor sum_j w_ij o_j)  mod 2^64        over the rows i, as words w_ij of 64 bits; o_j are odd
    """
    leaves = jax.tree.leaves(batch)
    sums = [sum(_sum_of_rows(first, part) for first, part in _parts(leaf, rows)) % 2**64 for leaf in leaves]
    if rows is not None and jax.process_count() > 1:
        halves = np.array(sums, np.uint64).view(np.uint32)  # JAX has no 64 bits by default
        sums = [sum(of_all) % 2**64 for of_all in multihost_utils.process_allgather(halves).view(np.uint64).T.tolist()]
    return [
        f"{leaf.dtype}{[len(leaf) if rows is None else rows.count, *leaf.shape[1:]]} {of_leaf:016x}"
        for leaf, of_leaf in zip(leaves, sums, strict=True)
    ]


def _parts(leaf: Any, rows: Rows | None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the parts of an array that are here alone, without padding, and the number of their first row."""
    if rows is None:
        yield 0, np.asarray(leaf)
        return
    numbered = dict(zip(rows.places, itertools.pairwise((*rows.firsts, rows.count)), strict=True))
    for shard in leaf.addressable_shards:
        place = shard.index[0].start or 0
        if shard.replica_id == 0 and place in numbered:
            first, after = numbered[place]
            yield first, np.asarray(shard.data)[: after - first]


def _sum_of_rows(first: int, part: NDArray[Any]) -> int:
    """Return the sum over some rows of what is made of their bits and of their numbers."""
    total, at_once = 0, max(1, BYTES_AT_ONCE // max(1, part[:1].nbytes))
    for begin in range(0, len(part), at_once):
        some = np.ascontiguousarray(part[begin : begin + at_once])
        of_bytes = some.reshape(len(some), -1).view(np.uint8)
        words = np.pad(of_bytes, [(0, 0), (0, -of_bytes.shape[1] % 8)]).view(np.uint64)
        odd = _mixed(np.arange(words.shape[1], dtype=np.uint64)) | np.uint64(1)
        numbers = np.arange(first + begin, first + begin + len(some), dtype=np.uint64)
        of_rows = (words * odd).sum(axis=1, dtype=np.uint64)
        total += int(_mixed(_mixed(numbers) ^ of_rows).sum(dtype=np.uint64))
    return total


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits; the shifts and multipliers are those of splitmix64 (Steele, Lea and Flood 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


def _digest_of_step(program: Program, inputs: Inputs) -> str:
    """Return a checksum of what a step of training computes: of its operations, and of the arrays within it."""
    step = functools.partial(first_step, program.recipe)

    def shapes(array: Any, *rows: int) -> Any:
        return jnp.zeros((*rows, *array.shape[len(rows) :]), array.dtype)

    hyper, row = jax.eval_shape(  # which knows of no mesh
        lambda: (jax.tree.map(shapes, inputs.hyper), jax.tree.map(lambda array: shapes(array, 1), inputs.train))
    )
    traced = jax.make_jaxpr(step)(hyper, row, jax.random.key(0))
    # Before 0.10 JAX writes callbacks with their addresses, which differ from process to process.
    without_addresses = re.sub("0x[0-9a-f]+", "", str(traced.jaxpr))
    return hashlib.sha256((without_addresses + digest(traced.consts)).encode()).hexdigest()
