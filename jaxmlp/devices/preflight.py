"""Preflight: what a run takes, before it is run. Nothing is computed for it, nothing compiled.

an epoch   steps = ceil(rows / batch), each with all products of a batch, forward and backward
memory     parameters, their gradients, the optimizer's state and the best parameters; parameters and state as they
           were before the epoch, which is taken back if it diverges; what a batch leaves for its way back; the rows
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmlp import checks
from jaxmlp.devices.facts import memory_of
from jaxmlp.devices.products import TILE, inner, products
from jaxmlp.devices.words import size, table
from jaxmlp.mlp import MLP
from jaxmlp.types import Model

SHARE_OF_MEMORY = 0.8
"""How much of a device's memory may be planned with; the rest is XLA's own, and for what is not counted."""

ROWS_AT_ONCE = 8192
"""Rows that ``training`` evaluates at once at most."""

WORTH_SAYING = 0.05
"""The share of a TPU's tiles left empty from which it is advised on."""


@dataclasses.dataclass(frozen=True)
class Preflight:
    """What a run takes; ``print`` lays it out as a table.

    Attributes:
        net: what it is, in a line.
        parameters: of one member.
        rows: that are trained on.
        batch_size: rows of a step.
        members: nets that are trained.
        devices: that share the members, or the rows of each batch if there is one member.
        flops: multiplications and additions of the matrix products of an epoch, of all members and devices; biases,
            activations, loss and optimizer, a few for each unit or parameter, are left out.
        padding: the share of a TPU's products that is padding, its tiles being 8 x 128.
        bytes: on each device, by what they are for.
        memory: bytes that a device has; None where nobody knows.
        advice: what to change, a sentence each.

    Example:
        >>> found = check(MLP((64, 128, 10)), ((1500, 64), (1500,)), batch_size=50, memory=16 * 10**9)
        >>> found.steps, found.total, found.fits
        (30, 616360, True)
    """

    net: str
    parameters: int
    rows: int
    batch_size: int
    members: int
    devices: int
    flops: int
    padding: float
    bytes: Mapping[str, int]
    memory: int | None
    advice: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Steps of an epoch; the last batch is filled up where there are too few rows."""
        return -(-self.rows // self.batch_size)

    @property
    def total(self) -> int:
        """Bytes on each device."""
        return sum(self.bytes.values())

    @property
    def fits(self) -> bool | None:
        """Whether they take at most four fifths of its memory; None where nobody knows what it has."""
        return None if self.memory is None else self.total <= SHARE_OF_MEMORY * self.memory

    def __str__(self) -> str:
        """Lay it out as a table, with the advice below."""
        per = "each device" if self.devices > 1 else "the device"
        rows = [
            ("an epoch", f"{self.steps:,} steps of {self.batch_size:,} rows, {self.flops:.3g} FLOPs in products"),
            ("padding", f"{self.padding:.0%} of the products, on a TPU"),
            *((name, size(count)) for name, count in self.bytes.items()),
            ("in all", f"{size(self.total)} on {per}{_verdict(self.fits, self.memory)}"),
        ]
        members = f" x {self.members:,}" if self.members > 1 else ""
        return "\n".join([f"{self.net}{members}", table(rows), *self.advice])


def check(
    net: Model,
    data: Any,
    *,
    batch_size: int | None,
    optimizer: optax.GradientTransformation | None = None,
    validation: Any = None,
    members: int = 1,
    devices: int = 1,
    memory: int | None = None,
) -> Preflight:
    """Say what a run would take: its arithmetic, its memory, and how well it suits the device.

    Of what XLA sets aside for a run on a CPU the memory was 0.9 to 1.4 times as much in the runs tried: within 10 % for
    ReLU nets, too much for tanh, of whose arrays XLA computes some twice. The random numbers of dropout, up to 4 bytes
    for each unit and row, are not in it; each device holds all rows, but where several share the batches of one
    member, and members are counted as computed side by side, though on a CPU a sweep has few of them at work at once.

    Args:
        net: an ``MLP``, or any model with ``init`` and ``apply``.
        data: (x, y) or (x, y, weight): arrays, or their shapes alone, as tuples of whole numbers such as
            ((60_000, 784), (60_000,)).
        batch_size: rows of a step, as for ``training.fit``; None takes all of them.
        optimizer: a gradient transform, whose state is counted; None for one without, such as ``sgd``.
        validation: (x, y) or (x, y, weight), or their shapes, that the run is evaluated on.
        members: nets that are trained at once, as by a sweep.
        devices: how many share the members, or the rows of each batch if there is one member.
        memory: bytes of each device; those of this process's first device unless given, of which CPUs have a share
            each.

    Returns:
        The ``Preflight``.

    Raises:
        TypeError: ``net`` is no model, data are no arrays or shapes.
        ValueError: data of unequal length or of other inputs than the net's; numbers out of their range; a batch of
            fewer rows than there are devices.

    Example:
        >>> from jaxmlp import devices, optimizers
        >>> adam = optimizers.adam(1e-3)
        >>> shapes = ((60_000, 784), (60_000,))
        >>> print(devices.check(MLP((784, 800, 10)), shapes, batch_size=100, optimizer=adam, memory=16 * 10**9))
        MLP 784-800-10, relu: 636,010 parameters
        an epoch          600 steps of 100 rows, 1.53e+11 FLOPs in products
        padding           37% of the products, on a TPU
        parameters        2.5 MB
        gradients         2.5 MB
        optimizer state   5.1 MB
        best parameters   2.5 MB
        before the epoch  7.6 MB
        activations       1.0 MB
        rows              188.4 MB
        in all            209.8 MB on the device, which fits into its 16.0 GB
        On a TPU the 100 rows of a batch fill 13 tiles of 8, the last in part; 104 take no longer.
        On a TPU a layer's 800 units leave 11% of 7 tiles of 128 empty; 896 take no longer.
    """
    if isinstance(net, type) or not (hasattr(net, "init") and hasattr(net, "apply")):
        raise TypeError(f"net is {net!r}; give a model with init and apply, such as MLP(sizes=...)")
    train = _described("", data, net)
    rows = train[0].shape[0]
    held_out = None if validation is None else _described("validation ", validation, net)
    members = checks.whole_number("members", members, 1)
    devices = checks.whole_number("devices", devices, 1)
    batch_size = rows if batch_size is None else min(rows, checks.whole_number("batch_size", batch_size, 1))
    memory = _memory(devices) if memory is None else checks.whole_number("memory", memory, 1)
    members_here, rows_here, shards = -(-members // devices), batch_size, 1
    if members == 1:
        if batch_size < devices:
            raise ValueError(
                f"batch_size is {batch_size}, but {devices} devices share it; give at least a row to each, or fewer "
                "devices"
            )
        rows_here, shards = -(-batch_size // devices), devices

    key = jax.random.key(0)
    params = jax.eval_shape(net.init, key)
    state = () if optimizer is None else jax.eval_shape(optimizer.init, params)
    batch = _first(rows_here, train[0])
    counted = products(lambda params, x: _gradient(net, params, x), params, batch)
    of_row = sum(_bytes(part) for part in train) // rows
    for_batch = _kept_for_backward(net, params, batch) + rows_here * of_row
    found = Preflight(
        net=str(net) if isinstance(net, MLP) else type(net).__name__,
        parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)),
        rows=rows,
        batch_size=batch_size,
        members=members,
        devices=devices,
        flops=counted.flops * -(-rows // batch_size) * (members if members > 1 else devices),
        padding=1 - counted.flops / counted.padded if counted.flops else 0.0,
        bytes={
            "parameters": members_here * _bytes(params),
            "gradients": members_here * _bytes(params),
            "optimizer state": members_here * _bytes(state),
            "best parameters": members_here * _bytes(params),
            "before the epoch": members_here * (_bytes(params) + _bytes(state)),
            "activations": members_here * max(for_batch, 0 if held_out is None else _evaluated(net, params, held_out)),
            "rows": sum(_bytes(_first(-(-part.shape[0] // shards), part)) for part in (*train, *(held_out or ()))),
        },
        memory=memory,
        advice=(),
    )
    return dataclasses.replace(found, advice=_advice(found, net, rows_here, members_here))


def _described(of: str, data: Any, net: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Return shapes and dtypes of x, y and weight, as a run has them: floats of JAX's width, labels of 32 bits."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        what = f"{len(data)} parts" if isinstance(data, tuple | list) else f"a {type(data).__name__}"
        raise TypeError(f"{of or 'training '}data is {what}; give a tuple (x, y) or (x, y, weight)")
    x, y, *weight = data
    heads = {f"y[{head!r}]": part for head, part in y.items()} if isinstance(y, Mapping) else {"y": y}
    named = {"x": x, **heads, **({"weight": weight[0]} if weight and weight[0] is not None else {})}
    parts = {f"{of}{name}": _shape_of(f"{of}{name}", part) for name, part in named.items()}
    checks.same_rows(**parts)
    inputs = parts[f"{of}x"].shape[1:]
    if isinstance(net, MLP) and inputs != net.sizes[:1]:
        raise ValueError(
            f"{of}x has rows of shape {inputs}, but sizes[0] of the net is {net.sizes[0]}; give x of shape "
            f"(rows, {net.sizes[0]}), or a net with as many inputs as x has columns"
        )
    return tuple(parts.values())


def _shape_of(name: str, part: Any) -> jax.ShapeDtypeStruct:
    floats = jnp.zeros(()).dtype
    if isinstance(part, tuple) and part and all(isinstance(length, int) for length in part):
        shape, dtype = part, floats
    else:
        array = part if hasattr(part, "shape") and hasattr(part, "dtype") else np.asarray(part)
        shape, dtype = array.shape, array.dtype
    if not shape or 0 in shape:
        raise ValueError(f"{name} has shape {shape}; give at least one row, or its shape as a tuple (rows, ...)")
    labels = name.split()[-1].startswith("y") and jnp.issubdtype(dtype, jnp.integer)
    return jax.eval_shape(lambda: jnp.zeros(shape, jnp.int32 if labels else floats))


def _first(rows: int, part: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Return the shape of so many rows."""
    return jax.eval_shape(lambda: jnp.zeros((rows, *part.shape[1:]), part.dtype))


