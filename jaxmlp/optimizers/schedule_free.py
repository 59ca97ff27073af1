"""Schedule-Free learning: averaging in place of a schedule (Defazio et al. 2024, "The Road Less Scheduled").

y      = (1 - b1) z + b1 x                      where the gradient is taken: the parameters
z     <- z - eta_t d(y)                         d: the gradient for SGD, Adam's direction without momentum for AdamW,
                                                and weight_decay * y
c      = r_t^power / (r_1^power + ... + r_t^power)                        r_t: the largest rate so far
x     <- (1 - c) x + c z                        where the net is evaluated

As in optax and the authors' later program, Adam's v is corrected by 1 / (1 - b2^t) and the weights go by the largest
rate; algorithm 1 of the paper multiplies the rate by sqrt(1 - b2^t) instead, weights included.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxmlp import checks, masks
from jaxmlp.masks import Mask
from jaxmlp.optimizers.adam import scale_by_adam
from jaxmlp.regularizers import weight_decay as decay_weights
from jaxmlp.types import Params, Scalar, Schedule, floats, like, value_at, wide


class ScheduleFreeState(NamedTuple):
    """Steps made, rates, sum of the weights, the points x and z in float32 at least, the direction's state."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count
    learning_rate: Float[Array, ""]  # of the last step; at first, of the next
    largest_rate: Float[Array, ""]
    total: Float[Array, ""]
    x: Params
    z: Params
    direction: Any

    def evaluation_params(self, params: Params) -> Params:
        """Return the averaged point x, where a run is evaluated.

        Args:
            params: the parameters where the run stands, whose dtypes are taken.

        Returns:
            Parameters.

        Example:
            >>> transform = schedule_free_sgd(0.5)
            >>> theta = jnp.array([[1.0]])
            >>> _, state = transform.update(jnp.array([[1.0]]), transform.init(theta), theta)
            >>> state.evaluation_params(theta)  # the first average is the first z
            Array([[0.5]], dtype=float32)
        """
        return masks.in_place(lambda x, p: x.astype(p.dtype), self.x, params)


def schedule_free_sgd(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    weight_decay: Scalar = 0.0,
    weight_lr_power: Scalar = 2.0,
    mask: Mask = masks.weights,
) -> optax.GradientTransformationExtraArgs:
    """Schedule-Free SGD: a constant rate, and an average as good as the best schedule would have been.

        y = (1 - b1) z + b1 x,        z <- z - eta_t (g(y) + weight_decay * y),        x <- (1 - c) x + c z

    ``training.fit`` evaluates, and returns, the averaged point x; on your own, take
    ``chains.evaluation_params(state, params)``. Warm the rate up by a schedule, but do not let it decay.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: where between z (0) and x (1) the gradient is taken, in [0, 1).
        weight_decay: at least 0, on the weights of y.
        weight_lr_power: how much less the average weighs steps at small rates, at least 0.
        mask: which leaves decay; weights, not biases, unless given.

    Returns:
        A gradient transform, rate included.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = schedule_free_sgd(0.5)
        >>> theta = jnp.array([[4.0]])
        >>> state = transform.init(theta)
        >>> for _ in range(100):  # the gradient of theta^2 / 2
        ...     updates, state = transform.update(theta, state, theta)
        ...     theta = optax.apply_updates(theta, updates)
        >>> bool(jnp.abs(state.evaluation_params(theta)[0, 0]) < 0.1)
        True
    """
    checks.in_range("weight_decay", weight_decay, "[0, inf)")
    direction = decay_weights(weight_decay, mask=mask)
    return schedule_free(learning_rate, direction, b1=b1, weight_lr_power=weight_lr_power)


