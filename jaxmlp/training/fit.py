"""The call that a person makes: check, compile, run in chunks of epochs, and hand back all there is.

The host only pauses between chunks, to show progress and to hear Ctrl-C; where it pauses changes no bit of
the result.
"""

import contextlib
import functools
import os
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxmlp import checks, devices
from jaxmlp.devices import Layout
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.training import host, saving
from jaxmlp.training.inputs import prepare
from jaxmlp.training.program import start
from jaxmlp.training.recipe import AnyRecipe
from jaxmlp.training.run import Origin, Run, StopReason, compiled_advance, compiled_start, to_run
from jaxmlp.training.state import RUNNING, RunState, history_names
from jaxmlp.training.store import Store, to_store
from jaxmlp.types import Key, Metric, Params


def fit(
    recipe: AnyRecipe,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None,
    key: Key,
    validation: Any = None,
    hyper: Any = None,
    params: Params = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    evaluate_every: int = 1,
    watch: bool | int = False,
    progress: bool = True,
    chunk: int | None = None,
    callback: Callable[[int, Run], object] | None = None,
    resume: Run | Store | str | os.PathLike[str] | bool | None = None,
    save: Store | str | os.PathLike[str] | None = None,
    keep: int = 3,
    mesh: Mesh | None = None,
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
        batch_size: rows of a step, at least 1; None takes all of them at every step, as ``optax.lbfgs`` wants.
        key: a random key; it decides the first parameters, the order of the rows and the dropout masks.
        validation: (x, y) or (x, y, weight) to evaluate after each epoch, or every so many of them.
        hyper: a pytree of numbers that the recipe is a function of.
        params: parameters to begin with, a pytree of arrays; drawn by the net unless given.
        early_stopping: when to stop, judged by the loss or a metric on the validation data (on the training data
            where there are none); None runs all epochs.
        metrics: what to compute after each epoch, by name: on the validation data, or on the training data
            where there is none.
        class_weight: how much the rows of a class count, by label, 1 where none is given; or "balanced", by which all
            classes count alike: rows / (classes * rows of the class), as in scikit-learn. It multiplies the weights of
            the rows that are trained on; what is validated on is left as it is.
        evaluate_every: epochs from one evaluation to the next, at least 1 and at most ``epochs``. Only the epochs that
            are multiples of it have a validation loss and metrics in the history, the others NaN; may be the best; and
            are seen by early stopping, whose patience then counts evaluations, but whose ``ignore`` epochs.
        watch: whether to record in the history how training itself is doing: learning rate, gradient norm, size of the
            updates, dead and saturated units (``training.watch`` defines them), measured after an epoch on one batch.
            A whole number is the epochs from one measurement to the next, with NaN between; True measures after
            every epoch, or where epochs are short after the first and then once in 200 steps, which takes a few
            percent of the time.
        progress: show a bar on a terminal or in a notebook, if tqdm is installed.
        chunk: epochs from one look of the host to the next; chosen by time unless given.
        callback: called after each chunk with the number of epochs run and the run so far, which is a copy to keep,
            such as ``logs.CSV("run.csv")``; ``chunk=1`` calls it after every epoch.
        resume: what to go on from, as if the run had never ended: a ``Run``, a file that ``Run.save`` wrote, or a
            folder that ``save`` filled, or the ``checkpoints.Folder``. True goes on from the folder ``save``, if there
            is something in it: the same cell run again goes on after a lost session. ``epochs`` counts those run
            before, too.
        save: a folder in which the state is saved every half minute or so, and at the end; None saves nothing. With
            ``checkpoints.Folder`` it is saved through Orbax, which large runs and several hosts need.
        keep: how many of them to keep, at least 1, where ``save`` is a path; damaged ones are passed over when they
            are read.
        mesh: devices to spread the rows of each batch over, and the columns of wide layers, such as
            ``devices.mesh(data=8)``; None takes JAX's default device. The result is that of one device, but for the
            order in which sums are rounded. In a program of several processes (``devices.start``) ``data`` and
            ``validation`` are the rows of this process; all rows are those of process 0, then those of process 1 ...

    Returns:
        The ``Run``: last and best parameters, history, and why it ended. Ctrl-C ends it after the current
        chunk; a second Ctrl-C raises KeyboardInterrupt.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: data of unequal length, empty, not finite, or not what the net and the loss want; numbers
            out of their range; a mesh of more devices than a batch has rows.

    Warns:
        RuntimeWarning: the run diverged, or no epoch has a finite loss to be judged by; what it goes on from was saved
            with another recipe, or under another version of JAX.
        UserWarning: ``batch_size`` exceeds the rows.

    Example:
        >>> import numpy as np
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
        params=params, early_stopping=early_stopping, metrics=metrics, class_weight=class_weight,
        evaluate_every=evaluate_every, watch=watch, mesh=mesh,
    )  # fmt: skip
    layout = inputs.layout
    if layout is not None:
        _refuse_members(layout)
    size = None if chunk is None else checks.whole_number("chunk", chunk, 1)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; give a function of (epoch, run), such as logs.CSV(path)")
    store = to_store(save, keep, mesh)
    about = saving.describe(program, inputs) if store is not None else {}

    origin = Origin(program, inputs, params, store)

    began = time.perf_counter()
    state = _first_state(origin, resume)
    advance = compiled_advance(origin)
    state = advance(program, inputs, state, 0)  # runs no epoch, but compiles
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    with (
        contextlib.nullcontext() if store is None else store.open(list(state.history)) as writer,
        host.interruptible() as interrupted,
        host.progress_bar(progress, program.epochs, "epoch") as bar,
    ):
        epoch, pace, unsaved, reason = int(state.epoch), 1, 0.0, StopReason.COMPLETE
        while epoch < program.epochs and int(state.stop) == RUNNING and reason is StopReason.COMPLETE:
            chunk_began = time.perf_counter()
            state = advance(program, inputs, state, epoch + (size or pace))
            ran = int(state.epoch) - epoch
            epoch += ran
            bar(epoch, functools.partial(_latest, origin, state, epoch))
            seconds, interrupt = devices.agreed(mesh, time.perf_counter() - chunk_began, interrupted.is_set())
            pace, unsaved = host.next_pace(pace, ran, seconds), unsaved + seconds
            if interrupt:
                reason = StopReason.INTERRUPTED
            if writer is not None:
                if writer.preempted():
                    reason = StopReason.PREEMPTED
                if unsaved > host.SECONDS_PER_SAVE:
                    saving.write(writer, state, about)
                    unsaved = 0.0
            if callback is not None:
                kept = jax.tree.map(jnp.copy, state)  # the next chunk writes over the state itself
                callback(epoch, to_run(kept, origin, compile_seconds, time.perf_counter() - began))
        if writer is not None:
            saving.write(writer, state, about)
    run_seconds = time.perf_counter() - began

    reason = StopReason.COMPLETE if epoch == program.epochs else reason
    run = to_run(state, origin, compile_seconds, run_seconds, reason)
    if run.diverged_at is not None:
        what = (
            "the loss or the parameters became NaN or infinite at epoch {}, step {}; ".format(*run.diverged_at)
            + "the run holds the parameters from before that step"
        )
        if not devices.shared_by_processes(mesh):  # a replay looks at all rows
            replayed = run.replay()
            what += f". First to blame: {replayed.blame}. {replayed.advice} print(run.replay()) shows the step in full"
        warnings.warn(what, RuntimeWarning, stacklevel=2)
    elif run.epochs >= program.evaluate_every and not run.best_epoch:
        warnings.warn(
            "no epoch has a finite validation loss, so best_params are those before the first epoch; "
            "scale the validation data as the training data",
            RuntimeWarning,
            stacklevel=2,
        )
    return run