def _memory(devices: int) -> int | None:
    """Return the memory of this process's first device; devices that are CPUs share the machine's."""
    device = jax.local_devices()[0]
    memory = memory_of(device)
    return memory if memory is None or device.platform != "cpu" else memory // devices


def _gradient(net: Any, params: Any, x: Any) -> Any:
    """Differentiate something that depends on all outputs, to see which products that takes."""

    def value(params: Any) -> Any:
        outputs = net.apply(params, x, key=jax.random.key(0))
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs))

    return jax.value_and_grad(value)(params)


def _kept_for_backward(net: Any, params: Any, x: Any) -> int:
    """Return the bytes that the forward pass leaves for the backward pass, but for what was there before."""

    def forward(params: Any, x: Any) -> Any:
        outputs, backward = jax.vjp(lambda params: net.apply(params, x, key=jax.random.key(0)), params)
        return jax.tree.leaves((outputs, backward))

    jaxpr = jax.make_jaxpr(forward)(params, x).jaxpr
    before = {id(variable) for variable in (*jaxpr.invars, *jaxpr.constvars)}
    kept = {id(variable): variable.aval for variable in jaxpr.outvars if not hasattr(variable, "val")}
    return sum(_bytes(aval) for name, aval in kept.items() if name not in before)


def _evaluated(net: Any, params: Any, parts: tuple[jax.ShapeDtypeStruct, ...]) -> int:
    """Return the bytes of the outputs of all rows, and of what the largest product works on, of the rows at once."""
    rows = parts[0].shape[0]
    at_once = min(rows, ROWS_AT_ONCE)
    jaxpr = jax.make_jaxpr(net.apply)(params, _first(at_once, parts[0])).jaxpr
    outputs = sum(_bytes(variable.aval) for variable in jaxpr.outvars)
    return _at_work(jaxpr) + outputs * rows // at_once


