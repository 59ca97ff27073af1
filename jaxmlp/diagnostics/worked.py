"""A worked example: backpropagation written out for one row, with the numbers in the formulas."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxmlp.diagnostics import slopes
from jaxmlp.diagnostics.slopes import TERMS, digits

UNITS = 4
"""Units of a layer that are written out."""


def text(backprop: Any) -> str:
    """Write backpropagation out for the first row; gradients are sums over the rows.

    Args:
        backprop: what ``diagnostics.backprop`` returns.

    Returns:
        Lines of text; those of numbers read "name = formula with numbers = result".

    Example:
        >>> from jaxmlp import diagnostics, losses
        >>> from jaxmlp.mlp import MLP
        >>> result = diagnostics.backprop(MLP(sizes=(1, 1)), [([[2.0]], [0.0])], [[3.0]], [[5.0]], losses.squared_error)
        >>> "z1[0] = 3 * 2 + 0 = 6" in text(result)
        True
    """
    net, rows = backprop.net, len(backprop.share)
    names = list(dict.fromkeys(map(slopes.name, net.hidden_activations)))
    parts = ["-".join(map(str, net.sizes)), *([" and ".join(names)] if names else [])]
    head = f"Net {', '.join(parts)}; {slopes.name(backprop.loss_function)}; row 0 of {rows}."
    lines = [head, *_left_out(net, rows), "", "Forward", *_forward(backprop), "", "Loss", *_loss(backprop)]
    return "\n".join([*lines, "", "Backward", *_backward(backprop)])


def _left_out(net: Any, rows: int) -> Iterator[str]:
    """Say what is not written out."""
    if max(net.sizes) > UNITS:
        yield f"Of wide layers the first {UNITS} units are written out, of long sums the first {TERMS} terms."
    if rows > 1:
        yield "z, a and delta are those of row 0; dW and db are sums over all rows."


def _forward(backprop: Any) -> Iterator[str]:
    a = np.asarray(backprop.batch.x[0])
    for i, (layer, (w, b)) in enumerate(zip(backprop.layers, backprop.params, strict=True), 1):
        yield f"z{i} = {backprop.formulas[f'z{i}']}"
        z, w, b = np.asarray(layer.z[0]), np.asarray(w), np.asarray(b)
        for k in range(len(z[:UNITS])):
            yield f"  z{i}[{k}] = {_products(a, w[:, k])} + {digits(b[k])} = {_plain(z[k])}"
        a = np.asarray(layer.a[0])
        if f"a{i}" in backprop.formulas:
            yield f"a{i} = {backprop.formulas[f'a{i}']}"
            function = slopes.name(backprop.net.hidden_activations[i - 1])
            for k in range(len(z[:UNITS])):
                yield f"  a{i}[{k}] = {function}({_plain(z[k])}) = {_plain(a[k])}"


def _loss(backprop: Any) -> Iterator[str]:
    function, last = slopes.name(backprop.loss_function), len(backprop.layers)
    y = np.ravel(np.asarray(backprop.batch.y[0]))
    yield f"y = {', '.join([*map(_plain, y[:UNITS]), *(['...'] if len(y) > UNITS else [])])}"
    yield f"l = {function}(z{last}, y) = {_plain(backprop.row_losses[0])}"
    yield f"L = c l, added up over the rows = {_plain(backprop.loss)}"


def _backward(backprop: Any) -> Iterator[str]:
    net, formulas, share = backprop.net, backprop.formulas, digits(backprop.share[0])
    for i, layer in reversed(list(enumerate(backprop.layers, 1))):
        delta = np.asarray(layer.delta)
        yield f"delta{i} = {formulas[f'delta{i}']}"
        for k in range(len(delta[0, :UNITS])):
            if i == len(backprop.layers):
                of_loss = slopes.of_loss(backprop.loss_function)
                made = f"{share} * {of_loss.written(np.asarray(layer.z[0]), np.asarray(backprop.batch.y[0]), k)}"
            else:
                behind, w = backprop.layers[i], np.asarray(backprop.params[i].w)
                slope = slopes.of_activation(net.hidden_activations[i - 1])
                written = slope.written(np.asarray(layer.z[0]), np.asarray(layer.a[0]), k)
                made = f"({_products(np.asarray(behind.delta[0]), w[k])}) * {written}"
            yield f"  delta{i}[{k}] = {made} = {_plain(delta[0, k])}"
        before = np.asarray(backprop.batch.x if i == 1 else backprop.layers[i - 2].a)
        yield f"dW{i} = {formulas[f'dW{i}']}"
        for j in range(len(before[0, :UNITS])):
            for k in range(len(delta[0, :UNITS])):
                yield f"  dW{i}[{j}, {k}] = {_products(before[:, j], delta[:, k])} = {_plain(layer.dw[j, k])}"
        yield f"db{i} = {formulas[f'db{i}']}"
        for k in range(len(delta[0, :UNITS])):
            yield f"  db{i}[{k}] = {_sum([digits(value) for value in delta[:, k]])} = {_plain(layer.db[k])}"


def _products(left: NDArray[Any], right: NDArray[Any]) -> str:
    """Write out a sum of products."""
    return _sum([f"{digits(a)} * {digits(b)}" for a, b in zip(left[:TERMS], right, strict=False)], len(left))


def _sum(terms: Sequence[str], count: int | None = None) -> str:
    """Write out a sum, and say how many terms are left out."""
    more = (len(terms) if count is None else count) - TERMS
    return " + ".join([*terms[:TERMS], *([f"... ({more} more)"] if more > 0 else [])])


def _plain(value: Any) -> str:
    """Write a number in four digits."""
    return digits(value).strip("()")
