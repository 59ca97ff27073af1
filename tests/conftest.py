"""The strict environment: shapes checked, no silent promotion, eight devices, no display.

XLA compiles at its lowest level, by its older and smaller emitters where it still has them, and in one piece, since
the tests build thousands of programs that run for microseconds: half of the time is saved. Where the last bits matter,
tests compile as ``fit`` does for users; ``XLA_FLAGS=--xla_backend_optimization_level=2 pytest`` does so throughout.
"""

import importlib.metadata
import os
import shutil
import signal
import tempfile
import threading
import time

FLAGS = "--xla_backend_optimization_level=0"
if int(importlib.metadata.version("jaxlib").split(".")[1]) < 12:  # later ones do not know these, and end the process
    FLAGS += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
if "XLA_FLAGS" in os.environ:
    FLAGS = os.environ["XLA_FLAGS"]
os.environ["XLA_FLAGS"] = FLAGS + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("MPLBACKEND", "agg")

import jaxtyping

jaxtyping.install_import_hook("jaxmlp", "beartype.beartype")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

COMPILED = "JAXMLP_TESTS_COMPILED"
"""The variable that names the folder in which all processes of a session keep what they have compiled."""


def pytest_configure(config):
    """Compile what several tests need once: made by the first process, the folder is removed when that ends."""
    if COMPILED not in os.environ:
        os.environ[COMPILED] = tempfile.mkdtemp(prefix="jaxmlp-tests-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(COMPILED), ignore_errors=True))
    jax.config.update("jax_compilation_cache_dir", os.environ[COMPILED])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture
def x64():
    """Run one test in 64-bit numbers."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def unchecked():
    """Switch the types' run-time check off, as it is for users, so that bad input meets our own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def compiled_as_for_users(monkeypatch):
    """Compile ``fit`` and sweeps as for users: at the tests' own level last bits depend on what stands around."""
    monkeypatch.setenv("XLA_FLAGS", "")


@pytest.fixture
def usual_ctrl_c():
    """Let Python's own handler stand: in the background of a shell script SIGINT is ignored from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def ctrl_c(usual_ctrl_c):
    """Give a function that presses Ctrl-C half a second after somebody listens, be it after a long compilation."""
    threads, over = [], threading.Event()

    def press():
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            if over.wait(0.01):
                return
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    def start():
        threads.append(threading.Thread(target=press))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Compilations:
    """Counts the programs that XLA builds."""

    count = 0

    def __call__(self, event, duration, **_):
        self.count += event == "/jax/core/compile/backend_compile_duration"


COMPILATIONS = Compilations()
jax.monitoring.register_event_duration_secs_listener(COMPILATIONS)


@pytest.fixture
def compilations():
    return COMPILATIONS
