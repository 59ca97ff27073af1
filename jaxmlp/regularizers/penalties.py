"""Penalties: what large weights cost, as the gradient of a term that is added to the loss.

L(theta) + strength * penalty(theta)        so that        g <- g + strength * d penalty / d theta

They stand before the optimizer, and are so seen by its moments; ``weight_decay`` stands behind the moments and
is not. All act on weights only, unless ``mask`` says otherwise.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxmlp import checks, masks
from jaxmlp.masks import Mask
from jaxmlp.types import Params, Scalar, floats, like


class PenaltyState(NamedTuple):
    """Nothing: a penalty has no memory. Its type tells what stands at this place of a chain."""


class WeightDecayState(NamedTuple):
    """Nothing: weight decay has no memory. Its type tells what stands at this place of a chain."""


def l1(strength: Scalar, *, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """L1 penalty, which draws every weight to 0 with the same force (Tibshirani 1996, equation 1).

        strength * sum |w|        g <- g + strength * sign(w), with sign(0) = 0

    A gradient step hops around 0 and leaves small weights there; ``proximal_l1`` gives exact zeros. For Keras
    ``L1(strength)`` the gradient at 0 is its backend's, 1 on JAX.

    Args:
        strength: at least 0, in units of the loss per unit of weight.
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand before the optimizer.

    Raises:
        ValueError: ``strength`` is a Python number below 0 or infinite.

    Example:
        >>> transform = l1(0.1)
        >>> w = jnp.array([[3.0, 0.0, -0.5]])
        >>> transform.update(jnp.zeros((1, 3)), transform.init(w), w)[0]
        Array([[ 0.1,  0. , -0.1]], dtype=float32)
    """
    checks.in_range("strength", strength, "[0, inf)")
    return _penalty(lambda w: like(strength, w) * jnp.sign(w), mask)


def l2(strength: Scalar, *, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """L2 penalty, which draws every weight to 0 in proportion to it (Hoerl and Kennard 1970; Krogh and Hertz 1992).

        strength / 2 * sum w^2        g <- g + strength * w

    PyTorch's ``weight_decay`` (but for AdamW's) is this on all parameters. Keras ``L2(a)`` has no 1/2: give 2 a.
    scikit-learn's ``alpha`` is divided by the rows of a batch: give alpha / batch_size.

    Args:
        strength: at least 0, in units of the loss per squared unit of weight.
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand before the optimizer.

    Raises:
        ValueError: ``strength`` is a Python number below 0 or infinite.

    Example:
        >>> transform = l2(0.1)
        >>> params = {"w": jnp.array([[3.0, -1.0]]), "b": jnp.array([5.0])}
        >>> transform.update(jax.tree.map(jnp.zeros_like, params), transform.init(params), params)[0]
        {'b': Array([0.], dtype=float32), 'w': Array([[ 0.3, -0.1]], dtype=float32)}
    """
    checks.in_range("strength", strength, "[0, inf)")
    return _penalty(lambda w: like(strength, w) * w, mask)


def elastic_net(l1: Scalar, l2: Scalar, *, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """L1 and L2 penalty together (Zou and Hastie 2005, equation 3, with 1/2 at the square).

        l1 * sum |w| + l2 / 2 * sum w^2        g <- g + l1 * sign(w) + l2 * w, with sign(0) = 0

    scikit-learn's ``ElasticNet(alpha, l1_ratio)`` is l1 = alpha * l1_ratio, l2 = alpha * (1 - l1_ratio), its loss being
    half the mean squared error; beside ``losses.squared_error``, which has no 1/2, both are twice that.

    Args:
        l1: strength of the L1 penalty, at least 0.
        l2: strength of the L2 penalty, at least 0.
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand before the optimizer.

    Raises:
        ValueError: a strength is a Python number below 0 or infinite.

    Example:
        >>> transform = elastic_net(0.1, 1.0)
        >>> w = jnp.array([[3.0, 0.0, -0.5]])
        >>> transform.update(jnp.zeros((1, 3)), transform.init(w), w)[0]
        Array([[ 3.1,  0. , -0.6]], dtype=float32)
    """
    checks.in_range("l1", l1, "[0, inf)")
    checks.in_range("l2", l2, "[0, inf)")

    return _penalty(lambda w: like(l1, w) * jnp.sign(w) + like(l2, w) * w, mask)


def weight_decay(strength: Scalar, *, mask: Mask = masks.weights) -> optax.GradientTransformation:
    """Decoupled weight decay: shrinks the weights beside the optimizer's step (Loshchilov and Hutter 2019, line 12).

        u <- u + strength * w        so that, with the rate behind it,        w <- w - eta_t (u + strength * w)

    It stands between the optimizer's direction and its rate: ``optax.chain(scale_by_adam(), weight_decay(1e-2),
    sgd(1e-3))`` is ``adamw``. Keras offers it in every optimizer, for biases as well.

    Args:
        strength: at least 0; a step takes away the share eta_t * strength of a weight.
        mask: which leaves; weights, not biases, unless given.

    Returns:
        A gradient transform, to stand between direction and rate.

    Raises:
        ValueError: ``strength`` is a Python number below 0 or infinite.

    Example:
        >>> transform = weight_decay(0.1)
        >>> w = jnp.array([[3.0, -1.0]])
        >>> transform.update(jnp.ones((1, 2)), transform.init(w), w)[0]
        Array([[1.3, 0.9]], dtype=float32)
    """
    checks.in_range("strength", strength, "[0, inf)")

    def init(params: Params) -> WeightDecayState:
        del params
        return WeightDecayState()

    def update(updates: Params, state: WeightDecayState, params: Params = None) -> tuple[Params, WeightDecayState]:
        checks.same_structure(updates=updates, params=params)

        def decayed(u: Array, w: Array) -> Array:
            u = floats(u)
            return u + like(strength, u) * w.astype(u.dtype)

        return masks.where(mask, params, jax.tree.map(decayed, updates, params), updates), state

    return optax.GradientTransformation(init, update)


def _penalty(gradient: Callable[[Array], Array], mask: Mask) -> optax.GradientTransformation:
    """Return the transform that adds a penalty's gradient at the weights to the loss's."""

    def init(params: Params) -> PenaltyState:
        del params
        return PenaltyState()

    def update(updates: Params, state: PenaltyState, params: Params = None) -> tuple[Params, PenaltyState]:
        checks.same_structure(updates=updates, params=params)
        penalized = jax.tree.map(lambda g, w: floats(g) + gradient(w.astype(floats(g).dtype)), updates, params)
        return masks.where(mask, params, penalized, updates), state

    return optax.GradientTransformation(init, update)
