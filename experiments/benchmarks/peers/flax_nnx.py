"""Flax NNX and optax, as a functional training loop: split once, merged inside the compiled program.

A batch is a view into the host's rows, shuffled once an epoch, which costs less than a gather on the device.
With ``scan`` the loop over the batches of an epoch is compiled as well.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from numpy.typing import NDArray

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task


class Peer(Library):
    """A program for a step, or for an epoch; its state is a plain dictionary, and donated."""

    def __init__(self, task: Task, *, scan: bool = False) -> None:
        init, rngs = nnx.initializers.glorot_uniform(), nnx.Rngs(task.seed)
        linear = [nnx.Linear(*of, kernel_init=init, rngs=rngs) for of in itertools.pairwise(task.sizes)]
        model = nnx.Sequential(*[part for layer in linear[:-1] for part in (layer, nnx.relu)], linear[-1])
        optimizer = nnx.Optimizer(model, optax.adam(LEARNING_RATE), wrt=nnx.Param)
        self.graph, state = nnx.split((model, optimizer))
        self.start = nnx.to_pure_dict(state)  # plain arrays are dispatched faster than variables
        advance = functools.partial(_epoch if scan else _step, self.graph)
        self.task, self.scan, self.advance = task, scan, jax.jit(advance, donate_argnums=0)
        self.rows: Any = (jnp.asarray(task.x), jnp.asarray(task.y)) if scan else (task.x, task.y)

    def reset(self) -> None:
        self.state = jax.tree.map(jnp.copy, self.start)
        self.rng = np.random.default_rng(self.task.seed)

    def train(self) -> None:
        (x, y), batch_size = self.rows, self.task.batch_size
        for _ in range(self.task.epochs):
            order = self.rng.permutation(len(x))
            if self.scan:
                self.state, _ = self.advance(self.state, x, y, order.reshape(-1, batch_size))
                continue
            of_epoch = x[order], y[order]
            for i in range(0, len(x), batch_size):
                self.state, _ = self.advance(self.state, *(part[i : i + batch_size] for part in of_epoch))
        jax.tree.leaves(self.state)[0].block_until_ready()  # all leaves come out of one program

    def logits(self, x: NDArray[Any]) -> Any:
        return nnx.merge(self.graph, self.state)[0](jnp.asarray(x))


def _loss(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    logits = model(x)
    if logits.shape[1] == 1:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits[:, 0], y.astype(logits.dtype)))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))


def _step(graph: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
    model, optimizer = nnx.merge(graph, state)
    loss, gradient = nnx.value_and_grad(_loss)(model, x, y)
    optimizer.update(model, gradient)
    return nnx.to_pure_dict(nnx.state((model, optimizer))), loss


def _epoch(graph: Any, state: Any, x: jax.Array, y: jax.Array, batches: jax.Array) -> Any:
    return jax.lax.scan(lambda state, rows: _step(graph, state, x[rows], y[rows]), state, batches)
