"""One file: arrays by name and a description, there whole or not at all."""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp import checks

try:
    import fcntl
except ImportError:  # Windows has no such lock; what dead writers leave stays there
    fcntl = None  # type: ignore[assignment]  # a module or None

VERSION = 1
"""The format's version; one is added when older code could no longer read what is written."""

DESCRIPTION = "description"
"""The name of the entry that describes the others."""


class ArchiveError(ValueError):
    """An archive that is damaged or strange, or that holds other arrays than were asked for.

    Example:
        >>> read(__file__)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        jaxmlp.archive.file.ArchiveError: ...file.py does not begin as an archive does; give a file that...
    """


def write(path: str | os.PathLike[str], arrays: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write an archive; on any error what stood there before still stands.

    Args:
        path: the file, by custom named ``*.npz``; its folder is made if need be.
        arrays: by name, arrays of any shape and of any of JAX's or NumPy's dtypes of numbers, kept to the bit; random
            keys as well. JAX's weak types become ordinary ones.
        about: what JSON can hold, by name; as JSON has it, tuples come back as lists, and keys as text.

    Raises:
        TypeError: an array of something else, or what JSON cannot hold in ``about``.
        ValueError: a name that cannot be used, or NaN or infinity in ``about``.
        OSError: the file cannot be written; the disk may be full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(f"{folder}/a.npz", {"w": jnp.ones(2, jnp.bfloat16)}, {"epoch": 3})
        ...     arrays, about = read(f"{folder}/a.npz")
        >>> arrays["w"], about
        (array([1, 1], dtype=bfloat16), {'epoch': 3})
    """
    path = Path(path)
    entries, described = {}, {}
    for name, array in arrays.items():
        _refuse_name(name)
        entries[name], described[name] = _to_entry(name, array)
    entries[DESCRIPTION] = np.frombuffer(_describe(described, about), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".jaxmlp-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb", opener=functools.partial(os.open, mode=0o644)) as file:
            lock(file)
            _write_entries(file, entries)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read an archive and check every bit of what it holds.

    Args:
        path: the file.

    Returns:
        The arrays by name, in NumPy's memory but for random keys; and what was written about them.

    Raises:
        ArchiveError: the file is no archive, is damaged, or was written by a newer version.
        FileNotFoundError: there is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(f"{folder}/a.npz", {"key": jax.random.key(0)}, {})
        ...     arrays, about = read(f"{folder}/a.npz")
        >>> print(jax.random.uniform(arrays["key"]) == jax.random.uniform(jax.random.key(0)))
        True
    """
    with open(path, "rb") as file:
        start, size = file.read(4), os.fstat(file.fileno()).st_size
        if not b"PK\x03\x04".startswith(start):
            raise ArchiveError(f"{path} does not begin as an archive does; give a file that archive.write has written")
        try:
            return _read_entries(file, size)
        except MemoryError:
            raise
        except Exception as error:  # zip files can be broken in more ways than zipfile has names for
            reason = str(error) or type(error).__name__
            advice = "update jaxmlp" if isinstance(error, _NewerError) else "use an earlier one, or write it anew"
            raise ArchiveError(f"{path} cannot be read: {reason}; {advice}") from error


class _NewerError(ValueError):
    """The file's format has a higher version than ours."""


def _refuse_name(name: str) -> None:
    """Refuse names that zip files do not keep, or that are taken; those with control characters above all."""
    if not isinstance(name, str):
        raise TypeError(f"arrays has the name {name!r}; give text")
    if name == DESCRIPTION or not name.isprintable() or len(name) > 10_000:
        raise ValueError(f"arrays has the name {name[:99]!r}; give one that can be printed and is not {DESCRIPTION!r}")


def _to_entry(name: str, array: Any) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return an array as the file holds it, and its part of the description."""
    checks.not_traced(f"arrays[{name!r}]", array)
    more = {}
    if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        more["key"] = str(jax.random.key_impl(array))
        array = jax.random.key_data(array)
    array = np.asarray(array, order="C")
    if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise TypeError(f"arrays[{name!r}] has dtype {array.dtype}; give numbers, truth values or random keys")
    array = array.astype(np.dtype(array.dtype.name), copy=False)  # this machine's order of bytes
    description = {"dtype": array.dtype.name, "shape": array.shape, "sha256": _digest(array), **more}
    return array.view(_dtype_in_file(array.dtype)), description


def _dtype_in_file(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype itself where ``.npz`` knows it, else the whole numbers that take as much room."""
    return dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()


def to_json(said: Mapping[str, Any]) -> str:
    """Write a description as JSON, refusing what JSON cannot hold in what a caller says ``about`` the arrays."""
    try:
        return json.dumps(said, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"about cannot be written as JSON ({error}); give finite numbers, text, lists and the like"
        ) from error


def _describe(described: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    text = to_json({"version": VERSION, "arrays": described, "about": dict(about)})
    checked = text.removesuffix("}").encode()
    return checked + f', "sha256": "{hashlib.sha256(checked).hexdigest()}"}}'.encode()


def _write_entries(file: BinaryIO, entries: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in entries.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _read_entries(file: BinaryIO, size: int) -> tuple[dict[str, Any], dict[str, Any]]:
    with zipfile.ZipFile(file) as archive:
        if any(entry.file_size > size for entry in archive.infolist()):
            raise ValueError("an entry claims to be larger than the file")
        description = _checked_description(_entry(archive, DESCRIPTION).tobytes())
        named = description["arrays"].items()
        return {name: _to_array(name, _entry(archive, name), seen) for name, seen in named}, description["about"]


def _entry(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read an entry: all of it before anything is made of it, since its checksum comes out at its end."""
    return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)


def _checked_description(text: bytes) -> Any:
    description = json.loads(text)
    if description["version"] > VERSION:
        raise _NewerError(f"it has version {description['version']} of the format, and {VERSION} is the last known")
    checked = text.rpartition(b', "sha256": ')[0]
    if description["sha256"] != hashlib.sha256(checked).hexdigest():
        raise ValueError("the checksum of its description does not match")
    return description


def _to_array(name: str, array: NDArray[Any], description: Mapping[str, Any]) -> Any:
    dtype = np.dtype(description["dtype"])
    if array.dtype != _dtype_in_file(dtype) or list(array.shape) != description["shape"]:
        raise ValueError(f"{name!r} is {array.dtype} of shape {array.shape}, not as described")
    if _digest(array) != description["sha256"]:
        raise ValueError(f"the checksum of {name!r} does not match")
    array = array.view(dtype)
    return jax.random.wrap_key_data(jnp.asarray(array), impl=description["key"]) if "key" in description else array


def lock(file: BinaryIO) -> bool:
    """Lock a file for as long as it is open, and say whether that could be done."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):  # locked by a live writer; or there are no locks here
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Force a new name in a folder to the disk; until then it might be lost with the power."""
    if os.name == "nt":  # Windows opens no folders
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know of no such thing
            raise
    finally:
        os.close(opened)
