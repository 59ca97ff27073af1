"""Facts: versions, settings and devices, read as they are and not judged."""

import glob
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

PACKAGES = (
    "jax", "jaxlib", "jaxmlp", "libtpu", "jax-cuda12-plugin", "jax-cuda12-pjrt", "jax-cuda13-plugin",
    "jax-cuda13-pjrt", "jax-rocm60-plugin", "jax-rocm7-plugin",
)  # fmt: skip
"""What decides which devices JAX can use."""

VARIABLES = (
    "TPU_NAME", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES", "TPU_ACCELERATOR_TYPE", "COLAB_TPU_ADDR",
    "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_ALLOCATOR",
)  # fmt: skip
"""Variables of the environment that tell of an accelerator, or how its memory is taken."""

FILES = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*", "/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/dxg")
"""Drivers: of TPUs, of what is handed through to a virtual machine, and of NVIDIA's GPUs, on Windows the last one.
Those of other makers' accelerators lie within a folder /dev/accel."""


class Device(NamedTuple):
    """One device that JAX shows."""

    platform: str  # "cpu", "gpu" or "tpu"
    kind: str
    local: bool = True  # whether it is this process's own
    memory: int | None = None  # bytes that JAX may take of it; None where that is not known
    capability: str = ""  # of NVIDIA's GPUs, such as "8.0"


class Facts(NamedTuple):
    """All that the report is made of.

    Attributes:
        versions: of Python and of the packages that are installed, by name.
        loaded: the version of JAX that this process runs.
        wanted: which versions JAX wants of other packages, as its own requirements have it.
        environment: the variables that are set, by name.
        files: the drivers that are there.
        devices: those of all processes; none where JAX cannot start them.
        failure: what JAX said when it could not.
        process: the number of this process.
        processes: how many there are.
        platforms: those that JAX is told to use; empty for all.
        precision: of matrix products, as set; None for JAX's own choice.
        x64: whether numbers of 64 bits are switched on.
    """

    versions: Mapping[str, str]
    loaded: str
    wanted: Mapping[str, str]
    environment: Mapping[str, str]
    files: tuple[str, ...]
    devices: tuple[Device, ...]
    failure: str = ""
    process: int = 0
    processes: int = 1
    platforms: str = ""
    precision: str | None = None
    x64: bool = False


def look() -> Facts:
    """Read them. JAX starts its devices for it, if they are not started; nothing else is touched."""
    found: list[Any] = []
    failure = ""
    try:
        found = jax.devices()
    except (RuntimeError, AssertionError) as error:  # a platform that was asked for cannot be started; JAX 0.7 asserts
        failure = str(error) or "none of the platforms that it was told to use is there"
    return Facts(
        versions={"python": platform.python_version(), **versions_of(PACKAGES)},
        loaded=jax.__version__,
        wanted=requirements(importlib.metadata.requires("jax") or ()),
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ},
        files=tuple(sorted(file for pattern in FILES for file in glob.glob(pattern))),
        devices=tuple(_describe(device) for device in found),
        failure=failure,
        process=jax.process_index() if found else 0,
        processes=jax.process_count() if found else 1,
        platforms=jax.config.values["jax_platforms"] or jax.config.values.get("jax_platform_name") or "",
        precision=jax.config.values["jax_default_matmul_precision"],
        x64=bool(jax.config.values["jax_enable_x64"]),
    )


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def requirements(lines: Any) -> dict[str, str]:
    """Read which versions of jaxlib, libtpu and its plugins JAX wants from its requirements.

    Args:
        lines: such as ``'libtpu==0.0.41.*; extra == "tpu"'``.

    Returns:
        For each package the versions, such as ``"==0.0.41.*"``. Both parts of a GPU's plugin have the same.

    Example:
        >>> requirements(['jaxlib<=0.10.1,>=0.10.1', 'jaxlib==0.10.0; extra == "ci"', 'numpy>=2.0'])
        {'jaxlib': '<=0.10.1,>=0.10.1'}
    """
    wanted: dict[str, str] = {}
    for line in lines:
        package, _, condition = line.partition(";")
        name, of_name = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?\s*(.*)", package.strip()).groups()  # type: ignore[union-attr]  # any requirement begins with a name
        of_jaxlib = name == "jaxlib" and not condition  # the extras of JAX's own developers name other versions
        if of_jaxlib or name == "libtpu" or re.fullmatch(r"jax-\w+-plugin", name):
            wanted[name] = of_name
            if name.startswith("jax-cuda"):
                wanted[name.replace("-plugin", "-pjrt")] = of_name
    return wanted


def satisfied(version: str, wanted: str) -> bool:
    """Return whether a version is among those wanted; only what JAX uses is understood: ==, <= and >=.

    Args:
        version: such as "0.0.41.1".
        wanted: such as "==0.0.41.*", or several of such with commas between.

    Returns:
        True or False.

    Example:
        >>> satisfied("0.0.41.1", "==0.0.41.*"), satisfied("0.0.17", "==0.0.41.*"), satisfied("0.9", "<=0.12,>=0.10")
        (True, False, False)
    """
    for clause in wanted.split(","):
        seen, limit = _numbers(version), _numbers(clause.strip("=<> "))
        same = seen[: len(limit)] == limit
        if not (same or ("<=" in clause and seen < limit) or (">=" in clause and seen > limit)):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else ()


def memory_of(device: Any) -> int | None:
    """Return the bytes that JAX may take of a device, of a CPU all of the machine's; None where nobody knows."""
    if device.platform == "cpu":
        known = {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(getattr(os, "sysconf_names", ()))  # not on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None
    try:
        return (device.memory_stats() or {}).get("bytes_limit")
    except RuntimeError:  # a device of another process, or one that keeps no count
        return None


def _describe(device: Any) -> Device:
    local = device.process_index == jax.process_index()
    return Device(
        platform=device.platform,
        kind=device.device_kind,
        local=local,
        memory=memory_of(device) if local else None,
        capability=str(getattr(device, "compute_capability", "")),
    )
