"""One training in a fresh process: how long until there is a fitted model, and how much memory that takes.

    python -m experiments.benchmarks.fresh LIBRARY FOLDER BEGAN AGAIN

is what ``train`` runs, with a task that ``save`` wrote; it prints what it found as one line of JSON. Up to the
library itself, the process imports NumPy and the standard library alone.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks import peers
from experiments.benchmarks.peers import Task

ROOT = Path(__file__).parents[2]

CACHE = "JAX_COMPILATION_CACHE_DIR"


def warm_cache(folder: Path) -> dict[str, str]:
    """Return the environment in which JAX keeps all that it compiles in a folder, be it ever so small."""
    everything = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    return {CACHE: str(folder)} | everything


def save(folder: Path, task: Task, test: tuple[NDArray[Any], NDArray[Any]] | None = None) -> None:
    """Write a task where ``train`` finds it.

    Args:
        folder: where to; it is made.
        task: what is to be done.
        test: inputs and labels to take the accuracy from.
    """
    folder.mkdir(parents=True)
    parts = {"x": task.x, "y": task.y} | ({} if test is None else {"x_test": test[0], "y_test": test[1]})
    for name, part in parts.items():
        np.save(folder / f"{name}.npy", part)
    options = {field.name: getattr(task, field.name) for field in dataclasses.fields(task) if field.name not in parts}
    (folder / "task.json").write_text(json.dumps(options))


def train(name: str, folder: Path, *, again: bool = False, environment: Mapping[str, str] | None = None) -> Any:
    """Train once in a fresh process.

    Args:
        name: which of ``peers.LIBRARIES``.
        folder: where the task is.
        again: train a second time, when all is compiled.
        environment: what is added to this process's environment.

    Returns:
        A dictionary: "seconds" from the start of Python to the fitted model, "ready" (of them those until the
        library is imported and set up), "again" (those of the second training), "peak_bytes" (the most memory in
        use up to the fitted model), "loss", and "accuracy" where the task has a test part.

    Raises:
        RuntimeError: the process failed.
    """
    usual = {key: value for key, value in os.environ.items() if key != CACHE}
    command = [
        sys.executable,
        "-m",
        "experiments.benchmarks.fresh",
        name,
        str(folder),
        str(time.time()),
        str(int(again)),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=usual | dict(environment or {}), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed in a process of its own:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(name: str, folder: str, began: str, again: str) -> None:
    """Load the task, train, and print what was found."""
    task = _load(Path(folder))
    library = peers.make(name, task)
    ready = time.time()  # the clock that both processes share
    library.reset()
    library.train()
    fitted = time.time()
    found = {"seconds": fitted - float(began), "ready": ready - float(began), "peak_bytes": peak_bytes()}
    found["loss"] = peers.mean_loss(library, task)
    if (Path(folder) / "x_test.npy").exists():
        x, y = (np.load(Path(folder) / f"{part}_test.npy") for part in "xy")
        found["accuracy"] = float(np.mean(np.argmax(np.asarray(library.logits(x)), axis=1) == y))
    if again == "1":
        library.reset()
        restarted = time.perf_counter()
        library.train()
        found["again"] = time.perf_counter() - restarted
    print(json.dumps(found))


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage would begin at what the parent process held
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def _load(folder: Path) -> Task:
    options = json.loads((folder / "task.json").read_text())
    options["sizes"] = tuple(options["sizes"])
    return Task(x=np.load(folder / "x.npy"), y=np.load(folder / "y.npy"), **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
