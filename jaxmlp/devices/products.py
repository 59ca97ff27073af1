"""Products: the matrix products that a function computes, counted in the program JAX makes of it.

A product of (m, k) by (k, n) takes 2 m k n operations. A TPU keeps an array in tiles of 8 x 128 numbers, along its last
two axes; what does not fill its tiles is padded, and multiplied all the same. An axis is as long as the array needs it
that has it as its last::

    forward   z  = a W        (batch, in) (in, out)      batch to 8, in and out to 128
    backward  dW = a^T delta  (batch, in) (batch, out)   likewise
              delta W^T       (batch, out) (in, out)     likewise
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

TILE = (128, 8)
"""Numbers of a tile along the last axis of an array, and along the one before it."""


class Products(NamedTuple):
    """The operations of all matrix products, and of the same with every array padded to whole tiles."""

    flops: int
    padded: int


def products(function: Callable[..., Any], *arguments: Any) -> Products:
    """Count the matrix products of a function, without computing any.

    Loops of a known length count as often as they run, those of an unknown one once, and branches all.

    Args:
        function: of arrays.
        arguments: arrays, or shapes and dtypes, such as ``jax.ShapeDtypeStruct``, and pytrees of them.

    Returns:
        The operations, and those with padding.

    Example:
        >>> import jax.numpy as jnp
        >>> products(jnp.matmul, jnp.ones((10, 100)), jnp.ones((100, 64)))  # padded to 16 x 128 x 128
        Products(flops=128000, padded=524288)
    """
    counts = list(_counts(jax.make_jaxpr(function)(*arguments).jaxpr, 1))
    return Products(sum(flops for flops, _ in counts), sum(padded for _, padded in counts))


def inner(equation: Any) -> Iterator[Any]:
    """Yield the programs within an operation of a program, such as those of a loop."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(part, "eqns"):
                yield getattr(part, "jaxpr", part)


def _counts(jaxpr: Any, times: int) -> Iterator[Products]:
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            flops, padded = _product(equation)
            yield Products(times * flops, times * padded)
        within = times * equation.params["length"] if equation.primitive.name == "scan" else times
        for part in inner(equation):
            yield from _counts(part, within)


def _product(equation: Any) -> Products:
    """Count one product, each axis named by the number that it has in all three arrays."""
    (of_a, of_b), (batch_a, batch_b) = equation.params["dimension_numbers"]
    a, b = (variable.aval.shape for variable in equation.invars)
    names_a = list(range(len(a)))
    names_b = list(range(len(a), len(a) + len(b)))
    for i, j in zip((*of_a, *batch_a), (*of_b, *batch_b), strict=True):
        names_b[j] = names_a[i]
    free_a = [name for i, name in enumerate(names_a) if i not in (*of_a, *batch_a)]
    free_b = [name for j, name in enumerate(names_b) if j not in (*of_b, *batch_b)]
    lengths = dict(zip((*names_a, *names_b), (*a, *b), strict=True))
    tiles = dict.fromkeys(lengths, 1)
    for names in (names_a, names_b, [*batch_a, *free_a, *free_b]):
        for name, tile in zip(reversed(names), TILE, strict=False):
            tiles[name] = max(tiles[name], tile)
    padded = (-(-length // tiles[name]) * tiles[name] for name, length in lengths.items())
    return Products(2 * math.prod(lengths.values()), 2 * math.prod(padded))
