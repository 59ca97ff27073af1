"""scikit-learn's MLPClassifier, a process for each core, started by joblib as its grid search does."""

import joblib
import numpy as np

from experiments.benchmarks.peers import Task, scikit_learn
from experiments.benchmarks.peers.many import Layers, Many, ManyLibrary


class Peer(ManyLibrary):
    """One ``fit`` for each member, on 32-bit numbers, without its early stop; the processes stay; -1 is all cores."""

    def __init__(self, many: Many, *, cores: int) -> None:
        super().__init__(many)
        self.cores = cores

    def train(self) -> None:
        each = (joblib.delayed(_fit)(*self.many.member(i)) for i in range(self.many.members))
        self.fitted = joblib.Parallel(n_jobs=self.cores)(each)

    def layers(self) -> Layers:
        of_layers = zip(*self.fitted, strict=True)
        return [(np.stack([w for w, _ in of]), np.stack([b for _, b in of])) for of in of_layers]


def _fit(task: Task, learning_rate: float, l2: float) -> Layers:
    single = scikit_learn.Peer(task)
    single.model.set_params(learning_rate_init=learning_rate, alpha=l2 * task.batch_size)
    single.train()
    return list(zip(single.model.coefs_, single.model.intercepts_, strict=True))