def schedule_free_adamw(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    weight_lr_power: Scalar = 2.0,
    mask: Mask = masks.weights,
) -> optax.GradientTransformationExtraArgs:
    """Schedule-Free AdamW: Adam's scale without its momentum, and an average in place of a schedule.

        z <- z - eta_t (g(y) / (sqrt(v_hat) + eps) + weight_decay * y),        x <- (1 - c) x + c z

    ``training.fit`` evaluates, and returns, the averaged point x; on your own, take
    ``chains.evaluation_params(state, params)``. Warm the rate up by a schedule, but do not let it decay.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: where between z (0) and x (1) the gradient is taken, in [0, 1).
        b2: memory of the squared gradient's average v, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        weight_decay: at least 0, on the weights of y.
        weight_lr_power: how much less the average weighs steps at small rates, at least 0.
        mask: which leaves decay; weights, not biases, unless given.

    Returns:
        A gradient transform, rate included.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = schedule_free_adamw(0.1)
        >>> theta = jnp.array([[4.0, -400.0]])
        >>> updates, state = transform.update(theta, transform.init(theta), theta)
        >>> updates.round(3)  # the first step is as long as the rate, whatever the gradient
        Array([[-0.1,  0.1]], dtype=float32)
    """
    checks.in_range("weight_decay", weight_decay, "[0, inf)")
    direction = optax.chain(scale_by_adam(b1=0.0, b2=b2, eps=eps), decay_weights(weight_decay, mask=mask))
    return schedule_free(learning_rate, direction, b1=b1, weight_lr_power=weight_lr_power)


def schedule_free(
    learning_rate: Scalar | Schedule,
    direction: optax.GradientTransformation,
    *,
    b1: Scalar = 0.9,
    weight_lr_power: Scalar = 2.0,
) -> optax.GradientTransformationExtraArgs:
    """Make any direction Schedule-Free.

        y = (1 - b1) z + b1 x,        z <- z - eta_t d(y),        x <- (1 - c) x + c z

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        direction: what turns the gradient into d: a gradient transform without rate and without momentum.
        b1: where between z (0) and x (1) the gradient is taken, in [0, 1).
        weight_lr_power: how much less the average weighs steps at small rates, at least 0.

    Returns:
        A gradient transform, rate included.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = schedule_free(0.1, optax.identity(), b1=0.0)  # at z, so plain gradient descent
        >>> theta = jnp.array([1.0, 2.0])
        >>> updates, state = transform.update(jnp.array([1.0, 1.0]), transform.init(theta), theta)
        >>> print(f"{updates[0]:.4f} {updates[1]:.4f}")
        -0.1000 -0.1000
    """
    checks.in_range("learning_rate", learning_rate, "[0, inf)")
    checks.in_range("b1", b1, "[0, 1)")
    checks.in_range("weight_lr_power", weight_lr_power, "[0, inf)")
    inner = optax.with_extra_args_support(direction)

    def init(params: Params) -> ScheduleFreeState:
        count = jnp.zeros((), jnp.int32)
        eta = jnp.array(value_at(learning_rate, count), float, copy=True)
        # Copies and zeros apart, so that all may be donated, but not with them what they were given as.
        x, z = (jax.tree.map(lambda p: jnp.array(wide(p), copy=True), params) for _ in range(2))
        return ScheduleFreeState(count, eta, jnp.zeros(()), jnp.zeros(()), x, z, inner.init(params))

    def update(
        updates: Params, state: ScheduleFreeState, params: Params = None, **extra: Any
    ) -> tuple[Params, ScheduleFreeState]:
        checks.same_structure(updates=updates, params=params)
        d, direction_state = inner.update(updates, state.direction, params, **extra)
        eta = value_at(learning_rate, state.count)
        largest_rate = jnp.maximum(state.largest_rate, like(eta, state.largest_rate))
        weight = largest_rate ** like(weight_lr_power, largest_rate)
        total = state.total + weight
        c = weight / jnp.where(total > 0, total, 1)

        def average(x: Array, z: Array) -> Array:
            return (1 - like(c, x)) * x + like(c, x) * z

        def step(x: Array, z: Array, p: Array, g: Array) -> Array:
            y = like(b1, x) * x + like(1 - b1, x) * z
            return (y - p.astype(y.dtype)).astype(floats(g).dtype)

        z = jax.tree.map(lambda z, d: z - like(eta, z) * d.astype(z.dtype), state.z, d)
        x = jax.tree.map(average, state.x, z)
        count, eta = optax.safe_increment(state.count), jnp.array(eta, float, copy=True)
        state = ScheduleFreeState(count, eta, largest_rate, total, x, z, direction_state)
        return jax.tree.map(step, x, z, params, updates), state

    return optax.GradientTransformationExtraArgs(init, update)
