"""Patience: what every patience would have given, from curves that are there already."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.sweeps.judging import as_table
from jaxmlp.sweeps.result import Sweep
from jaxmlp.training import StopReason


def replayed(
    rule: EarlyStopping, patiences: Sequence[int], curves: NDArray[Any], every: int = 1
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where a rule would have stopped some curves with other patiences, and what was best until then.

    Args:
        rule: the rule, but for its patience.
        patiences: epochs to wait, of each.
        curves: what is watched, of shape (members, epochs), NaN for epochs not run.
        every: epochs from one evaluation to the next.

    Returns:
        The epochs that would have been run, and the best values among them, each of shape (patiences, members).

    Example:
        >>> epochs, best = replayed(EarlyStopping(), [1, 2], np.array([[3.0, 2.0, 2.5, 2.5, 1.0]]))
        >>> epochs.tolist(), best.tolist()
        ([[3], [4]], [[2.0], [2.0]])
    """
    evaluated = jnp.asarray(curves[:, every - 1 :: every], float)
    epochs, best = _replayed(rule, jnp.asarray(patiences, jnp.int32), evaluated, every)
    return np.asarray(epochs) * every, np.asarray(best)


@functools.partial(jax.jit, static_argnums=3)
def _replayed(rule: EarlyStopping, patiences: Any, curves: Any, every: int) -> Any:
    def of_curve(patience: Any, curve: Any) -> Any:
        waiting = dataclasses.replace(rule, patience=patience)

        def epoch(carry: Any, value: Any) -> Any:
            state, stopped, epochs, best = carry
            ran = ~stopped & ~jnp.isnan(value)
            after, stop = waiting.update(value, state, every)
            state = jax.tree.map(lambda new, old: jnp.where(ran, new, old), after, state)
            best = jnp.where(ran, jnp.fmin(best, waiting.cost(value)), best)
            stopped |= ran & (stop | waiting.reached(value))
            return (state, stopped, epochs + ran.astype(epochs.dtype), best), None

        first = (waiting.init(), jnp.zeros((), bool), jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, curve.dtype))
        (_, _, epochs, best), _ = lax.scan(epoch, first, curve)
        return epochs, waiting.cost(best)

    of_curves = jax.vmap(of_curve, in_axes=(None, 0))
    return jax.vmap(of_curves, in_axes=(0, None))(patiences, curves)


def steps_to(epochs: int) -> Sequence[int]:
    """Return the patiences to compare within a number of epochs: 1, 2, 3, 5, 10, 20, 30, 50 and so on.

    Example:
        >>> steps_to(30)
        [1, 2, 3, 5, 10, 20, 30]
    """
    steps = [digit * 10**power for power in range(len(str(epochs))) for digit in (1, 2, 3, 5)]
    return [step for step in steps if step <= epochs]


def patience_table(runs: Sweep, patiences: Sequence[int] | None = None) -> Any:
    """Say what every patience would have given, from the curves that are there: nothing is trained again.

    The sweep's own stopping rule is replayed with other patiences (a plain ``EarlyStopping`` if it had none).

    Args:
        runs: a sweep, at best without early stopping.
        patiences: to compare, each at least 1; unless given 1, 2, 3, 5, 10, 20 and so on, as far as curves reach.

    Returns:
        For each patience the mean over all members of the epochs run, and of the best value until then; the best
        setting by that, and its mean. A pandas data frame if pandas is installed, else a list of dictionaries.

    Raises:
        ValueError: a patience longer than that by which members were stopped, where their curves end; or members that
            were dropped or interrupted.

    Example:
        >>> patience_table(runs, [1, 20])["epochs"].tolist()[1]
        20.0
    """
    unfinished = {StopReason.DROPPED, StopReason.INTERRUPTED} & set(runs.stop_reason)
    if unfinished:
        raise ValueError(
            f"a member {unfinished.pop().value}, so that its curve is cut off; give a sweep that has ended"
        )
    every = runs.groups[0].program.evaluate_every
    rule = runs.groups[0].shared.inputs.early_stopping
    own = int(rule.patience) if rule is not None and StopReason.STOPPED_EARLY in runs.stop_reason else None
    if patiences is None:
        patiences = [p for p in steps_to(runs.history[runs.judged_by].shape[1]) if own is None or p <= own]
    curves, rows = runs.history[runs.judged_by], []
    for patience in patiences:
        if checks.whole_number("patiences", patience, 1) > (own or math.inf):
            raise ValueError(f"patiences has {patience}, but members were stopped by {own}; run the sweep without it")
    each = zip(patiences, *replayed(rule or EarlyStopping(), patiences, curves, every), strict=True)
    for patience, epochs, best in each:
        means = np.where(np.isfinite(best), best, np.nan).reshape(-1, runs.seeds).mean(axis=1)
        sign = -1 if runs.larger_is_better() else 1
        place = int(np.nanargmin(sign * means)) if np.isfinite(means).any() else 0
        rows.append(
            {"patience": patience, "epochs": float(epochs.mean()), "mean": float(np.nanmean(means))}
            | {f"best {name}": value for name, value in runs.settings[place].items()}
            | {"mean of the best": float(means[place])}
        )
    return as_table(rows)
