"""Real data sets: where their files are, whether they are the right ones, and how they are read.

A set is looked for in the folder that is given, or that the environment variable ``JAXMLP_DATA`` names; in
``../shared/data`` beside the checkout; in the user's cache; and then fetched from its public home into the cache. In
such a folder its files lie in a folder named after the set, or as they are, plain or with ``.gz`` behind their names.
A file counts only if the SHA-256 of its contents is the known one.
"""

import contextlib
import csv
import dataclasses
import functools
import gzip
import hashlib
import http.client
import io
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VARIABLE = "JAXMLP_DATA"
BESIDE_CHECKOUT = Path(__file__).parents[2] / "shared" / "data"

Table = dict[str, NDArray[Any]]
"""Columns by name, in their order: numbers as float64, all else as text."""


class DataError(ValueError):
    """A data set that is not there, or a file that is damaged or another one."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """The files of a data set."""

    name: str
    """Of its folder."""
    files: dict[str, str]
    """For each file the SHA-256 of its contents, decompressed if its name here has no .gz."""
    home: str
    """The address in front of the files' names."""
    packed: bool = False
    """Whether the files have .gz behind their names there."""


MNIST = DataSet(
    "mnist",
    {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    packed=True,
)
FASHION_MNIST = DataSet(
    "fashion_mnist",
    {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    packed=True,
)
PUMPKIN_SEEDS = DataSet(
    "pumpkin_seeds",
    {"SementesAbobora.xlsx": "dfce686b696e222fe5d0c40c5dccc283c7296ff9ec010e8b7439775b03584a1c"},
    "https://raw.githubusercontent.com/FIAP/Pos_Tech_DTAT/8c352553c7d751e0cbccffa488c143c34aca49bd/Fase%205/"
    "Deep%20%26%20Reinforcement%20Learning/Aula%201%20-%20Perceptron%20de%20m%C3%BAltiplas%20camadas/",
)
WINE_QUALITY = DataSet(
    "wine_quality",
    {
        "winequality-red.csv": "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e",
        "winequality-white.csv": "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836",
    },
    "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/",
)


def images(data_set: DataSet, folder: Path | None = None) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Read the training and the test part of a set such as MNIST.

    Args:
        data_set: MNIST or FASHION_MNIST.
        folder: where to look first.

    Returns:
        For each part x of shape (rows, pixels), from 0 to 1, and the labels y of shape (rows,).
    """
    files = find(data_set, folder)
    parts = []
    for part in ("train", "t10k"):
        x, y = (read_idx(files[f"{part}-{of}-ubyte"]) for of in ("images-idx3", "labels-idx1"))
        parts.append((x.reshape(len(x), -1).astype(np.float32) / 255, y.astype(np.int32)))
    return parts


def pumpkin_seeds(folder: Path | None = None) -> tuple[Table, NDArray[Any]]:
    """Read the 2,500 seeds: twelve measures by name, and whether a seed is of the sort Urgup Sivrisi.

    Args:
        folder: where to look first.
    """
    (path,) = find(PUMPKIN_SEEDS, folder).values()
    table = read_xlsx(path)
    return table, (np.char.find(table.pop("Class"), "(B)") == 0).astype(np.int32)


def wine_quality(color: str, folder: Path | None = None) -> tuple[Table, NDArray[Any]]:
    """Read eleven measures of wines by name, and their quality from 0 to 10.

    Args:
        color: red or white.
        folder: where to look first.
    """
    table = read_csv(find(WINE_QUALITY, folder)[f"winequality-{color}.csv"], separator=";")
    return table, table.pop("quality")


def find(data_set: DataSet, folder: Path | None = None, *, download: bool = True) -> dict[str, Path]:
    """Return where the files of a set are, each checked; those that are nowhere are fetched.

    Args:
        data_set: which.
        folder: where to look first; what the environment variable JAXMLP_DATA names unless given.
        download: whether to fetch what is nowhere.

    Raises:
        DataError: a file that is nowhere and cannot be fetched; one that is damaged, or another one; no such folder.
    """
    given = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if given is not None and not given.is_dir():
        raise DataError(f"{given} is no folder; give one with data sets, by --data-dir or by {VARIABLE}, or none")
    places = [place for place in (given, BESIDE_CHECKOUT, cache()) if place is not None]
    return {name: _found(data_set, name, places, download) for name in data_set.files}


def cache() -> Path:
    """Return the folder that data sets are fetched into."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxmlp-data"


def read_idx(path: Path) -> NDArray[Any]:
    """Read an array of the idx format (LeCun), plain or gzipped: bytes 0, 0, 8 and the axes, their lengths, the bytes.

    Args:
        path: the file.

    Raises:
        DataError: it is damaged, cut off, longer than it says, or something else.
    """
    data = contents(path)
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path} does not begin as an idx file of bytes does; put the right file there")
    shape = tuple(np.frombuffer(data, ">u4", data[3], offset=4).tolist())
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if len(values) != int(np.prod(shape)):
        raise DataError(f"{path} says that it holds {shape}, but has {len(values)} numbers; put the whole file there")
    return values.reshape(shape)


def read_csv(path: Path, separator: str = ",") -> Table:
    """Read a table whose first line names its columns, plain or gzipped.

    Args:
        path: the file.
        separator: what stands between two cells.

    Raises:
        DataError: it is damaged, its lines are of unequal length, a cell is empty or of another kind than its column.
    """
    try:
        text = contents(path).decode()
        return _columns(path, list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no csv file ({error}); put the right file there") from error


def read_xlsx(path: Path) -> Table:
    """Read the first sheet of a workbook, whose first row names its columns; needs openpyxl.

    Args:
        path: the file.

    Raises:
        DataError: it is damaged, a cell is empty or of another kind than its column; openpyxl is missing.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(f'to read {path} takes openpyxl; pip install -e ".[experiments]" brings it') from error
    data = contents(path)
    try:
        rows = list(openpyxl.load_workbook(io.BytesIO(data), data_only=True).worksheets[0].values)
    except Exception as error:  # of a damaged file zipfile, zlib and XML's parser complain, each in its own ways
        raise DataError(f"{path} is no whole xlsx file ({error}); put the right file there") from error
    return _columns(path, rows)


def contents(path: Path) -> bytes:
    """Return the bytes of a file, decompressed if it is gzipped.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, is damaged, or cut off.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged, cut off or unreadable ({error}); put the whole file there") from error


def _found(data_set: DataSet, name: str, places: Iterable[Path], download: bool) -> Path:
    for place in places:
        for path in (place / data_set.name / name, place / name):
            for candidate in (path, path.with_name(f"{name}.gz")):
                if candidate.is_file():
                    _refuse_other(candidate, contents(candidate), data_set.files[name])
                    return candidate
    if download:
        return _fetched(data_set, name)
    raise _absent(data_set, name, "it is in none of the folders")


def _refuse_other(path: Any, data: bytes, expected: str) -> None:
    seen = hashlib.sha256(data).hexdigest()
    if seen != expected:
        raise DataError(
            f"{path} is another file than the one that is known (SHA-256 {seen[:12]}... of its contents, not "
            f"{expected[:12]}...); take it away, or put the right one there"
        )


def _fetched(data_set: DataSet, name: str) -> Path:
    """Download a file into the cache, where it appears whole and right, or not at all."""
    ending = ".gz" if data_set.packed else ""
    url, path = f"{data_set.home}{name}{ending}", cache() / data_set.name / f"{name}{ending}"
    print(f"Fetching {url}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            partial = Path(folder) / path.name
            with urllib.request.urlopen(url, timeout=60) as answer, open(partial, "wb") as file:
                for block in iter(functools.partial(answer.read, 2**20), b""):
                    file.write(block)
            try:
                _refuse_other(url, contents(partial), data_set.files[name])
            except DataError as error:
                raise _absent(data_set, name, f"what {url} gave is another file, or cut off") from error
            os.replace(partial, path)
    except (OSError, http.client.HTTPException) as error:
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # unless there is something in it
        raise _absent(data_set, name, f"{url} could not be fetched ({error})") from error
    return path


def _absent(data_set: DataSet, name: str, reason: str) -> DataError:
    return DataError(
        f"{data_set.name}/{name} is not there: {reason}; put it (.gz or not) into FOLDER/{data_set.name}, and "
        f"give --data-dir FOLDER, or the environment variable {VARIABLE}=FOLDER"
    )


def _columns(path: Path, rows: Sequence[Sequence[Any]]) -> Table:
    if len(rows) < 2:
        raise DataError(f"{path} has {len(rows)} rows; put a file there that has names and a row at least")
    names = [str(name) for name in rows[0]]
    if len(set(names)) < len(names):
        raise DataError(f"{path} names a column twice ({', '.join(names)}); put the right file there")
    for line, row in enumerate(rows, 1):
        if len(row) != len(names) or any(cell is None or cell == "" for cell in row):
            raise DataError(f"{path} has no {len(names)} cells in row {line}: {row!r}; put the whole file there")
    return {name: _column(f"{path}, {name}", [row[i] for row in rows[1:]]) for i, name in enumerate(names)}


def _column(name: str, cells: Sequence[Any]) -> NDArray[Any]:
    numbers = [_number(cell) for cell in cells]
    strange = [i for i, number in enumerate(numbers) if not np.isfinite(number)]
    if len(strange) == len(cells):
        return np.array([str(cell) for cell in cells])
    if strange:
        raise DataError(f"{name} has {cells[strange[0]]!r} in row {strange[0] + 2} among numbers; mend the file")
    return np.array(numbers)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")
