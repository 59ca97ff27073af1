"""Initializers: the scale at which weights start, so that signals neither vanish nor explode.

A layer with ``inputs`` (fan in) and ``outputs`` (fan out) sums ``inputs`` products, so the mean square of its sum is
``inputs * Var(w)`` times that of what comes in; and what comes in has passed an activation f, which changes it once
more. A method keeps the signal if ``inputs * Var(w) = g^2``, the activation's ``gain`` squared::

    initializer_for("relu")                             what suits an activation: method and gain
    functools.partial(orthogonal, gain=gain("relu"))    another method with the same gain

``jax.nn.initializers`` does the drawing. Scaling by 1 / sqrt(inputs) within the forward pass instead of here is a
matter of the net: ``MLP(parametrization="ntk")``.
"""

from jaxmlp.initializers.choice import INITIALIZERS, gain, initializer_for
from jaxmlp.initializers.fixed import normal, orthogonal, uniform, zeros
from jaxmlp.initializers.scaled import glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, lecun_uniform

__all__ = [
    "INITIALIZERS",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "initializer_for",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "uniform",
    "zeros",
]
