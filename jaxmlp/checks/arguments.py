"""Arguments: numbers in their range, names that are known, keys."""

import difflib
import numbers
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def in_range(name: str, value: Any, interval: str) -> None:
    """Refuse a Python number outside an interval; traced numbers, arrays and schedules pass.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        interval: such as ``"[0, 1)"``, a square bracket where the end itself is allowed.

    Raises:
        TypeError: ``value`` is text, None or a truth value.
        ValueError: ``value`` lies outside, or is NaN.

    Example:
        >>> in_range("dropout", 0.2, "[0, 1)")
        >>> in_range("dropout", 1.2, "[0, 1)")
        Traceback (most recent call last):
        ValueError: dropout is 1.2; give a number in [0, 1)
    """
    if value is None or isinstance(value, str | bool):
        raise TypeError(f"{name} is {value!r}; give a number in {interval}")
    if not isinstance(value, numbers.Real):
        return
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = float(value) >= low if interval[0] == "[" else float(value) > low
    below = float(value) <= high if interval[-1] == "]" else float(value) < high
    if not (above and below):
        raise ValueError(f"{name} is {value!r}; give a number in {interval}")


def number(name: str, value: Any, interval: str) -> Any:
    """Return a hyperparameter as a Python number in an interval; traced ones pass as they are.

    Unlike ``in_range`` it looks into arrays of a single number too, which could not be hashed.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        interval: such as ``"[0, 1)"``, a square bracket where the end itself is allowed.

    Returns:
        A Python number, or the traced one.

    Raises:
        TypeError: ``value`` is no number.
        ValueError: ``value`` is several numbers, lies outside, or is NaN.

    Example:
        >>> number("dropout", jnp.array(0.5), "[0, 1)")
        0.5
        >>> number("dropout", [0.1, 0.2], "[0, 1)")
        Traceback (most recent call last):
        ValueError: dropout has shape (2,); give a single number in [0, 1), and vmap over several
    """
    if isinstance(value, list | tuple | np.ndarray | np.generic | jax.Array):
        if np.ndim(value) != 0:
            raise ValueError(
                f"{name} has shape {np.shape(value)}; give a single number in {interval}, and vmap over several"
            )
        value = value if isinstance(value, jax.core.Tracer) else np.asarray(value).item()
    if not isinstance(value, numbers.Real | jax.core.Tracer):
        raise TypeError(f"{name} is {value!r}; give a number in {interval}")
    in_range(name, value, interval)
    return value


def whole_number(name: str, value: Any, at_least: int) -> int:
    """Return ``value`` as an int, refusing what is no whole number or is too small.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        at_least: the smallest number allowed.

    Returns:
        The number.

    Raises:
        TypeError: ``value`` is no whole number.
        ValueError: ``value`` is too small.

    Example:
        >>> whole_number("epochs", np.int64(3), 1)
        3
        >>> whole_number("epochs", 0, 1)
        Traceback (most recent call last):
        ValueError: epochs is 0; give a whole number of at least 1
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give a whole number of at least {at_least}")
    if number < at_least:
        raise ValueError(f"{name} is {number}; give a whole number of at least {at_least}")
    return number


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not among the known ones; list them and suggest the nearest.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        known: the names that it may have.

    Raises:
        ValueError: ``value`` is not among them.

    Example:
        >>> one_of("activation", "rellu", ["relu", "tanh"])
        Traceback (most recent call last):
        ValueError: activation is 'rellu'; did you mean 'relu'? Known are: relu, tanh
    """
    known = list(known)
    if value in known:
        return
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {near[0]!r}? Known are" if near else "known are"
    raise ValueError(f"{name} is {value!r}; {hint}: {', '.join(known)}")


def by_name(name: str, value: Any, example: str) -> dict[str, Any]:
    """Return a mapping from names as a dictionary; pairs of name and value do as well.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        example: what it may look like, for the message.

    Returns:
        The values by name, in their order.

    Raises:
        TypeError: neither a mapping nor pairs, or a name that is no text.
        ValueError: a name is there twice.

    Example:
        >>> by_name("heads", [("species", 3), ("length", 1)], "{'species': 3}")
        {'species': 3, 'length': 1}
        >>> by_name("heads", 3, "{'species': 3}")
        Traceback (most recent call last):
        TypeError: heads is 3; give values by name, such as {'species': 3}
    """
    pairs = tuple(value.items()) if isinstance(value, Mapping) else value
    of_pairs = isinstance(pairs, tuple | list) and all(isinstance(p, tuple | list) and len(p) == 2 for p in pairs)
    if not of_pairs or not all(isinstance(key, str) for key, _ in pairs):
        raise TypeError(f"{name} is {value!r}; give values by name, such as {example}")
    names = [key for key, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{name} has the name {max(names, key=names.count)!r} twice; give each a name of its own")
    return dict(pairs)


def not_traced(name: str, value: Any, advice: str = "inside jit or vmap use training.make_run") -> None:
    """Refuse a traced value where a function works on the host.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        advice: what to do instead.

    Raises:
        TypeError: ``value`` is traced.

    Example:
        >>> not_traced("key", jax.random.key(0))
    """
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"{name} is traced, and this function works on the host; {advice}")


def random_key(name: str, key: Any) -> None:
    """Refuse what is not one random key, typed or of the older kind.

    Args:
        name: the argument's name, for the message.
        key: the argument.

    Raises:
        TypeError: ``key`` is no random key, several, or traced.

    Example:
        >>> random_key("key", jax.random.key(0))
        >>> random_key("key", 0)
        Traceback (most recent call last):
        TypeError: key is 0; give one random key, such as jax.random.key(0)
    """
    not_traced(name, key)
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0
    older = getattr(key, "dtype", None) == jnp.uint32 and getattr(key, "shape", None) == (2,)
    if not (typed or older):
        raise TypeError(f"{name} is {key!r}; give one random key, such as jax.random.key(0)")
