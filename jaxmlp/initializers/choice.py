"""Which initializer suits which activation, and with which gain."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.activations import (
    PReLU,
    elu,
    find,
    gelu,
    hard_tanh,
    leaky_relu,
    mish,
    relu,
    selu,
    silu,
    tanh,
)
from jaxmlp.initializers.fixed import normal, orthogonal, uniform, zeros
from jaxmlp.initializers.scaled import glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, lecun_uniform
from jaxmlp.types import Activation, Initializer, Parametric, base

INITIALIZERS: Mapping[str, Initializer] = MappingProxyType(
    {
        f.__name__: f
        for f in (
            *(zeros, normal, uniform, orthogonal, lecun_normal, lecun_uniform),
            *(glorot_normal, glorot_uniform, he_normal, he_uniform),
        )
    }
)
"""The initializers by name."""


def gain(activation: str | Activation | Parametric) -> Float[Array, ""]:
    """Return the scale of weights with which an activation keeps the mean square of the signal.

        g = E[f(z)^2]^(-1/2),        z normal with mean 0 and variance 1

    It is sqrt(2) for ReLU (He et al. 2015, equation 10) and 1 for SELU, which is made for it. The integral is taken
    numerically. For tanh it is 1.59; PyTorch's ``calculate_gain`` has 5/3 for tanh, and 3/4 for SELU.

    Where the slope of E[f(sqrt(q) z)^2] g^2 by q is above 1 at q = 1, as for GELU (1.14), SiLU (1.17) and Mish (1.08),
    no scale keeps the signal through many layers: what is a little too large or small grows more so in each. Such
    nets want ``MLP(normalization=...)`` or ``residual=True`` when they are deep.

    Args:
        activation: its name, a function, or an object with ``init`` and ``apply``.

    Returns:
        The gain, a scalar.

    Example:
        >>> print(f"{gain('relu'):.4f} {gain('selu'):.4f} {gain('tanh'):.4f}")
        1.4142 1.0000 1.5925
    """
    function = find(activation)
    z = np.linspace(-10, 10, 4001)
    density = np.exp(-(z**2) / 2)
    inputs = jnp.asarray(z, float)
    a = function.apply(function.init(len(z)), inputs) if isinstance(function, Parametric) else function(inputs)
    return 1 / jnp.sqrt(jnp.sum(jnp.asarray(density / density.sum(), a.dtype) * jnp.square(a)))


_LIKE_RELU = (relu, leaky_relu, elu, gelu, silu, mish)
_CENTERED = (tanh, hard_tanh)


def initializer_for(activation: str | Activation | Parametric) -> Initializer:
    """Return the initializer that suits an activation, with its gain.

    ============================================  ==================  ======================
    relu, leaky_relu, elu, gelu, silu, mish,      ``he_normal``       the activation's own
    a ``PReLU`` at its first slope
    tanh, hard_tanh                               ``glorot_uniform``  the activation's own
    selu                                          ``lecun_normal``    1
    sigmoid, linear units, all that are unknown   ``glorot_uniform``  1
    ============================================  ==================  ======================

    For sigmoid no gain helps: its outputs have a mean, which soon is all of the signal.

    Args:
        activation: its name, a function, or an object with ``init`` and ``apply``; a function with numbers filled in
            by ``functools.partial`` gets the gain that goes with them.

    Returns:
        An initializer, called as ``initializer(key, (inputs, outputs), dtype)``.

    Example:
        >>> initializer_for("relu").__name__, initializer_for("sigmoid").__name__
        ('he_normal', 'glorot_uniform')
        >>> import jax
        >>> leaky = functools.partial(leaky_relu, negative_slope=1.0)  # a line, which wants no gain
        >>> print(initializer_for(leaky)(jax.random.key(0), (200, 300)).var().round(4))
        0.005
    """
    known = find(activation)
    function = base(known)
    if known is relu:
        return he_normal
    if function is selu:
        return lecun_normal
    if function in _LIKE_RELU or isinstance(function, PReLU):
        return functools.partial(he_normal, gain=gain(known))
    if function in _CENTERED:
        return functools.partial(glorot_uniform, gain=gain(known))
    return glorot_uniform
