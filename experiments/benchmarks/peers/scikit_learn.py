"""scikit-learn's MLPClassifier; it begins as Glorot says, too, but draws the biases as well."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task


class Peer(Library):
    """One ``fit`` on 32-bit numbers, without its early stop."""

    def __init__(self, task: Task) -> None:
        all_epochs = {"max_iter": task.epochs, "tol": 0, "n_iter_no_change": task.epochs + 1}
        adam = {"solver": "adam", "learning_rate_init": LEARNING_RATE, "alpha": 0, "random_state": task.seed}
        self.task = task
        self.model = MLPClassifier(task.sizes[1:-1], batch_size=task.batch_size, **adam, **all_epochs)

    def train(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ConvergenceWarning: all epochs were run, as they should be
            self.model.fit(self.task.x, self.task.y)

    def logits(self, x: NDArray[Any]) -> Any:
        return np.log(np.maximum(self.model.predict_proba(x), np.finfo(np.float32).eps))
