"""The pocket rule with ratchet (Gallant 1990): for rows that no hyperplane separates.

A perceptron pi learns from rows drawn at random; the best one so far stays in the pocket::

    pi is wrong:  w_pi <- w_pi + t x,  b_pi <- b_pi + t,  run_pi <- 0
    pi is right:  run_pi <- run_pi + 1
                  if run_pi > run_pocket and pi has more rows right than the pocket:  pocket <- pi

The run, rows right one after the other, picks cheaply whom to put to the test; the ratchet, a count over all rows,
lets the pocket only get better. Right means t score > 0, as in the perceptron's rule.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxmlp import checks
from jaxmlp.neurons.perceptron import Perceptron, correct, zeros
from jaxmlp.neurons.rows import key_of, rows_and_signs
from jaxmlp.types import Key


class PocketRun(NamedTuple):
    """What the pocket rule leaves behind; rows wrong are 0 for the epochs after one that left none."""

    unit: Perceptron  # in the pocket
    last: Perceptron  # that was learning
    wrong: Int[Array, "epochs"]  # rows that the pocket had wrong after each epoch
    last_wrong: Int[Array, "epochs"]  # rows that the learning one had wrong then
    epochs: Int[Array, ""]  # that were run


class Contest(NamedTuple):
    """The learning perceptron with its run, and the one in the pocket with its run and its rows right."""

    learning: Perceptron
    run: Int[Array, ""]
    pocket: Perceptron
    pocket_run: Int[Array, ""]
    pocket_right: Int[Array, ""]


def learn_pocket(x: Any, y: Any, *, key: Key, epochs: int = 100) -> PocketRun:
    """Learn as a perceptron does from rows drawn at random, and keep the best one in the pocket.

        pocket <- pi        if run_pi > run_pocket and right_pi > right_pocket

    With probability 1 the pocket comes to hold as good a unit as there is, after finitely many draws (Muselli 1997),
    though nobody tells when. Here an epoch is as many draws, with replacement, as there are rows. It ends with one
    more test of the perceptron, whatever its run, so that the pocket is never worse than it. Learning stops when no
    row is wrong.

    May be jitted, and vmapped over data sets and keys; vmapped, it counts the rows right at every draw.

    Args:
        x: rows, an array of shape (rows, inputs) or what ``numpy.asarray`` takes.
        y: labels 0 and 1, of shape (rows,).
        key: a random key, for the draws.
        epochs: how many at most, at least 1.

    Returns:
        The unit in the pocket, the last perceptron, and how many rows each had wrong after each epoch.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: shapes that do not match, other labels than 0 and 1, numbers that are not finite or out of range.

    Example:
        >>> x, y = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]), jnp.array([0, 1, 1, 0])  # XOR
        >>> run = learn_pocket(x, y, key=jax.random.key(0))
        >>> print(run.wrong[-1], "of 4 rows is wrong, and no line does better")
        1 of 4 rows is wrong, and no line does better
    """
    x, signs = rows_and_signs(x, y)
    epochs = checks.whole_number("epochs", epochs, 1)
    if key is None:
        raise TypeError("key is None, and the pocket rule draws its rows; give a random key, such as jax.random.key(0)")
    key_of(key)
    return _learn(x, signs, key, epochs=epochs)


def draw(x: Array, signs: Array, rows: Int[Array, "draws"], i: Int[Array, ""] | int, contest: Contest) -> Contest:
    """Learn from draw number i, and put the perceptron to the test once its run is longer than the pocket's.

    Once, when it becomes so: without a mistake it stays the same, and would fail again where it has failed.
    """
    learning, mistake = correct(1.0, contest.learning, (x[rows[i]], signs[rows[i]]))
    run = jnp.where(mistake, 0, contest.run + 1)
    contest = contest._replace(learning=learning, run=run)
    due = run == contest.pocket_run + 1
    return lax.cond(due, functools.partial(ratchet, x, signs), lambda contest: contest, contest)


def ratchet(x: Array, signs: Array, contest: Contest) -> Contest:
    """Put the perceptron into the pocket if it has more rows right than the one there."""
    right = jnp.sum(signs * contest.learning.score(x) > 0, dtype=jnp.int32)
    better = right > contest.pocket_right
    challenger, holder = (contest.learning, contest.run, right), contest[2:]
    return Contest(
        contest.learning, contest.run, *jax.tree.map(functools.partial(jnp.where, better), challenger, holder)
    )


def one_epoch(x: Array, signs: Array, key: Any, state: tuple[Contest, PocketRun]) -> tuple[Contest, PocketRun]:
    """Make as many draws as there are rows, and test the perceptron once more."""
    contest, history = state
    rows = jax.random.randint(jax.random.fold_in(key, history.epochs), (len(x),), 0, len(x))
    contest = lax.fori_loop(0, len(x), functools.partial(draw, x, signs, rows), contest)
    contest = ratchet(x, signs, contest)
    last_wrong = jnp.sum(~(signs * contest.learning.score(x) > 0), dtype=jnp.int32)
    return contest, PocketRun(
        unit=contest.pocket,
        last=contest.learning,
        wrong=history.wrong.at[history.epochs].set(len(x) - contest.pocket_right),
        last_wrong=history.last_wrong.at[history.epochs].set(last_wrong),
        epochs=history.epochs + 1,
    )


def going_on(rows: int, state: tuple[Contest, PocketRun]) -> Bool[Array, ""]:
    """Tell whether another epoch is due."""
    contest, history = state
    return (history.epochs < len(history.wrong)) & (contest.pocket_right < rows)


@functools.partial(jax.jit, static_argnames="epochs")
def _learn(x: Float[Array, "rows inputs"], signs: Float[Array, "rows"], key: Any, epochs: int) -> PocketRun:
    unit, none, per_epoch = zeros(x), jnp.zeros((), jnp.int32), jnp.zeros(epochs, jnp.int32)
    contest = Contest(learning=unit, run=none, pocket=unit, pocket_run=none, pocket_right=none)
    history = PocketRun(unit=unit, last=unit, wrong=per_epoch, last_wrong=per_epoch, epochs=none)
    epoch = functools.partial(one_epoch, x, signs, key)
    return lax.while_loop(functools.partial(going_on, len(x)), epoch, (contest, history))[1]
