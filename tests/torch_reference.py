"""PyTorch's side of ``test_dialects.py`` and ``test_forward.py``, stored for machines without PyTorch.

``python tests/torch_reference.py`` writes ``torch_reference.json`` anew; ``JAX_ENABLE_X64=1`` must be set.
"""

import json
import re
from pathlib import Path

import numpy as np
from dialects import GRADIENT, PYTORCH, START, STEPS, gradient
from forward import NETS, of_torch

STORED = Path(__file__).parent / "torch_reference.json"
STEPS_STORED = (1, 2, 3, 5, 10, 20, 50, 100)


def trajectory(entry):
    """Return the parameters after each of the steps, in 64-bit numbers."""
    import torch

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # the dtype of NAdam's product of momenta, whatever the parameters' is
    try:
        return walk(entry, torch)
    finally:
        torch.set_default_dtype(default)


def walk(entry, torch):
    """Follow the optimizer from the start, with gradients from NumPy."""
    params = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in START.items()}
    made = eval(entry.theirs, {"torch": torch, "params": list(params.values())})
    scheduler = made if isinstance(made, torch.optim.lr_scheduler.LRScheduler) else None
    optimizer = scheduler.optimizer if scheduler else made
    path = {name: [] for name in START}
    for _ in range(STEPS):
        for param in params.values():
            param.grad = torch.from_numpy(gradient(param.detach().numpy()))
        optimizer.step()
        if scheduler:
            scheduler.step()
        for name, param in params.items():
            path[name].append(param.detach().numpy().copy())
    return {name: np.stack(values) for name, values in path.items()}


def settings():
    """What the stored numbers depend on, besides the entries."""
    return {"start": START, "gradient": GRADIENT, "steps": list(STEPS_STORED), "dtype": "float64"}


def at_steps(path):
    """Return what is stored of a path: the parameters after some of the steps."""
    return {str(step): {name: values[step - 1].tolist() for name, values in path.items()} for step in STEPS_STORED}


def main():
    import torch

    entries = {e.topic: {"theirs": e.theirs, "parameters": at_steps(trajectory(e))} for e in PYTORCH}
    forward = {name: dict(zip(("outputs", "gradients"), of_torch(name), strict=True)) for name in NETS}
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    parts = {"versions": versions, "settings": settings(), "entries": entries, "forward": forward}
    text = json.dumps(parts, indent=1, default=lambda array: array.tolist())
    in_lines = re.sub(r"\[[^\[\]]*\]", lambda numbers: " ".join(numbers[0].split()), text)  # a list to a line
    STORED.write_text(in_lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
