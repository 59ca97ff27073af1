"""Devices: many of them as one machine, and several hosts as one program."""

from jaxmlp.devices.hosts import start
from jaxmlp.devices.layout import Layout, Rows, agreed, on_host, one_process, shared_by_processes, spread
from jaxmlp.devices.mesh import AXES, DATA, MEMBERS, MODEL, mesh

__all__ = [
    "AXES", "DATA", "MEMBERS", "MODEL", "Layout", "Rows", "agreed", "mesh", "on_host", "one_process",
    "shared_by_processes", "spread", "start",
]  # fmt: skip
