"""jaxmlp, called as a person would."""

from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task
from jaxmlp import losses, optimizers, training
from jaxmlp.mlp import MLP


class Peer(Library):
    """One ``training.fit``."""

    def __init__(self, task: Task) -> None:
        loss = losses.sigmoid_binary_cross_entropy if task.binary else losses.softmax_cross_entropy
        self.net = MLP(sizes=task.sizes, initializer="glorot_uniform")
        self.recipe = training.Recipe(self.net, optimizers.adam(LEARNING_RATE), loss)
        self.task, self.y = task, task.y[:, None] if task.binary else task.y

    def train(self) -> None:
        task, data, key = self.task, (self.task.x, self.y), jax.random.key(self.task.seed)
        run = training.fit(
            self.recipe, data, epochs=task.epochs, batch_size=task.batch_size, key=key, progress=False
        )  # fmt: skip
        self.params, self.run_seconds, self.compile_seconds = run.params, run.run_seconds, run.compile_seconds

    def logits(self, x: NDArray[Any]) -> Any:
        return self.net.apply(self.params, jnp.asarray(x))
