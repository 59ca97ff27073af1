"""Pytrees: their leaves by name, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp.archive.file import ArchiveError


def flatten(tree: Any) -> dict[str, Any]:
    """Return the leaves of a pytree by the names of their places.

    Args:
        tree: any pytree.

    Returns:
        The leaves as they are, in the tree's order; a tree that is a leaf itself has the name ``""``.

    Raises:
        ValueError: two places have one name.

    Example:
        >>> flatten({"params": [(1.0, 2.0)], "step": 3})
        {'params/0/0': 1.0, 'params/0/1': 2.0, 'step': 3}
    """
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in leaves:
            raise ValueError(f"tree has two leaves of the name {name!r}; name its parts apart, and without '/'")
        leaves[name] = leaf
    return leaves


def unflatten(like: Any, arrays: Mapping[str, Any]) -> Any:
    """Put arrays into the structure of a pytree, as JAX arrays with memory of their own.

    Args:
        like: a pytree of arrays or of ``jax.ShapeDtypeStruct``, as ``jax.eval_shape`` gives it.
        arrays: by the names that ``flatten`` gives, arrays of the shapes and dtypes of ``like``.

    Returns:
        A pytree of the structure of ``like``, on JAX's default device; a jitted function may be donated it.

    Raises:
        ArchiveError: ``like`` and ``arrays`` differ in a name, a shape or a dtype, or a dtype needs 64-bit numbers.

    Example:
        >>> import numpy as np
        >>> like = {"w": jax.ShapeDtypeStruct((2,), jnp.float32)}
        >>> unflatten(like, {"w": np.zeros(2, np.float32)})
        {'w': Array([0., 0.], dtype=float32)}
        >>> unflatten(like, {"v": np.zeros(2, np.float32)})
        Traceback (most recent call last):
        jaxmlp.archive.file.ArchiveError: 'w' is not in the file; ask for what was written
    """
    wanted = flatten(like)
    leaves = [_like(name, leaf, arrays) for name, leaf in wanted.items()]
    for name in arrays:
        if name not in wanted:
            raise ArchiveError(f"{name!r} is in the file and has no place here; ask for what was written")
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _like(name: str, leaf: Any, arrays: Mapping[str, Any]) -> jax.Array:
    if name not in arrays:
        raise ArchiveError(f"{name!r} is not in the file; ask for what was written")
    seen = arrays[name]
    if seen.shape != leaf.shape:
        raise ArchiveError(f"{name!r} has shape {seen.shape} in the file, {leaf.shape} here; ask for what was written")
    array = jnp.array(seen, copy=True)  # else XLA may work in NumPy's memory, which it cannot be donated
    if array.dtype != seen.dtype:
        advice = "switch them on by jax.config.update('jax_enable_x64', True)"
        raise ArchiveError(f"{name!r} has dtype {seen.dtype} in the file, and 64-bit numbers are off; {advice}")
    if str(array.dtype) != str(leaf.dtype):
        raise ArchiveError(f"{name!r} has dtype {seen.dtype} in the file, {leaf.dtype} here; ask for what was written")
    return array
