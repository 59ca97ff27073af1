"""What stands in a folder of Orbax's: checkpoints by their number, in the order in which they were written."""

import contextlib
import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp.checkpoints import contents

ARRAYS, DESCRIPTION = "arrays", "about"
"""The two items of a checkpoint, each a folder of its own within it."""

SECONDS_TO_END = 0.05
"""How long reads that nobody waits for any more are given to end."""


def orbax() -> Any:
    """Return Orbax, which is imported when it is needed and not before."""
    try:
        import orbax.checkpoint
    except ImportError as error:
        sentence = 'checkpoints.Folder needs orbax-checkpoint; install it by pip install "jaxmlp[scale]"'
        raise ImportError(sentence) from error
    return orbax.checkpoint


def to_path(folder: str | os.PathLike[str]) -> Any:
    """Return a folder as a path that knows buckets as well, absolute as Orbax wants it."""
    from etils import epath  # comes with Orbax

    name = os.fspath(folder)
    return epath.Path(name if "://" in name else os.path.abspath(name))


def steps(path: Any) -> list[int]:
    """Return the numbers of the checkpoints that are there, those written first before the others."""
    return sorted(orbax().utils.checkpoint_steps(path)) if path.is_dir() else []


def description(path: Any, step: int) -> dict[str, Any]:
    """Read what a checkpoint says of itself.

    Raises:
        ValueError: it is damaged, or none of ours.
    """
    args = orbax().args
    said = _restore(path, step, **{DESCRIPTION: args.JsonRestore()})[DESCRIPTION]
    try:
        return contents.checked(said)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("its description is none of jaxmlp's") from error


def arrays(path: Any, step: int, targets: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    """Read the arrays of a checkpoint straight to the devices where they are wanted."""
    read = {name: target for name, target in targets.items() if target.size}  # Orbax writes no empty ones
    restored = _restore(path, step, **{ARRAYS: orbax().args.StandardRestore(read)})[ARRAYS] if read else {}
    empty = {name: jnp.zeros(targets[name].shape, targets[name].dtype) for name in targets if name not in read}
    return restored | {name: jax.device_put(array, targets[name].sharding) for name, array in empty.items()}


def _restore(path: Any, step: int, **items: Any) -> Any:
    """Read some items of a checkpoint.

    Raises:
        ValueError: they cannot be read, for whatever reason: files can be broken in more ways than Orbax has names for.
    """
    api = orbax()
    with _muted():
        try:
            with api.Checkpointer(api.CompositeCheckpointHandler()) as checkpointer:
                return checkpointer.restore(path / str(step), args=api.args.Composite(**items))
        except MemoryError:
            raise
        except Exception as error:
            reason = str(error).split("\n")[0] or type(error).__name__
        time.sleep(SECONDS_TO_END)
        gc.collect()
    raise ValueError(reason)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep off the screen what the other reads say when one of them has failed.

    Orbax reads all arrays at once, and waits for none of them when one fails. They complain when they end, since nobody
    takes what they have read, and when they are collected.
    """
    usual, asyncio, mute = sys.unraisablehook, logging.getLogger("asyncio"), logging.Filter("nobody")
    sys.unraisablehook = lambda _: None
    asyncio.addFilter(mute)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = usual
        asyncio.removeFilter(mute)
