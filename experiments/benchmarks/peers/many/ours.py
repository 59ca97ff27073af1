"""jaxmlp, called as a person would."""

from typing import Any

import jax
import numpy as np
import optax

from experiments.benchmarks.peers.many import Layers, Many, ManyLibrary, training_rows
from jaxmlp import losses, optimizers, regularizers, sweeps, training
from jaxmlp.mlp import MLP


class Peer(ManyLibrary):
    """One ``sweeps.sweep``, or one ``sweeps.cross_validate`` where there are folds.

    The latter cuts and scales the folds itself, and computes the loss of the rows held out after each epoch.
    """

    def __init__(self, many: Many) -> None:
        super().__init__(many)
        task = many.task
        self.data = task.x, task.y[:, None] if task.binary else task.y
        penalties = {"l2": many.l2} if any(many.l2) else {}
        settings = sweeps.grid(learning_rate=many.learning_rates, **penalties)
        several = len(settings) > 1
        self.recipe = self._recipe if several else self._recipe(settings[0])
        self.hyper = settings if several else None

    def train(self) -> None:
        many, task = self.many, self.many.task
        options: dict[str, Any] = {"hyper": self.hyper, "seeds": many.seeds, "epochs": task.epochs}
        options |= {"batch_size": task.batch_size, "key": jax.random.key(task.seed), "progress": False}
        if many.folds > 1:
            validated = sweeps.cross_validate(self.recipe, self.data, folds=many.folds, **options)
            self.runs, self.rows = validated.runs, training_rows(task, many.folds, validated.fold_of_row[0])
        else:
            self.runs = sweeps.sweep(self.recipe, self.data, **options)
        self.run_seconds, self.compile_seconds = self.runs.run_seconds, self.runs.compile_seconds

    def layers(self) -> Layers:
        return [(np.asarray(layer.w), np.asarray(layer.b)) for layer in self.runs.params]

    def _recipe(self, hyper: Any) -> training.Recipe:
        task = self.many.task
        loss = losses.sigmoid_binary_cross_entropy if task.binary else losses.softmax_cross_entropy
        optimizer = optimizers.adam(hyper["learning_rate"])
        if "l2" in hyper:
            optimizer = optax.chain(regularizers.l2(hyper["l2"]), optimizer)
        return training.Recipe(MLP(sizes=task.sizes, initializer="glorot_uniform"), optimizer, loss)
