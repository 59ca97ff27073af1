"""The net in words: a headline, and a table of its layers with shapes, parameters and FLOPs."""

import dataclasses
import functools
import itertools
import math
from typing import Any, NamedTuple

import jax

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.normalization import NORMALIZATIONS


class LayerSummary(NamedTuple):
    """One layer of a net: its place in ``params``, and what it costs."""

    layer: int
    shape: tuple[int, int]  # of w: inputs, outputs
    then: str  # what follows the weighted sums, in words
    parameters: int
    flops: int  # of the weighted sums of one row: a multiplication and an addition per weight, an addition per bias


def layers(net: Any) -> tuple[LayerSummary, ...]:
    """Return what the table shows, one record per layer; parameters are counted where ``init`` makes them."""
    params = jax.eval_shape(lambda: net.init(jax.random.key(0)))
    return tuple(
        LayerSummary(
            layer=i,
            shape=(inputs, outputs),
            then=", ".join(_then(net, i)),
            parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params[i])),
            flops=2 * inputs * outputs + outputs,
        )
        for i, (inputs, outputs) in enumerate(itertools.pairwise(net.sizes))
    )


def headline(net: Any) -> str:
    """Say in a line what the net is."""
    parts = ["-".join(map(str, net.sizes))]
    if net.hidden_activations:
        each = [_name(activation) for activation in net.hidden_activations]
        parts += [each[0] if len(set(each)) == 1 else " and ".join(each)]
        parts += [f"{_name(net.normalization)} normalization"] if net.normalization is not None else []
        parts += [f"dropout {_number(net.dropout)}"] if net.drops else []
        parts += ["residual"] if net.residual else []
    if net.heads is not None:
        parts += ["heads " + " and ".join(f"{name} {size}" for name, size in net.heads)]
    parts += [f"initializer {_name(net.initializer)}"] if net.initializer is not None else []
    parts += ["NTK parametrization"] if net.parametrization == "ntk" else []
    parts += [f"computed in {net.compute_dtype}"] if net.compute_dtype is not None else []
    parts += [f"precision {net.precision}"] if net.precision is not None else []
    count = sum(layer.parameters for layer in layers(net))
    return f"MLP {', '.join(parts)}: {count:,} parameter{'s' * (count != 1)}"


def text(net: Any) -> str:
    """Lay the net out as a table below its headline."""
    records = layers(net)
    rows = [("params", "w", "then", "parameters", "FLOPs a row")]
    rows += [
        (f"[{r.layer}]", f"{r.shape[0]} x {r.shape[1]}", r.then, f"{r.parameters:,}", f"{r.flops:,}") for r in records
    ]
    rows += [("", "", "", f"{sum(r.parameters for r in records):,}", f"{sum(r.flops for r in records):,}")]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: tuple[str, ...]) -> str:
        words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        return "  ".join(words + [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)])

    return "\n".join([headline(net), *map(line, rows)])


def _then(net: Any, i: int) -> list[str]:
    """Say what happens to the weighted sums of a layer, in order."""
    words = [f"add those of [{i - 1}]"] if i in net.residual_layers else []
    if i == len(net.hidden_activations):
        return words if net.heads is None else [f"{name} {size}" for name, size in net.heads]
    words += [f"{_name(net.normalization)} normalization"] if net.normalization is not None else []
    words += [_name(net.hidden_activations[i])]
    return words + ([f"dropout {_number(net.dropout)}"] if net.drops else [])


def _name(thing: Any) -> str:
    """Return the name under which something is known, of a function or of an object."""
    if isinstance(thing, str):
        return thing
    for name, known in (*ACTIVATIONS.items(), *NORMALIZATIONS.items()):
        if repr(known) == repr(thing):  # objects may hold traced numbers, which cannot be compared
            return name
    if isinstance(thing, functools.partial):
        numbers = ", ".join(f"{name} {_number(value)}" for name, value in thing.keywords.items())
        return f"{_name(thing.func)} ({numbers})"
    return getattr(thing, "__name__", repr(thing) if dataclasses.is_dataclass(thing) else type(thing).__name__)


def _number(value: Any) -> str:
    return "traced" if isinstance(value, jax.core.Tracer) else f"{value}"
