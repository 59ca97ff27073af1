"""Several processes as one program, on this machine, by JAX's own runtime and gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import host
import jax
import numpy as np
import pytest

from jaxmlp import archive, devices, sweeps, training

ROOT = Path(__file__).parent.parent
KEY = jax.random.key(0)


def processes(count, task, folder, started=None):
    """Run a task in several processes; return how each ended and what it printed as an error."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        port = listening.getsockname()[1]
    running = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "host.py"), *map(str, (port, count, process, task, folder))],
            env={**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for process in range(count if started is None else started)
    ]  # fmt: skip
    if task == "killed":  # JAX waits for a lost process for minutes
        running[1].wait()
        running[0].kill()
    ended = []
    for process in running:
        try:
            errors = process.communicate(timeout=150)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            errors = process.communicate()[1]
        ended.append((process.returncode, errors))
    return ended


def whole():
    return training.fit(host.RECIPE, (host.X, host.Y), epochs=6, validation=host.HELD_OUT, **host.options(KEY))


@pytest.mark.parametrize("count", [2, 4])
def test_a_run_of_several_processes_is_that_of_one(count, tmp_path):
    """Each has only its own rows, and not as many as the others; the file that they leave goes on in one process.

    Ctrl-C in one of them, while the third epoch runs, ends all after it.
    """
    for code, errors in processes(count, "sweep" if count == 2 else "run", tmp_path):
        assert code == 0, errors
    run = whole()
    for process in range(count):
        found = np.load(tmp_path / f"{process}.npz")
        assert found["stopped"] == 3
        np.testing.assert_allclose(found["w"], run.params[0].w, rtol=1e-5, atol=1e-6)
        for name, history in run.history.items():
            np.testing.assert_allclose(found[name.replace("/", " ")], history, rtol=1e-5)
    again = training.fit(
        host.RECIPE, (host.X, host.Y), epochs=6, validation=host.HELD_OUT, resume=tmp_path / "run", **host.options(KEY)
    )
    np.testing.assert_array_equal(again.params[0].w, found["w"])
    if count == 2:
        runs = sweeps.sweep(
            host.ladder, (host.X, host.Y), validation=host.HELD_OUT, epochs=3, seeds=3,
            hyper=sweeps.grid(learning_rate=[0.01, 0.1]), **host.options(KEY),
        )  # fmt: skip
        np.testing.assert_allclose(found["swept"], runs.history["validation/loss"], rtol=1e-4)


def test_after_one_was_killed_a_run_goes_on_with_other_devices_and_processes(tmp_path):
    """The last epoch that all had run is there."""
    _, (killed, _) = processes(2, "killed", tmp_path)
    assert killed == -9
    assert max(archive.numbers(tmp_path / "run")) == 3
    mesh = devices.mesh(data=3, devices=jax.devices()[:3])
    run = training.fit(
        host.RECIPE, (host.X, host.Y), epochs=6, validation=host.HELD_OUT, resume=tmp_path / "run", mesh=mesh,
        **host.options(KEY),
    )  # fmt: skip
    np.testing.assert_allclose(run.history["train/loss"], whole().history["train/loss"], rtol=1e-5)


def test_a_process_that_waits_for_others_in_vain_says_so(tmp_path):
    ((code, errors),) = processes(2, "wait", tmp_path, started=1)
    assert code != 0
    assert "After 3 s not all of 2 processes have met at localhost:" in errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a:1", 2), "process is missing; give coordinator, processes and process, or none of them"),
        (("a:1", 2, 2), "process is 2, but there are 2, counted from 0; give one below that"),
        (("a:1", 0, 0), "processes is 0; give a whole number of at least 1"),
    ],
)
def test_numbers_that_fit_no_program_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        devices.start(*arguments)
