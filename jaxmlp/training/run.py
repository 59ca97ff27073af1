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
from jaxmlp.training import compiling, saving, watch
from jaxmlp.training.program import advance, start
from jaxmlp.training.recipe import resolve
from jaxmlp.training.replay import Replay, replay
from jaxmlp.training.state import DIVERGED, REACHED, RUNNING, STOPPED_EARLY, Inputs, Program, RunState, history_names
from jaxmlp.training.store import Store
from jaxmlp.types import Params


class StopReason(enum.Enum):
    """Why a run ended."""

    RUNNING = "is still running"
    COMPLETE = "all epochs were run"
    STOPPED_EARLY = "stopped early, with nothing better for `patience` evaluations in a row"
    REACHED = "reached its target"
    DIVERGED = "diverged, the loss or the parameters being no longer finite"
    INTERRUPTED = "interrupted by Ctrl-C"
    PREEMPTED = "ended early, since the machine is to be taken away"
    DROPPED = "was dropped, others being better after as many epochs"


class Origin(NamedTuple):
    """What a run came from: all that it takes to make it again."""

    program: Program
    inputs: Inputs
    params: Params = None
    store: Store | None = None


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
            on the move. The others are measured after the epoch, and NaN where it was not evaluated
            (``evaluate_every``). With ``watch`` there follow "learning_rate", "gradient_norm", "update_ratio", "dead"
            and "saturated", of the whole net and with "/0", "/1", ... of its layers, NaN where not measured.
        epochs: the number of epochs run.
        best_epoch: the epoch of ``best_params``, counted from 1, so that it stands at ``history[name][best_epoch
            - 1]``; 0 if no evaluated epoch has a finite loss.
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
        layout = self.origin.inputs.layout
        about = saving.describe(self.origin.program, self.origin.inputs)
        saving.save(path, self.state, about, None if layout is None else layout.mesh)

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
        program, inputs, params, store = self.origin
        state = None
        if store is not None:
            try:
                state = saving.load(store, program, inputs, params, at_most=epoch)
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
            early = 0 < self.epochs < self.origin.program.evaluate_every
            none = "evaluated yet" if early else "with a finite loss"
            return f"Run of {self.epochs} epochs, none {none}; {self.stop_reason.value}{at}"
        names = history_names(self.origin.program, self.origin.inputs)
        best = ", ".join(f"{name} {self.history[name][self.best_epoch - 1]:.4g}" for name in names)
        return f"Run of {self.epochs} epochs, best after {self.best_epoch} ({best}); {self.stop_reason.value}{at}"


def compiled_start(program: Program, inputs: Inputs, params: Params = None) -> RunState:
    """Return ``start``'s state, from a compiled program."""
    state: RunState = _start(**options_of(program, inputs))(program, inputs, params)
    return state


def compiled_advance(origin: Origin) -> Callable[[Program, Inputs, RunState, int], RunState]:
    """Return ``advance``, compiled with the options that suit a run's net; it writes over the state it is given."""
    return _advance(**options_of(origin.program, origin.inputs))


@functools.cache
def _start(**options: Any) -> Callable[[Program, Inputs, Params], RunState]:
    return jax.jit(start, static_argnums=0, compiler_options=options or None)


@functools.cache
def _advance(**options: Any) -> Callable[[Program, Inputs, RunState, int], RunState]:
    """Return ``advance``, to be compiled with XLA's options.

    The state is a run's own, so its buffers may be reused; nothing of the user's is ever donated.
    """
    return jax.jit(advance, static_argnums=0, donate_argnums=2, compiler_options=options or None)


def options_of(program: Program, inputs: Inputs) -> dict[str, int]:
    """Return XLA's options that suit the net of a program."""
    net = resolve(program.recipe, inputs.hyper).net
    return compiling.options(net.sizes[1:-1] if isinstance(net, MLP) else ())


def to_run(
    state: RunState,
    origin: Origin,
    compile_seconds: float,
    run_seconds: float,
    otherwise: StopReason = StopReason.RUNNING,
) -> Run:
    """Lay out where the program stands; ``otherwise`` is why it ended, if it has not ended itself."""
    epochs = int(state.epoch)
    ended = reason(state.stop, otherwise)
    names = names_in_order(origin.program, origin.inputs, state.history)
    return Run(
        params=chains.evaluation_params(state.opt_state, state.params),
        best_params=state.best_params,
        history={name: np.asarray(state.history[name])[:epochs] for name in names},
        epochs=epochs,
        best_epoch=int(state.best_epoch),
        stop_reason=ended,
        diverged_at=(epochs + 1, int(state.step) + 1) if ended is StopReason.DIVERGED else None,
        compile_seconds=compile_seconds,
        run_seconds=run_seconds,
        state=state,
        origin=origin,
    )


def reason(stop: Any, otherwise: StopReason) -> StopReason:
    """Return why a run ended, from ``RunState.stop``; ``otherwise`` if it has not ended itself."""
    reasons = {
        DIVERGED: StopReason.DIVERGED,
        STOPPED_EARLY: StopReason.STOPPED_EARLY,
        REACHED: StopReason.REACHED,
    }
    return reasons.get(int(stop), otherwise)


def names_in_order(program: Program, inputs: Inputs, history: Mapping[str, Any]) -> list[str]:
    """Return the names of a history in order, losses first."""
    return [*history_names(program, inputs), *watch.in_order(history)]
