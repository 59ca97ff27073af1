"""The run as it is handed back: what came out, where it stands, and any earlier epoch of it."""

import dataclasses
import enum
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp import chains, checks
from jaxmlp.mlp import MLP
from jaxmlp.training import kernel, saving
from jaxmlp.training.program import advance, start
from jaxmlp.training.recipe import resolve
from jaxmlp.training.replay import Replay, replay
from jaxmlp.training.state import DIVERGED, REACHED, RUNNING, STOPPED_EARLY, Inputs, Program, RunState, history_names
from jaxmlp.types import Params


class StopReason(enum.Enum):
    """Why a run ended."""

    RUNNING = "is still running"
    COMPLETE = "all epochs were run"
    STOPPED_EARLY = "stopped early, with nothing better for `patience` epochs in a row"
    REACHED = "reached its target"
    DIVERGED = "diverged, the loss or the parameters being no longer finite"
    INTERRUPTED = "interrupted by Ctrl-C"


class Origin(NamedTuple):
    """What a run came from: all that it takes to make it again."""

    program: Program
    inputs: Inputs
    params: Params = None
    folder: str | os.PathLike[str] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What a run leaves behind.

    Attributes:
        params: the last parameters; if the run diverged, the last before it did. Where the optimizer averages
            (``regularizers.ema``, Schedule-Free), the average; the point itself is ``state.params``.
        best_params: those with the lowest validation loss (training loss where there is no validation data), or with
            the best of what early stopping watches.
        history: for each of "train/loss", "validation/loss" and the metrics an array of shape (epochs,).
            "train/loss" is the mean over the steps of the epoch, as they were made: dropout on, parameters
            on the move. The others are measured after the epoch.
        epochs: the number of epochs run.
        best_epoch: the epoch of ``best_params``, counted from 1, so that it stands at ``history[name][best_epoch
            - 1]``; 0 if no epoch has a finite loss.
        stop_reason: why the run ended; its value is a sentence.
        diverged_at: (epoch, step), both counted from 1, at which the run diverged; else None.
        compile_seconds: time to build the program, next to nothing for a second run of the same structure.
        run_seconds: time to run it.
        state: where the program stands.
        origin: the program and what it was run on.
    """

    params: Params
    best_params: Params
    history: dict[str, NDArray[Any]]
    epochs: int
    best_epoch: int
    stop_reason: StopReason
    diverged_at: tuple[int, int] | None
    compile_seconds: float
    run_seconds: float
    state: RunState
    origin: Origin

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run into one file, from which ``fit(resume=path)`` goes on, in another process as well.

        The file is there whole or not at all, checksummed, and any NumPy opens it (``jaxmlp.archive``). It holds the
        parameters, the best ones, the optimizer's state, the history and the stopping rule's state, to the bit.

        Args:
            path: the file, such as "run.npz"; one that is there is replaced.

        Raises:
            OSError: the file cannot be written.

        Example:
            >>> import tempfile
            >>> from jaxmlp import losses, optimizers, training
            >>> x = jnp.linspace(-1, 1, 8)[:, None]
            >>> recipe = training.Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
            >>> options = {"batch_size": 4, "key": jax.random.key(0)}
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     training.fit(recipe, (x, 3 * x), epochs=2, **options).save(f"{folder}/run.npz")
            ...     print(training.fit(recipe, (x, 3 * x), epochs=5, resume=f"{folder}/run.npz", **options).epochs)
            5
        """
        saving.save(path, self.state, saving.describe(self.origin.program, self.origin.inputs))

    def at(self, epoch: int) -> "Run":
        """Return the run as it was after an earlier epoch, to the bit.

        It is run again from the last state that was saved before, or from the beginning.

        Args:
            epoch: how many epochs had been run; from 0 to ``epochs``.

        Returns:
            A run that is still running, with the parameters and the history of that epoch.

        Raises:
            ValueError: the run has not come that far.

        Example:
            >>> from jaxmlp import losses, optimizers, training
            >>> x = jnp.linspace(-1, 1, 8)[:, None]
            >>> recipe = training.Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
            >>> options = {"batch_size": 4, "key": jax.random.key(0)}
            >>> run = training.fit(recipe, (x, 3 * x), epochs=5, **options)
            >>> run.at(2).epochs, run.at(run.best_epoch).params[0].w == run.best_params[0].w
            (2, Array([[ True]], dtype=bool))
        """
        epoch = checks.whole_number("epoch", epoch, 0)
        if epoch > self.epochs:
            raise ValueError(f"epoch is {epoch}, but the run has {self.epochs}; give one of those")
        program, inputs, params, folder = self.origin
        state = None
        if folder is not None:
            try:
                state = saving.load(folder, program, inputs, params, at_most=epoch)
            except FileNotFoundError:
                state = None  # none is left of those before
        if state is None:
            state = compiled_start(program, inputs, params)
        state = compiled_advance(self.origin)(program, inputs, state, epoch)
        return to_run(state._replace(stop=jnp.full_like(state.stop, RUNNING)), self.origin, 0.0, 0.0)

    def replay(self) -> Replay:
        """Take the step that the run stands before again, eagerly and layer by layer, to see where it went wrong.

        Returns:
            The ``Replay``; printed, a table of all that was computed, below a verdict: the stage, the layer and the
            rows of the data with the first numbers that are not finite. For a run that has not diverged it is the step
            that would come next.

        Example:
            >>> from jaxmlp import losses, optimizers, training
            >>> x = jnp.linspace(-1, 1, 8)[:, None]
            >>> recipe = training.Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
            >>> options = {"batch_size": 4, "key": jax.random.key(0)}
            >>> replayed = training.fit(recipe, (x, 3 * x), epochs=5, **options).replay()
            >>> print(replayed.verdict)
            Epoch 6, step 1: all numbers are finite.
        """
        return replay(self.origin.program, self.origin.inputs, self.state)

    def __repr__(self) -> str:
        """Say in a sentence what came out."""
        at = "" if self.diverged_at is None else " at epoch {}, step {}".format(*self.diverged_at)
        if self.best_epoch == 0:
            return f"Run of {self.epochs} epochs, none with a finite loss; {self.stop_reason.value}{at}"
        best = ", ".join(f"{name} {values[self.best_epoch - 1]:.4g}" for name, values in self.history.items())
        return f"Run of {self.epochs} epochs, best after {self.best_epoch} ({best}); {self.stop_reason.value}{at}"


