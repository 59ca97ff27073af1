"""The same steps written by hand: the plain scan of a single run under ``jax.vmap``, all members one jitted program.

Each member draws the order of its rows by ``jax.random.permutation``, as the plain scan does. Of a last batch that is
not full a step of its own is made, behind the scan.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from experiments.benchmarks.peers.many import Layers, Many, ManyLibrary
from experiments.benchmarks.peers.plain_scan import loss


class Peer(ManyLibrary):
    """One call of one program for all members and epochs; the rows wait on the device."""

    def __init__(self, many: Many) -> None:
        super().__init__(many)
        task, (x, y), settings = many.task, many.rows, np.array(many.settings, np.float32)
        numbers = jnp.asarray(settings.repeat(many.members // len(settings), 0))
        keys = jax.random.split(jax.random.key(task.seed), many.members)
        start = jax.jit(jax.vmap(functools.partial(_start, task.sizes)))
        self.arguments = (keys, start(keys, numbers), numbers, jnp.asarray(many.fold), jnp.asarray(x), jnp.asarray(y))
        penalized = any(strength > 0 for strength in many.l2)
        run = functools.partial(_run, task.batch_size, task.epochs, penalized)
        self.run = jax.jit(jax.vmap(run, in_axes=(0, 0, 0, 0, None, None)))

    def train(self) -> None:
        self.params, _ = self.run(*self.arguments)
        self.params[0][0].block_until_ready()  # all arrays come out of one program

    def layers(self) -> Layers:
        return [(np.asarray(w), np.asarray(b)) for w, b in self.params]


def _start(sizes: tuple[int, ...], key: Any, numbers: Any) -> Any:
    init, shapes = jax.nn.initializers.glorot_uniform(), list(itertools.pairwise(sizes))
    keys = jax.random.split(key, len(shapes))
    params = [(init(of, shape), jnp.zeros(shape[1])) for of, shape in zip(keys, shapes, strict=True)]
    return params, optax.adam(numbers[0]).init(params)


def _run(
    batch_size: int, epochs: int, penalized: bool, key: Any, carry: Any, numbers: Any, fold: Any, xs: Any, ys: Any
) -> Any:
    """Train one member; ``numbers`` are its learning rate and its strength."""
    n = xs.shape[1]
    whole = n - n % batch_size
    optimizer = optax.adam(numbers[0])

    def step(carry: Any, rows: Any) -> tuple[Any, None]:
        params, opt_state = carry
        gradient = jax.grad(loss)(params, xs[fold, rows], ys[fold, rows])
        if penalized:
            pairs = zip(gradient, params, strict=True)
            gradient = [(dw + numbers[1] * w, db) for (dw, db), (w, _) in pairs]
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def epoch(carry: Any, key: Any) -> tuple[Any, None]:
        order = jax.random.permutation(key, n)
        carry, _ = lax.scan(step, carry, order[:whole].reshape(-1, batch_size))
        return step(carry, order[whole:]) if whole < n else (carry, None)

    return lax.scan(epoch, carry, jax.random.split(jax.random.fold_in(key, 1), epochs))[0]
