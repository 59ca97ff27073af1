"""Writing: one checkpoint after another, in the background, while a run goes on."""

import types
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Array, Shaped

from jaxmlp.checkpoints import contents, steps


class Writer:
    """Writes checkpoints into a folder, and removes those that need not be kept; to be had by ``Folder.open``.

    Checkpoints are numbered in the order in which they are written, so that none is ever written over another. Where
    several processes take part, each makes the same calls, with its own part of the arrays.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> from jaxmlp import checkpoints
        >>> with tempfile.TemporaryDirectory() as folder, checkpoints.Folder(folder).open() as writer:
        ...     writer.write(1, {"w": jnp.ones(2)}, {})
        ...     writer.wait()
        ...     checkpoints.Folder(folder).numbers()
        [1]
    """

    def __init__(self, folder: Any, path: Any, described: Mapping[int, dict[str, Any]], last: int) -> None:
        self._folder = folder
        self._step = self._written = last  # asking about preemption counts, too: it is agreed on for a number to come
        self._epochs = {step: said["epoch"] for step, said in described.items()}
        self._values = {step: said["measured"].get(folder.best) for step, said in described.items()}
        api = steps.orbax()
        options = api.CheckpointManagerOptions(
            preservation_policy=types.SimpleNamespace(should_preserve=self._kept),
            enable_async_checkpointing=folder.asynchronous,
            # Else threads wait for minutes for folders that cannot be made, and Python for the threads.
            async_options=api.AsyncOptions(create_directories_asynchronously=False),
            cleanup_tmp_directories=True,
            save_root_metadata=False,
        )
        self._manager = api.CheckpointManager(path, options=options)

    def write(
        self,
        epoch: int,
        arrays: Mapping[str, Shaped[Array, "..."]],
        about: Mapping[str, Any],
        measured: Mapping[str, float] | None = None,
    ) -> None:
        """Write a checkpoint; where the folder is asynchronous, it may be on disk only some time after the call.

        Args:
            epoch: the epoch after which the run stands there, at least 0.
            arrays: by name, of any shape; random keys as well. They may be donated as soon as the call is over.
            about: what JSON can hold, by name.
            measured: numbers by name, among which the folder's ``best`` is looked for; NaN is never the best.

        Raises:
            OSError: this checkpoint, or the one before, could not be written.
            TypeError: an array of something else, or what JSON cannot hold in ``about``.
            ValueError: NaN or infinity in ``about``.

        Example:
            >>> import tempfile
            >>> import jax.numpy as jnp
            >>> from jaxmlp import checkpoints
            >>> with tempfile.TemporaryDirectory() as name:
            ...     folder = checkpoints.Folder(name, keep=1, best="loss")
            ...     with folder.open() as writer:
            ...         for epoch, loss in enumerate([0.5, 0.2, 0.3, 0.4]):
            ...             writer.write(epoch, {"w": jnp.ones(2)}, {}, {"loss": loss})
            ...     folder.numbers()
            [1, 3]
        """
        packed, described = contents.pack(arrays)
        said = contents.describe(epoch, described, about, measured or {})
        self.wait()
        self._step += self._step == self._written
        self._written = self._step
        self._epochs[self._step] = epoch
        self._values[self._step] = said["measured"].get(self._folder.best)
        args = steps.orbax().args
        items = {
            steps.ARRAYS: args.StandardSave({name: array for name, array in packed.items() if array.size}),
            steps.DESCRIPTION: args.JsonSave(said),
        }
        try:
            self._manager.save(self._step, args=args.Composite(**items), force=True)
        except Exception as error:
            raise self._failed(error) from error

    def wait(self) -> None:
        """Wait until all that was written is on disk.

        Raises:
            OSError: it could not be written.

        Example:
            >>> import tempfile
            >>> from jaxmlp import checkpoints
            >>> with tempfile.TemporaryDirectory() as folder, checkpoints.Folder(folder).open() as writer:
            ...     writer.wait()
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # of a thread of Orbax's, and of whatever kind
            raise self._failed(error) from error

    def preempted(self) -> bool:
        """Say whether this machine is to be taken away, so that what there is should be saved now.

        The system tells by SIGTERM, and all processes agree on when to hear of it, if ``jax.distributed`` runs (by
        ``devices.start``, be it for a single process); each has to ask as often as the others.

        Returns:
            Whether it is.

        Example:
            >>> import tempfile
            >>> from jaxmlp import checkpoints
            >>> with tempfile.TemporaryDirectory() as folder, checkpoints.Folder(folder).open() as writer:
            ...     writer.preempted()
            False
        """
        self._step += 1
        return bool(self._manager.reached_preemption(self._step))

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        try:
            self.wait()
        finally:
            self._manager.close()

    def _failed(self, error: Exception) -> OSError:
        epoch, reason = self._epochs[self._written], str(error).split("\n")[0] or type(error).__name__
        return OSError(f"{self._folder}: epoch {epoch} could not be written ({reason}); what was there before still is")

    def _kept(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Tell Orbax which checkpoints to keep: the last few and the best few, and of each epoch only the last.

        What cannot be read is left alone: to Orbax any folder with a number for a name is a checkpoint.
        """
        del context
        numbers = sorted(checkpoint.step for checkpoint in checkpoints)
        last = sorted({self._epochs[step]: step for step in numbers if step in self._epochs}.values())
        sign = -1.0 if self._folder.mode == "max" else 1.0
        rated = sorted((sign * value, step) for step in last if (value := self._values.get(step)) is not None)
        kept = {*last[-self._folder.keep :], *(step for _, step in rated[: self._folder.keep_best])}
        return [checkpoint.step in kept or checkpoint.step not in self._epochs for checkpoint in checkpoints]
