"""Activations: what a unit makes of its weighted sum.

``z`` is the weighted sum ``x @ w + b``, of any shape; each function acts on each number by itself, except
``softmax``, which turns the outputs of a layer into probabilities and so belongs to the last one.

For hidden layers the lecture recommends ReLU, leaky ReLU where units die, and tanh where signals should be centred;
for the output sigmoid (two classes) and softmax (several), which the losses already hold.
"""

from collections.abc import Mapping
from types import MappingProxyType

from jaxmlp.activations.classic import identity, leaky_relu, relu, sigmoid, softmax, tanh, threshold
from jaxmlp.activations.modern import elu, gelu, hard_tanh, mish, selu, silu, softplus
from jaxmlp.types import Activation

__all__ = [
    "ACTIVATIONS",
    "elu",
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

_BY_NAME: dict[str, Activation] = {
    function.__name__: function
    for function in (
        *(identity, threshold, sigmoid, tanh, relu, leaky_relu),
        *(softplus, elu, selu, gelu, silu, mish, hard_tanh),
    )
}
ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(_BY_NAME)
"""The activations that a hidden layer may have, by name."""


def register(name: str, activation: Activation) -> None:
    """Give a function of your own a name, under which ``MLP`` and configuration files find it.

    A name stands for one function for as long as the program runs, since compiled programs are kept by it.

    Args:
        name: not taken yet.
        activation: an element-wise function.

    Raises:
        TypeError: ``activation`` is no function.
        ValueError: the name is taken by another function.

    Example:
        >>> import jax.numpy as jnp
        >>> register("sine", jnp.sin)
        >>> ACTIVATIONS["sine"](jnp.pi / 2)
        Array(1., dtype=float32, weak_type=True)
    """
    if not callable(activation):
        raise TypeError(f"activation is {activation!r}; give a function")
    if name != "softmax" and _BY_NAME.setdefault(name, activation) is activation:
        return
    known = ", ".join((*_BY_NAME, "softmax"))
    raise ValueError(f"name is {name!r}, which is taken; give one that is not among {known}")
