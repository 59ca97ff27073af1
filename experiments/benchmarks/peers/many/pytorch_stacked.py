"""PyTorch with the parameters of all members stacked: one step of all of them takes about as many calls as of one.

With ``vmap`` as in PyTorch's tutorial on model ensembling, by ``stack_module_state``, ``functional_call`` and
``vmap(grad)``; else by hand, with batched products and one backward pass through the sum of the members' losses, whose
gradient is that of each. Adam is ``torch.optim.Adam(fused=True)`` on views, a group for each setting: its learning rate
is one number a group. The rows are shuffled once an epoch, for each member by the order of random numbers.
"""

import copy
import itertools
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from experiments.benchmarks.peers import pytorch
from experiments.benchmarks.peers.many import Layers, Many, ManyLibrary


class Peer(ManyLibrary):
    """An ordinary loop over the batches of all members, with PyTorch's own number of threads."""

    def __init__(self, many: Many, *, vmap: bool = False) -> None:
        super().__init__(many)
        self.device, task = pytorch.device(), many.task
        x, y = many.rows
        self.x = torch.as_tensor(x, device=self.device)
        self.y = torch.as_tensor(y, device=self.device, dtype=torch.float32 if task.binary else torch.int64)
        self.fold = torch.as_tensor(many.fold, device=self.device)[:, None]
        torch.manual_seed(task.seed)
        models = [_net(task.sizes) for _ in range(many.members)]
        stacked, _ = stack_module_state(models)
        self.start = {name: of.detach().to(self.device) for name, of in stacked.items()}
        self.gradient, self.turned = self._gradient_by_hand, not vmap
        if vmap:
            self.gradient = _gradient_by_vmap(models[0], task.binary)
        else:  # weights as (members, inputs, outputs), the layout of the product
            self.start = {name: of.transpose(1, -1).contiguous() for name, of in self.start.items()}
        self.reset()

    def reset(self) -> None:
        torch.manual_seed(self.many.task.seed)
        self.params = {name: of.clone() for name, of in self.start.items()}
        each, groups = self.many.members // len(self.many.settings), []
        self.views: list[tuple[str, slice, Any]] = []
        for place, (learning_rate, l2) in enumerate(self.many.settings):
            members = slice(place * each, (place + 1) * each)
            for kind, decay in (("weight", l2), ("bias", 0.0)) if l2 else (("", 0.0),):
                views = [(name, members, of[members]) for name, of in self.params.items() if name.endswith(kind)]
                groups.append({"params": [view for *_, view in views], "lr": learning_rate, "weight_decay": decay})
                self.views += views
        self.adam = torch.optim.Adam(groups, eps=1e-8, fused=True)

    def train(self) -> None:
        members, rows = self.many.members, self.x.shape[1]
        for _ in range(self.many.task.epochs):
            order = torch.rand(members, rows, device=self.device).argsort(dim=1)
            x, y = self.x[self.fold, order], self.y[self.fold, order]
            size = self.many.task.batch_size
            for of_step in zip(x.split(size, dim=1), y.split(size, dim=1), strict=True):
                gradient = self.gradient(self.params, *of_step)
                for name, at, view in self.views:
                    view.grad = gradient[name][at]
                self.adam.step()
        next(iter(self.params.values())).sum().item()  # waits for a GPU

    def layers(self) -> Layers:
        arrays = {name: of.cpu().numpy() for name, of in self.params.items()}
        names = [name.removesuffix(".weight") for name in arrays if name.endswith(".weight")]
        weights = [arrays[f"{name}.weight"] for name in names]
        weights = weights if self.turned else [w.swapaxes(1, 2) for w in weights]
        return [(w, arrays[f"{name}.bias"]) for w, name in zip(weights, names, strict=True)]

    def _gradient_by_hand(self, params: dict[str, Any], x: Any, y: Any) -> dict[str, Any]:
        leaves = {name: of.detach().requires_grad_() for name, of in params.items()}
        names = [name.removesuffix(".weight") for name in leaves if name.endswith(".weight")]
        for name in names:
            x = torch.baddbmm(leaves[f"{name}.bias"][:, None], x, leaves[f"{name}.weight"])
            x = x if name == names[-1] else x.relu()
        loss = _loss(x.flatten(0, 1), y.flatten(), self.many.task.binary, "sum") / y.shape[1]
        loss.backward()  # which lays a gradient out as its parameter, as the fused Adam takes for granted
        return {name: of.grad for name, of in leaves.items()}


def _gradient_by_vmap(model: Any, binary: bool) -> Any:
    shapes = copy.deepcopy(model).to("meta")

    def loss(params: dict[str, Any], x: Any, y: Any) -> Any:
        return _loss(functional_call(shapes, params, (x,)), y, binary, "mean")

    return vmap(grad(loss))


def _loss(logits: Any, y: Any, binary: bool, reduction: str) -> Any:
    if binary:
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], y, reduction=reduction)
    return nn.functional.cross_entropy(logits, y, reduction=reduction)


def _net(sizes: tuple[int, ...]) -> Any:
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
