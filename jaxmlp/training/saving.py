"""Saving: a run in a file, and the run that goes on from there, equal to the bit to one that was never interrupted.

What is saved is the state alone: parameters, optimizer, history, the stopping rule, and where the run stands. All that
is random is a function of the key and the step, so nothing else is needed; but the recipe, the data and the key are
given again, and what was saved of them is compared, since a state that goes on with others would be no run at all. A
recipe whose step computes something else gets a warning and no refusal: another rate from here on may be wanted.
"""

import functools
import hashlib
import os
import re
import warnings
from collections.abc import Collection, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import archive
from jaxmlp.training import watch
from jaxmlp.training.kernel import is_key
from jaxmlp.training.program import start
from jaxmlp.training.state import Inputs, Program, RunState
from jaxmlp.training.step import first_step
from jaxmlp.training.store import Archives, Store, Writer
from jaxmlp.types import Params

WHAT = {
    "batch_size": "batch_size is {now}, that of the saved run {saved}",
    "evaluate_every": "evaluate_every is {now}, that of the saved run {saved}",
    "key": "key is another than that of the saved run",
    "train": "data are others than those of the saved run",
    "validation": "validation data are others than those of the saved run",
}
"""What must be as it was when the run was saved, and what is said if it is not."""


def describe(program: Program, inputs: Inputs) -> dict[str, Any]:
    """Return what a file says about its run, so that another is not taken for it."""
    return {
        "epochs": program.epochs,
        "batch_size": program.batch_size,
        "evaluate_every": program.evaluate_every,
        "key": digest(inputs.keys),
        "train": digest(inputs.train),
        "validation": digest(inputs.validation),
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


def save(path: str | os.PathLike[str], state: RunState, about: dict[str, Any]) -> None:
    """Write a state into one file, which is there whole or not at all."""
    archive.write(path, archive.flatten(state), about)


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
    now = describe(program, inputs)
    wanted = _beside(inputs.train.x, jax.eval_shape(lambda: start(program, inputs, params)))

    def like(about: dict[str, Any], names: Collection[str]) -> RunState:
        for name, sentence in WHAT.items():
            if about.get(name) != now[name]:
                said = sentence.format(now=now[name], saved=about.get(name))
                raise ValueError(f"{said}; give those that {source} began with")
        measured = {name.removeprefix("history/") for name in names if watch.is_measured(name.removeprefix("history/"))}
        kept = {name: leaf for name, leaf in wanted.history.items() if not watch.is_measured(name)}
        history: Any = kept | dict.fromkeys(measured, wanted.history["train/loss"])
        return wanted._replace(history={name: leaf.update(shape=(about["epochs"],)) for name, leaf in history.items()})

    state, about = (source if isinstance(source, Store) else Archives(source)).read(like, at_most)
    state = with_room(state, wanted.history, program.epochs)
    warn_of_changes(source, about, now, stacklevel=4)
    return state


def _beside(data: jax.Array, shapes: RunState) -> RunState:
    """Return shapes whose arrays are wanted on all the devices on which the data lie."""
    if not isinstance(data.sharding, jax.sharding.NamedSharding):
        return shapes
    everywhere = jax.sharding.NamedSharding(data.sharding.mesh, jax.sharding.PartitionSpec())  # type: ignore[no-untyped-call]  # JAX's own
    placed: RunState = jax.tree.map(lambda leaf: leaf.update(sharding=everywhere), shapes)
    return placed


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


def _digest_of_step(program: Program, inputs: Inputs) -> str:
    """Return a checksum of what a step of training computes: of its operations, and of the arrays within it."""
    step = functools.partial(first_step, program.recipe)
    traced = jax.make_jaxpr(step)(inputs.hyper, inputs.train, jax.random.key(0))
    # Before 0.10 JAX writes callbacks with their addresses, which differ from process to process.
    without_addresses = re.sub("0x[0-9a-f]+", "", str(traced.jaxpr))
    return hashlib.sha256((without_addresses + digest(traced.consts)).encode()).hexdigest()
