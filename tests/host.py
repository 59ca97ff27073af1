"""One of several processes of a program: started by test_hosts.py, with port, processes, process, task and folder."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from jaxmlp import devices, losses, optimizers, sweeps, training
from jaxmlp.mlp import MLP
from jaxmlp.training import host as seconds

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(61, 12)), RNG.integers(0, 3, 61)
HELD_OUT = RNG.normal(size=(17, 12)), RNG.integers(0, 3, 17)
RECIPE = training.Recipe(MLP((12, 8, 3), dropout=0.2), optimizers.adam(1e-2), losses.softmax_cross_entropy)


def ladder(hyper):
    return training.Recipe(MLP((12, 8, 3)), optimizers.adam(hyper["learning_rate"]), losses.softmax_cross_entropy)


def options(key):
    return {"batch_size": 14, "key": key, "progress": False}


def part(rows, processes, process):
    """A process's own rows: the first process has the most."""
    cuts = np.linspace(0, 1, processes + 1) ** 0.8 * len(rows[0])
    begin, end = cuts[process : process + 2].round().astype(int)
    return tuple(array[begin:end] for array in rows)


def main(port, processes, process, task, folder):
    import jax

    devices.start(f"localhost:{port}", int(processes), int(process), timeout=3 if task == "wait" else 100)
    folder, count, me = Path(folder), int(processes), int(process)
    key = jax.random.key(0)
    mine = {"data": part((X, Y), count, me), "validation": part(HELD_OUT, count, me), "mesh": devices.mesh()}

    def killed(epoch, run):
        if epoch == 3 and me == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    if task == "killed":
        seconds.SECONDS_PER_SAVE = 0.0
        training.fit(RECIPE, epochs=6, save=folder / "run", chunk=1, callback=killed, **mine, **options(key))
    run = training.fit(RECIPE, epochs=6, save=folder / "run", **mine, **options(key))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell script it is ignored

    def interrupt_the_last(epoch, run):
        if epoch == 2 and me == count - 1:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = training.fit(RECIPE, epochs=6, chunk=1, callback=interrupt_the_last, **mine, **options(key))
    found = (
        {"stopped": stopped.epochs}
        | {name: np.asarray(leaf) for name, leaf in zip("wb", run.params[0][:2], strict=True)}
        | run.history
    )
    if task == "sweep":
        runs = sweeps.sweep(
            ladder, (X, Y), validation=HELD_OUT, epochs=3, seeds=3, mesh=devices.mesh(members=count),
            hyper=sweeps.grid(learning_rate=[0.01, 0.1]), save=folder / "sweep", **options(key),
        )  # fmt: skip
        found["swept"] = runs.history["validation/loss"]
    np.savez(folder / f"{process}.npz", **{name.replace("/", " "): array for name, array in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
