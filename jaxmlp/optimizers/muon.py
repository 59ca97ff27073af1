"""Muon: momentum, orthogonalized by Newton-Schulz (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

B     <- beta B + g                                                 beta = momentum
O      = newton_schulz(g + beta B)                                  close to U V^T where g + beta B = U S V^T
theta <- theta - eta_t sqrt(max(1, outputs / inputs)) O             for matrices between hidden layers

The iteration begins at X = M / ||M||, and repeats X <- a X + b (X X^T) X + c (X X^T)^2 X with a, b, c = 3.4445,
-4.7750, 2.0315: it raises every singular value to about 1, somewhere from 0.7 to 1.2. All other parameters, those
of the first and the last layer and the biases, are trained with Adam.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxmlp import checks, masks
from jaxmlp.masks import Mask
from jaxmlp.optimizers.adamw import adamw
from jaxmlp.optimizers.nesterov import scale_by_nesterov
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.regularizers import weight_decay as decay_weights
from jaxmlp.types import Params, Scalar, Schedule, floats, like, wide


class OrthogonalizeState(NamedTuple):
    """Nothing: each matrix is orthogonalized by itself. Its type tells what stands at this place of a chain."""


def muon(
    learning_rate: Scalar | Schedule,
    *,
    momentum: Scalar = 0.95,
    steps: int = 5,
    eps: Scalar = 1e-7,
    weight_decay: Scalar = 0.0,
    adam_learning_rate: Scalar | Schedule = 1e-3,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps: Scalar = 1e-8,
    mask: Mask = masks.hidden_weights,
) -> optax.GradientTransformationExtraArgs:
    """Muon: hidden matrices move by the same amount in all directions; Adam moves the rest.

        theta <- theta - eta_t (sqrt(max(1, outputs / inputs)) newton_schulz(g + beta B) + weight_decay * w)

    optax's and the first published form average, B <- beta B + (1 - beta) g: the length of B does not matter here.

    Args:
        learning_rate: eta of the hidden matrices, at least 0: a scalar, or a schedule of the number of steps
            already made; 0.02 is usual.
        momentum: beta, what is kept of the velocity B, in [0, 1).
        steps: of the Newton-Schulz iteration, a whole number of at least 1.
        eps: added to a matrix's length before it is divided by it, above 0.
        weight_decay: at least 0; a step takes away the share eta_t * weight_decay of a weight, in all matrices.
        adam_learning_rate: Adam's own eta, as above.
        adam_b1: Adam's memory of the gradient's average, in [0, 1).
        adam_b2: Adam's memory of the squared gradient's average, in [0, 1).
        adam_eps: added to Adam's root, at least 0.
        mask: which leaves are Muon's, matrices all of them.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range; in ``init``, no matrix between hidden layers.

    Example:
        >>> from jaxmlp.mlp import MLP
        >>> params = MLP(sizes=(4, 8, 8, 3)).init(jax.random.key(0))
        >>> transform = muon(0.02)
        >>> updates, state = transform.update(params, transform.init(params), params)
        >>> singular_values = jnp.linalg.svd(updates[1].w / 0.02, compute_uv=False)
        >>> bool(jnp.all((singular_values > 0.5) & (singular_values < 1.3)))
        True
    """
    checks.in_range("adam_learning_rate", adam_learning_rate, "[0, inf)")
    checks.in_range("adam_b1", adam_b1, "[0, 1)")
    checks.in_range("adam_b2", adam_b2, "[0, 1)")
    checks.in_range("adam_eps", adam_eps, "[0, inf)")
    checks.in_range("weight_decay", weight_decay, "[0, inf)")
    for_hidden = optax.chain(
        scale_by_nesterov(momentum),
        orthogonalize(steps=steps, eps=eps),
        decay_weights(weight_decay, mask=masks.everything),
        sgd(learning_rate),
    )
    # Where no weights are left to Adam, or none that decay, that is no mistake of the user's.
    for_others = adamw(
        adam_learning_rate, b1=adam_b1, b2=adam_b2, eps=adam_eps, weight_decay=weight_decay, mask=_matrices
    )

    def label(params: Params) -> Params:
        tree = jax.tree.map(lambda p: "adam", params)
        return masks.where(mask, params, jax.tree.map(lambda p: "muon", params), tree)

    both = optax.partition({"muon": for_hidden, "adam": for_others}, label)

    def update(updates: Params, state: Any, params: Params = None, **extra: Any) -> tuple[Params, Any]:
        checks.same_structure(updates=updates, params=params)
        return both.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(both.init, update)


def orthogonalize(*, steps: int = 5, eps: Scalar = 1e-7) -> optax.GradientTransformation:
    """Replace every matrix by one with the same singular vectors and singular values near 1.

        M -> sqrt(max(1, outputs / inputs)) newton_schulz(M)

    Args:
        steps: of the Newton-Schulz iteration, a whole number of at least 1.
        eps: added to a matrix's length before it is divided by it, above 0.

    Returns:
        A gradient transform, for matrices only.

    Raises:
        ValueError: ``steps`` or ``eps`` out of range; in ``update``, a leaf that is no matrix.

    Example:
        >>> transform = orthogonalize(steps=10)
        >>> updates, _ = transform.update(jnp.array([[5.0, 0.0], [0.0, 0.1]]), transform.init(None))
        >>> bool(jnp.all(jnp.abs(updates - jnp.eye(2)) < 0.35))
        True
    """
    steps = checks.whole_number("steps", steps, 1)
    checks.in_range("eps", eps, "(0, inf)")

    def init(params: Params) -> OrthogonalizeState:
        del params
        return OrthogonalizeState()

    def update(updates: Params, state: OrthogonalizeState, params: Params = None) -> tuple[Params, OrthogonalizeState]:
        del params

        def direction(g: Array) -> Array:
            if g.ndim != 2:
                raise ValueError(f"orthogonalize works on matrices, but a leaf has shape {g.shape}; mask it out")
            inputs, outputs = g.shape
            return (max(1.0, outputs / inputs) ** 0.5 * newton_schulz(wide(g), steps, eps)).astype(floats(g).dtype)

        return jax.tree.map(direction, updates), state

    return optax.GradientTransformation(init, update)


def newton_schulz(matrix: Float[Array, "inputs outputs"], steps: int, eps: Scalar) -> Float[Array, "inputs outputs"]:
    """Drive the singular values of a matrix towards 1, and leave its singular vectors.

        X <- M / (||M|| + eps),        X <- a X + b (X X^T) X + c (X X^T)^2 X        repeatedly

    The coefficients are Jordan's: they do not converge to 1, but come near it from small values in few steps.

    Args:
        matrix: of shape (inputs, outputs).
        steps: how many, a whole number.
        eps: added to the matrix's length before it is divided by it.

    Returns:
        A matrix of the same shape; 0 for a matrix of zeros.

    Example:
        >>> turned = jnp.array([[0.0, 5.0], [0.1, 0.0]])  # singular values 5 and 0.1
        >>> result = newton_schulz(turned, 5, 1e-7)
        >>> bool(jnp.all(result[[0, 1], [0, 1]] == 0) & jnp.all(jnp.abs(result[[0, 1], [1, 0]] - 1) < 0.35))
        True
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the smaller of the two products X X^T and X^T X
    length = jnp.sqrt(jnp.sum(jnp.square(x)))
    x = x / (length + like(eps, x))
    for _ in range(steps):
        xx = x @ x.T
        x = a * x + (b * xx + c * xx @ xx) @ x
    return x.T if tall else x


def _matrices(params: Params) -> Params:
    return jax.tree.map(lambda p: jnp.ndim(p) >= 2, params)
