"""The activations of the lecture: threshold, sigmoid, tanh, ReLU, leaky ReLU, softmax, and none at all."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.types import Scalar, floats, like


def identity(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return ``z`` itself: a linear unit, the usual output of a regression.

    Range: all numbers. Derivative: 1.

    Args:
        z: weighted sums, any shape.

    Returns:
        The same array.

    Example:
        >>> identity(jnp.array([-2.0, 3.0]))
        Array([-2.,  3.], dtype=float32)
    """
    return z


def threshold(z: Float[Array, "*shape"], *, straight_through: bool = False) -> Float[Array, "*shape"]:
    """Heaviside's step: the unit fires or it does not.

        h(z) = 1 if z >= 0 else 0

    Range: {0, 1}. Derivative: 0 wherever there is one, so gradient descent cannot train through it; it is
    the unit of McCulloch and Pitts (1943) and of the perceptron. h(0) = 1; NaN stays NaN. With a straight-through
    gradient the derivative is taken to be 1 (Bengio, Leonard and Courville 2013, section 4), and it can be trained:
    ``MLP(..., activation=functools.partial(threshold, straight_through=True))``.

    Args:
        z: weighted sums, any shape.
        straight_through: whether the gradient passes as if the unit were linear.

    Returns:
        Zeros and ones, same shape.

    Example:
        >>> threshold(jnp.array([-0.1, 0.0, 0.1]))
        Array([0., 1., 1.], dtype=float32)
        >>> import functools
        >>> passing = functools.partial(threshold, straight_through=True)
        >>> print(jax.grad(threshold)(jnp.array(0.5)), jax.grad(passing)(jnp.array(0.5)))
        0.0 1.0
    """
    if straight_through:
        return _straight_through(z)
    return jnp.where(jnp.isnan(z), z, (z >= 0).astype(z.dtype))  # jnp.heaviside turns NaN into 0


@jax.custom_jvp
def _straight_through(z: Array) -> Array:
    return threshold(z)


@_straight_through.defjvp
def _straight_through_jvp(z: tuple[Array], tangent: tuple[Array]) -> tuple[Array, Array]:
    return threshold(*z), tangent[0]


def sigmoid(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logistic function, a smooth threshold.

        s(z) = 1 / (1 + exp(-z))

    Range: (0, 1). Derivative: s (1 - s), at most 1/4, which vanishes through many layers; it saturates
    (derivative under 0.01) beyond |z| = 4.6. Recommended for the output of a two-class net, where
    ``losses.sigmoid_binary_cross_entropy`` already holds it.

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers between 0 and 1, same shape.

    Example:
        >>> sigmoid(jnp.array([-100.0, 0.0, 100.0]))
        Array([0. , 0.5, 1. ], dtype=float32)
    """
    return jax.nn.sigmoid(z)


def tanh(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The hyperbolic tangent, a sigmoid centred on zero.

        tanh(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z)) = 2 s(2 z) - 1

    Range: (-1, 1). Derivative: 1 - tanh(z)^2, at most 1; it saturates (derivative under 0.01) beyond
    |z| = 3. Its zero mean makes hidden layers learn faster than sigmoid's (LeCun et al. 1998, section 4.4).

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers between -1 and 1, same shape.

    Example:
        >>> tanh(jnp.array([-100.0, 0.0, 100.0]))
        Array([-1.,  0.,  1.], dtype=float32)
    """
    return jnp.tanh(z)


def relu(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The rectified linear unit, today's usual choice for hidden layers.

        relu(z) = max(0, z)

    Range: [0, inf). Derivative: 1 above zero, 0 below and at zero. It does not saturate above; a unit whose
    ``z`` is negative for every row learns no more ("dead"). Nair and Hinton (2010).

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers of at least 0, same shape.

    Example:
        >>> relu(jnp.array([-2.0, 0.0, 3.0]))
        Array([0., 0., 3.], dtype=float32)
        >>> jax.grad(relu)(0.0)
        Array(0., dtype=float32, weak_type=True)
    """
    return jax.nn.relu(z)


def leaky_relu(z: Float[Array, "*shape"], negative_slope: Scalar = 0.01) -> Float[Array, "*shape"]:
    """A rectified linear unit that leaks below zero, so that no unit dies.

        leaky_relu(z) = z if z >= 0 else negative_slope * z

    Range: all numbers. Derivative: 1 from zero on, ``negative_slope`` below. Maas, Hannun and Ng (2013).
    Keras differs: its slope is 0.2 in the function and 0.3 in the layer.

    Args:
        z: weighted sums, any shape.
        negative_slope: the slope below zero, a scalar.

    Returns:
        Numbers, same shape.

    Example:
        >>> leaky_relu(jnp.array([-2.0, 0.0, 3.0]), negative_slope=0.5)
        Array([-1.,  0.,  3.], dtype=float32)
    """
    z = floats(z)
    return jnp.where(z >= 0, z, like(negative_slope, z) * z)


def softmax(z: Float[Array, "*rows classes"]) -> Float[Array, "*rows classes"]:
    """Probabilities of classes that exclude each other.

        softmax(z)_k = exp(z_k) / sum_j exp(z_j)

    Range: (0, 1), each row summing to 1. It is for the last layer only, and there
    ``losses.softmax_cross_entropy`` already holds it: apply it to a trained net's outputs to read them.

    Args:
        z: logits of shape (..., classes).

    Returns:
        Probabilities of shape (..., classes).

    Example:
        >>> softmax(jnp.array([[0.0, 0.0], [1000.0, 0.0]]))
        Array([[0.5, 0.5],
               [1. , 0. ]], dtype=float32)
    """
    return jax.nn.softmax(z, axis=-1)
