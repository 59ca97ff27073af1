"""Several hosts as one program: each runs the same script, and JAX's own runtime brings them together."""

import sys
import threading

import jax

from jaxmlp import checks


def start(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None, *, timeout: int = 300
) -> None:
    """Join the other processes of a program that runs on several hosts; the first thing to do in each of them.

    From then on ``jax.devices()`` lists the devices of all of them, and ``mesh()`` spreads over them. On Cloud TPU and
    under Slurm or Open MPI nothing need be given: JAX finds the others by itself.

    Args:
        coordinator: address and port of process 0, such as "10.0.0.1:1234".
        processes: how many there are.
        process: which of them this is, from 0.
        timeout: seconds to wait for the others, at least 1.

    Raises:
        ValueError: some of the three are given and others not, or a number is out of its range.
        RuntimeError: JAX has used its devices already. If not all come in time, a sentence is printed, and JAX ends the
            process.

    Example:
        >>> from jaxmlp import devices
        >>> devices.start("10.0.0.1:1234", processes=64, process=7)  # doctest: +SKIP
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise ValueError(f"{missing[0]} is missing; give coordinator, processes and process, or none of them")
    timeout = checks.whole_number("timeout", timeout, 1)
    if processes is not None and process is not None:
        processes = checks.whole_number("processes", processes, 1)
        process = checks.whole_number("process", process, 0)
        if process >= processes:
            raise ValueError(f"process is {process}, but there are {processes}, counted from 0; give one below that")
    sentence = (
        f"After {timeout} s not all of {processes or 'the'} processes have met at {coordinator or 'the coordinator'}. "
        "Start the same script in each, with one address that all can reach and process = 0, 1, ..."
    )
    # JAX ends the process by itself when the time is over, in words of its own.
    waiting = threading.Timer(timeout, lambda: print(sentence, file=sys.stderr, flush=True))
    waiting.start()
    try:
        jax.distributed.initialize(coordinator, processes, process, initialization_timeout=timeout + 1)
    finally:
        waiting.cancel()
