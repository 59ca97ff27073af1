"""The multi-class perceptron (Kesler's construction, in Duda and Hart 1973; Crammer and Singer 2003).

score_k   = w_k . x + b_k                                                   one unit per class
y_hat     = argmax_k score_k
r         = argmax_(k != y) score_k                                         the rival
w_y      <- w_y + x,  b_y <- b_y + 1,  w_r <- w_r - x,  b_r <- b_r - 1      if score_y <= score_r

With two classes it is the perceptron: w_1 = -w_0 are its weights. A tie counts as a mistake while learning, as a row
on the boundary does there.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxmlp import checks
from jaxmlp.neurons.epochs import MistakesRun, until_no_mistake
from jaxmlp.neurons.rows import inputs_of, key_of, rows_and_classes
from jaxmlp.types import Key, floats


class MulticlassPerceptron(NamedTuple):
    """One unit per class, the highest score deciding; the first of equals.

        y_hat = argmax_k(w_k . x + b_k)

    Attributes:
        w: the weights, of shape (inputs, classes).
        b: the biases, of shape (classes,).

    Example:
        >>> unit = MulticlassPerceptron(w=jnp.array([[-1.0, 0.0, 1.0]]), b=jnp.array([0.0, 1.0, 0.0]))
        >>> unit.apply(jnp.array([[-2.0], [0.5], [3.0]]))
        Array([0, 1, 2], dtype=int32)
    """

    w: Float[Array, "inputs classes"]
    b: Float[Array, "classes"]

    def score(self, x: Shaped[Array, "*rows inputs"]) -> Float[Array, "*rows classes"]:
        """Compute each class's weighted sum.

        Args:
            x: inputs of shape (..., inputs).

        Returns:
            Scores of shape (..., classes).

        Raises:
            ValueError: ``x`` has another number of inputs than ``w`` has rows.

        Example:
            >>> MulticlassPerceptron(w=jnp.array([[1.0, 2.0]]), b=jnp.array([0.5, 0.0])).score(jnp.array([3.0]))
            Array([3.5, 6. ], dtype=float32)
        """
        sums = inputs_of(x, self.w) @ floats(self.w)
        return sums + jnp.broadcast_to(floats(self.b), sums.shape)

    def apply(self, x: Shaped[Array, "*rows inputs"]) -> Int[Array, "*rows"]:
        """Name the class of each row: the forward pass.

        Args:
            x: inputs of shape (..., inputs).

        Returns:
            Labels 0 ... classes - 1 of shape (...).

        Raises:
            ValueError: ``x`` has another number of inputs than ``w`` has rows.

        Example:
            >>> unit = MulticlassPerceptron(w=jnp.array([[1.0, 2.0]]), b=jnp.array([0.5, 0.0]))
            >>> unit.apply(jnp.array([[3.0], [0.1]]))
            Array([1, 0], dtype=int32)
        """
        return jnp.argmax(self.score(x), axis=-1).astype(jnp.int32)


def learn_multiclass_perceptron(
    x: Any, y: Any, *, classes: int | None = None, epochs: int = 100, key: Key | None = None
) -> MistakesRun:
    """The perceptron's rule for several classes: at a mistake, towards the true class and away from its rival.

        w_y <- w_y + x,    w_r <- w_r - x        if score_y <= score_r,    r = argmax_(k != y) score_k

    The biases alike, as weights of an input that is always 1. It settles if there are weights that give each row's
    class the highest score. There is no learning rate, which would only scale the weights. May be jitted, and vmapped
    over data sets and keys.

    Args:
        x: rows, an array of shape (rows, inputs) or what ``numpy.asarray`` takes.
        y: labels 0 ... classes - 1, of shape (rows,).
        classes: how many, at least 2; one more than the largest label unless given.
        epochs: how many at most, at least 1.
        key: a random key, for a new random order of the rows in each epoch; None reads them as given.

    Returns:
        A ``MistakesRun`` of multi-class perceptrons: the last one, their path over the epochs, the mistakes.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: shapes that do not match, a label that no class has, numbers that are not finite or out of range.

    Example:
        >>> x, y = jnp.array([[-2.0], [0.0], [2.0]]), jnp.array([0, 1, 2])
        >>> run = learn_multiclass_perceptron(x, y)
        >>> print(run.unit.apply(x), run.converged)
        [0 1 2] True
    """
    x, labels, classes = rows_and_classes(x, y, classes)
    epochs = checks.whole_number("epochs", epochs, 1)
    key_of(key)
    return _learn(x, labels, key, classes=classes, epochs=epochs)


def correct(
    unit: MulticlassPerceptron, row: tuple[Float[Array, "inputs"], Int[Array, ""]]
) -> tuple[MulticlassPerceptron, Bool[Array, ""]]:
    """Learn from one row (x, y): the rule itself. NaN is a mistake."""
    x, y = row
    w, b = unit
    score = x @ w + b
    is_y = jax.nn.one_hot(y, len(b), dtype=x.dtype)
    rival = jnp.argmax(jnp.where(is_y == 1, -jnp.inf, score))
    mistake = ~(score[y] > score[rival])
    step = jnp.where(mistake, is_y - jax.nn.one_hot(rival, len(b), dtype=x.dtype), 0)
    return MulticlassPerceptron(w + jnp.outer(x, step), b + step), mistake


@functools.partial(jax.jit, static_argnames=("classes", "epochs"))
def _learn(x: Array, labels: Array, key: Any, classes: int, epochs: int) -> MistakesRun:
    start = MulticlassPerceptron(w=jnp.zeros((x.shape[1], classes), x.dtype), b=jnp.zeros(classes, x.dtype))
    return until_no_mistake(correct, start, x, labels, key, epochs)
