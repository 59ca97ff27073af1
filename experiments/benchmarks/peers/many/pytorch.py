"""PyTorch as it is, one run after another; or a run in a process for each core at a time, started by joblib."""

from typing import Any

import numpy as np
import torch

from experiments.benchmarks.peers import Task, pytorch
from experiments.benchmarks.peers.many import Layers, Many, ManyLibrary


class Peer(ManyLibrary):
    """The loop of a single run for each member, with ``Adam(fused=True)``; one thread each on ``cores``, -1: all."""

    def __init__(self, many: Many, *, cores: int = 1) -> None:
        super().__init__(many)
        self.cores = cores

    def train(self) -> None:
        members = [self.many.member(i) for i in range(self.many.members)]
        if self.cores == 1:
            self.fitted = [_fit(*member) for member in members]
            return
        import joblib  # here, as the other way does without

        self.fitted = joblib.Parallel(n_jobs=self.cores)(joblib.delayed(_fit)(*member, threads=1) for member in members)

    def layers(self) -> Layers:
        of_layers = zip(*self.fitted, strict=True)
        return [(np.stack([w for w, _ in of]), np.stack([b for _, b in of])) for of in of_layers]


def _fit(task: Task, learning_rate: float, l2: float, threads: int | None = None) -> Layers:
    if threads is not None:
        torch.set_num_threads(threads)
    single = pytorch.Peer(task)
    linear = [layer for layer in single.model if isinstance(layer, torch.nn.Linear)]
    groups: list[dict[str, Any]] = [{"params": single.model.parameters()}]
    if l2:
        weights, biases = [layer.weight for layer in linear], [layer.bias for layer in linear]
        groups = [{"params": weights, "weight_decay": l2}, {"params": biases}]
    single.adam = torch.optim.Adam(groups, learning_rate, eps=1e-8, fused=True)
    single.train()
    return [(layer.weight.detach().cpu().numpy().T, layer.bias.detach().cpu().numpy()) for layer in linear]
