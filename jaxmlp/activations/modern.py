"""Activations since ReLU, and the smooth ones that led to it: self-normalizing, gated, and cut from straight pieces."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.types import Scalar, floats, like, wide


def softplus(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A smooth ReLU (Dugas et al. 2001).

        softplus(z) = log(1 + exp(z))

    Range: (0, inf). Derivative: sigmoid(z), which vanishes on the left: it saturates (derivative under 0.01) below
    -4.6. For outputs that must be positive, such as a variance.

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers above 0, same shape.

    Example:
        >>> softplus(jnp.array([-100.0, 0.0, 100.0]))
        Array([  0.       ,   0.6931472, 100.       ], dtype=float32)
    """
    return jax.nn.softplus(z)


def elu(z: Float[Array, "*shape"], alpha: Scalar = 1.0) -> Float[Array, "*shape"]:
    """The exponential linear unit (Clevert, Unterthiner and Hochreiter 2016, equation 15).

        elu(z) = z if z > 0 else alpha (exp(z) - 1)

    Range: (-alpha, inf). Derivative: 1 above zero, elu(z) + alpha below; it saturates (derivative under 0.01, for
    alpha 1) below -4.6. Negative values bring the mean of a layer nearer to 0 than ReLU does.

    Args:
        z: weighted sums, any shape.
        alpha: how far it goes below zero, a scalar.

    Returns:
        Numbers above -alpha, same shape.

    Example:
        >>> elu(jnp.array([-100.0, 0.0, 3.0]))
        Array([-1.,  0.,  3.], dtype=float32)
    """
    z = floats(z)
    return jnp.asarray(jax.nn.elu(z, like(alpha, z)))


def selu(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The scaled exponential linear unit, which keeps mean 0 and variance 1 from layer to layer.

        selu(z) = 1.0507 z if z > 0 else 1.7581 (exp(z) - 1)        (Klambauer et al. 2017, equation 2)

    Range: (-1.7581, inf). Derivative: 1.0507 above zero, 1.7581 at zero and falling to 0 below; it saturates
    (derivative under 0.01) below -5.2. It normalizes only with LeCun's initializer, which ``MLP`` takes by itself,
    inputs of mean 0 and variance 1, and ``regularizers.alpha_dropout``, which ``MLP`` takes for dropout.

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers above -1.7581, same shape.

    Example:
        >>> selu(jnp.array([-100.0, 0.0, 1.0]))
        Array([-1.7580993,  0.       ,  1.050701 ], dtype=float32)
    """
    return jax.nn.selu(z)


def gelu(z: Float[Array, "*shape"], *, approximate: bool = False) -> Float[Array, "*shape"]:
    """The Gaussian error linear unit: z times the chance that a normal number lies below it.

        gelu(z) = z Phi(z) = z (1 + erf(z / sqrt(2))) / 2                             (Hendrycks and Gimpel 2016)
        gelu(z) ~ z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2                   approximate

    Range: [-0.17, inf). Derivative: Phi(z) + z phi(z), between -0.13 and 1.13; it vanishes below -3. The exact form
    is the default, as in PyTorch and Keras; Flax's and JAX's is the other.

    Args:
        z: weighted sums, any shape.
        approximate: whether to take the form with tanh, which differs by less than 0.001.

    Returns:
        Numbers, same shape.

    Example:
        >>> print(" ".join(f"{a:.4f}" for a in gelu(jnp.array([-1.0, 0.0, 1.0]))))
        -0.1587 0.0000 0.8413
    """
    if approximate:  # in 32 bits at least: in float16 the cube is infinite from 41 on, and its gradient NaN
        return jax.nn.gelu(wide(z), approximate=True).astype(floats(z).dtype)
    return jax.nn.gelu(z, approximate=False)


def silu(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The sigmoid linear unit, or swish: z gated by its own sigmoid (Elfwing et al. 2018; Ramachandran et al. 2017).

        silu(z) = z sigmoid(z)

    Range: [-0.28, inf). Derivative: s(z) (1 + z (1 - s(z))), between -0.1 and 1.1; it vanishes below about -6.

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers, same shape.

    Example:
        >>> print(" ".join(f"{a:.4f}" for a in silu(jnp.array([-1.0, 0.0, 1.0]))))
        -0.2689 0.0000 0.7311
    """
    return jax.nn.silu(z)


def mish(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Mish: z gated by the tanh of its softplus (Misra 2020, equation 1).

        mish(z) = z tanh(log(1 + exp(z)))

    Range: [-0.31, inf). Derivative: between -0.12 and 1.09; it vanishes below about -6. The choice of RealMLP for
    regression (Holzmueller et al. 2024).

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers, same shape.

    Example:
        >>> print(" ".join(f"{a:.4f}" for a in mish(jnp.array([-1.0, 0.0, 1.0]))))
        -0.3034 0.0000 0.8651
    """
    return jax.nn.mish(z)


def hard_tanh(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A tanh of three straight pieces (Collobert 2004).

        hard_tanh(z) = min(max(z, -1), 1)

    Range: [-1, 1]. Derivative: 1 from -1 to 1, both ends included, 0 beyond: there it is saturated altogether.

    Args:
        z: weighted sums, any shape.

    Returns:
        Numbers from -1 to 1, same shape.

    Example:
        >>> hard_tanh(jnp.array([-2.0, 0.5, 3.0]))
        Array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return jax.nn.hard_tanh(z)
