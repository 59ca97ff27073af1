"""The folder of one run: what is kept in it, and reading it."""

import dataclasses
import os
import secrets
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import jax

from jaxmlp import archive, checks
from jaxmlp.checkpoints import contents, steps
from jaxmlp.checkpoints.writer import Writer


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder in which a run is kept through Orbax; ``training.fit`` takes it as ``save`` and as ``resume``.

    In a program of several processes each of them makes the same calls.

    Attributes:
        folder: the folder of one run, or a bucket such as "gs://runs/a"; it is made if need be. Processes on several
            hosts give the same one, which all of them can reach.
        keep: how many to keep of those written last, at least 1. Of an epoch written twice the last one counts.
        best: a name of the history, such as "validation/loss", by which the best are kept as well; None for no such.
        mode: "min" where smaller is better, "max" where larger is.
        keep_best: how many of the best to keep, at least 1.
        asynchronous: write in the background, while training goes on.

    Raises:
        ImportError: Orbax is not installed.
        TypeError: an argument of the wrong kind.
        ValueError: a number out of its range, or an unknown mode.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> from jaxmlp import losses, optimizers, training
        >>> from jaxmlp.mlp import MLP
        >>> x = jnp.linspace(-1, 1, 8)[:, None]
        >>> recipe = training.Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Folder(name, best="train/loss")
        ...     options = {"batch_size": 4, "key": jax.random.key(0), "save": folder, "resume": True}
        ...     for epochs in (2, 5):  # the second goes on from the first
        ...         run = training.fit(recipe, (x, 3 * x), epochs=epochs, **options)
        ...     folder.numbers()
        [2, 5]
    """

    folder: str | os.PathLike[str]
    keep: int = 3
    best: str | None = None
    mode: str = "min"
    keep_best: int = 1
    asynchronous: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | os.PathLike):
            raise TypeError(f"folder is {self.folder!r}; give the path of a folder")
        checks.whole_number("keep", self.keep, 1)
        checks.whole_number("keep_best", self.keep_best, 1)
        if not (self.best is None or isinstance(self.best, str)):
            raise TypeError(f"best is {self.best!r}; give a name of the history, such as 'validation/loss', or None")
        checks.one_of("mode", self.mode, ("min", "max"))
        steps.orbax()  # now, rather than after the first epochs

    def __str__(self) -> str:
        """Return the folder's name."""
        return os.fspath(self.folder)

    def numbers(self) -> list[int]:
        """Return the epochs of the checkpoints, the lowest first; whether their arrays can be read is not looked at.

        Returns:
            The epochs.

        Example:
            >>> Folder("a folder that is not there").numbers()
            []
        """
        return sorted({said["epoch"] for said in self._described().values()})

    def read(
        self, like: Callable[[dict[str, Any], Collection[str]], Any], at_most: int | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Read the checkpoint that was written last; damaged ones are passed over with a warning.

        Each process reads its own part of the arrays, straight to its devices.

        Args:
            like: a function from what was written ``about`` them, and from their names, to a pytree of
                ``jax.ShapeDtypeStruct``. Where its leaves have a ``sharding``, the arrays are laid out so, and else lie
                on JAX's default device. It may raise an error to refuse the checkpoint.
            at_most: the highest epoch to look at; None is the highest there is.

        Returns:
            The arrays in the structure of ``like``, and what was written about them.

        Raises:
            archive.ArchiveError: the arrays are others than those asked for.
            FileNotFoundError: there is none that can be read.

        Example:
            >>> import tempfile
            >>> import jax.numpy as jnp
            >>> with tempfile.TemporaryDirectory() as name:
            ...     with Folder(name).open() as writer:
            ...         writer.write(3, {"w": jnp.ones(2, jnp.bfloat16)}, {"by": "me"})
            ...     Folder(name).read(lambda about, names: {"w": jax.ShapeDtypeStruct((2,), jnp.bfloat16)})
            ({'w': Array([1, 1], dtype=bfloat16)}, {'by': 'me'})
        """
        path, damaged = steps.to_path(self.folder), 0
        for step in reversed(steps.steps(path)):
            try:
                said = steps.description(path, step)
            except ValueError as error:
                damaged += self._pass_over(path, step, error)
                continue
            if at_most is not None and said["epoch"] > at_most:
                continue
            tree = like(said["about"], list(said["arrays"]))
            wanted = archive.flatten(tree)
            targets = contents.targets(wanted, said["arrays"])
            try:
                packed = steps.arrays(path, step, targets)
                arrays = contents.unpack(wanted, packed, said["arrays"])
            except ValueError as error:
                damaged += self._pass_over(path, step, error)
                continue
            return jax.tree.unflatten(jax.tree.structure(tree), [arrays[name] for name in wanted]), said["about"]
        which = "" if at_most is None else f" of an epoch of at most {at_most}"
        but = f", and {damaged} that cannot be read" if damaged else ""
        raise FileNotFoundError(f"{self} holds no checkpoint{which}{but}; write one first, or give another folder")

    def open(self, names: Collection[str] | None = None) -> Writer:
        """Return what writes into the folder, to be used by ``with``, which in the end waits for what is being written.

        Args:
            names: the names of what will be measured, among which ``best`` should be; None does not look.

        Returns:
            The ``Writer``.

        Raises:
            OSError: the folder cannot be made or written into.
            ValueError: it holds something else; or ``best`` is not among the names.

        Example:
            >>> Folder("runs", best="validation/los").open(["train/loss", "validation/loss"])
            Traceback (most recent call last):
            ValueError: best is 'validation/los'; did you mean 'validation/loss'? Known are: train/loss, validation/loss
        """
        if self.best is not None and names is not None:
            checks.one_of("best", self.best, names)
        path = steps.to_path(self.folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / f".jaxmlp-{secrets.token_hex(8)}.tmp"  # better to hear now that it cannot be written
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise OSError(f"{self} cannot be written ({error}); give another folder as save") from error
        if "://" not in str(self) and archive.numbers(self.folder):
            raise ValueError(f"{self} holds archives of a run; go on with save={str(self)!r}, or give another folder")
        found, described = steps.steps(path), self._described()
        if found and not described:
            what = f"{len(found)} of Orbax's checkpoints, none of which is of jaxmlp or can be read"
            raise ValueError(f"{self} holds {what}; give another folder as save")
        return Writer(self, path, described, max(found, default=-1))

    def _described(self) -> dict[int, dict[str, Any]]:
        """Return what the checkpoints say of themselves, as far as that can be read."""
        return dict(self._readable())

    def _readable(self) -> Iterator[tuple[int, dict[str, Any]]]:
        path = steps.to_path(self.folder)
        for step in steps.steps(path):
            try:
                yield step, steps.description(path, step)
            except ValueError:  # damaged; ``read`` says so
                continue

    def _pass_over(self, path: Any, step: int, error: ValueError) -> bool:
        if not (path / str(step)).exists():  # a live writer has removed it since it was listed
            return False
        warnings.warn(f"passed over checkpoint {step} of {self}: {error}", RuntimeWarning, stacklevel=3)
        return True
