"""What a checkpoint holds: arrays as Orbax can write them, and a description from which they are made again.

The description is JSON: the format's version; the epoch; each array's dtype, shape and checksum, and for random keys
the name of their implementation; what was measured; what the caller has to say; and the SHA-256 of all that.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import archive, checks
from jaxmlp.checkpoints.checksums import checksums

VERSION = 1
"""The format's version; one is added when older code could no longer read what is written."""


def pack(arrays: Mapping[str, Any]) -> tuple[dict[str, jax.Array], dict[str, dict[str, Any]]]:
    """Return arrays as they are written, and the part of the description that tells what they were."""
    packed, described = {}, {}
    for name, array in arrays.items():
        checks.not_traced(f"arrays[{name!r}]", array)
        if not isinstance(array, jax.Array):
            raise TypeError(f"arrays[{name!r}] is {type(array).__name__}; give an array of JAX's")
        described[name] = {"dtype": str(array.dtype), "shape": list(array.shape)}
        if is_key(array):
            described[name]["key"] = str(jax.random.key_impl(array))
        packed[name] = jax.random.key_data(array) if is_key(array) else array
    for name, checksum in checksums(packed).items():
        described[name]["checksum"] = checksum
    return packed, described


def unpack(
    like: Mapping[str, jax.ShapeDtypeStruct], packed: Mapping[str, Any], described: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """Return the arrays as they were, refusing those that were damaged."""
    for name, checksum in checksums(packed).items():
        if checksum != described[name]["checksum"]:
            raise ValueError(f"the checksum of {name!r} does not match")
    arrays = {}
    for name, leaf in like.items():
        array = packed[name]
        if leaf.sharding is None:  # by way of NumPy, since JAX would not let go of the device it was read onto
            array = jnp.array(np.asarray(array), copy=True)
        of_key = described[name].get("key")
        arrays[name] = array if of_key is None else jax.random.wrap_key_data(array, impl=of_key)
    return arrays


def is_key(array: Any) -> bool:
    """Return whether an array, or what describes one, is of random keys."""
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))


def targets(like: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """Return what is to be read for arrays like these, refusing what the checkpoint does not hold.

    Raises:
        archive.ArchiveError: the two differ in a name, a shape or a dtype.
    """
    advice = "ask for what was written"
    wanted = {}
    for name, leaf in like.items():
        if name not in described:
            raise archive.ArchiveError(f"{name!r} is not in the checkpoint; {advice}")
        seen = described[name]
        for what, saved, now in (
            ("shape", tuple(seen["shape"]), leaf.shape),
            ("dtype", seen["dtype"], str(leaf.dtype)),
        ):
            if saved != now:
                raise archive.ArchiveError(f"{name!r} has {what} {saved} in the checkpoint, {now} here; {advice}")
        written = jax.eval_shape(jax.random.key_data, _shape(leaf)) if is_key(leaf) else leaf
        wanted[name] = _shape(written, leaf.sharding or jax.sharding.SingleDeviceSharding(jnp.zeros(()).device))
    for name in described:
        if name not in like:
            raise archive.ArchiveError(f"{name!r} is in the checkpoint and has no place here; {advice}")
    return wanted


def _shape(like: Any, sharding: Any = None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(like.shape, like.dtype, sharding=sharding)  # type: ignore[no-untyped-call]  # JAX's own


def describe(
    epoch: int, described: Mapping[str, Any], about: Mapping[str, Any], measured: Mapping[str, float]
) -> dict[str, Any]:
    """Return a description, with its checksum."""
    finite = {name: float(value) for name, value in measured.items() if math.isfinite(value)}
    said = {"version": VERSION, "epoch": epoch, "arrays": described, "measured": finite, "about": about}
    written: dict[str, Any] = json.loads(archive.to_json(said))
    return written | {"sha256": _digest(written)}


def checked(description: Any) -> dict[str, Any]:
    """Return what a description says, refusing one that was damaged, or that newer code has written."""
    said = dict(description)
    if said["version"] > VERSION:
        raise ValueError(f"it has version {said['version']} of the format, and {VERSION} is the last known")
    if said.pop("sha256") != _digest(said):
        raise ValueError("the checksum of its description does not match")
    return said


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
