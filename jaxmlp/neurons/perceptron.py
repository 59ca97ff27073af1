"""The perceptron and its learning rule (Rosenblatt 1958; in this form Novikoff 1962).

score     = w . x + b
y_hat     = h(score)                                    h(z) = 1 if z >= 0 else 0
w        <- w + eta t x,    b <- b + eta t              if t score <= 0, with t = -1 for y = 0 and t = +1 for y = 1

A row right on the boundary, t score = 0, counts as a mistake while learning, though the unit answers 1 there: so
Novikoff has it, and scikit-learn, and only so do weights that begin at 0 begin to move.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxmlp import checks
from jaxmlp.activations import threshold
from jaxmlp.neurons.epochs import MistakesRun, until_no_mistake
from jaxmlp.neurons.rows import inputs_of, key_of, learning_rate_of, rows_and_signs
from jaxmlp.types import Key, Scalar, floats, like


class Perceptron(NamedTuple):
    """A threshold unit that learns: its bias b is minus the threshold, and is learned like a weight.

        y_hat = h(w . x + b)

    Attributes:
        w: the weights, of shape (inputs,).
        b: the bias, a scalar.

    Example:
        >>> both = Perceptron(w=jnp.array([1.0, 1.0]), b=jnp.array(-1.5))
        >>> both.apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([0., 0., 0., 1.], dtype=float32)
    """

    w: Float[Array, "inputs"]
    b: Float[Array, ""]

    def score(self, x: Shaped[Array, "*rows inputs"]) -> Float[Array, "*rows"]:
        """Compute the weighted sums w . x + b; divided by the length of w, signed distances from the boundary.

        Args:
            x: inputs of shape (..., inputs).

        Returns:
            Scores of shape (...).

        Raises:
            ValueError: ``x`` has another number of inputs than ``w`` has weights.

        Example:
            >>> Perceptron(w=jnp.array([1.0, 2.0]), b=jnp.array(-3.0)).score(jnp.array([[1.0, 1.0], [1.0, 2.0]]))
            Array([0., 2.], dtype=float32)
        """
        return inputs_of(x, self.w) @ floats(self.w) + floats(self.b)

    def apply(self, x: Shaped[Array, "*rows inputs"]) -> Float[Array, "*rows"]:
        """Tell for each row whether the unit fires: the forward pass.

        Args:
            x: inputs of shape (..., inputs).

        Returns:
            Zeros and ones of shape (...).

        Raises:
            ValueError: ``x`` has another number of inputs than ``w`` has weights.

        Example:
            >>> Perceptron(w=jnp.array([1.0, 2.0]), b=jnp.array(-3.0)).apply(jnp.array([[1.0, 1.0], [1.0, 0.0]]))
            Array([1., 0.], dtype=float32)
        """
        return threshold(self.score(x))


def learn_perceptron(
    x: Any,
    y: Any,
    *,
    learning_rate: Scalar = 1.0,
    epochs: int = 100,
    key: Key | None = None,
    start: Perceptron | None = None,
) -> MistakesRun:
    """The perceptron's learning rule: correct the weights at each mistake, until an epoch makes none.

        w <- w + eta t x,    b <- b + eta t        if t (w . x + b) <= 0,    t = 2 y - 1

    On rows that a hyperplane separates it makes at most (R / gamma)^2 mistakes (Novikoff 1962), in whatever order
    they come: ``separability`` computes that bound. On others it never settles; ``learn_pocket`` keeps the best. The
    rate eta only scales weights that begin at 0, and changes no decision; it matters for another start.

    It may be jitted, and vmapped over data sets, rates, keys and starts.

    Args:
        x: rows, an array of shape (rows, inputs) or what ``numpy.asarray`` takes.
        y: labels 0 and 1, of shape (rows,).
        learning_rate: eta, above 0, a scalar.
        epochs: how many at most, at least 1.
        key: a random key, for a new random order of the rows in each epoch; None reads them as given.
        start: the unit before the first epoch; zeros unless given.

    Returns:
        A ``MistakesRun`` of perceptrons: the last one, their path over the epochs, the mistakes.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: shapes that do not match, other labels than 0 and 1, numbers that are not finite or out of range.

    Example:
        >>> x, y = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]), jnp.array([0, 0, 0, 1])
        >>> run = learn_perceptron(x, y)
        >>> print(run.unit.apply(x), run.unit.w, run.unit.b)
        [0. 0. 0. 1.] [3. 2.] -4.0
        >>> print(run.mistakes[: run.epochs], run.converged)
        [2 3 3 2 2 3 2 1 0] True
    """
    x, signs = rows_and_signs(x, y)
    rate = learning_rate_of(learning_rate)
    epochs = checks.whole_number("epochs", epochs, 1)
    key_of(key)
    return _learn(x, signs, rate, key, zeros(x) if start is None else _start(start, x), epochs=epochs)


def correct(
    learning_rate: Scalar, unit: Perceptron, row: tuple[Float[Array, "inputs"], Float[Array, ""]]
) -> tuple[Perceptron, Bool[Array, ""]]:
    """Learn from one row (x, t): the rule itself. NaN is a mistake."""
    x, t = row
    w, b = unit
    mistake = ~(t * (jnp.dot(w, x) + b) > 0)
    step = jnp.where(mistake, like(learning_rate, x) * t, 0)
    return Perceptron(w + step * x, b + step), mistake


def zeros(x: Float[Array, "rows inputs"]) -> Perceptron:
    """Return the unit that has not learned anything yet."""
    return Perceptron(w=jnp.zeros(x.shape[1], x.dtype), b=jnp.zeros((), x.dtype))


@functools.partial(jax.jit, static_argnames="epochs")
def _learn(x: Array, signs: Array, rate: Scalar, key: Any, start: Perceptron, epochs: int) -> MistakesRun:
    return until_no_mistake(functools.partial(correct, rate), start, x, signs, key, epochs)


def _start(start: Perceptron, x: Float[Array, "rows inputs"]) -> Perceptron:
    w, b = (jnp.asarray(leaf).astype(x.dtype) for leaf in start)
    if w.shape != x.shape[1:] or b.shape != ():
        raise ValueError(
            f"start has w of shape {w.shape} and b of shape {b.shape}; give w of shape {x.shape[1:]} and b of shape ()"
        )
    return Perceptron(w, b)
