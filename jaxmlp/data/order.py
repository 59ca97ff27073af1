"""Order: the rows of an epoch at random, as a keyed bijection of their numbers.

A Feistel network (Luby and Rackoff 1988) on pairs (left, right) with left < a, right < b, a b >= n: each round adds to
one half a hash of the other, modulo its size, which can be undone and so is a bijection. Numbers that come out at n or
above walk on through the network until they fall below ("cycle walking", Black and Rogaway 2002, section 4); with a
and b near sqrt(n) they are few. Nothing is sorted, nothing is stored, and each number's place is found by itself.
"""

import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from jaxmlp import checks
from jaxmlp.types import Key

Numbers: TypeAlias = UInt32[Array, "numbers"]

ROUNDS = 12
"""Rounds of the network. With 6, rows that are neighbours in the data are so too often in the order, be they sixteen
or a hundred; with 8, a hundred thousand orders of sixteen rows still show it."""


def order(key: Key, n: int) -> Int[Array, "n"]:
    """The numbers 0 ... n - 1 in random order: each exactly once, without sorting.

    The same key gives the same order on every device, sharded or not, and under ``vmap`` over keys.

    Args:
        key: a random key.
        n: how many numbers; at least 1 and at most 2^31 - 1.

    Returns:
        The numbers as int32, of shape (n,).

    Raises:
        TypeError: ``n`` is no whole number, or traced.
        ValueError: ``n`` is below 1.

    Example:
        >>> sorted(order(jax.random.key(0), 6).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    n = checks.whole_number("n", n, 1)
    a, b = _sides(n)  # Python numbers, for to divide by a constant is cheap
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)
    return _walk(jnp.arange(n, dtype=jnp.uint32), n, a, b, round_keys).astype(jnp.int32)


def _sides(n: int) -> tuple[int, int]:
    """Return a and b: a b >= n by few, each at least 4, not both odd.

    A round shifts cycles of a or of b numbers. Were both odd, every order would be an even permutation, which is
    half of all. With sides of 3 and 2, twelve rounds would leave some orders of six rows a fifth too likely.
    """
    a = max(4, math.isqrt(n - 1) + 1)
    b = max(4, -(-n // a))
    if a % 2 and b % 2:
        a -= 1
        b = -(-n // a)
    return a, b


def _walk(
    i: Numbers, n: int | Numbers, a: int | Numbers, b: int | Numbers, round_keys: UInt32[Array, "rounds"]
) -> Numbers:
    """Send the numbers i < n through the network, and what comes out at n or above again."""

    def onward(state: tuple[Array, Array]) -> tuple[Array, Array]:
        i, walking = state
        i = jnp.where(walking, _permute(i, a, b, round_keys), i)
        return i, i >= n

    everyone = (i, jnp.ones(i.shape, bool))
    return jax.lax.while_loop(lambda state: jnp.any(state[1]), onward, everyone)[0]


def _permute(i: Numbers, a: int | Numbers, b: int | Numbers, round_keys: UInt32[Array, "rounds"]) -> Numbers:
    """The network: a bijection of the numbers below a b."""
    left, right = i // b, i % b
    for r in range(0, ROUNDS, 2):
        left = (left + _hash(right, round_keys[r]) % a) % a
        right = (right + _hash(left, round_keys[r + 1]) % b) % b
    return left * b + right


def _hash(x: Numbers, round_key: UInt32[Array, ""]) -> Numbers:
    """Mix 32 bits; the shifts and multipliers are those of murmur3's finaliser (Appleby 2011)."""
    x = x ^ round_key
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
