"""What may describe a net, and which parameters belong to it: bad input, refused by a sentence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import activations, checks
from jaxmlp.normalization import NORMALIZATIONS, LayerNorm
from jaxmlp.types import Parametric

COMPUTE_DTYPES = ("bfloat16", "float16", "float32", "float64")
PRECISIONS = ("default", "high", "highest")
PARAMETRIZATIONS = ("standard", "ntk")


def sizes(given: Any) -> tuple[int, ...]:
    """Return the units of each layer."""
    if not isinstance(given, tuple | list):
        raise TypeError(f"sizes is {given!r}; give a tuple, such as (inputs, hidden, outputs)")
    if len(given) < 2:
        raise ValueError(f"sizes is {given!r}; give at least two, such as (inputs, hidden, outputs)")
    return tuple(checks.whole_number(f"sizes[{i}]", size, 1) for i, size in enumerate(given))


def activation(given: Any, hidden: int) -> Any:
    """Return one activation for all hidden layers, or a tuple of one for each."""
    if not isinstance(given, tuple | list):
        activations.check("activation", given)
        return given
    if len(given) != hidden:
        raise ValueError(
            f"activation has {len(given)} entries for {hidden} hidden layers; give one for each, or one for all"
        )
    for i, one in enumerate(given):
        activations.check(f"activation[{i}]", one)
    return tuple(given)


def normalization(given: Any, hidden: tuple[int, ...]) -> None:
    """Refuse what is no normalization, and one that would leave nothing."""
    if isinstance(given, str):
        checks.one_of("normalization", given, NORMALIZATIONS)
    elif given is not None and (isinstance(given, type) or not isinstance(given, Parametric)):
        raise TypeError(f"normalization is {given!r}; give 'layer', 'rms', None, or an object such as LayerNorm()")
    if 1 in hidden and (given == "layer" or isinstance(given, LayerNorm)):
        raise ValueError(
            f"normalization is {given!r}, but a hidden layer has one unit, which less its own mean is always 0; "
            "give it more units, or normalization='rms'"
        )


def residual(given: Any, layers: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    """Refuse what is no truth value, and residual blocks that would do nothing."""
    if not isinstance(given, bool):
        raise TypeError(f"residual is {given!r}; give True or False")
    if given and not layers:
        raise ValueError(
            f"residual is True, but no two hidden layers in a row are equally wide in sizes {sizes}; "
            "give such layers, or residual=False"
        )


def heads(given: Any, outputs: int) -> tuple[tuple[str, int], ...] | None:
    """Return names and sizes of the heads, which together are the outputs."""
    if given is None:
        return None
    by_name = checks.by_name("heads", given, "{'species': 3, 'length': 1}")
    found = tuple((name, checks.whole_number(f"heads[{name!r}]", size, 1)) for name, size in by_name.items())
    total = sum(size for _, size in found)
    if total != outputs:
        raise ValueError(f"heads have {total} outputs in all, but sizes ends with {outputs}; give as many in both")
    return found


def compute_dtype(given: Any) -> str | None:
    """Return the name of a dtype."""
    if given is None:
        return None
    try:
        name = jnp.dtype(given).name
    except TypeError:
        name = given
    checks.one_of("compute_dtype", name, COMPUTE_DTYPES)
    if name == "float64" and jnp.zeros(()).dtype != jnp.dtype(name):
        raise ValueError(
            "compute_dtype is 'float64', but numbers of 64 bits are not enabled; "
            "call jax.config.update('jax_enable_x64', True) first"
        )
    return str(name)


def parameters(params: Any, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the layers, those of plain tuples as well, refusing the parameters of another net.

    Shapes are known inside a compiled program too.
    """
    leaves, wanted = jax.tree.leaves(params), jax.tree.leaves(shapes)
    if len(leaves) != len(wanted):
        raise ValueError(
            f"params have {len(leaves)} arrays, the net's own {len(wanted)} in {len(shapes)} layers; "
            "give the parameters that init of this net returned"
        )
    layers: tuple[Any, ...] = jax.tree.unflatten(jax.tree.structure(shapes), list(map(jnp.asarray, leaves)))
    by_name = all(hasattr(layer, "_fields") for layer in params)  # of an init, perhaps of another net's
    checks.same_structure(params=tuple(params) if by_name else layers, **{"the net's own": shapes})
    return layers


def inputs(x: Any, size: int) -> None:
    """Refuse inputs that are not as many as the net has."""
    if not isinstance(x, jax.Array | np.ndarray):
        raise TypeError(f"x is a {type(x).__name__}; give an array of shape (..., {size}), such as jnp.asarray(x)")
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(
            f"x has shape {x.shape}, but sizes[0] is {size}; "
            f"give x of shape (..., {size}) or a net with that many inputs"
        )
