"""Epochs: pass over the rows again and again, until a pass makes no mistake.

What one row does to the weights is the rule's, a function of (unit, (x, y)) that returns the unit and whether there
was a mistake. The rest is the same for all rules that learn from mistakes only, and stands here.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

from jaxmlp.neurons.rows import in_order

Rule: TypeAlias = Callable[[Any, tuple[Array, Array]], tuple[Any, Array]]
"""What one row does: from a unit and a row (x, y) to the unit after it, and whether there was a mistake."""


class MistakesRun(NamedTuple):
    """What learning from mistakes leaves behind.

    For epochs that were not run the path holds NaN, and the mistakes are 0, as they would have been.
    """

    unit: Any  # after the last epoch
    path: Any  # a unit per epoch, as it was after it; leaves of shape (epochs, ...)
    mistakes: Int[Array, "epochs"]  # in each epoch
    total_mistakes: Int[Array, ""]  # in all
    epochs: Int[Array, ""]  # that were run, the one without a mistake included
    converged: Bool[Array, ""]  # whether there was one


def until_no_mistake(rule: Rule, unit: Any, x: Array, y: Array, key: Any, epochs: int) -> MistakesRun:
    """Run a rule to the end of the first epoch without a mistake, or to the end of the last one allowed."""
    start = MistakesRun(
        unit=unit,
        path=jax.tree.map(lambda leaf: jnp.full((epochs, *leaf.shape), jnp.nan, leaf.dtype), unit),
        mistakes=jnp.zeros(epochs, jnp.int32),
        total_mistakes=jnp.zeros((), jnp.int32),
        epochs=jnp.zeros((), jnp.int32),
        converged=jnp.zeros((), bool),
    )
    return lax.while_loop(going_on, functools.partial(one_epoch, rule, x, y, key), start)


def going_on(run: MistakesRun) -> Bool[Array, ""]:
    """Tell whether another epoch is due."""
    return (run.epochs < len(run.mistakes)) & ~run.converged


def one_epoch(rule: Rule, x: Array, y: Array, key: Any, run: MistakesRun) -> MistakesRun:
    """Pass over the rows once."""
    unit, mistaken = lax.scan(rule, run.unit, in_order(x, y, key, run.epochs))
    mistakes = jnp.sum(mistaken, dtype=jnp.int32)
    return MistakesRun(
        unit=unit,
        path=jax.tree.map(lambda path, leaf: path.at[run.epochs].set(leaf), run.path, unit),
        mistakes=run.mistakes.at[run.epochs].set(mistakes),
        total_mistakes=run.total_mistakes + mistakes,
        epochs=run.epochs + 1,
        converged=mistakes == 0,
    )
