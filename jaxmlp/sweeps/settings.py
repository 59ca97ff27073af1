"""Settings: the hyperparameters to try, as a list of mappings from names to values.

Floats are numbers that one program computes with, whatever their value. All else, such as whole numbers, text and
tuples, is structure: each combination of it makes a program of its own.
"""

import collections
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxmlp import checks
from jaxmlp.types import Key, Scalar

Setting: TypeAlias = dict[str, Any]
"""Hyperparameters by name."""

BATCH_SIZE = "batch_size"
"""A name that stands for the argument of ``sweep``, and that the recipe need not read."""

Draw: TypeAlias = Callable[[Key, int], list[Any]]
"""From a random key and a number of settings to a value for each."""


def grid(**values: Any) -> list[Setting]:
    """Return every combination of some values.

    Args:
        **values: for each hyperparameter the values to try, such as ``learning_rate=schedules.ladder()``. A name with
            a float among its values is computed with; others are structure, such as ``width=[32, 64]``.

    Returns:
        The settings; the last name varies fastest.

    Raises:
        TypeError: values that are no list.
        ValueError: no values, NaN or infinity among them, or the same one twice.

    Example:
        >>> grid(learning_rate=[0.1, 0.3], activation=["relu", "tanh"])[:2]
        [{'learning_rate': 0.1, 'activation': 'relu'}, {'learning_rate': 0.1, 'activation': 'tanh'}]
    """
    if not values:
        raise ValueError("grid is empty; give values by name, such as learning_rate=[0.01, 0.1]")
    listed = {name: _values(name, of_name) for name, of_name in values.items()}
    return [dict(zip(listed, combination, strict=True)) for combination in itertools.product(*listed.values())]


def sample(n: int, *, key: Key, **draws: Draw) -> list[Setting]:
    """Return settings drawn at random, which cover what matters better than a grid (Bergstra and Bengio 2012).

    Args:
        n: how many, at least 1.
        key: a random key.
        **draws: for each hyperparameter where to draw it from: ``uniform``, ``log_uniform`` or ``choice``.

    Returns:
        The settings.

    Raises:
        TypeError: a draw that is none.
        ValueError: no draws, or ``n`` below 1.

    Example:
        >>> settings = sample(50, key=jax.random.key(0), learning_rate=log_uniform(1e-4, 1e-1), width=choice([32, 64]))
        >>> len(settings), all(1e-4 <= setting["learning_rate"] <= 1e-1 for setting in settings)
        (50, True)
    """
    checks.random_key("key", key)
    n = checks.whole_number("n", n, 1)
    if not draws:
        raise ValueError("sample has nothing to draw; give draws by name, such as learning_rate=log_uniform(1e-4, 0.1)")
    for name, draw in draws.items():
        if not callable(draw):
            raise TypeError(f"{name} is {draw!r}; say where to draw it from, such as uniform(0, 0.5) or choice([1, 2])")
    drawn = [draw(jax.random.fold_in(key, i), n) for i, draw in enumerate(draws.values())]
    return [dict(zip(draws, values, strict=True)) for values in zip(*drawn, strict=True)]


def uniform(low: Scalar, high: Scalar) -> Draw:
    """Draw floats, each between two numbers as likely as any other.

    Args:
        low: the least, finite.
        high: the greatest, above ``low``.

    Returns:
        What ``sample`` draws from.

    Example:
        >>> [0 <= dropout <= 0.5 for dropout in uniform(0, 0.5)(jax.random.key(0), 3)]
        [True, True, True]
    """
    checks.in_range("low", low, "(-inf, inf)")
    checks.in_range("high", high, f"({low}, inf)")
    return lambda key, n: np.asarray(jax.random.uniform(key, (n,), minval=low, maxval=high), float).tolist()


def log_uniform(low: Scalar, high: Scalar) -> Draw:
    """Draw floats whose logarithms are uniform: each power of ten is as likely as the next.

    Args:
        low: the least, above 0.
        high: the greatest, above ``low``.

    Returns:
        What ``sample`` draws from.

    Example:
        >>> [1e-4 <= rate <= 0.1 for rate in log_uniform(1e-4, 0.1)(jax.random.key(0), 3)]
        [True, True, True]
    """
    checks.in_range("low", low, "(0, inf)")
    checks.in_range("high", high, f"({low}, inf)")
    exponents = uniform(math.log(float(low)), math.log(float(high)))
    return lambda key, n: [min(max(math.exp(exponent), float(low)), float(high)) for exponent in exponents(key, n)]


