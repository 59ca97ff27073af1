"""Stores: where the states of a run are kept, be it a folder of archives or what ``checkpoints`` writes through Orbax.

``fit`` and ``saving`` know no more of it than the two protocols below.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jax.sharding import Mesh

from jaxmlp import archive, checks, devices

Like: TypeAlias = Callable[[dict[str, Any], Collection[str]], Any]
"""From what was said about a state, and from the names of its arrays, to a pytree of ``jax.ShapeDtypeStruct``."""


@runtime_checkable
class Writer(Protocol):
    """Writes states while a run goes on; all of them are on disk when its ``with`` ends."""

    def write(
        self, epoch: int, arrays: Mapping[str, Any], about: Mapping[str, Any], measured: Mapping[str, float]
    ) -> None:
        """Write the state after an epoch, perhaps in the background."""

    def preempted(self) -> bool:
        """Say whether the machine is to be taken away; asked once after each chunk."""


@runtime_checkable
class Store(Protocol):
    """Keeps the states of one run; as text, it is the name of its place."""

    def numbers(self) -> list[int]:
        """Return the epochs after which states were saved."""

    def read(self, like: Like, at_most: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Return the last state, in the structure of ``like``, and what was said about it."""

    def open(self, names: Collection[str]) -> contextlib.AbstractContextManager[Writer]:
        """Return what writes into it; ``names`` are those of the history."""


@dataclasses.dataclass(frozen=True)
class Archives:
    """A folder of archives, each on disk as soon as it is written; or a single archive, which can be read only."""

    path: str | os.PathLike[str]
    keep: int = 1
    mesh: Mesh | None = None  # on which the states lie; one of its processes writes all of them

    def __str__(self) -> str:
        return os.fspath(self.path)

    def numbers(self) -> list[int]:
        """Return the epochs after which states were saved."""
        return archive.numbers(self.path)

    def read(self, like: Like, at_most: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Return the last state, in the structure of ``like``, and what was said about it."""
        of_folder = Path(self.path).is_dir()
        arrays, about = archive.read_latest(self.path, at_most)[1:] if of_folder else archive.read(self.path)
        return archive.unflatten(like(about, arrays), arrays), about

    def open(self, names: Collection[str]) -> contextlib.AbstractContextManager[Writer]:
        """Return itself, which writes."""
        del names
        return contextlib.nullcontext(self)

    def write(
        self, epoch: int, arrays: Mapping[str, Any], about: Mapping[str, Any], measured: Mapping[str, float]
    ) -> None:
        """Write the state after an epoch, and remove all but the last few."""
        del measured
        here = arrays if self.mesh is None else devices.on_host(dict(arrays))
        with devices.one_process(self.mesh) as writes:
            if writes:
                archive.write_next(self.path, epoch, here, about, self.keep)

    def preempted(self) -> bool:
        """Return False: nobody tells."""
        return False


def to_store(save: Any, keep: int, mesh: Mesh | None = None) -> Store | None:
    """Return where ``fit`` is told to save; a path is that of a folder of archives."""
    keep = checks.whole_number("keep", keep, 1)
    if save is None or isinstance(save, Store):
        return save
    if not isinstance(save, str | os.PathLike):
        raise TypeError(f"save is {save!r}; give the path of a folder, a checkpoints.Folder, or None")
    return Archives(save, keep, mesh)
