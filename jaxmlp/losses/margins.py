"""Losses of margins: how far the right answer lies ahead of the others, in raw outputs and not in probabilities.

    m_k = z_k where y_k = 1, -z_k where y_k = 0 or -1        one yes-or-no answer for each output
    m   = z_y - max_{j != y} z_j                             y: the label of a class

Where a loss bends, at m = 1 or at m = 0, its slope is that of the wrong side, as in scikit-learn: a margin that only
just touches the line still learns, and so does a perceptron that begins with weights of 0. In optax and in Keras on
JAX the slope there is half of it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxmlp.losses.rows import mean_over_outputs, refuse_other_shape


def hinge(
    outputs: Float[Array, "rows outputs"], targets: Int[Array, "rows"] | Shaped[Array, "rows outputs"]
) -> Float[Array, "rows"]:
    """Hinge loss of the support vector machine: right answers want a margin of 1 (Cortes and Vapnik 1995).

        l = mean_k max(0, 1 - m_k)        one yes-or-no answer for each output z_k
        l = max(0, 1 - m)                 labels (Crammer and Singer 2001)

    Slope where m = 1: -1 by m. For several classes optax and scikit-learn agree; PyTorch's MultiMarginLoss sums
    over all other classes instead (Weston and Watkins 1999), and Keras's ``categorical_hinge`` takes its maximum
    over them and 0.

    Args:
        outputs: raw outputs z of shape (rows, outputs).
        targets: of the same shape, yes above 0 and no otherwise: 1 and 0, or 1 and -1; or labels 0 ... outputs - 1
            of shape (rows,), for two outputs or more.

    Returns:
        Losses in units of the outputs, of shape (rows,); 1 for outputs of 0.

    Raises:
        ValueError: the shapes do not match, or labels are no whole numbers.

    Example:
        >>> hinge(jnp.array([[0.2], [3.0], [0.2]]), jnp.array([[1], [1], [-1]]))
        Array([0.8, 0. , 1.2], dtype=float32)
        >>> hinge(jnp.array([[1.0, 3.0, 2.5]]), jnp.array([1]))
        Array([0.5], dtype=float32)
    """
    m = _margins(outputs, targets)
    return mean_over_outputs(jnp.where(m > 1, 0, 1 - m))


def perceptron(
    outputs: Float[Array, "rows outputs"], targets: Int[Array, "rows"] | Shaped[Array, "rows outputs"]
) -> Float[Array, "rows"]:
    """Loss whose gradient descent, row by row, is the perceptron's learning rule (Rosenblatt 1958).

        l = mean_k max(0, -m_k)        one yes-or-no answer for each output z_k
        l = max(0, -m)                 labels (Collins 2002)

    Only wrong answers cost anything, and so teach. Slope where m = 0: -1 by m, an output of 0 counting as wrong.
    Without hidden layers and with a batch of one row a step of ``optimizers.sgd(1.0)`` adds x to the weights of
    a missed yes, and takes it away from those of a missed no.

    Args:
        outputs: raw outputs z of shape (rows, outputs).
        targets: of the same shape, yes above 0 and no otherwise: 1 and 0, or 1 and -1; or labels 0 ... outputs - 1
            of shape (rows,), for two outputs or more.

    Returns:
        Losses in units of the outputs, of shape (rows,).

    Raises:
        ValueError: the shapes do not match, or labels are no whole numbers.

    Example:
        >>> perceptron(jnp.array([[0.2], [3.0], [0.2]]), jnp.array([[1], [1], [-1]]))
        Array([0. , 0. , 0.2], dtype=float32)
        >>> jax.grad(lambda z: perceptron(z, jnp.array([[1]])).sum())(jnp.zeros((1, 1)))
        Array([[-1.]], dtype=float32)
    """
    m = _margins(outputs, targets)
    return mean_over_outputs(jnp.where(m > 0, 0, -m))


def _margins(outputs: Array, targets: Array) -> Array:
    """Return margins of shape (rows, outputs), or (rows,) for labels."""
    if not (outputs.ndim == 2 and outputs.shape[1] > 1 and targets.shape == outputs.shape[:1]):
        refuse_other_shape("outputs", outputs, targets)
        return jnp.where(targets.astype(outputs.dtype) > 0, outputs, -outputs)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise ValueError(f"targets have dtype {targets.dtype}; give whole numbers 0 ... outputs - 1")
    true = jax.nn.one_hot(targets, outputs.shape[1], dtype=bool)
    of_true = jnp.sum(jnp.where(true, outputs, 0), axis=1)
    of_best_other = jnp.max(jnp.where(true, -jnp.inf, outputs), axis=1)
    return of_true - of_best_other
