"""The same steps written by hand: ``jax.grad`` and optax inside ``lax.scan``, the whole run one jitted program.

Nothing is checked, remembered or recorded on the way. The order of the rows is ``jax.random.permutation``, which
sorts random numbers: beside the smallest steps that takes as long as the arithmetic.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from numpy.typing import NDArray

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task

OPTIMIZER = optax.adam(LEARNING_RATE)


class Peer(Library):
    """One call of one program for all epochs; the rows wait on the device."""

    def __init__(self, task: Task) -> None:
        init, shapes = jax.nn.initializers.glorot_uniform(), list(itertools.pairwise(task.sizes))
        keys = jax.random.split(jax.random.key(task.seed), len(shapes))
        weights = [(init(key, shape), jnp.zeros(shape[1])) for key, shape in zip(keys, shapes, strict=True)]
        self.start = weights, OPTIMIZER.init(weights)
        self.epochs = jax.random.split(jax.random.key(task.seed + 1), task.epochs)
        self.rows = jnp.asarray(task.x), jnp.asarray(task.y)
        self.run = jax.jit(functools.partial(_run, task.batch_size))

    def train(self) -> None:
        self.params, _ = self.run(self.rows, self.start, self.epochs)
        self.params[0][0].block_until_ready()  # all arrays come out of one program

    def logits(self, x: NDArray[Any]) -> Any:
        return _logits(self.params, jnp.asarray(x))


def _logits(params: Any, x: jax.Array) -> jax.Array:
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of a batch."""
    logits = _logits(params, x)
    if logits.shape[1] == 1:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits[:, 0], y.astype(logits.dtype)))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))


def _step(rows: Any, carry: Any, batch: jax.Array) -> tuple[Any, None]:
    (x, y), (params, opt_state) = rows, carry
    gradient = jax.grad(loss)(params, x[batch], y[batch])
    updates, opt_state = OPTIMIZER.update(gradient, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None


def _epoch(rows: Any, batch_size: int, carry: Any, key: jax.Array) -> tuple[Any, None]:
    batches = jax.random.permutation(key, len(rows[0])).reshape(-1, batch_size)
    return lax.scan(functools.partial(_step, rows), carry, batches)[0], None


def _run(batch_size: int, rows: Any, carry: Any, keys: jax.Array) -> Any:
    return lax.scan(functools.partial(_epoch, rows, batch_size), carry, keys)[0]
