"""What a checkpoint holds: arrays as Orbax can write them, and a description from which they are made again.

The description is JSON: the format's version; the epoch; each array's dtype, shape and checksum, and for random keys
the name of their implementation; what was measured; what the caller has to say; and the SHA-256 of all that.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
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
        more = {}
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            more["key"] = str(jax.random.key_impl(array))
            array = jax.random.key_data(array)
        packed[name] = array
        described[name] = {"dtype": str(array.dtype), "shape": list(array.shape), **more}
    for name, checksum in checksums(packed).items():
        described[name]["checksum"] = checksum
    return packed, described


def unpack(
    like: Mapping[str, jax.ShapeDtypeStruct], packed: Mapping[str, Any], described: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """Return the arrays as they were, refusing those that were damaged."""
    empty = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in like.items() if not leaf.size}
    packed = {**packed, **empty}
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
        seen, now = described[name], _described(leaf)
        for what, saved in (("shape", tuple(seen["shape"])), ("dtype", seen["dtype"]), ("key", seen.get("key"))):
            if saved != now[what]:
                said = f"{name!r} has {what} {saved} in the checkpoint, {now[what]} here"
                raise archive.ArchiveError(f"{said}; {advice}")
        sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jnp.zeros(()).device)
        wanted[name] = _shape(seen["shape"], now["dtype"], sharding)
    for name in described:
        if name not in like:
            raise archive.ArchiveError(f"{name!r} is in the checkpoint and has no place here; {advice}")
    return {name: target for name, target in wanted.items() if target.size}  # Orbax writes no empty arrays


def _described(leaf: Any) -> dict[str, Any]:
    """Return the shape and dtype that an array is written with, and the name of a key's implementation."""
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return {"shape": leaf.shape, "dtype": str(leaf.dtype), "key": None}
    data = jax.eval_shape(jax.random.key_data, _shape(leaf.shape, leaf.dtype))
    return {"shape": data.shape, "dtype": str(data.dtype), "key": str(jax.random.key_impl(leaf))}


def _shape(shape: Sequence[int], dtype: Any, sharding: Any = None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(tuple(shape), dtype, sharding=sharding)  # type: ignore[no-untyped-call]  # JAX's own


def describe(
    epoch: int, described: Mapping[str, Any], about: Mapping[str, Any], measured: Mapping[str, float]
) -> dict[str, Any]:
    """Return a description, with its checksum."""
    finite = {name: float(value) for name, value in measured.items() if math.isfinite(value)}
    said = {"version": VERSION, "epoch": epoch, "arrays": described, "measured": finite, "about": about}
    try:
        text = json.dumps(said, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"about cannot be written as JSON ({error}); give finite numbers, text, lists and the like"
        ) from error
    written: dict[str, Any] = json.loads(text)
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
