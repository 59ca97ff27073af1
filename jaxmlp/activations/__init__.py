"""Activations: what a unit makes of its weighted sum.

``z`` is the weighted sum ``x @ w + b``, of any shape; each function acts on each number by itself, except
``softmax``, which turns the outputs of a layer into probabilities and so belongs to the last one. ``PReLU`` has a
slope that is learned.

For hidden layers the lecture recommends ReLU, leaky ReLU where units die, and tanh where signals should be centred;
for the output sigmoid (two classes) and softmax (several), which the losses already hold.
"""

from jaxmlp.activations.classic import identity, leaky_relu, relu, sigmoid, softmax, tanh, threshold
from jaxmlp.activations.modern import elu, gelu, hard_tanh, mish, selu, silu, softplus
from jaxmlp.activations.named import ACTIVATIONS, check, find, register
from jaxmlp.activations.parametric import PReLU, PReLUParams

__all__ = [
    "ACTIVATIONS",
    "PReLU",
    "PReLUParams",
    "check",
    "elu",
    "find",
    "gelu",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "mish",
    "register",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "threshold",
]