def _first_state(origin: Origin, resume: Run | Store | str | os.PathLike[str] | bool | None) -> RunState:
    """Return the state to begin with: that of an earlier run, or that before the first epoch."""
    program, inputs, params, store = origin
    if resume is True and store is None:
        raise ValueError("resume is True, but save is None; give the folder to go on from as save")
    placed = _as_it_is if inputs.layout is None else inputs.layout.placed
    if isinstance(resume, Run):
        names = jax.eval_shape(lambda: start(program, inputs, params)).history
        return placed(saving.with_room(resume.state, names, program.epochs))
    if resume is True and store is not None and store.numbers():
        return placed(saving.load(store, program, inputs, params))
    if isinstance(resume, Store | str | os.PathLike):
        return placed(saving.load(resume, program, inputs, params))
    if not (resume is None or isinstance(resume, bool)):
        raise TypeError(f"resume is {resume!r}; give a Run, the path of a saved one, or True with save")
    return compiled_start(program, inputs, params)


def _as_it_is(state: RunState) -> RunState:
    return state


def _refuse_members(layout: Layout) -> None:
    """Refuse a mesh some of whose devices would have nothing to do."""
    if (members := layout.mesh.shape[devices.MEMBERS]) > 1:
        raise ValueError(
            f"mesh spreads members over {members} devices, but fit trains one net; "
            f"give data={members * layout.shards} in place of members, or use sweeps.sweep"
        )


def _latest(origin: Origin, state: RunState, epoch: int) -> dict[str, float]:
    """Return the losses and metrics that were measured last."""
    every = origin.program.evaluate_every
    values: dict[str, float] = {}
    for name in history_names(origin.program, origin.inputs):
        at = epoch if name == "train/loss" else epoch // every * every
        values |= {name: float(state.history[name][at - 1])} if at else {}
    return values
