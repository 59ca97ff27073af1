"""The mesh: the devices in three directions, along which members, rows and weights are spread."""

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh

from jaxmlp import checks

MEMBERS, DATA, MODEL = AXES = ("members", "data", "model")
"""The directions: members of a sweep, rows of a batch, outputs of a wide layer."""


def mesh(*, members: int = 1, data: int | None = None, model: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
    """Arrange devices in three directions, for ``fit`` and ``sweep`` to spread their work along.

    Along "members" each device trains other members of a sweep, and none needs to hear of another. Along "data" each
    takes a part of every batch, and their gradients are added up at every step. Along "model" each holds a part of the
    columns of wide layers, and activations are exchanged in every layer. So fill "members" first, where there are
    any; then "data", as long as a device has enough rows of a batch to be busy; and "model" where weights do not fit
    into one device.

    Args:
        members: devices along which members are spread, at least 1.
        data: devices along which rows are spread, at least 1; None takes all that the others leave.
        model: devices along which weights are spread, at least 1.
        devices: which ones; all of all processes unless given.

    Returns:
        A mesh of shape (members, data, model), with its axes named so.

    Raises:
        ValueError: the numbers and that of the devices do not go together.

    Example:
        >>> from jaxmlp import devices
        >>> dict(devices.mesh(devices=jax.devices()[:1]).shape)
        {'members': 1, 'data': 1, 'model': 1}
        >>> devices.mesh(data=3, devices=jax.devices()[:1])
        Traceback (most recent call last):
        ValueError: mesh of 1 x 3 x 1 (members x data x model) needs 3 devices, but there is 1; ask for fewer
    """
    devices = jax.devices() if devices is None else list(devices)
    members = checks.whole_number("members", members, 1)
    model = checks.whole_number("model", model, 1)
    data = max(1, len(devices) // (members * model)) if data is None else checks.whole_number("data", data, 1)
    shape = (members, data, model)
    needed, there = math.prod(shape), f"there {'is' if len(devices) == 1 else 'are'} {len(devices)}"
    what = f"mesh of {members} x {data} x {model} (members x data x model) needs {needed} devices, but {there}"
    if needed > len(devices):
        raise ValueError(f"{what}; ask for fewer")
    if needed < len(devices) and jax.process_count() > 1:
        raise ValueError(f"{what} in {jax.process_count()} processes, each of which must take part; use them all")
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=devices[:needed])
