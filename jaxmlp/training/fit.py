"""The call that a person makes: check, compile, run in chunks of epochs, and hand back all there is.

The host only pauses between chunks, to show progress and to hear Ctrl-C; where it pauses changes no bit of
the result.
"""

import contextlib
import dataclasses
import enum
import functools
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp import chains, checks
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training import kernel
from jaxmlp.training.inputs import prepare
from jaxmlp.training.program import advance, start
from jaxmlp.training.recipe import AnyRecipe, resolve
from jaxmlp.training.state import DIVERGED, RUNNING, STOPPED_EARLY, Inputs, Program, RunState, history_names
from jaxmlp.types import Key, Metric, Params

SECONDS_PER_CHUNK = 0.2
"""How long the host leaves the program alone: short enough for a lively progress bar and a prompt Ctrl-C."""


class StopReason(enum.Enum):
    """Why a run ended."""

    RUNNING = "is still running"
    COMPLETE = "all epochs were run"
    STOPPED_EARLY = "stopped early, with no better loss for `patience` epochs in a row"
    DIVERGED = "diverged, the loss or the parameters being no longer finite"
    INTERRUPTED = "interrupted by Ctrl-C"


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What a run leaves behind.

    Attributes:
        params: the last parameters; if the run diverged, the last before it did. Where the optimizer averages
            (``regularizers.ema``, Schedule-Free), the average; the point itself is ``state.params``.
        best_params: those with the lowest validation loss (training loss where there is no validation data).
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

    def __repr__(self) -> str:
        """Say in a sentence what came out."""
        at = "" if self.diverged_at is None else " at epoch {}, step {}".format(*self.diverged_at)
        if self.best_epoch == 0:
            return f"Run of {self.epochs} epochs, none with a finite loss; {self.stop_reason.value}{at}"
        best = ", ".join(f"{name} {values[self.best_epoch - 1]:.4g}" for name, values in self.history.items())
        return f"Run of {self.epochs} epochs, best after {self.best_epoch} ({best}); {self.stop_reason.value}{at}"


def fit(
    recipe: AnyRecipe,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    key: Key,
    validation: Any = None,
    hyper: Any = None,
    params: Params = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    progress: bool = True,
    chunk: int | None = None,
    callback: Callable[[int, Run], object] | None = None,
) -> Run:
    """Train a model: the whole run is one compiled program, early stopping included.

    Every epoch visits every row once, in a new random order; the last batch may be smaller. A second call
    with the same recipe and shapes compiles nothing, nor does one with other numbers in ``hyper``; a recipe written
    out anew from equal parts is the same (``training.fingerprint``), one with another number in it is not.

    Args:
        recipe: what is trained, and how; or a function from ``hyper`` to it.
        data: (x, y) or (x, y, weight): x of shape (rows, inputs), y as the loss wants it, weights of at least
            0 of shape (rows,). Arrays, data frames, lists; they are not changed.
        epochs: how many at most, at least 1.
        batch_size: rows of a step, at least 1.
        key: a random key; it decides the first parameters, the order of the rows and the dropout masks.
        validation: (x, y) or (x, y, weight) to evaluate after each epoch.
        hyper: a pytree of numbers that the recipe is a function of.
        params: parameters to begin with, a pytree of arrays; drawn by the net unless given.
        early_stopping: when to stop, judged by the validation loss (training loss where there is no
            validation data); None runs all epochs.
        metrics: what to compute after each epoch, by name: on the validation data, or on the training data
            where there is none.
        progress: show a bar on a terminal or in a notebook, if tqdm is installed.
        chunk: epochs from one look of the host to the next; chosen by time unless given.
        callback: called after each chunk with the number of epochs run and the run so far, which is a copy to keep,
            such as ``logs.CSV("run.csv")``; ``chunk=1`` calls it after every epoch.

    Returns:
        The ``Run``: last and best parameters, history, and why it ended. Ctrl-C ends it after the current
        chunk; a second Ctrl-C raises KeyboardInterrupt.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: data of unequal length, empty, not finite, or not what the net and the loss want; numbers
            out of their range.

    Warns:
        RuntimeWarning: the run diverged, or no epoch has a finite loss to be judged by.
        UserWarning: ``batch_size`` exceeds the rows.

    Example:
        >>> from jaxmlp import losses, metrics, optimizers, training
        >>> from jaxmlp.mlp import MLP
        >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> y = np.array([0, 1, 1, 0])  # exclusive or
        >>> net = MLP(sizes=(2, 16, 2), activation="tanh")
        >>> recipe = training.Recipe(net, optimizers.adam(0.03), losses.softmax_cross_entropy)
        >>> run = training.fit(
        ...     recipe, (x, y), epochs=200, batch_size=4, key=jax.random.key(0),
        ...     metrics={"accuracy": metrics.accuracy},
        ... )
        >>> print(run.history["train/accuracy"][-1], run.stop_reason.value)
        1.0 all epochs were run
    """
    program, inputs, params = prepare(
        recipe, data, epochs=epochs, batch_size=batch_size, key=key, validation=validation, hyper=hyper,
        params=params, early_stopping=early_stopping, metrics=metrics,
    )  # fmt: skip
    size = None if chunk is None else checks.whole_number("chunk", chunk, 1)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; give a function of (epoch, run), such as logs.CSV(path)")
    names = history_names(program, inputs)

    began = time.perf_counter()
    state = _start(program, inputs, params)
    advance_ = _advance(**_options(resolve(program.recipe, inputs.hyper).net))
    state = advance_(program, inputs, state, 0)  # runs no epoch, but compiles
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    with _interruptible() as interrupted, _progress_bar(progress, program.epochs) as bar:
        epoch, pace = 0, 1
        while epoch < program.epochs and int(state.stop) == RUNNING and not interrupted.is_set():
            chunk_began = time.perf_counter()
            state = advance_(program, inputs, state, epoch + (size or pace))
            ran = int(state.epoch) - epoch
            epoch += ran
            bar(epoch, state)
            pace = _next_pace(pace, ran, time.perf_counter() - chunk_began)
            if callback is not None:
                kept = jax.tree.map(jnp.copy, state)  # the next chunk writes over the state itself
                so_far = _to_run(kept, names, compile_seconds, time.perf_counter() - began, StopReason.RUNNING)
                callback(epoch, so_far)
    run_seconds = time.perf_counter() - began

    reason = StopReason.COMPLETE if epoch == program.epochs else StopReason.INTERRUPTED
    run = _to_run(state, names, compile_seconds, run_seconds, reason)
    if run.diverged_at is not None:
        warnings.warn(
            "the loss or the parameters became NaN or infinite at epoch {}, step {}; ".format(*run.diverged_at)
            + "the run holds the parameters from before that step. Try a smaller learning rate or scale the data",
            RuntimeWarning,
            stacklevel=2,
        )
    elif run.epochs and not run.best_epoch:
        warnings.warn(
            "no epoch has a finite validation loss, so best_params are those before the first epoch; "
            "scale the validation data as the training data",
            RuntimeWarning,
            stacklevel=2,
        )
    return run


