"""Equinox and optax: the model partitioned once, its arrays in and out of a compiled step as a flat list.

Those are the ways that Equinox's documentation gives to spare a small step the work on its tree of modules.
A batch is a view into the host's rows, shuffled once an epoch.
"""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task

OPTIMIZER = optax.adam(LEARNING_RATE)


class Peer(Library):
    """A jitted step over the leaves of parameters and optimizer, which are donated."""

    def __init__(self, task: Task) -> None:
        params, self.static = eqx.partition(_model(task), eqx.is_inexact_array)
        self.start, self.tree = jax.tree.flatten((params, OPTIMIZER.init(params)))
        self.task, self.advance = task, jax.jit(self._advance, donate_argnums=0)

    def reset(self) -> None:
        self.leaves = [jnp.copy(leaf) for leaf in self.start]
        self.rng = np.random.default_rng(self.task.seed)

    def train(self) -> None:
        batch_size = self.task.batch_size
        for _ in range(self.task.epochs):
            order = self.rng.permutation(len(self.task.x))
            x, y = self.task.x[order], self.task.y[order]
            for i in range(0, len(x), batch_size):
                self.leaves = self.advance(self.leaves, x[i : i + batch_size], y[i : i + batch_size])
        self.leaves[0].block_until_ready()  # all come out of one program

    def logits(self, x: NDArray[Any]) -> Any:
        params, _ = jax.tree.unflatten(self.tree, self.leaves)
        return jax.vmap(eqx.combine(params, self.static))(jnp.asarray(x))

    def _advance(self, leaves: list[jax.Array], x: jax.Array, y: jax.Array) -> list[jax.Array]:
        params, opt_state = jax.tree.unflatten(self.tree, leaves)
        gradient = jax.grad(_loss)(params, self.static, x, y)
        updates, opt_state = OPTIMIZER.update(gradient, opt_state, params)
        return jax.tree.leaves((eqx.apply_updates(params, updates), opt_state))


def _model(task: Task) -> Any:
    init, layers = jax.nn.initializers.glorot_uniform(), []
    keys = jax.random.split(jax.random.key(task.seed), len(task.sizes) - 1)
    for key, (inputs, outputs) in zip(keys, itertools.pairwise(task.sizes), strict=True):
        parts = init(key, (outputs, inputs)), jnp.zeros(outputs)
        linear = eqx.nn.Linear(inputs, outputs, key=key)
        layers += [eqx.tree_at(lambda of: (of.weight, of.bias), linear, parts), eqx.nn.Lambda(jax.nn.relu)]
    return eqx.nn.Sequential(layers[:-1])


def _loss(params: Any, static: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    logits = jax.vmap(eqx.combine(params, static))(x)
    if logits.shape[1] == 1:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits[:, 0], y.astype(logits.dtype)))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))
