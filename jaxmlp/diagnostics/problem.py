"""What is looked at: a recipe, its parameters and some rows, checked on the host before anything is compiled."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmlp import checks, training
from jaxmlp.mlp import MLP
from jaxmlp.training import Program, Recipe
from jaxmlp.types import Batch, Params

MEMORY = 2**27
"""Bytes that the parts computed side by side may take, about: 128 MiB, which any device has to spare."""


def checked(recipe: Any, params: Params, data: Any) -> tuple[Program, Params, Batch]:
    """Return the program, which is static and known by what it computes, the parameters and the rows.

    Args:
        recipe: what is trained, and how.
        params: its parameters; for an ``MLP`` plain tuples of arrays do as well.
        data: (x, y) or (x, y, weight), as for ``training.fit``.

    Returns:
        The program, of net and loss alone; parameters of the net's own structure; and the rows as arrays of floats.

    Raises:
        TypeError: no recipe, or data of the wrong kind.
        ValueError: parameters of another net, or data that the recipe's loss would misread.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
        >>> checked(recipe, [([[2.0]], [0.0])], ([[1.0]], [[3.0]]))[1]
        (Layer(w=Array([[2.]], dtype=float32), b=Array([0.], dtype=float32)),)
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe is {recipe!r}; give a training.Recipe(net, optimizer, loss)")
    params = parameters(recipe.net, params)
    return program(recipe), params, training.to_batch(recipe, params, "", data)


def program(recipe: Recipe, *, with_optimizer: bool = False) -> Program:
    """Return what is static of a recipe; without its optimizer, those that differ in that alone are compiled once."""
    alone = recipe if with_optimizer else dataclasses.replace(recipe, optimizer=optax.identity(), augment=None)
    return Program(alone, epochs=1, batch_size=1)


def parameters(net: Any, params: Params) -> Params:
    """Return parameters as arrays in the net's own structure, refusing those of another net."""
    for leaf in jax.tree.leaves(params):
        checks.not_traced("params", leaf, "call it outside of jit and vmap")
    if not isinstance(net, MLP):
        return jax.tree.map(jnp.asarray, params)
    wanted = jax.eval_shape(net.init, jax.random.key(0))
    layers = [jax.tree.leaves(layer, is_leaf=lambda node: isinstance(node, list)) for layer in params]
    leaves = [jnp.asarray(leaf) for layer in layers for leaf in layer]
    own = jax.tree.leaves(wanted)
    if len(leaves) != len(own):
        raise ValueError(f"params have {len(leaves)} arrays, the net's own {len(own)}; give what its init returns")
    params = jax.tree.unflatten(jax.tree.structure(wanted), leaves)
    checks.same_structure(params=params, **{"the net's own": wanted})
    return params


def at_once(size: int, most: int) -> int:
    """Return how many of so many equal parts, of so many bytes each, are computed side by side."""
    return max(1, min(most, MEMORY // max(1, size)))


def size_of(tree: Any) -> int:
    """Return the bytes of a pytree's arrays."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