def choice(values: Sequence[Any]) -> Draw:
    """Draw one of several values, each as likely as any other.

    Args:
        values: what to choose from, at least one.

    Returns:
        What ``sample`` draws from.

    Example:
        >>> set(choice([32, 64])(jax.random.key(0), 20)) == {32, 64}
        True
    """
    listed = _values("values", values)
    return lambda key, n: [listed[i] for i in jax.random.randint(key, (n,), 0, len(listed)).tolist()]


def checked(hyper: Any) -> list[Setting]:
    """Return the settings of a sweep as a list of dictionaries with Python's numbers.

    Args:
        hyper: one setting or a list of them; None for a single one without hyperparameters.

    Raises:
        TypeError: no settings, or not all of them with the same names.
        ValueError: none at all, or NaN or infinity among the numbers.

    Example:
        >>> checked([{"l2": np.float32(0.5), "width": np.int64(8)}])
        [{'l2': 0.5, 'width': 8}]
    """
    if hyper is None:
        return [{}]
    listed = [hyper] if isinstance(hyper, Mapping) else hyper
    if not isinstance(listed, list | tuple) or not all(isinstance(setting, Mapping) for setting in listed):
        raise TypeError(f"hyper is {hyper!r}; give a list of settings, such as sweeps.grid(learning_rate=[0.01, 0.1])")
    if not listed:
        raise ValueError("hyper is an empty list; give one setting at least, such as {'learning_rate': 0.1}")
    names = set(listed[0])
    for i, setting in enumerate(listed):
        if set(setting) != names:
            raise ValueError(f"hyper[{i}] has {_named(setting)}, but hyper[0] has {_named(names)}; give all the same")
    return [{name: _plain(f"hyper[{i}][{name!r}]", v) for name, v in s.items()} for i, s in enumerate(listed)]


def numbers_of(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return the names whose values are computed with: those with a float among them, and numbers alone.

    Example:
        >>> numbers_of(grid(l2=[0, 1e-4], width=[8, 16], activation=["relu"]))
        ('l2',)
    """

    def is_number(name: str) -> bool:
        kinds = {type(setting[name]) for setting in settings}
        return float in kinds and kinds <= {float, int}

    return tuple(name for name in settings[0] if name != BATCH_SIZE and is_number(name))


class Reading(collections.UserDict[str, Any]):
    """A setting that remembers which of its hyperparameters were read.

    Example:
        >>> setting = Reading(l2=0.1, l1=0.2)
        >>> setting["l2"], setting.read
        (0.1, {'l2'})
    """

    def __init__(self, *args: Any, **values: Any) -> None:
        self.read: set[str] = set()
        super().__init__(*args, **values)

    def __getitem__(self, name: str) -> Any:
        """Return a value, and remember that it was read."""
        self.read.add(name)
        return super().__getitem__(name)

    def __or__(self, other: Any) -> Any:
        """Return both together, as which all have been read."""
        return dict(self) | dict(other)

    def __ror__(self, other: Any) -> Any:
        """Return both together, as which all have been read."""
        return dict(other) | dict(self)

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a name, which is then read."""
        self.read.add(str(name))
        return super().__contains__(name)


def _values(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes | Mapping) or not (isinstance(values, Sequence) or hasattr(values, "tolist")):
        raise TypeError(f"{name} is {values!r}; give a list of values to try, such as [{values!r}]")
    listed = [_plain(f"{name}[{i}]", value) for i, value in enumerate(values)]
    if not listed:
        raise ValueError(f"{name} is empty; give one value at least")
    for twice in _repeated(listed):
        raise ValueError(f"{name} has {twice!r} twice; give each value once")
    return listed


def _repeated(values: Sequence[Any]) -> Iterator[Any]:
    return (value for i, value in enumerate(values) if any(value == other for other in values[:i]))


def _plain(name: str, value: Any) -> Any:
    """Return a scalar of NumPy or JAX as Python's own."""
    if isinstance(value, np.generic | np.ndarray | jax.Array) and not isinstance(value, jax.core.Tracer):
        if np.ndim(value):
            raise TypeError(f"{name} is an array of shape {np.shape(value)}; give a single number")
        value = value.item()
    checks.not_traced(name, value)
    if isinstance(value, list):
        raise TypeError(
            f"{name} is a list; sweeps.grid(...) makes a setting of each value, and a tuple is a single value"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; give a finite number")
    return value


def _named(names: Any) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