_start = functools.partial(jax.jit, static_argnums=0)(start)


@functools.cache
def _advance(**options: Any) -> Callable[[Program, Inputs, RunState, int], RunState]:
    """Return ``advance``, to be compiled with XLA's options.

    The state is this module's own, so its buffers may be reused; nothing of the user's is ever donated.
    """
    return jax.jit(advance, static_argnums=0, donate_argnums=2, compiler_options=options or None)


def _options(net: Any) -> Mapping[str, int]:
    """Return XLA's options that suit a net."""
    if jax.default_backend() != "cpu" or not isinstance(net, MLP):
        return {}
    return kernel.vector_width(net.sizes[1:-1])


def _next_pace(pace: int, ran: int, seconds: float) -> int:
    """Return the number of epochs that should fill a chunk, growing at most fourfold."""
    return max(1, min(4 * pace, round(SECONDS_PER_CHUNK / max(seconds, 1e-9) * ran)))


def _to_run(
    state: RunState, names: list[str], compile_seconds: float, run_seconds: float, otherwise: StopReason
) -> Run:
    """Lay out where the program stands; ``otherwise`` is why it ended, if it has not ended itself."""
    epochs = int(state.epoch)
    reason = {DIVERGED: StopReason.DIVERGED, STOPPED_EARLY: StopReason.STOPPED_EARLY}.get(int(state.stop), otherwise)
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
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a flag, and leave the second to Python; only in the main thread."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.SIG_IGN:  # as in the background of a shell script, where Ctrl-C is meant for others
        yield interrupted
        return

    def first(number: int, frame: types.FrameType | None) -> None:
        del number, frame
        interrupted.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, first)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, usual)


@contextlib.contextmanager
def _progress_bar(wanted: bool, epochs: int) -> Iterator[Any]:
    """Yield a function that shows an epoch and its losses, or does nothing."""
    on_screen = "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
    if not (wanted and on_screen):
        yield lambda epoch, state: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield lambda epoch, state: None
        return
    with tqdm(total=epochs, unit="epoch", dynamic_ncols=True) as bar:

        def show(epoch: int, state: RunState) -> None:
            shown = {name: f"{float(entries[epoch - 1]):.4g}" for name, entries in state.history.items()}
            bar.set_postfix(shown, refresh=False)
            bar.update(epoch - bar.n)

        yield show
