"""Masks: which of the parameters a gradient transform acts on.

A mask is a pytree of truth values like the parameters, or like their upper part (one value then holds for all
below it), or a function from the parameters to such a pytree. A value may also be an array of truth values, one
for each number of a leaf. optax's ``masked`` and ``partition`` take the same functions.

Weights are told from biases by their axes, not by their names: a matrix has two. So it is for ``MLP``, for Flax
and for Haiku.
"""

import fnmatch
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmlp.types import Params

Mask: TypeAlias = Any
"""A pytree of truth values, or a function from parameters to one."""


def weights(params: Params) -> Params:
    """Select the leaves with two axes or more: the matrices, not the biases.

    Args:
        params: a pytree of arrays.

    Returns:
        A pytree of truth values.

    Raises:
        ValueError: there are leaves, but none of them has two axes, so that the mask would select nothing.

    Example:
        >>> weights({"w": jnp.ones((3, 2)), "b": jnp.ones(2)})
        {'b': False, 'w': True}
    """
    mask = jax.tree.map(lambda p: jnp.ndim(p) >= 2, params)
    selected = jax.tree.leaves(mask)
    if selected and not any(selected):
        raise ValueError(
            "params have no leaf with two axes, so masks.weights selects nothing; "
            "give mask=masks.everything, or the leaves you mean by mask=masks.at(...)"
        )
    return mask


def hidden_weights(params: Params) -> Params:
    """Select the weights between hidden layers: all matrices but the first and the last.

    Args:
        params: a pytree of arrays whose leaves stand in the order of the layers, as those of ``MLP`` do.

    Returns:
        A pytree of truth values.

    Raises:
        ValueError: there are leaves, but fewer than three matrices among them.

    Example:
        >>> hidden_weights([jnp.ones((4, 8)), jnp.ones((8, 8)), jnp.ones((8, 3)), jnp.ones(3)])
        [False, True, False, False]
    """
    leaves, structure = jax.tree.flatten(params)
    places = [i for i, leaf in enumerate(leaves) if jnp.ndim(leaf) == 2]
    if leaves and len(places) < 3:
        raise ValueError(
            f"params have {len(places)} matrices, so none between hidden layers; "
            "give a net with two hidden layers or more, or mask=masks.weights"
        )
    return jax.tree.unflatten(structure, [i in places[1:-1] for i in range(len(leaves))])


def biases(params: Params) -> Params:
    """Select the leaves with fewer than two axes.

    Args:
        params: a pytree of arrays.

    Returns:
        A pytree of truth values.

    Example:
        >>> biases({"w": jnp.ones((3, 2)), "b": jnp.ones(2)})
        {'b': True, 'w': False}
    """
    return jax.tree.map(lambda p: jnp.ndim(p) < 2, params)


def everything(params: Params) -> Params:
    """Select all leaves, weights and biases.

    Args:
        params: a pytree of arrays.

    Returns:
        A pytree of truth values.

    Example:
        >>> everything({"w": jnp.ones((3, 2)), "b": jnp.ones(2)})
        {'b': True, 'w': True}
    """
    return jax.tree.map(lambda p: True, params)


def at(*patterns: str) -> Callable[[Params], Params]:
    """Return the mask of the leaves whose path matches one of the patterns.

    A path is the way from the root, written with slashes: the weights of an ``MLP``'s first layer are "0/w". In a
    pattern ``*`` stands for any characters, ``?`` for one, ``[01]`` for one of these. Groups with strengths of
    their own are a chain: ``optax.chain(l2(1e-3, mask=at("0/w")), l2(1e-4, mask=at("[12]/w")), ...)``.

    Args:
        *patterns: one or more patterns.

    Returns:
        A function from parameters to a pytree of truth values. It raises ValueError, with the paths there are,
        if a pattern matches none of them.

    Raises:
        ValueError: no pattern is given.

    Example:
        >>> at("0/*", "*/b")([{"w": jnp.ones(2), "b": jnp.ones(2)}, {"w": jnp.ones(2), "b": jnp.ones(2)}])
        [{'b': True, 'w': True}, {'b': True, 'w': False}]
    """
    if not patterns:
        raise ValueError("at() selects nothing; give a pattern, such as at('*/w')")

    def mask(params: Params) -> Params:
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
        for pattern in patterns if paths else ():
            if not any(fnmatch.fnmatchcase(path, pattern) for path in paths):
                raise ValueError(f"at({pattern!r}) matches no parameter; their paths are {', '.join(paths)}")
        hits = [any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns) for path in paths]
        return jax.tree.unflatten(structure, hits)

    return mask


def in_place(change: Callable[[Any, Any], Any], kept: Params, params: Params) -> Params:
    """Change the parameters of which something is kept; leave those that optax's ``masked`` has hidden.

    Args:
        change: a function of what is kept of a leaf and of the leaf.
        kept: a pytree like the parameters, with ``optax.MaskedNode`` in place of those that are hidden.
        params: a pytree of arrays.

    Returns:
        Parameters.

    Example:
        >>> kept = {"w": 2.0, "b": optax.MaskedNode()}
        >>> in_place(lambda average, p: average, kept, {"w": 1.0, "b": 1.0})
        {'b': 1.0, 'w': 2.0}
    """

    def is_hidden(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    return jax.tree.map(lambda k, p: p if is_hidden(k) else change(k, p), kept, params, is_leaf=is_hidden)


def where(mask: Mask, params: Params, chosen: Params, otherwise: Params) -> Params:
    """Take the leaves of one pytree where a mask holds, those of another elsewhere.

    Args:
        mask: a pytree of truth values, or a function from ``params`` to one.
        params: the parameters that the mask speaks of.
        chosen: a pytree like the parameters.
        otherwise: a pytree like the parameters.

    Returns:
        A pytree like the parameters.

    Raises:
        ValueError: the mask is not like the parameters or their upper part, or an array in it not like its leaf.
        TypeError: it holds other than truth values.

    Example:
        >>> where({"w": True, "b": False}, {"w": 0, "b": 0}, {"w": 1, "b": 1}, {"w": 2, "b": 2})
        {'b': 2, 'w': 1}
    """

    def choose(selected: Any, chosen: Any, otherwise: Any) -> Any:
        if isinstance(selected, bool | np.bool_):
            return chosen if selected else otherwise
        if not (hasattr(selected, "dtype") and jnp.issubdtype(selected.dtype, jnp.bool_)):
            raise TypeError(f"mask holds {selected!r}; give truth values, such as True or an array of them")
        for leaf in jax.tree.leaves(chosen):
            if selected.ndim and selected.shape != jnp.shape(leaf):
                raise ValueError(
                    f"mask has shape {selected.shape} for a leaf of shape {jnp.shape(leaf)}; give the same"
                )
        return jax.tree.map(lambda c, o: jnp.where(selected, c, o), chosen, otherwise)

    tree = mask(params) if callable(mask) else mask
    try:
        jax.tree.map(lambda selected, below: None, tree, chosen)
    except ValueError as error:
        wanted, given = jax.tree.structure(params), jax.tree.structure(tree)
        raise ValueError(f"mask is {given}, but params are {wanted}; give one like them or their upper part") from error
    return jax.tree.map(choose, tree, chosen, otherwise)
