"""Devices: many of them as one machine, and several hosts as one program."""

from jaxmlp.devices.hosts import start
from jaxmlp.devices.layout import Layout, Rows, spread
from jaxmlp.devices.mesh import AXES, DATA, MEMBERS, MODEL, mesh

__all__ = ["AXES", "DATA", "MEMBERS", "MODEL", "Layout", "Rows", "mesh", "spread", "start"]