compiled_start = functools.partial(jax.jit, static_argnums=0)(start)


def compiled_advance(origin: Origin) -> Callable[[Program, Inputs, RunState, int], RunState]:
    """Return ``advance``, compiled with the options that suit a run's net; it writes over the state it is given."""
    return _advance(**_options(resolve(origin.program.recipe, origin.inputs.hyper).net))


@functools.cache
def _advance(**options: Any) -> Callable[[Program, Inputs, RunState, int], RunState]:
    """Return ``advance``, to be compiled with XLA's options.

    The state is a run's own, so its buffers may be reused; nothing of the user's is ever donated.
    """
    return jax.jit(advance, static_argnums=0, donate_argnums=2, compiler_options=options or None)


def _options(net: Any) -> Mapping[str, int]:
    """Return XLA's options that suit a net."""
    if jax.default_backend() != "cpu" or not isinstance(net, MLP):
        return {}
    return kernel.vector_width(net.sizes[1:-1])


def to_run(
    state: RunState,
    origin: Origin,
    compile_seconds: float,
    run_seconds: float,
    otherwise: StopReason = StopReason.RUNNING,
) -> Run:
    """Lay out where the program stands; ``otherwise`` is why it ended, if it has not ended itself."""
    epochs = int(state.epoch)
    reasons = {
        DIVERGED: StopReason.DIVERGED,
        STOPPED_EARLY: StopReason.STOPPED_EARLY,
        REACHED: StopReason.REACHED,
    }
    reason = reasons.get(int(state.stop), otherwise)
    names = history_names(origin.program, origin.inputs)
    return Run(
        params=chains.evaluation_params(state.opt_state, state.params),
        best_params=state.best_params,
        history={name: np.asarray(state.history[name])[:epochs] for name in names},
        epochs=epochs,
        best_epoch=int(state.best_epoch),
        stop_reason=reason,
        diverged_at=(epochs + 1, int(state.step) + 1) if reason is StopReason.DIVERGED else None,
        compile_seconds=compile_seconds,
        run_seconds=run_seconds,
        state=state,
        origin=origin,
    )
