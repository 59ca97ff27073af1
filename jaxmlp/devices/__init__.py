"""Devices: what JAX computes on, what a run takes of it, and many devices as one.

In reading order: ``facts`` reads versions, settings and devices; ``problems`` judges them, by functions of the facts
alone; ``report`` lays both out, also as ``python -m jaxmlp.devices``; ``products`` counts matrix products in a
program; ``preflight`` says what a run takes before it is run; ``words`` are tables and sizes. ``mesh`` arranges devices
for members, rows and weights; ``layout`` is where these lie on a mesh; ``hosts`` brings several processes together, and
has what they must agree on.

What ``training`` and ``sweeps`` build on stands here under its own names, too, though not in ``__all__``.
"""

from jaxmlp.devices.facts import Device, Facts
from jaxmlp.devices.hosts import agreed as agreed
from jaxmlp.devices.hosts import on_host as on_host
from jaxmlp.devices.hosts import one_process as one_process
from jaxmlp.devices.hosts import shared_by_processes as shared_by_processes
from jaxmlp.devices.hosts import start
from jaxmlp.devices.layout import Layout as Layout
from jaxmlp.devices.layout import Rows as Rows
from jaxmlp.devices.layout import spread as spread
from jaxmlp.devices.mesh import AXES as AXES
from jaxmlp.devices.mesh import DATA as DATA
from jaxmlp.devices.mesh import MEMBERS as MEMBERS
from jaxmlp.devices.mesh import MODEL as MODEL
from jaxmlp.devices.mesh import mesh
from jaxmlp.devices.preflight import Preflight, check
from jaxmlp.devices.report import Report, report

__all__ = ["Device", "Facts", "Preflight", "Report", "check", "mesh", "report", "start"]
