"""A series: numbered archives in a folder, of which the last few are kept."""

import contextlib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmlp import checks
from jaxmlp.archive.file import ArchiveError, lock, read, write


def write_next(
    folder: str | os.PathLike[str], number: int, arrays: Mapping[str, Any], about: Mapping[str, Any], keep: int = 3
) -> None:
    """Write an archive of a numbered series, and remove those before the last few.

    Those with a higher number are left alone: they may belong to a run that was taken up again from before them, and
    will be replaced when it comes to them. What dead writers left in the folder is removed first.

    Args:
        folder: the folder of one series; it is made if need be.
        number: the archive's place in the series, at least 0; one that is there already is replaced.
        arrays: as for ``write``.
        about: as for ``write``.
        keep: how many to keep, this one included; at least 1.

    Raises:
        TypeError: as for ``write``; ``number`` or ``keep`` is no whole number.
        ValueError: as for ``write``; ``number`` or ``keep`` is too small.
        OSError: the file cannot be written, or an older one not removed.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epoch in range(5):
        ...         write_next(folder, epoch, {"w": np.zeros(2)}, {}, keep=2)
        ...     numbers(folder)
        [3, 4]
    """
    number, keep = checks.whole_number("number", number, 0), checks.whole_number("keep", keep, 1)
    _remove_leftovers(Path(folder))
    write(_numbered(folder, number), arrays, about)
    for old in [n for n in numbers(folder) if n <= number][:-keep]:
        _numbered(folder, old).unlink(missing_ok=True)


def numbers(folder: str | os.PathLike[str]) -> list[int]:
    """Return the numbers of the archives in a folder, the lowest first; whether they can be read is not looked at.

    Args:
        folder: the folder of one series; it need not exist.

    Returns:
        The numbers.

    Example:
        >>> numbers("a folder that is not there")
        []
    """
    found = (re.fullmatch(r"([0-9]{9,})\.npz", path.name) for path in Path(folder).glob("*.npz"))
    return sorted(int(match[1]) for match in found if match and match[0] == _numbered(folder, int(match[1])).name)


def read_latest(
    folder: str | os.PathLike[str], at_most: int | None = None
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Read the last archive of a numbered series; damaged ones are passed over with a warning.

    Args:
        folder: the folder of one series.
        at_most: the highest number to look at; None is the highest there is.

    Returns:
        Its number, its arrays, and what was written about them.

    Raises:
        FileNotFoundError: there is none that can be read.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epoch in range(3):
        ...         write_next(folder, epoch, {"w": np.full(2, epoch)}, {})
        ...     read_latest(folder), read_latest(folder, at_most=1)
        ((2, {'w': array([2, 2])}, {}), (1, {'w': array([1, 1])}, {}))
    """
    damaged = 0
    for number in reversed(numbers(folder)):
        if at_most is not None and number > at_most:
            continue
        try:
            return (number, *read(_numbered(folder, number)))
        except ArchiveError as error:
            damaged += 1
            warnings.warn(f"passed over an archive: {error}", RuntimeWarning, stacklevel=2)
        except FileNotFoundError:  # a live writer has removed it since it was listed
            continue
    which = "" if at_most is None else f" with a number of at most {at_most}"
    but = f", and {damaged} that cannot be read" if damaged else ""
    raise FileNotFoundError(f"{folder} holds no archive{which}{but}; write one first, or give another folder")


def _numbered(folder: str | os.PathLike[str], number: int) -> Path:
    return Path(folder) / f"{number:09d}.npz"


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(".jaxmlp-*.tmp"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if lock(file):
                path.unlink()
