"""What stands in a folder of Orbax's: checkpoints by their number, in the order in which they were written."""

import os
from typing import Any

import jax

from jaxmlp.checkpoints import contents

ARRAYS, DESCRIPTION = "arrays", "about"
"""The two items of a checkpoint, each a folder of its own within it."""


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
    """Read what a checkpoint says of itself; any error says that it is damaged, or none of ours."""
    args = orbax().args
    return contents.checked(_restore(path, step, **{DESCRIPTION: args.JsonRestore()})[DESCRIPTION])


def arrays(path: Any, step: int, targets: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    """Read the arrays of a checkpoint straight to the devices where they are wanted."""
    args = orbax().args
    read: dict[str, jax.Array] = _restore(path, step, **{ARRAYS: args.StandardRestore(targets)})[ARRAYS]
    return read


def _restore(path: Any, step: int, **items: Any) -> Any:
    api = orbax()
    with api.Checkpointer(api.CompositeCheckpointHandler()) as checkpointer:
        return checkpointer.restore(path / str(step), args=api.args.Composite(**items))
