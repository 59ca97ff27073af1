"""Checksums of arrays that may lie on many devices: each device reads its own part, and no part is moved."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt32

SEEDS = (0x9E3779B9, 0x7F4A7C15)
"""One for each half of a checksum: the first bits of the golden ratio."""


def checksums(arrays: Mapping[str, Shaped[Array, "..."]]) -> dict[str, str]:
    """Return a checksum of 64 bits for each array, which does not depend on how it is laid out on devices.

    With w_i the array's bits, taken 32 at a time, or as many as a number has, in the order i = 0, 1, ...::

        h = sum_i mix(w_i xor mix(i + seed))   modulo 2^32,   once for each of two seeds

    mix is the last step of MurmurHash3 (Appleby 2011), which is one to one: a change of a single w_i always changes h,
    one of several goes unnoticed once in 2^64. A sum is the same in any order, so it does not matter who has which
    part. It guards against accidents, not against people.

    Args:
        arrays: by name, of any shape and of any of JAX's dtypes of at least 8 bits; no random keys.

    Returns:
        For each name 16 hexadecimal digits.

    Example:
        >>> one = checksums({"w": jnp.array([1.0, 2.0])})
        >>> one == checksums({"w": jnp.array([1.0, 2.0])}), one == checksums({"w": jnp.array([2.0, 1.0])})
        (True, False)
    """
    by_devices: dict[frozenset[jax.Device], dict[str, Array]] = {}
    for name, array in arrays.items():
        by_devices.setdefault(frozenset(array.devices()), {})[name] = array
    sums: dict[str, Any] = {}
    for together in by_devices.values():  # one program is for one set of devices
        sums |= jax.device_get(_sums(together))
    return {name: np.asarray(sums[name], ">u4").tobytes().hex() for name in arrays}


@jax.jit
def _sums(arrays: dict[str, Array]) -> dict[str, UInt32[Array, "2"]]:
    return {name: _sum(array) for name, array in arrays.items()}


def _sum(array: Array) -> UInt32[Array, "2"]:
    words = _words(array)
    place = jnp.zeros(words.shape, jnp.uint32)
    for axis, size in enumerate(words.shape):  # not by reshaping, for which the parts would have to be moved
        place = place * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    halves = [jnp.sum(_mix(words ^ _mix(place + jnp.uint32(seed))), dtype=jnp.uint32) for seed in SEEDS]
    return jnp.stack(halves)


def _words(array: Array) -> UInt32[Array, "..."]:
    """Return the bits of an array; where its numbers have more than 32, these become the last axis."""
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        return jnp.stack([_words(array.real), _words(array.imag)], axis=-1)
    if array.dtype == jnp.bool_:
        return array.astype(jnp.uint32)
    words = {1: jnp.uint8, 2: jnp.uint16}.get(array.dtype.itemsize, jnp.uint32)
    return jax.lax.bitcast_convert_type(array, words).astype(jnp.uint32)


def _mix(h: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> jnp.uint32(shift))) * jnp.uint32(factor)
    return h ^ (h >> jnp.uint32(16))
