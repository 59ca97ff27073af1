"""Compiling: XLA's options that suit a run, and programs kept from one process to the next."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache as cache_of_jax

OPTIMIZATION_LEVEL = 2
"""Of LLVM, on a CPU. JAX takes 3, with which the random numbers of a net's parameters take twice as long to compile,
and nothing runs faster."""


def options(widths: Sequence[int]) -> dict[str, int]:
    """Return XLA's options for a run on JAX's default device; what the environment asks for stands.

    Args:
        widths: units of the hidden layers.

    Returns:
        Options for ``jax.jit``; none but on a CPU.

    Example:
        >>> isinstance(options([64, 64]), dict)
        True
    """
    if jax.default_backend() != "cpu":
        return {}
    wanted = {"xla_backend_optimization_level": OPTIMIZATION_LEVEL, **vector_width(widths)}
    asked_for = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in wanted.items() if name not in asked_for}


def vector_width(widths: Sequence[int]) -> Mapping[str, int]:
    """Return XLA's option for the width of the vector registers: the widest where they fill them, else its own choice.

    Args:
        widths: units of the hidden layers.

    Returns:
        Options for ``jax.jit``.

    Example:
        >>> vector_width([64, 64]), vector_width([20, 12])
        ({'xla_cpu_prefer_vector_width': 512}, {})
    """
    return {"xla_cpu_prefer_vector_width": 512} if widths and all(width % 16 == 0 for width in widths) else {}


def compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path:
    """Keep what this process compiles from now on for later ones: a script's second start compiles nothing.

    It switches on JAX's own cache, for all that JAX compiles, however short. What is in the cache is run as it is
    found, so the folder must be yours alone: whoever can write into it decides what you run.

    Args:
        folder: made if need be, readable and writable by its owner only; None takes "jaxmlp" in the user's folder for
            caches (``$XDG_CACHE_HOME``, or ~/.cache).

    Returns:
        The folder. It may be removed at any time.

    Raises:
        PermissionError: the folder is another user's, or others can read or write it.
        OSError: it cannot be made.

    Example:
        >>> from jaxmlp import training
        >>> training.compilation_cache()  # doctest: +SKIP
        PosixPath('/home/me/.cache/jaxmlp')
    """
    if folder is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "jaxmlp"
    folder = Path(folder).expanduser().absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    _refuse_shared(folder)
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX's own lack
    cache_of_jax.reset_cache()  # JAX looks at its settings once, when it first compiles something
    return folder


def _refuse_shared(folder: Path) -> None:
    """Refuse a folder that others than this user can read or write, where there are such permissions."""
    if not hasattr(os, "getuid"):
        return
    of_folder = folder.stat()
    if of_folder.st_uid != os.getuid():
        raise PermissionError(f"folder {folder} belongs to another user; give one of your own")
    if of_folder.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError(
            f"folder {folder} is open to others ({stat.filemode(of_folder.st_mode)}), and programs in it are run; "
            f"give another, or close it by chmod 700"
        )
