"""What may describe a net, and which parameters belong to it: bad input, refused by a sentence."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from jaxmlp import activations, checks
from jaxmlp.normalization import NORMALIZATIONS
from jaxmlp.types import Parametric

COMPUTE_DTYPES = ("bfloat16", "float16", "float32", "float64")
PRECISIONS = ("default", "high", "highest")
PARAMETRIZATIONS = ("standard", "ntk")


def sizes(given: Any) -> tuple[int, ...]:
    """Return the units of each layer."""
    if not isinstance(given, tuple | list) or len(given) < 2:
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


def normalization(given: Any) -> None:
    """Refuse what is no normalization."""
    if given is None or (isinstance(given, Parametric) and not isinstance(given, type)):
        return
    if not isinstance(given, str):
        raise TypeError(f"normalization is {given!r}; give 'layer', 'rms', None, or an object such as LayerNorm()")
    checks.one_of("normalization", given, NORMALIZATIONS)


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
    pairs = tuple(given.items()) if isinstance(given, Mapping) else given
    is_list = isinstance(pairs, tuple | list) and all(isinstance(p, tuple | list) and len(p) == 2 for p in pairs)
    if not is_list or not pairs or not all(isinstance(name, str) for name, _ in pairs):
        raise TypeError(f"heads is {given!r}; give sizes by name, such as {{'species': 3, 'length': 1}}, or None")
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"heads has the name {max(names, key=names.count)!r} twice; give each a name of its own")
    found = tuple((name, checks.whole_number(f"heads[{name!r}]", size, 1)) for name, size in pairs)
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
    return str(name)


def parameters(params: Any, kinds: tuple[Any, ...], sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the layers, plain tuples of arrays as well, refusing those of another net.

    Shapes are known inside a compiled program too.
    """
    advice = "give the parameters that init of this net returned"
    if len(params) != len(kinds):
        raise ValueError(f"params has {len(params)} layers, but sizes {sizes} has {len(kinds)}; {advice}")
    layers = []
    for i, (layer, kind) in enumerate(zip(params, kinds, strict=True)):
        if not isinstance(layer, tuple | list) or len(layer) != len(kind._fields):
            fields = ", ".join(getattr(layer, "_fields", (type(layer).__name__,)))
            raise ValueError(f"params[{i}] has {fields}, but this net has {', '.join(kind._fields)} there; {advice}")
        layers.append(kind(*layer))
        shapes = jnp.shape(layers[i].w), jnp.shape(layers[i].b)
        if shapes != (sizes[i : i + 2], sizes[i + 1 : i + 2]):
            raise ValueError(
                f"params[{i}] has w of shape {shapes[0]} and b of shape {shapes[1]}, but sizes is {sizes}; {advice}"
            )
    return tuple(layers)


def inputs(x: Any, size: int) -> None:
    """Refuse inputs that are not as many as the net has."""
    if not hasattr(x, "shape"):
        raise TypeError(f"x is a {type(x).__name__}; give an array of shape (..., {size}), such as jnp.asarray(x)")
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(
            f"x has shape {x.shape}, but sizes[0] is {size}; "
            f"give x of shape (..., {size}) or a net with that many inputs"
        )
