"""The averaged perceptron (Freund and Schapire 1999, beside the voted one).

w, b        as in the perceptron, row for row
w_avg     = 1/N sum_n w_n,    b_avg = 1/N sum_n b_n        over the N rows read, after each of them

A perceptron that has survived many rows has many terms in the sum, and one that was soon corrected few: the average
forgets the last rows' whims, which helps most where no hyperplane separates.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from jaxmlp import checks
from jaxmlp.neurons.perceptron import Perceptron, correct, zeros
from jaxmlp.neurons.rows import in_order, key_of, rows_and_signs
from jaxmlp.types import Key


class AveragedRun(NamedTuple):
    """The average of the perceptrons after each row, the last of them, and the mistakes of each epoch."""

    unit: Perceptron  # the average
    last: Perceptron
    mistakes: Int[Array, "epochs"]


def learn_averaged_perceptron(x: Any, y: Any, *, epochs: int = 10, key: Key | None = None) -> AveragedRun:
    """Learn as a perceptron does, and answer with the average of its weights over all rows read.

        w_avg = 1/N sum_n w_n

    Every epoch is run: when there are no more mistakes the average still moves to the weights that make none.
    There is no learning rate, which would only scale the weights. May be jitted, and vmapped over data sets and keys.

    Args:
        x: rows, an array of shape (rows, inputs) or what ``numpy.asarray`` takes.
        y: labels 0 and 1, of shape (rows,).
        epochs: how many, at least 1.
        key: a random key, for a new random order of the rows in each epoch; None reads them as given.

    Returns:
        The averaged unit, the last one, and the mistakes of each epoch.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: shapes that do not match, other labels than 0 and 1, numbers that are not finite or out of range.

    Example:
        >>> x, y = jnp.array([[-1.0], [1.0], [1.5], [-0.5]]), jnp.array([0, 1, 1, 1])
        >>> run = learn_averaged_perceptron(x, y, epochs=2)
        >>> print(run.unit.w, run.last.w, run.mistakes)
        [1.5625] [1.5] [3 0]
    """
    x, signs = rows_and_signs(x, y)
    epochs = checks.whole_number("epochs", epochs, 1)
    key_of(key)
    return _learn(x, signs, key, epochs=epochs)


def correct_and_show(unit: Perceptron, row: tuple[Array, Array]) -> tuple[Perceptron, tuple[Perceptron, Array]]:
    """Learn from one row, and show the unit after it."""
    unit, mistake = correct(1.0, unit, row)
    return unit, (unit, mistake)


def one_epoch(
    x: Array, signs: Array, key: Any, unit: Perceptron, epoch: Int[Array, ""]
) -> tuple[Perceptron, tuple[Perceptron, Array]]:
    """Pass over the rows once; return the average over them, and count the mistakes."""
    unit, (units, mistaken) = lax.scan(correct_and_show, unit, in_order(x, signs, key, epoch))
    return unit, (mean(units), jnp.sum(mistaken, dtype=jnp.int32))


def mean(units: Perceptron) -> Perceptron:
    """Return the average of many units."""
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), units)


@functools.partial(jax.jit, static_argnames="epochs")
def _learn(x: Array, signs: Array, key: Any, epochs: int) -> AveragedRun:
    epoch = functools.partial(one_epoch, x, signs, key)
    last, (units, mistakes) = lax.scan(epoch, zeros(x), jnp.arange(epochs))
    return AveragedRun(unit=mean(units), last=last, mistakes=mistakes)
