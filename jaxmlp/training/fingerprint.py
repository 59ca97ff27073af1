"""Fingerprint: when two recipes, each written out anew, are the same program.

``adam(1e-3) == adam(1e-3)`` is false: each call makes functions of its own, and Python compares functions by identity.
People call ``fit`` in loops, and would compile anew each time. So a program is known by what its functions do::

    a function    its code, its default arguments, what it has caught (its cells), and the globals that it names
    a record      its type, and what is in it
    an array      its dtype, its shape and its bytes
    a number      its type and its value; text and the like as well
    the rest      itself: no other is the same

A function that stands in a module under its own name is itself, too: its code cannot change. What is caught or global
is looked at when the fingerprint is taken, so a change makes another program, which plain identity would have missed.
"""

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class Itself:
    """An object that is known by its identity; held, so that no other can come to stand in its place."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        """Compare identities."""
        return isinstance(other, Itself) and self.held is other.held

    def __hash__(self) -> int:
        """Hash the identity."""
        return id(self.held)


def fingerprint(thing: Any) -> Any:
    """Return what can be hashed and compared in place of a thing, and is equal for two that compute the same.

    Args:
        thing: anything: a recipe, a function, a pytree.

    Returns:
        A nested tuple, to be hashed and compared.

    Example:
        >>> def sgd(rate):
        ...     return lambda gradient: -rate * gradient
        >>> same, other = fingerprint(sgd(0.1)), fingerprint(sgd(0.2))
        >>> sgd(0.1) == sgd(0.1), fingerprint(sgd(0.1)) == same, fingerprint(sgd(0.1)) == other
        (False, True, False)
    """
    return _of(thing, {})


def _of(thing: Any, seen: dict[int, int]) -> Any:
    """Return the fingerprint; what is being looked at already, in a cycle, is named by when it was first met."""
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes | enum.Enum):
        return type(thing), repr(thing)
    if isinstance(thing, np.ndarray | np.generic | jax.Array) and not isinstance(thing, jax.core.Tracer):
        return _of_array(thing)
    if id(thing) in seen:
        return "met", seen[id(thing)]
    seen = {**seen, id(thing): len(seen)}
    if isinstance(thing, tuple | list):
        return type(thing), tuple(_of(part, seen) for part in thing)
    if isinstance(thing, Mapping):
        return type(thing), tuple((_of(key, seen), _of(value, seen)) for key, value in thing.items())
    if isinstance(thing, functools.partial):
        return type(thing), _of((thing.func, thing.args, dict(thing.keywords)), seen)
    if isinstance(thing, types.MethodType):
        return type(thing), _of((thing.__func__, thing.__self__), seen)
    if isinstance(thing, types.FunctionType):
        return _of_function(thing, seen)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return type(thing), tuple(_of(getattr(thing, field.name), seen) for field in dataclasses.fields(thing))
    return Itself(thing)


def _of_array(array: Any) -> Any:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.Array, str(array.dtype), _of_array(jax.random.key_data(array))
    contents = np.asarray(array)
    if contents.dtype == object:
        return Itself(array)
    kind = jax.Array if isinstance(array, jax.Array) else type(array)
    return kind, contents.dtype.str, contents.shape, hashlib.sha256(contents.tobytes()).digest()


def _of_function(function: types.FunctionType, seen: dict[int, int]) -> Any:
    if _stands_in_its_module(function):
        return Itself(function)
    cells = tuple(_of_cell(cell, seen) for cell in function.__closure__ or ())
    named = {name: function.__globals__[name] for name in _globals_of(function.__code__, function.__globals__)}
    attributes = (function.__defaults__, function.__kwdefaults__, vars(function), named)
    return types.FunctionType, function.__code__, cells, _of(attributes, seen)


def _of_cell(cell: types.CellType, seen: dict[int, int]) -> Any:
    try:
        return _of(cell.cell_contents, seen)
    except ValueError:  # not filled yet
        return "empty"


def _stands_in_its_module(function: types.FunctionType) -> bool:
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _globals_of(code: types.CodeType, there_are: Mapping[str, Any]) -> Iterator[str]:
    """Yield the globals that a function's code names, its inner functions' included."""
    yield from (name for name in code.co_names if name in there_are)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant, there_are)
