"""Lion: the sign of a momentum, found by a search over programs (Chen et al. 2023, algorithm 2).

c      = b1 m + (1 - b1) g
theta <- theta - eta_t (sign(c) + weight_decay * w)        w: the weights in theta
m     <- b2 m + (1 - b2) g
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks, masks
from jaxmlp.masks import Mask
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.regularizers import weight_decay as decay_weights
from jaxmlp.types import Params, Scalar, Schedule, accumulator, floats, like


class LionState(NamedTuple):
    """The moving average m of the gradient, in float32 at least."""

    m: Params


def lion(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: Scalar = 1e-3,
    mask: Mask = masks.weights,
) -> optax.GradientTransformation:
    """Lion: every parameter moves by the same amount, in the direction on which gradient and memory agree.

        theta <- theta - eta_t (sign(b1 m + (1 - b1) g) + weight_decay * w)

    The authors advise a rate 3 to 10 times smaller than AdamW's, and a decay as many times larger.

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: how much memory counts in the direction, in [0, 1).
        b2: memory of the gradient's average m, in [0, 1).
        weight_decay: at least 0; a step takes away the share eta_t * weight_decay of a weight.
        mask: which leaves decay; weights, not biases, unless given.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = lion(0.1)
        >>> params = {"b": jnp.zeros(3), "w": jnp.zeros((1, 1))}
        >>> gradient = {"b": jnp.array([1e-6, -100.0, 0.0]), "w": jnp.ones((1, 1))}
        >>> transform.update(gradient, transform.init(params), params)[0]["b"]
        Array([-0.1,  0.1, -0. ], dtype=float32)
    """
    checks.in_range("weight_decay", weight_decay, "[0, inf)")
    return optax.chain(scale_by_lion(b1=b1, b2=b2), decay_weights(weight_decay, mask=mask), sgd(learning_rate))


def scale_by_lion(*, b1: Scalar = 0.9, b2: Scalar = 0.99) -> optax.GradientTransformation:
    """Lion's direction, to be followed in a chain by a learning rate such as ``sgd``.

        g -> sign(b1 m + (1 - b1) g),        then m <- b2 m + (1 - b2) g

    Args:
        b1: how much memory counts in the direction, in [0, 1).
        b2: memory of the gradient's average m, in [0, 1).

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> transform = scale_by_lion()
        >>> gradient = jnp.array([3.0, -4.0, 0.0])
        >>> transform.update(gradient, transform.init(gradient))[0]
        Array([ 1., -1.,  0.], dtype=float32)
    """
    checks.in_range("b1", b1, "[0, 1)")
    checks.in_range("b2", b2, "[0, 1)")

    def init(params: Params) -> LionState:
        return LionState(m=jax.tree.map(accumulator, params))

    def update(updates: Params, state: LionState, params: Params = None) -> tuple[Params, LionState]:
        del params
        checks.same_structure(updates=updates, params=state.m)

        def direction(g: Array, m: Array) -> Array:
            return jnp.sign(like(b1, m) * m + like(1 - b1, m) * g.astype(m.dtype)).astype(floats(g).dtype)

        def moment(m: Array, g: Array) -> Array:
            return like(b2, m) * m + like(1 - b2, m) * g.astype(m.dtype)

        return jax.tree.map(direction, updates, state.m), LionState(m=jax.tree.map(moment, state.m, updates))

    return optax.GradientTransformation(init, update)
