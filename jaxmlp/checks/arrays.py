"""Arrays: finite real numbers, as many rows in each, and pytrees of the same structure."""

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks.arguments import not_traced


def array(name: str, values: Any) -> NDArray[Any] | jax.Array:
    """Return ``values`` as an array of finite real numbers, one or more rows of them.

    NumPy arrays, lists, data frames and the like become a NumPy array without a copy where there need be
    none; a JAX array stays where it is. Whole numbers and truth values keep their dtype.

    Args:
        name: the argument's name, for the message.
        values: the argument, an array of shape (rows, ...) or what ``numpy.asarray`` takes.

    Returns:
        An array of shape (rows, ...).

    Raises:
        TypeError: not numbers, not real, or traced.
        ValueError: no rows, NaN, inf, or missing values.

    Example:
        >>> array("x", [[1, 2], [3, 4]]).shape
        (2, 2)
        >>> array("x", [[1.0, 2.0], [3.0, float("nan")]])
        Traceback (most recent call last):
        ValueError: x holds NaN or infinity in 1 place, the first at index (1, 1); fill or drop such rows first
    """
    not_traced(name, values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} is a masked array with masked entries; fill or drop them first")
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is a sparse matrix; give {name}.toarray()")
    seen = values if isinstance(values, jax.Array) else _to_numpy(name, values)
    _refuse_dtype(name, seen)
    if seen.ndim == 0:
        raise ValueError(f"{name} is a single value, {values!r}; give an array with one entry per row")
    if seen.size == 0:
        raise ValueError(f"{name} has shape {seen.shape} and so holds nothing; give at least one row")
    _refuse_infinite(name, seen, "fill or drop such rows first")
    return seen


def to_floats(name: str, values: NDArray[Any] | jax.Array) -> jax.Array:
    """Return an array as floats of JAX's default width on its default device.

    Args:
        name: the argument's name, for the message.
        values: an array of shape (rows, ...) that ``array`` has returned.

    Returns:
        The same numbers, in float32 unless 64-bit numbers are enabled in JAX.

    Raises:
        ValueError: a number is too large for that.

    Example:
        >>> to_floats("x", np.array([1, 2])).dtype.name
        'float32'
        >>> to_floats("x", np.array([1.0, 1e300]))
        Traceback (most recent call last):
        ValueError: x holds numbers too large for float32 in 1 place, the first at index (1,); scale them first
    """
    dtype = jnp.zeros(()).dtype
    with np.errstate(over="ignore"):
        floats = values.astype(dtype)
    _refuse_infinite(name, floats, "scale them first", f"numbers too large for {dtype.name}")
    return jnp.asarray(floats)


def same_rows(**arrays: Any) -> None:
    """Refuse arrays of different length.

    Args:
        **arrays: arrays of shape (rows, ...) by their names.

    Raises:
        ValueError: they do not have the same number of rows.

    Example:
        >>> same_rows(x=np.zeros((3, 2)), y=np.zeros(2))
        Traceback (most recent call last):
        ValueError: x has 3 rows and y has 2; give as many rows in each
    """
    if len({len(a) for a in arrays.values()}) > 1:
        counts = " and ".join(
            f"{name} has {len(a)}" + (" rows" if i == 0 else "") for i, (name, a) in enumerate(arrays.items())
        )
        raise ValueError(f"{counts}; give as many rows in each")


def same_structure(**trees: Any) -> None:
    """Refuse two pytrees that differ in structure or in the shape of a leaf; name the path where they do.

    Args:
        **trees: two pytrees of arrays by their names.

    Raises:
        ValueError: they differ, or the second is None as a whole.

    Example:
        >>> same_structure(updates={"w": np.zeros(2)}, params={"w": np.zeros(2)})
        >>> same_structure(updates=[np.zeros(2)], params=[np.zeros(3)])
        Traceback (most recent call last):
        ValueError: params have shape (3,) at [0], updates have shape (2,); give updates of the same structure as params
    """
    (name, tree), (other_name, other) = trees.items()
    (leaves, structure), (other_leaves, other_structure) = jax.tree.flatten(tree), jax.tree.flatten(other)
    alike = structure == other_structure  # type: ignore[operator]  # JAX's stub knows of no __eq__
    if alike and list(map(jnp.shape, leaves)) == list(map(jnp.shape, other_leaves)):
        return
    if other is None:
        raise ValueError(f"{other_name} is None; hand {other_name} over as well, as in update(updates, state, params)")
    advice = f"give {name} of the same structure as {other_name}"
    shapes, other_shapes = _shapes(tree), _shapes(other)
    for path in other_shapes | shapes:
        seen, wanted = shapes.get(path, "nothing"), other_shapes.get(path, "nothing")
        if seen != wanted:
            raise ValueError(f"{other_name} have {wanted} at {path}, {name} have {seen}; {advice}")
    kinds = " and ".join(str(jax.tree.structure(t)) for t in (other, tree))
    raise ValueError(f"{other_name} and {name} are of different kinds, {kinds}; {advice}")


def _shapes(tree: Any) -> dict[str, str]:
    """Return what stands at each path of a pytree, in words."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda leaf: leaf is None)[0]
    return {
        jax.tree_util.keystr(path) or "the root": "None" if leaf is None else f"shape {jnp.shape(leaf)}"
        for path, leaf in leaves
    }


def _to_numpy(name: str, values: Any) -> NDArray[Any]:
    try:
        seen = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{name} cannot be made an array ({error}); give rows of equal length") from error
    # A data frame with columns of several types, or of a type that knows missing values, comes as objects.
    of_frame = seen.dtype.kind == "O" and hasattr(values, "to_numpy")
    if of_frame and all(isinstance(entry, numbers.Real | np.bool_) for entry in seen.flat):
        return seen.astype(np.float64)
    return seen


def _refuse_dtype(name: str, seen: NDArray[Any] | jax.Array) -> None:
    dtype = seen.dtype
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(f"{name} has dtype {dtype}; give real numbers, such as the real and imaginary parts")
    real = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
    if not (real or jnp.issubdtype(dtype, jnp.bool_)):
        entries: Any = np.ravel(seen)[:1_000] if dtype.kind in "OU" else []
        text = next((str(entry) for entry in entries if isinstance(entry, str)), None)
        unclear = "mixed or missing values" if dtype.kind == "O" else "no numbers"
        what = unclear if text is None else f"text such as {text!r}"
        raise TypeError(f"{name} has dtype {dtype} ({what}); encode every column as numbers first")


def _refuse_infinite(name: str, seen: Any, advice: str, what: str = "NaN or infinity") -> None:
    if not jnp.issubdtype(seen.dtype, jnp.floating):
        return
    on_device = isinstance(seen, jax.Array)
    finite = (jnp if on_device else np).isfinite(seen)
    if bool(finite.all()):
        return
    places = np.argwhere(~np.asarray(finite))
    count = f"{len(places)} place" + ("s" if len(places) > 1 else "")
    index = tuple(int(i) for i in places[0])
    raise ValueError(f"{name} holds {what} in {count}, the first at index {index}; {advice}")
