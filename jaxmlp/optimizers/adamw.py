"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

theta <- theta - eta_t (m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay * w)        w: the weights in theta

In the paper the decay is multiplied by the schedule alone, not by the base rate; PyTorch, optax and Keras multiply
by the whole rate, as here.
"""

import optax

from jaxmlp import checks, masks
from jaxmlp.masks import Mask
from jaxmlp.optimizers.adam import scale_by_adam
from jaxmlp.optimizers.sgd import sgd
from jaxmlp.regularizers import weight_decay as decay_weights
from jaxmlp.types import Scalar, Schedule


def adamw(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 1e-4,
    mask: Mask = masks.weights,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay: weights shrink by a share that no gradient's size can scale away.

        theta <- theta - eta_t (m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay * w)

    PyTorch's default of ``weight_decay`` is 0.01, Keras's 0.004; both, and optax, decay biases as well
    (``mask=masks.everything``).

    Args:
        learning_rate: eta, at least 0: a scalar, or a schedule of the number of steps already made.
        b1: memory of the gradient's average m, in [0, 1).
        b2: memory of the squared gradient's average v, in [0, 1).
        eps: added to the root, at least 0, in units of the gradient.
        eps_root: added inside the root, at least 0, in units of the squared gradient.
        weight_decay: at least 0; a step takes away the share eta_t * weight_decay of a weight.
        mask: which leaves decay; weights, not biases, unless given.

    Returns:
        A gradient transform.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> import jax.numpy as jnp
        >>> transform = adamw(0.1, weight_decay=0.5)
        >>> w = jnp.array([[2.0]])
        >>> transform.update(jnp.zeros((1, 1)), transform.init(w), w)[0]  # no gradient: 0.1 * 0.5 * 2 is taken away
        Array([[-0.1]], dtype=float32)
    """
    direction = scale_by_adam(b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    checks.in_range("weight_decay", weight_decay, "[0, inf)")
    return optax.chain(direction, decay_weights(weight_decay, mask=mask), sgd(learning_rate))
