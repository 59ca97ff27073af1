"""PyTorch as it is, without compilation: an ordinary loop, with Adam as one kernel for all parameters.

The rows are shuffled once an epoch, and a batch is a view into them. To ``gather`` each batch by its indices takes
a little more time, and no second copy of the rows. Where JAX computes on a GPU, so does PyTorch.
"""

import itertools
import os
from collections.abc import Iterable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from experiments.benchmarks.peers import LEARNING_RATE, Library, Task


class Peer(Library):
    """``torch.optim.Adam(fused=True)``, with PyTorch's own number of threads."""

    def __init__(self, task: Task, *, gather: bool = False) -> None:
        self.task, self.gather, self.device = task, gather, device()
        self.x = torch.as_tensor(task.x, device=self.device)
        self.y = torch.as_tensor(task.y, device=self.device, dtype=torch.float32 if task.binary else torch.int64)
        self.loss = nn.BCEWithLogitsLoss() if task.binary else nn.CrossEntropyLoss()
        self.reset()

    def reset(self) -> None:
        torch.manual_seed(self.task.seed)
        layers: list[Any] = []
        for inputs, outputs in itertools.pairwise(self.task.sizes):
            linear = nn.Linear(inputs, outputs)
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1]).to(self.device)
        self.adam = torch.optim.Adam(self.model.parameters(), LEARNING_RATE, eps=1e-8, fused=True)

    def train(self) -> None:
        for _ in range(self.task.epochs):
            self._epoch(torch.randperm(len(self.x), device=self.device))
        next(self.model.parameters())[0, 0].item()  # waits for a GPU

    def logits(self, x: NDArray[Any]) -> Any:
        with torch.no_grad():
            return self.model(torch.as_tensor(x, device=self.device)).cpu().numpy()

    def _epoch(self, order: Any) -> None:
        for x, y in self._batches(order):
            self.adam.zero_grad(set_to_none=True)
            logits = self.model(x)
            self.loss(logits[:, 0] if self.task.binary else logits, y).backward()
            self.adam.step()

    def _batches(self, order: Any) -> Iterable[tuple[Any, Any]]:
        rows = self.task.batch_size
        if self.gather:
            return ((self.x[batch], self.y[batch]) for batch in order.split(rows))
        return zip(self.x[order].split(rows), self.y[order].split(rows), strict=True)


def device() -> str:
    """Return where to compute: on CUDA where JAX would."""
    wanted = os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] != "cpu"  # read by JAX, where it is installed
    return "cuda" if wanted and torch.cuda.is_available() else "cpu"
