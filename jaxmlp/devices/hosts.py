"""Several hosts as one program: each runs the same script, and JAX's own runtime brings them together."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

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


def on_host(tree: Any) -> Any:
    """Return copies of arrays in the host's memory; what lies on devices of other processes they bring together.

    Args:
        tree: a pytree of JAX's arrays.

    Returns:
        The same with NumPy's arrays; random keys stay what they are.
    """

    def copied(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            kind = jax.random.key_impl(leaf)
            return jax.random.wrap_key_data(jnp.asarray(copied(jax.random.key_data(leaf))), impl=kind)
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return np.array(leaf)
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(copied, tree)


def agreed(mesh: Mesh | None, *numbers: float | bool) -> tuple[Any, ...]:
    """Return the largest of each of some numbers over all processes that share a mesh.

    They must run the same programs in the same order, so none may decide by its own clock.

    Args:
        mesh: None for a process by itself.
        numbers: of this process, such as the seconds that something took, or whether Ctrl-C was pressed.

    Returns:
        As many numbers, the same in each process.
    """
    if not shared_by_processes(mesh):
        return numbers
    of_all = multihost_utils.process_allgather(np.array(numbers, np.float32))
    return tuple(of_all.max(axis=0).tolist())


def shared_by_processes(mesh: Mesh | None) -> bool:
    """Return whether a mesh has devices of several processes."""
    return mesh is not None and len({device.process_index for device in mesh.devices.flat}) > 1


@contextlib.contextmanager
def one_process(mesh: Mesh | None) -> Iterator[bool]:
    """Yield whether this process is the one that writes files, and wait until it has."""
    yield jax.process_index() == 0 or not shared_by_processes(mesh)
    agreed(mesh, 0.0)
