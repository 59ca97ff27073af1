"""Devices: what JAX computes on, and what a run takes of it.

In reading order: ``facts`` reads versions, settings and devices; ``problems`` judges them, by functions of the facts
alone; ``report`` lays both out, also as ``python -m jaxmlp.devices``; ``products`` counts matrix products in a
program; ``preflight`` says what a run takes before it is run; ``words`` are tables and sizes.
"""

from jaxmlp.devices.facts import Device, Facts
from jaxmlp.devices.preflight import Preflight, check
from jaxmlp.devices.report import Report, report

__all__ = ["Device", "Facts", "Preflight", "Report", "check", "report"]
