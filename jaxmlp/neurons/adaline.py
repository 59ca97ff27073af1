"""Adaline, the adaptive linear neuron, and its LMS rule (Widrow and Hoff 1960).

output    = w . x + b
error     = y - output
w        <- w + eta error x,    b <- b + eta error

A step down the slope of error^2 / 2 at one row: every row corrects, the right ones too, and by as much as they are
off. The perceptron's rule is the same with the error measured behind the threshold. Widrow and Stearns (1985) write
2 mu for eta.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Shaped

from jaxmlp import checks
from jaxmlp.neurons.rows import in_order, inputs_of, key_of, learning_rate_of, rows_and_targets
from jaxmlp.types import Key, Scalar, floats, like


class Adaline(NamedTuple):
    """A linear unit; ``activations.threshold`` of its output decides between two classes.

        output = w . x + b

    Attributes:
        w: the weights, of shape (inputs,).
        b: the bias, a scalar.

    Example:
        >>> Adaline(w=jnp.array([1.0, 2.0]), b=jnp.array(-3.0)).apply(jnp.array([[1.0, 1.0], [1.0, 2.0]]))
        Array([0., 2.], dtype=float32)
    """

    w: Float[Array, "inputs"]
    b: Float[Array, ""]

    def apply(self, x: Shaped[Array, "*rows inputs"]) -> Float[Array, "*rows"]:
        """Compute the output of each row: the forward pass.

        Args:
            x: inputs of shape (..., inputs).

        Returns:
            Outputs of shape (...).

        Raises:
            ValueError: ``x`` has another number of inputs than ``w`` has weights.

        Example:
            >>> Adaline(w=jnp.array([0.5]), b=jnp.array(1.0)).apply(jnp.array([4.0]))
            Array(3., dtype=float32)
        """
        return inputs_of(x, self.w) @ floats(self.w) + floats(self.b)


class AdalineRun(NamedTuple):
    """The unit after the last epoch, its path, and the mean squared error of each epoch."""

    unit: Adaline
    path: Adaline  # a unit per epoch, as it was after it; leaves of shape (epochs, ...)
    mean_squared_error: Float[Array, "epochs"]  # over the rows of an epoch, each measured before it corrects


def learn_adaline(
    x: Any, y: Any, *, learning_rate: Scalar = 0.01, epochs: int = 100, key: Key | None = None
) -> AdalineRun:
    """The LMS rule: correct the weights at each row, by as much as the output is off.

        w <- w + eta error x,    b <- b + eta error        with error = y - (w . x + b)

    For a small rate it comes near the least-squares fit, and stays as near as the rate is small; a decision between
    two classes is learned as a fit to -1 and +1. It diverges where eta (|x|^2 + 1) is above 2 for the rows at large,
    so bring the columns of ``x`` to one scale. May be jitted, and vmapped over data sets, rates and keys.

    Args:
        x: rows, an array of shape (rows, inputs) or what ``numpy.asarray`` takes.
        y: the numbers to answer with, of shape (rows,); for labels 0 and 1 give 2 y - 1.
        learning_rate: eta, above 0, a scalar.
        epochs: how many, at least 1.
        key: a random key, for a new random order of the rows in each epoch; None reads them as given.

    Returns:
        The last unit, its path over the epochs, and the mean squared error of each epoch.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: shapes that do not match, numbers that are not finite or out of range.

    Example:
        >>> x = jnp.array([[0.0], [1.0], [2.0]])
        >>> run = learn_adaline(x, 3 * x[:, 0] - 1, learning_rate=0.2)
        >>> print(f"{run.unit.w[0]:.3f} x {run.unit.b:+.3f}")
        3.000 x -1.000
    """
    x, y = rows_and_targets(x, y)
    rate = learning_rate_of(learning_rate)
    epochs = checks.whole_number("epochs", epochs, 1)
    key_of(key)
    return _learn(x, y, rate, key, epochs=epochs)


def correct(
    learning_rate: Scalar, unit: Adaline, row: tuple[Float[Array, "inputs"], Float[Array, ""]]
) -> tuple[Adaline, Float[Array, ""]]:
    """Learn from one row (x, y): the rule itself. Returns the unit, and the error before."""
    x, y = row
    w, b = unit
    error = y - (jnp.dot(w, x) + b)
    step = like(learning_rate, x) * error
    return Adaline(w + step * x, b + step), error


def one_epoch(
    x: Array, y: Array, rate: Scalar, key: Any, unit: Adaline, epoch: Int[Array, ""]
) -> tuple[Adaline, tuple[Adaline, Array]]:
    """Pass over the rows once."""
    unit, errors = lax.scan(functools.partial(correct, rate), unit, in_order(x, y, key, epoch))
    return unit, (unit, jnp.mean(jnp.square(errors)))


@functools.partial(jax.jit, static_argnames="epochs")
def _learn(x: Float[Array, "rows inputs"], y: Float[Array, "rows"], rate: Scalar, key: Any, epochs: int) -> AdalineRun:
    start = Adaline(w=jnp.zeros(x.shape[1], x.dtype), b=jnp.zeros((), x.dtype))
    epoch = functools.partial(one_epoch, x, y, rate, key)
    unit, (path, mean_squared_error) = lax.scan(epoch, start, jnp.arange(epochs))
    return AdalineRun(unit=unit, path=path, mean_squared_error=mean_squared_error)
