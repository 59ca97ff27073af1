"""The report: what JAX computes on here, in which versions and with which settings, and what is wrong with it."""

import collections
import dataclasses
import textwrap

from jaxmlp.devices import problems as judging
from jaxmlp.devices.facts import Facts, look
from jaxmlp.devices.words import size, table

WIDTH = 80
"""Columns of a terminal."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found; ``print`` lays it out as a table.

    Attributes:
        facts: versions, settings and devices.
        problems: what is wrong and what to do, a sentence each.
        notes: what is worth knowing though nothing is wrong.

    Example:
        >>> from jaxmlp.devices import Device, Facts
        >>> versions = {"python": "3.13.1", "jax": "0.7.2", "jaxlib": "0.7.2", "libtpu": "0.0.23"}
        >>> chip = Device("tpu", "TPU v5 lite", memory=16 * 10**9)
        >>> facts = Facts(versions, "0.7.2", {}, {}, (), (chip,), precision="highest")
        >>> print(Report(facts, problems=(), notes=()))
        python    3.13.1
        jax       0.7.2
        jaxlib    0.7.2
        libtpu    0.0.23
        devices   1 x TPU v5 lite (tpu)
        here      all of them, in process 0 of 1
        memory    16.0 GB a device
        products  precision "highest"
        floats    32 bits
        No problem was found.
    """

    facts: Facts
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Lay it out in at most 80 columns."""
        lines = [table(self._rows())]
        lines += [_wrapped("Note: ", note) for note in self.notes]
        lines += [_wrapped("Problem: ", problem) for problem in self.problems]
        return "\n".join(lines if self.problems else [*lines, "No problem was found."])

    def _rows(self) -> list[tuple[str, str]]:
        facts = self.facts
        kinds = collections.Counter(f"{device.kind} ({device.platform})" for device in facts.devices)
        here = [device for device in facts.devices if device.local]
        share = "all of them" if here and len(here) == len(facts.devices) else f"{len(here)} of them"
        return [
            *facts.versions.items(),
            ("devices", ", ".join(f"{count} x {kind}" for kind, count in kinds.items()) or "none"),
            ("here", f"{share}, in process {facts.process} of {facts.processes}"),
            ("memory", _memory(facts)),
            ("products", f'precision "{facts.precision or "default"}"'),
            ("floats", "64 bits" if facts.x64 else "32 bits"),
        ]


def report() -> Report:
    """Say what JAX computes on here, in which versions and with which settings, and what is wrong with it.

    Of several hosts each reports on itself; call it behind ``devices.start``. The same on the command line, where the
    exit code is 1 if there is a problem::

        python -m jaxmlp.devices

    Returns:
        The ``Report``.

    Example:
        >>> from jaxmlp import devices
        >>> found = devices.report()
        >>> found.facts.devices[0].platform in ("cpu", "gpu", "tpu")
        True
    """
    facts = look()
    return Report(facts, judging.problems(facts), judging.notes(facts))


def _memory(facts: Facts) -> str:
    """Return the memory of the devices here, which CPUs share with each other and with all else."""
    here = [device for device in facts.devices if device.local]
    known = [device.memory for device in here if device.memory is not None]
    if not known:
        return "not known"
    if all(device.platform == "cpu" for device in here):
        return f"{size(known[0])}, the machine's"
    return f"{size(min(known))} a device"


def _wrapped(mark: str, sentence: str) -> str:
    return textwrap.fill(mark + sentence, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
