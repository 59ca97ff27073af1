"""The activations by name, and what may be one: users' own functions are asked to act on each number by itself."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import checks
from jaxmlp.activations.classic import identity, leaky_relu, relu, sigmoid, softmax, tanh, threshold
from jaxmlp.activations.modern import elu, gelu, hard_tanh, mish, selu, silu, softplus
from jaxmlp.activations.parametric import PReLU
from jaxmlp.types import Activation, Parametric, base

OURS = (
    *(identity, threshold, sigmoid, tanh, relu, leaky_relu),
    *(softplus, elu, selu, gelu, silu, mish, hard_tanh),
)
"""The functions of this package that act on each number by itself."""

_BY_NAME: dict[str, Activation | Parametric] = {**{f.__name__: f for f in OURS}, "prelu": PReLU()}
ACTIVATIONS: Mapping[str, Activation | Parametric] = MappingProxyType(_BY_NAME)
"""The activations that a hidden layer may have, by name."""


_OF_JAX: tuple[tuple[Any, Activation], ...] = (
    (jax.nn.gelu, functools.partial(gelu, approximate=True)),
    (jnp.tanh, tanh),
    *((getattr(jax.nn, f.__name__), f) for f in OURS if hasattr(jax.nn, f.__name__)),
)
"""JAX's own functions, which Flax has too, and ours that are the same."""


def register(name: str, activation: Activation | Parametric) -> None:
    """Give an activation of your own a name, under which ``MLP`` and configuration files find it.

    A name stands for one function for as long as the program runs, since compiled programs are kept by it.

    Args:
        name: not taken yet.
        activation: an element-wise function, or an object with ``init`` and ``apply`` as ``PReLU`` has.

    Raises:
        TypeError: ``activation`` is no function.
        ValueError: the name is taken by another function, or the function is not element-wise.

    Example:
        >>> register("sine", jnp.sin)
        >>> ACTIVATIONS["sine"](jnp.pi / 2)
        Array(1., dtype=float32, weak_type=True)
    """
    if not isinstance(name, str) or isinstance(activation, str):
        raise TypeError(f"name is {name!r} and activation {activation!r}; give a name and a function")
    check("activation", activation)
    if name != "softmax" and _BY_NAME.setdefault(name, activation) is activation:
        return
    known = ", ".join((*_BY_NAME, "softmax"))
    raise ValueError(f"name is {name!r}, which is taken; give one that is not among {known}")


def find(activation: str | Activation | Parametric) -> Activation | Parametric:
    """Return the activation that a name stands for, and any other as it is; JAX's own functions count as ours.

    Args:
        activation: a name, a function, or an object with ``init`` and ``apply``.

    Returns:
        The activation.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> find("relu") is relu, find(jax.nn.relu) is relu, find(jnp.sin) is jnp.sin
        (True, True, True)
    """
    if isinstance(activation, str):
        checks.one_of("activation", activation, ACTIVATIONS)
        return ACTIVATIONS[activation]
    for of_jax, same in _OF_JAX:
        if of_jax is activation:
            return same
    return activation


def check(name: str, activation: Any) -> None:
    """Refuse what cannot be the activation of a hidden layer.

    A function that this library does not know is tried on six numbers, together and one by one. One that depends on
    traced numbers can only be asked for its shape.

    Args:
        name: the argument's name, for the message.
        activation: the argument.

    Raises:
        TypeError: neither a name, a function, nor an object with ``init`` and ``apply``.
        ValueError: an unknown name; a function that mixes units, changes the shape, or fails.

    Example:
        >>> check("activation", jnp.sin)
        >>> check("activation", lambda z: z / jnp.max(z))
        Traceback (most recent call last):
        ValueError: activation is '<lambda>', which mixes the units of a layer; give a function of each number by itself
    """
    if isinstance(activation, str) and activation != "softmax":
        checks.one_of(name, activation, ACTIVATIONS)
        return
    function = base(activation)
    if function in ("softmax", softmax):
        raise ValueError(
            f"{name} is softmax, which mixes the units of a layer and belongs to the output; "
            "use losses.softmax_cross_entropy, and activations.softmax to read probabilities"
        )
    if isinstance(activation, type) or not (callable(activation) or isinstance(activation, Parametric)):
        raise TypeError(
            f"{name} is {activation!r}; give a name such as 'relu', a function, or an object such as PReLU()"
        )
    if isinstance(activation, Parametric):
        if not isinstance(activation, PReLU):
            learned = activation
            _refuse_mixing(name, lambda z: learned.apply(learned.init(z.shape[-1]), z), type(learned).__name__)
    elif function not in OURS and find(activation) is activation:
        _refuse_mixing(name, activation, getattr(activation, "__name__", repr(activation)))


def _refuse_mixing(name: str, function: Any, called: str) -> None:
    """Refuse a function whose value at one place depends on other places."""
    called, advice = repr(called), "give a function of each number by itself"
    with jax.ensure_compile_time_eval():
        z = jnp.array([[-1.5, 0.25, 0.75], [2.0, -0.5, 1.0]])
        try:
            # As a program will: NumPy's functions cannot be traced, and handed to JAX bare they crash 0.12.0.1.
            jax.eval_shape(lambda z: function(z), z)
            together = function(z)
            one_by_one = [function(entry.reshape(1, 1)) for entry in z.ravel()]
        except Exception as error:
            what = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{name} is {called}, which fails on an array of shape (2, 3): {what}; {advice}"
            ) from error
        if jnp.shape(together) != (2, 3):
            raise ValueError(f"{name} is {called}, which turns shape (2, 3) into {jnp.shape(together)}; {advice}")
        if isinstance(together, jax.core.Tracer):
            return
        alone = np.array([np.asarray(a, float).reshape(()) for a in one_by_one])
        if not np.allclose(np.asarray(together, float).ravel(), alone, rtol=1e-3, atol=1e-6, equal_nan=True):
            raise ValueError(f"{name} is {called}, which mixes the units of a layer; {advice}")
