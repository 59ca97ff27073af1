"""Logs: a run's history in a file while the run goes on, for ``callback`` of ``training.fit``.

They only look on: the run is the same with them as without. Whoever resumes a run, even in another process, gives
it a new log at the same place, which then holds what the run's history holds, and no epoch twice.
"""

import csv
import io
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Log:
    """What both do alike: tell the epochs that are new from those that are written."""

    _layer = ""  # how a column of one layer is named

    def __init__(self) -> None:
        self._first = ""  # names and values of the first epoch, by which the run is known
        self._epochs = 0  # that are written

    def __call__(self, epoch: int, view: Any) -> None:
        """Write the epochs that are not yet written; all of them at the first call, or if the run is another.

        Args:
            epoch: the number of epochs run so far.
            view: the run as it stands, a ``training.Run``; only its ``history`` is read.
        """
        columns = _columns(view.history, self._layer)
        first = repr([(name, column[:1].tolist()) for name, column in columns.items()])
        start = self._epochs if first == self._first and epoch >= self._epochs else 0
        if start < epoch:
            self._write(columns, start, epoch)
        self._first, self._epochs = first, epoch

    def _write(self, columns: dict[str, NDArray[Any]], start: int, stop: int) -> None:
        """Write the epochs from ``start``, counted from 0, to before ``stop``; anew if ``start`` is 0."""
        raise NotImplementedError


class CSV(_Log):
    """Write one line per epoch to a file of comma-separated values.

    The columns are ``epoch``, counted from 1, and the names of the history; ``name[0]``, ``name[1]``, ... where it has
    a number per layer. Numbers read back exactly, and NaN, as of what was not measured, is an empty cell. Each call
    appends the new epochs, so ``tail -f`` can follow the file.

    The first call writes all epochs of the history. Where the file has them already they stay as they are, and later
    ones, of a run that was resumed from an earlier epoch, go. A file whose header or first epoch is not this run's is
    refused and left as it is.

    Args:
        path: the file; it and its folder are made if need be.

    Raises:
        ValueError: on the first call, if the file holds something else.

    Example:
        >>> import tempfile, types
        >>> path = Path(tempfile.mkdtemp()) / "run.csv"
        >>> log = CSV(path)  # as in training.fit(..., callback=log), which calls it so:
        >>> log(1, types.SimpleNamespace(history={"train/loss": np.array([0.7])}))
        >>> log(3, types.SimpleNamespace(history={"train/loss": np.array([0.7, 0.5, 0.25])}))
        >>> print(path.read_text(), end="")
        epoch,train/loss
        1,0.7
        2,0.5
        3,0.25
    """

    _layer = "{}[{}]"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._path = Path(path).absolute()  # the same file if the program changes its folder

    def _write(self, columns: dict[str, NDArray[Any]], start: int, stop: int) -> None:
        start = start if self._path.exists() else 0  # a file that was taken away is written anew
        cells = (["" if math.isnan(v) else v for v in c[start:stop].tolist()] for c in columns.values())
        rows = zip(range(start + 1, stop + 1), *cells, strict=True)
        if start:
            with self._path.open("ab") as file:
                file.write(_text(rows))
            return
        header_and_rows = [("epoch", *columns), *rows]
        head = _text(header_and_rows[:2])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        with self._path.open("r+b") as file:
            seen = file.read(len(head))
            if not head.startswith(seen):
                raise ValueError(
                    f"path is {self._path}, which begins with {seen!r}, but the log of this run with {head!r}; "
                    "give another path, or move that file away"
                )
            file.seek(0)
            file.write(_text(header_and_rows))  # over what stood there, so that at no time a line is missing
            file.truncate()


class TensorBoard(_Log):
    """Write one scalar per epoch and name to a folder that TensorBoard shows; TensorFlow is not needed.

    The tag is the name in the history, or ``name/0``, ``name/1``, ... where it has a number per layer; the step is the
    epoch. NaN is left out. After each call all is on the disk.

    The first call writes all epochs of the history to a new file, with the time of this call, and asks TensorBoard to
    hide what earlier files of the folder show from epoch 1 on: a resumed run is one curve. So give each run a folder
    of its own. Other files are never changed.

    Args:
        folder: where to; it is made if need be.

    Raises:
        ImportError: tensorboardX is not installed.

    Example:
        >>> import pytest, tempfile, types
        >>> _ = pytest.importorskip("tensorboardX")
        >>> folder = tempfile.mkdtemp()
        >>> with TensorBoard(folder) as log:  # as in training.fit(..., callback=log), which calls it so:
        ...     log(2, types.SimpleNamespace(history={"train/loss": np.array([0.7, 0.5])}))
        >>> len(os.listdir(folder))
        1
    """

    _layer = "{}/{}"

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        try:
            import tensorboardX  # noqa: F401  now, rather than after the first epochs
        except ImportError as error:
            sentence = 'logs.TensorBoard needs tensorboardX; install it by pip install "jaxmlp[tensorboard]"'
            raise ImportError(sentence) from error
        self._folder = Path(folder).absolute()
        self._file: Any = None

    def close(self) -> None:
        """Close the file; a call after that begins a new one.

        Example:
            >>> import pytest
            >>> _ = pytest.importorskip("tensorboardX")
            >>> TensorBoard("runs").close()  # nothing was written, so there is no folder
        """
        if self._file is not None:
            self._file.close()
        self._file, self._first, self._epochs = None, "", 0

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, columns: dict[str, NDArray[Any]], start: int, stop: int) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if start == 0:
            self._open()
        for epoch in range(start, stop):
            values = [(name, float(column[epoch])) for name, column in columns.items()]
            scalars = [Summary.Value(tag=name, simple_value=v) for name, v in values if not math.isnan(v)]
            event = Event(wall_time=time.time(), step=epoch + 1, summary=Summary(value=scalars))
            self._file.write(event.SerializeToString())
        self._file.flush()

    def _open(self) -> None:
        """Begin a file.

        tensorboardX's ``SummaryWriter`` would overwrite one begun in the same second, and leaves events to a thread
        that ``flush`` does not wait for.
        """
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns()  # TensorBoard reads the files in the order of their names
        self._file = RecordWriter(str(self._folder / f"events.out.tfevents.{now}"))
        self._file.write(Event(wall_time=now / 1e9, file_version="brain.Event:2").SerializeToString())
        hide = Event(wall_time=now / 1e9, step=1, session_log=SessionLog(status=SessionLog.START))
        self._file.write(hide.SerializeToString())


def _columns(history: Mapping[str, Any], layer: str) -> dict[str, NDArray[Any]]:
    """Give each sequence of numbers a name; those of the layers are apart."""
    columns = {}
    for name, values in history.items():
        if np.ndim(values) == 1:
            columns[name] = np.asarray(values)
        else:
            columns |= {layer.format(name, i): column for i, column in enumerate(np.asarray(values).T)}
    return columns


def _text(rows: Iterable[Iterable[Any]]) -> bytes:
    """Return lines of comma-separated values; the csv module writes floats by ``repr``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
