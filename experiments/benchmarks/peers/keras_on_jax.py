"""Keras on JAX, its step compiled, with many steps between two calls of the callbacks."""

import functools
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ["KERAS_BACKEND"] = "jax"  # read once, by the import
import keras

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task


class Peer(Library):
    """One ``fit`` of all epochs, with ``jit_compile`` and ``steps_per_execution`` of a whole epoch."""

    def __init__(self, task: Task) -> None:
        self.seed = functools.partial(keras.utils.set_random_seed, task.seed)
        self.seed()
        binary, multiclass = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy
        loss = (binary if task.binary else multiclass)(from_logits=True)
        adam = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)  # the others' epsilon; its own is 1e-7
        hidden = [keras.layers.Dense(size, activation="relu") for size in task.sizes[1:-1]]
        layers = [keras.Input(task.sizes[:1]), *hidden, keras.layers.Dense(task.sizes[-1])]
        self.model = keras.Sequential(layers)
        steps = task.steps // task.epochs
        self.model.compile(optimizer=adam, loss=loss, jit_compile=True, steps_per_execution=steps)
        adam.build(self.model.trainable_variables)
        self.variables = [*self.model.variables, *adam.variables]
        self.task, self.start = task, [np.asarray(of.value) for of in self.variables]

    def reset(self) -> None:  # a new model would compile again
        self.seed()
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)

    def train(self) -> None:
        task = self.task
        self.model.fit(task.x, task.y, task.batch_size, task.epochs, shuffle=True, verbose=0)

    def logits(self, x: NDArray[Any]) -> Any:
        return self.model.predict(x, batch_size=len(x), verbose=0)
