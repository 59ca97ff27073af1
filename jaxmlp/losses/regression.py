"""Losses of regression: how far the outputs lie from numbers.

z: outputs        y: targets        e = z - y: errors

Where a loss bends, at e = 0, its slope is 0, so that what fits stays.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from jaxmlp import checks
from jaxmlp.losses.rows import mean_over_outputs, refuse_other_shape
from jaxmlp.types import Scalar, like


def squared_error(
    outputs: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"]
) -> Float[Array, "rows"]:
    """Squared error, its mean over the outputs of a row.

        l = mean_k e_k^2

    It is least at the mean of the targets. There is no factor 1/2; scikit-learn's MLPRegressor and optax's
    ``l2_loss`` have one, Keras and PyTorch have none.

    Args:
        outputs: raw outputs z of shape (rows, outputs).
        targets: numbers of the same shape.

    Returns:
        Losses in squared units of the targets, of shape (rows,).

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> squared_error(jnp.array([[1.0, 5.0]]), jnp.array([[1.0, 2.0]]))
        Array([4.5], dtype=float32)
    """
    return mean_over_outputs(jnp.square(_errors(outputs, targets)))


def absolute_error(
    outputs: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"]
) -> Float[Array, "rows"]:
    """Absolute error, its mean over the outputs of a row.

        l = mean_k |e_k|

    It is least at the median of the targets, so outliers pull little. Slope where e = 0: 0, as in PyTorch;
    ``jax.grad(jnp.abs)``, and so Keras on JAX, has 1 there.

    Args:
        outputs: raw outputs z of shape (rows, outputs).
        targets: numbers of the same shape.

    Returns:
        Losses in units of the targets, of shape (rows,).

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> absolute_error(jnp.array([[1.0, 5.0]]), jnp.array([[1.0, 2.0]]))
        Array([1.5], dtype=float32)
        >>> import jax
        >>> jax.grad(lambda z: absolute_error(z, jnp.zeros((1, 3))).sum())(jnp.array([[-3.0, 0.0, 3.0]])) * 3
        Array([[-1.,  0.,  1.]], dtype=float32)
    """
    e = _errors(outputs, targets)
    return mean_over_outputs(e * jnp.sign(e))


def huber(
    outputs: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"], *, delta: Scalar = 1.0
) -> Float[Array, "rows"]:
    """Huber's loss: squared near 0, absolute far off, so that outliers pull no harder than delta (Huber 1964).

        l = mean_k( e_k^2 / 2                      where |e_k| <= delta
                    delta |e_k| - delta^2 / 2      elsewhere            )

    optax, Keras and PyTorch's HuberLoss agree. Near 0 it is half of ``squared_error``. PyTorch's SmoothL1Loss is
    this divided by delta (its beta); scikit-learn's HuberRegressor takes twice this, of errors over a scale that it
    estimates, with delta = 1.35 (its epsilon).

    Args:
        outputs: raw outputs z of shape (rows, outputs).
        targets: numbers of the same shape.
        delta: the error at which square turns into line, a scalar above 0, in units of the targets.

    Returns:
        Losses in squared units of the targets, of shape (rows,).

    Raises:
        ValueError: the shapes differ, or ``delta`` is a Python number of 0 or less.

    Example:
        >>> outputs, targets = jnp.array([[1.0], [10.0]]), jnp.zeros((2, 1))
        >>> print(huber(outputs, targets), huber(outputs, targets, delta=2.0))
        [0.5 9.5] [ 0.5 18. ]
    """
    checks.in_range("delta", delta, "(0, inf)")
    return mean_over_outputs(optax.huber_loss(_errors(outputs, targets), delta=like(delta, outputs)))


def quantile(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    *,
    level: Scalar | Sequence[Scalar] | Float[Array, "outputs"] = 0.5,
) -> Float[Array, "rows"]:
    """Quantile or pinball loss: least where the share ``level`` of the targets lies below (Koenker and Bassett 1978).

        l = mean_k( level_k |e_k|           where z_k < y_k, too low
                    (1 - level_k) |e_k|     where z_k > y_k, too high )

    At level 1/2 it is half of ``absolute_error``. Slope where e = 0: 0. To learn several quantiles of one number
    at once, give the net an output for each, and repeat the target: ``numpy.repeat(y[:, None], 3, axis=1)``.
    scikit-learn's ``mean_pinball_loss`` agrees, its alpha being the level.

    Args:
        outputs: raw outputs z of shape (rows, outputs).
        targets: numbers of the same shape.
        level: a scalar in (0, 1) for all outputs, or one for each, of shape (outputs,).

    Returns:
        Losses in units of the targets, of shape (rows,).

    Raises:
        ValueError: the shapes differ, or a Python number lies outside (0, 1).

    Example:
        >>> quantile(jnp.array([[-1.0], [1.0]]), jnp.zeros((2, 1)), level=0.9)
        Array([0.9, 0.1], dtype=float32)
        >>> quantile(jnp.array([[-1.0, -1.0]]), jnp.zeros((1, 2)), level=(0.1, 0.9))  # the mean of 0.1 and 0.9
        Array([0.5], dtype=float32)
    """
    e = _errors(outputs, targets)
    tau = _levels(level, outputs)
    return mean_over_outputs(e * jnp.where(e > 0, 1 - tau, jnp.where(e < 0, -tau, 0)))


def poisson(outputs: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"]) -> Float[Array, "rows"]:
    """Loss of counts: minus the log of their probability at the rate exp(z), but for a constant.

        l = mean_k( exp(z_k) - y_k z_k )        that is -log Poisson(y_k; exp(z_k)) - log(y_k!)

    Raw outputs are logs of rates, so a rate is above 0 whatever they are. The loss may be negative; it is least at
    exp(z) = y. PyTorch's PoissonNLLLoss agrees; Keras wants the rate itself; scikit-learn's MLPRegressor(loss=
    "poisson") wants it too, adds y log(y) - y, and sums over the outputs. A rate beyond the numbers of the dtype
    (z > 88 in float32) makes loss and slope infinite, never NaN.

    Args:
        outputs: raw outputs z, logs of rates, of shape (rows, outputs).
        targets: counts of at least 0, of the same shape.

    Returns:
        Losses in nats, of shape (rows,).

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import jax
        >>> z, y = jnp.zeros((1, 1)), jnp.full((1, 1), 3)  # the rate is 1, the count 3
        >>> print(poisson(z, y), jax.grad(lambda z: poisson(z, y).sum())(z))
        [1.] [[-2.]]
    """
    refuse_other_shape("outputs", outputs, targets)
    return mean_over_outputs(jnp.exp(outputs) - targets.astype(outputs.dtype) * outputs)


def _errors(outputs: Array, targets: Array) -> Array:
    refuse_other_shape("outputs", outputs, targets)
    return outputs - targets.astype(outputs.dtype)


def _levels(level: Any, outputs: Array) -> Any:
    """Return one level for all outputs, or an array that has one for each."""
    if not isinstance(level, Sequence) and getattr(level, "ndim", 0) == 0:
        checks.in_range("level", level, "(0, 1)")
        return like(level, outputs)
    for i, of_output in enumerate(level):
        checks.in_range(f"level[{i}]", of_output, "(0, 1)")
    if len(level) != outputs.shape[-1]:
        raise ValueError(
            f"level has {len(level)} numbers and outputs have shape {outputs.shape}; "
            "give one level for each output, or one for all"
        )
    levels = jnp.stack([jnp.asarray(of_output).astype(outputs.dtype) for of_output in level])
    return levels.reshape((1,) * (outputs.ndim - 1) + (-1,))  # ranks must agree under strict rank promotion
