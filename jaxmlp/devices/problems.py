"""Problems: what the facts say is wrong, and what to do; and what is worth knowing though nothing is wrong.

Each function looks for one thing and yields its sentences. They are functions of the facts alone, so that a test can
make facts up.
"""

from collections.abc import Iterator

from jaxmlp.devices.facts import Facts, satisfied

SIGNS_OF_TPU = ("TPU_NAME", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES", "TPU_ACCELERATOR_TYPE", "COLAB_TPU_ADDR")
"""Variables that Google's machines and Colab set where there is a TPU."""

WRONG_VERSIONS = {
    "0.10.2": "computes wrong numbers on CPUs in some compiled sums of many rows (jax#39103)",
    "0.11.1": "takes a time that grows with the square of the steps of a compiled loop (jax#40101)",
}
"""Versions of JAX that jaxmlp's requirements leave out."""

AMPERE = 8
"""From this compute capability on, NVIDIA's GPUs round the factors of float32 products to TF32."""


def problems(facts: Facts) -> tuple[str, ...]:
    """Return what is wrong, a sentence each, with what to do."""
    looks = (failed, not_restarted, wrong_version, mismatched, unseen_tpu, unseen_gpu, alone, emulated)
    return tuple(sentence for look in looks for sentence in look(facts))


def notes(facts: Facts) -> tuple[str, ...]:
    """Return what is worth knowing, a sentence each."""
    looks = (left_alone, rounded, preallocated)
    return tuple(sentence for look in looks for sentence in look(facts))


def failed(facts: Facts) -> Iterator[str]:
    """JAX starts no device at all."""
    if facts.failure:
        told = f"; JAX_PLATFORMS is {facts.platforms!r}, unset it to take what is there" if facts.platforms else ""
        yield f"JAX cannot start its devices: {' '.join(facts.failure.split())[:300]}{told}"


def not_restarted(facts: Facts) -> Iterator[str]:
    """JAX was installed anew while it ran."""
    if facts.loaded != facts.versions.get("jax", facts.loaded):
        yield (
            f"jax {facts.loaded} is running, but {facts.versions['jax']} is installed; "
            "restart this process, on Colab by Runtime > Restart session"
        )


def wrong_version(facts: Facts) -> Iterator[str]:
    """JAX has a fault that jaxmlp would suffer from."""
    if facts.loaded in WRONG_VERSIONS:
        yield (
            f"jax {facts.loaded} {WRONG_VERSIONS[facts.loaded]}; "
            f'install another, such as by pip install "jax!={facts.loaded}" --upgrade'
        )


def mismatched(facts: Facts) -> Iterator[str]:
    """A package is not of a version that JAX wants; for a TPU that is not seen, ``unseen_tpu`` says it."""
    for name in _mismatches(facts):
        if name != "libtpu" or "tpu" in _platforms(facts):
            yield (
                f"jax {facts.loaded} wants {name}{facts.wanted[name]}, but {facts.versions[name]} is installed; "
                f"run {_install(facts, _extra(name))}"
            )


def unseen_tpu(facts: Facts) -> Iterator[str]:
    """A TPU seems to be there, but JAX does not show it."""
    signs = _signs_of_tpu(facts)
    if not signs or "tpu" in _platforms(facts) or not _allowed(facts, "tpu"):
        return
    libtpu = facts.versions.get("libtpu")
    if libtpu is None:
        why = f"libtpu is not installed; run {_install(facts, 'tpu')}"
    elif "libtpu" in _mismatches(facts):
        why = (
            f"jax {facts.loaded} and libtpu {libtpu} do not match, as after jax was upgraded by itself; run "
            f"{_install(facts, 'tpu')}, or on Colab delete the runtime and leave the jax of a new one as it is"
        )
    else:
        why = (
            "jax and libtpu match, so another process may hold it; end that process, on Colab restart the session; "
            "or, if there is no TPU, uninstall libtpu"
        )
    yield f"A TPU seems to be here ({', '.join(signs)}), but JAX shows {_shown(facts)}: {why}"


def unseen_gpu(facts: Facts) -> Iterator[str]:
    """One of NVIDIA's GPUs is there, but JAX does not show it."""
    signs = [file for file in facts.files if file.startswith(("/dev/nvidia", "/dev/dxg"))]
    if not signs or "gpu" in _platforms(facts) or not _allowed(facts, "cuda", "gpu"):
        return
    plugins = [name for name in facts.versions if name.startswith("jax-cuda")]
    if not plugins:
        extra = min((_extra(name) for name in facts.wanted if name.startswith("jax-cuda")), default="cuda12")
        why = f"no plugin for CUDA is installed; run {_install(facts, extra)}"
    elif set(plugins) & set(_mismatches(facts)):
        why = "the versions of jax and its plugin do not match; mend those first"
    else:
        why = "the driver may be too old; python -c \"import jax; jax.devices('cuda')\" says what it lacks"
    yield f"A GPU seems to be here ({', '.join(signs)}), but JAX shows {_shown(facts)}: {why}"


def alone(facts: Facts) -> Iterator[str]:
    """One of several hosts runs as if it were alone."""
    hosts = [host for host in facts.environment.get("TPU_WORKER_HOSTNAMES", "").split(",") if host.strip()]
    if len(hosts) > 1 and facts.processes == 1:
        yield (
            f"TPU_WORKER_HOSTNAMES names {len(hosts)} hosts, but this process is alone; run the same script on each of "
            "them, with devices.start() as its first call"
        )


def emulated(facts: Facts) -> Iterator[str]:
    """Numbers of 64 bits on a TPU."""
    if facts.x64 and "tpu" in _platforms(facts):
        yield (
            "jax_enable_x64 is on, but a TPU has no numbers of 64 bits: some operations are put together from those of "
            "32, slowly, and others refused; call jax.config.update('jax_enable_x64', False)"
        )


def left_alone(facts: Facts) -> Iterator[str]:
    """An accelerator is there that JAX was told not to use."""
    drivers = [file for file in facts.files if file.startswith(("/dev/accel", "/dev/nvidia"))]
    if drivers and facts.platforms and _platforms(facts) == {"cpu"}:
        yield f"JAX_PLATFORMS is {facts.platforms!r}, so {drivers[0]} is left alone; unset it to use what that is"


def rounded(facts: Facts) -> Iterator[str]:
    """Products of float32 are less than that unless asked for."""
    if facts.precision not in (None, "default"):
        return
    to = None
    if "tpu" in _platforms(facts):
        to = "bfloat16, 8 bits, on a TPU"
    elif any(_major(device.capability) >= AMPERE for device in facts.devices):
        to = "TF32, 11 bits, on this GPU"
    if to:
        yield (
            f"The factors of float32 products are rounded to {to}; where that is too few, give "
            "MLP(..., precision='highest')"
        )


def preallocated(facts: Facts) -> Iterator[str]:
    """JAX takes most of a GPU's memory at once."""
    as_needed = facts.environment.get("XLA_PYTHON_CLIENT_PREALLOCATE", "").lower() in ("false", "0")
    by_itself = facts.environment.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default").lower() in ("default", "bfc")
    if "gpu" in _platforms(facts) and by_itself and not as_needed:
        yield (
            "JAX takes three quarters of the GPU's memory at its start, and another process on it may find too little; "
            "to share it, set XLA_PYTHON_CLIENT_PREALLOCATE=false before Python starts"
        )


def _platforms(facts: Facts) -> set[str]:
    return {device.platform for device in facts.devices}


def _allowed(facts: Facts, *names: str) -> bool:
    """Return whether JAX was not told to leave a platform alone."""
    return not facts.platforms or any(name in facts.platforms.split(",") for name in names)


def _shown(facts: Facts) -> str:
    return f"only {' and '.join(sorted(_platforms(facts))).upper()}s" if facts.devices else "no device"


def _mismatches(facts: Facts) -> list[str]:
    """Return the packages that are installed in a version that JAX does not want."""
    both = [name for name in facts.wanted if name in facts.versions]
    return [name for name in both if not satisfied(facts.versions[name], facts.wanted[name])]


def _signs_of_tpu(facts: Facts) -> list[str]:
    """Return what tells of a TPU; /dev/vfio may stand for any device, and counts where libtpu is installed."""
    signs = [name for name in SIGNS_OF_TPU if name in facts.environment]
    libtpu = "libtpu" in facts.versions
    signs += [file for file in facts.files if file.startswith("/dev/accel") or ("vfio" in file and libtpu)]
    return signs + ["libtpu"] * libtpu


def _extra(name: str) -> str:
    """Return the extra of JAX that brings a package: "tpu", "cuda12", none for jaxlib."""
    return "tpu" if name == "libtpu" else name.split("-")[1] if "-" in name else ""


def _install(facts: Facts, extra: str) -> str:
    return f'pip install "jax{f"[{extra}]" if extra else ""}=={facts.loaded}"'


def _major(capability: str) -> int:
    major = capability.split(".")[0]
    return int(major) if major.isdigit() else 0