def _at_work(jaxpr: Any) -> int:
    """Return the bytes of a product's factors and result, where they are the most."""
    products = (equation for equation in jaxpr.eqns if equation.primitive.name == "dot_general")
    sizes = [sum(_bytes(variable.aval) for variable in (*one.invars, *one.outvars)) for one in products]
    return max([*sizes, *(_at_work(part) for equation in jaxpr.eqns for part in inner(equation))], default=0)


def _bytes(tree: Any) -> int:
    leaves = (leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape"))
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def _verdict(fits: bool | None, memory: int | None) -> str:
    if fits is None or memory is None:
        return ""
    return f", which {'fits into its' if fits else 'is too much for its'} {size(memory)}"


def _advice(found: Preflight, net: Any, rows_here: int, members_here: int) -> tuple[str, ...]:
    lanes, sublanes = TILE
    advice = []
    if found.fits is False and found.memory is not None:
        shared = found.bytes["rows"]
        left = SHARE_OF_MEMORY * found.memory - shared
        at_once = int(left * members_here // max(1, found.total - shared))
        if at_once < 1:
            advice.append("A device cannot hold it; give a smaller batch_size, fewer rows or a smaller net.")
        else:
            advice.append(f"A device holds {at_once:,} members at once; a sweep cuts them into slices by itself.")
    if rows_here % sublanes:
        tiles = -(-rows_here // sublanes)
        which = "the" if rows_here == found.batch_size else "each device's"
        advice.append(
            f"On a TPU {which} {rows_here:,} rows of a batch fill {_count(tiles, 'tile')} of {sublanes}, the last in "
            f"part; {tiles * sublanes:,} take no longer."
        )
    widths = sorted(set(net.sizes[1:-1])) if isinstance(net, MLP) else []
    for width in widths:
        tiles = -(-width // lanes)
        empty = 1 - width / (tiles * lanes)
        if empty >= WORTH_SAYING:
            advice.append(
                f"On a TPU a layer's {width:,} units leave {empty:.0%} of {_count(tiles, 'tile')} of {lanes} empty; "
                f"{tiles * lanes:,} take no longer."
            )
    return tuple(advice)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
