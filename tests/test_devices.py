"""What JAX computes on and what is wrong with it, by made-up facts; and what a run takes, against what it then has."""

import collections
import dataclasses
import functools
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import devices, diagnostics, losses, optimizers, training
from jaxmlp.devices import Device, Facts
from jaxmlp.devices.facts import PACKAGES, look, memory_of, requirements, satisfied, versions_of
from jaxmlp.devices.preflight import ROWS_AT_ONCE
from jaxmlp.devices.problems import notes, problems
from jaxmlp.devices.products import products
from jaxmlp.devices.words import size
from jaxmlp.mlp import MLP
from jaxmlp.training.evaluation import EVALUATION_ROWS

main = importlib.import_module("jaxmlp.devices.__main__").main
ADAM = optimizers.adam(1e-3)

WANTED = {
    "jaxlib": "<=0.10.1,>=0.10.0",
    "libtpu": "==0.0.41.*",
    "jax-cuda12-plugin": "<=0.10.1,>=0.10.1",
    "jax-cuda12-pjrt": "<=0.10.1,>=0.10.1",
    "jax-cuda13-plugin": "<=0.10.1,>=0.10.1",
}
VERSIONS = {"python": "3.11.7", "jax": "0.10.1", "jaxlib": "0.10.1"}
CPU = Device("cpu", "cpu", memory=2**33)
V5E = Device("tpu", "TPU v5 lite", memory=16 * 10**9)
A100 = Device("gpu", "NVIDIA A100-SXM4-40GB", memory=30 * 10**9, capability="8.0")
T4 = Device("gpu", "Tesla T4", memory=11 * 10**9, capability="7.5")


def facts(*found, versions=None, **changes):
    """A machine on which all is well, but for what is said."""
    return Facts(VERSIONS | (versions or {}), **{
        "loaded": "0.10.1", "wanted": WANTED, "environment": {}, "files": (), "devices": found, **changes,
    })  # fmt: skip


TPU_IS_THERE = {"files": ("/dev/accel0",)}
GPU_IS_THERE = {"files": ("/dev/nvidia0", "/dev/nvidiactl")}
CUDA = {"jax-cuda12-plugin": "0.10.1", "jax-cuda12-pjrt": "0.10.1"}

HEALTHY = {
    "a CPU": facts(CPU, CPU),
    "a TPU": facts(V5E, versions={"libtpu": "0.0.41.2"}, environment={"TPU_NAME": "a"}, **TPU_IS_THERE),
    "a GPU": facts(A100, versions=CUDA, **GPU_IS_THERE),
    "a CPU by choice on a TPU": facts(CPU, versions={"libtpu": "0.0.41.2"}, platforms="cpu", **TPU_IS_THERE),
    "a CPU by choice on a GPU": facts(CPU, versions=CUDA, platforms="cpu", **GPU_IS_THERE),
    "a device that is handed through, without libtpu": facts(CPU, files=("/dev/vfio/7",)),
    "an older jaxlib that JAX allows": facts(CPU, versions={"jaxlib": "0.10.0"}),
    "one of four hosts, together": facts(
        V5E, V5E._replace(local=False), processes=4, environment={"TPU_WORKER_HOSTNAMES": "a,b,c,d"}
    ),
    "one host that is named": facts(V5E, environment={"TPU_WORKER_HOSTNAMES": "localhost"}),
    "64 bits on a CPU": facts(CPU, x64=True),
}

ILL = {
    "no device": (
        facts(failure="Unable to initialize\n  backend 'tpu'", platforms="tpu"),
        "JAX cannot start its devices: Unable to initialize backend 'tpu'; JAX_PLATFORMS is 'tpu', unset it to take "
        "what is there",
    ),
    "JAX was installed anew": (
        facts(CPU, versions={"jax": "0.12.0"}),
        "jax 0.10.1 is running, but 0.12.0 is installed; restart this process, on Colab by Runtime > Restart session",
    ),
    "wrong numbers": (
        facts(CPU, versions={"jax": "0.10.2"}, loaded="0.10.2"),
        "jax 0.10.2 computes wrong numbers on CPUs in some compiled sums of many rows (jax#39103); install another, "
        'such as by pip install "jax!=0.10.2" --upgrade',
    ),
    "slow loops": (
        facts(CPU, versions={"jax": "0.11.1", "jaxlib": "0.10.1"}, loaded="0.11.1"),
        "jax 0.11.1 takes a time that grows with the square of the steps of a compiled loop (jax#40101); install "
        'another, such as by pip install "jax!=0.11.1" --upgrade',
    ),
    "another jaxlib": (
        facts(CPU, versions={"jaxlib": "0.9.2"}),
        "jax 0.10.1 wants jaxlib<=0.10.1,>=0.10.0, but 0.9.2 is installed; run pip install \"jax==0.10.1\"",
    ),
    "half a plugin": (
        facts(A100, versions=CUDA | {"jax-cuda12-pjrt": "0.10.0"}, **GPU_IS_THERE),
        "jax 0.10.1 wants jax-cuda12-pjrt<=0.10.1,>=0.10.1, but 0.10.0 is installed; "
        'run pip install "jax[cuda12]==0.10.1"',
    ),
    "a TPU with a strange libtpu": (
        facts(V5E, versions={"libtpu": "0.0.40"}),
        'jax 0.10.1 wants libtpu==0.0.41.*, but 0.0.40 is installed; run pip install "jax[tpu]==0.10.1"',
    ),
    "a TPU without libtpu": (
        facts(CPU, environment={"TPU_NAME": "a", "COLAB_TPU_ADDR": "b"}, **TPU_IS_THERE),
        "A TPU seems to be here (TPU_NAME, COLAB_TPU_ADDR, /dev/accel0), but JAX shows only CPUs: libtpu is not "
        'installed; run pip install "jax[tpu]==0.10.1"',
    ),
    "a TPU after jax was upgraded": (
        facts(CPU, versions={"libtpu": "0.0.23"}, files=("/dev/vfio/0",)),
        "A TPU seems to be here (/dev/vfio/0, libtpu), but JAX shows only CPUs: jax 0.10.1 and libtpu 0.0.23 do not "
        'match, as after jax was upgraded by itself; run pip install "jax[tpu]==0.10.1", or on Colab delete the '
        "runtime and leave the jax of a new one as it is",
    ),
    "a TPU that another process holds": (
        facts(CPU, versions={"libtpu": "0.0.41"}, platforms="tpu,cpu", environment={"TPU_WORKER_ID": "0"}),
        "A TPU seems to be here (TPU_WORKER_ID, libtpu), but JAX shows only CPUs: jax and libtpu match, so another "
        "process may hold it; end that process, on Colab restart the session; or, if there is no TPU, uninstall libtpu",
    ),
    "a GPU without a plugin": (
        facts(CPU, files=("/dev/nvidia0",)),
        "A GPU seems to be here (/dev/nvidia0), but JAX shows only CPUs: no plugin for CUDA is installed; run "
        'pip install "jax[cuda12]==0.10.1"',
    ),
    "a GPU with an old driver": (
        facts(CPU, versions=CUDA, platforms="cuda,cpu", **GPU_IS_THERE),
        "A GPU seems to be here (/dev/nvidia0, /dev/nvidiactl), but JAX shows only CPUs: the driver may be too old; "
        "python -c \"import jax; jax.devices('cuda')\" says what it lacks",
    ),
    "one of four hosts, alone": (
        facts(V5E, environment={"TPU_WORKER_HOSTNAMES": "a,b,c,d"}),
        "TPU_WORKER_HOSTNAMES names 4 hosts, but this process is alone; run the same script on each of them, with "
        "devices.start() as its first call",
    ),
    "64 bits on a TPU": (
        facts(V5E, x64=True),
        "jax_enable_x64 is on, but a TPU has no numbers of 64 bits: some operations are put together from those of 32, "
        "slowly, and others refused; call jax.config.update('jax_enable_x64', False)",
    ),
}  # fmt: skip

TO_BFLOAT16 = (
    "The factors of float32 products are rounded to bfloat16, 8 bits, on a TPU; where that is too few, give "
    "MLP(..., precision='highest')"
)
TO_TF32 = TO_BFLOAT16.replace("bfloat16, 8 bits, on a TPU", "TF32, 11 bits, on this GPU")
TAKEN = (
    "JAX takes three quarters of the GPU's memory at its start, and another process on it may find too little; to "
    "share it, set XLA_PYTHON_CLIENT_PREALLOCATE=false before Python starts"
)
NOTED = {
    "a CPU": (facts(CPU), ()),
    "a TPU": (facts(V5E), (TO_BFLOAT16,)),
    "a TPU, said to round": (facts(V5E, precision="default"), (TO_BFLOAT16,)),
    "a TPU, exactly": (facts(V5E, precision="highest"), ()),
    "a GPU that rounds": (facts(A100), (TO_TF32, TAKEN)),
    "a GPU that does not": (facts(T4), (TAKEN,)),
    "a GPU that is shared": (facts(T4, environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "False"}), ()),
    "a GPU, memory piece by piece": (facts(T4, environment={"XLA_PYTHON_CLIENT_ALLOCATOR": "platform"}), ()),
    "a GPU left alone": (
        facts(CPU, platforms="cpu", **GPU_IS_THERE),
        ("JAX_PLATFORMS is 'cpu', so /dev/nvidia0 is left alone; unset it to use what that is",),
    ),
}


class TestReport:
    @pytest.mark.parametrize("name", HEALTHY)
    def test_nothing_is_wrong_where_all_is_well(self, name):
        assert problems(HEALTHY[name]) == ()

    @pytest.mark.parametrize("name", ILL)
    def test_says_what_is_wrong_and_what_to_do(self, name):
        made_up, sentence = ILL[name]
        assert sentence in problems(made_up)

    @pytest.mark.parametrize("name", sorted(set(ILL) - {"slow loops"}))
    def test_says_each_thing_once(self, name):
        assert len(problems(ILL[name][0])) == 1

    def test_a_plugin_that_does_not_match_is_told_before_the_gpu_that_is_missed(self):
        told = problems(facts(CPU, versions=CUDA | {"jax-cuda12-plugin": "0.9.0"}, **GPU_IS_THERE))
        assert told[0].startswith("jax 0.10.1 wants jax-cuda12-plugin")
        assert told[1].endswith("the versions of jax and its plugin do not match; mend those first")

    @pytest.mark.parametrize("name", NOTED)
    def test_notes_what_is_worth_knowing(self, name):
        made_up, sentences = NOTED[name]
        assert notes(made_up) == sentences

    def test_is_a_short_table(self):
        made_up = facts(*[V5E] * 4, *[V5E._replace(local=False, memory=None)] * 12, process=2, processes=4, x64=True)
        assert str(devices.Report(made_up, ("Too long. " * 20,), ("A note.",))) == "\n".join([
            "python    3.11.7",
            "jax       0.10.1",
            "jaxlib    0.10.1",
            "devices   16 x TPU v5 lite (tpu)",
            "here      4 of them, in process 2 of 4",
            "memory    16.0 GB a device",
            'products  precision "default"',
            "floats    64 bits",
            "Note: A note.",
            "Problem: Too long. Too long. Too long. Too long. Too long. Too long. Too long.",
            "  Too long. Too long. Too long. Too long. Too long. Too long. Too long. Too",
            "  long. Too long. Too long. Too long. Too long. Too long.",
        ])  # fmt: skip

    def test_tells_of_this_machine_and_changes_nothing(self):
        before = dict(os.environ), dict(jax.config.values)
        found = devices.report()
        assert (dict(os.environ), dict(jax.config.values)) == before
        seen = found.facts
        assert seen.versions["jax"] == seen.loaded == jax.__version__
        assert seen.versions["python"] == ".".join(map(str, sys.version_info[:3]))
        assert collections.Counter(device.kind for device in seen.devices) == {
            jax.devices()[0].device_kind: jax.device_count()
        }
        assert all(device.local for device in seen.devices)
        assert (seen.process, seen.processes, seen.x64, seen.failure) == (0, 1, False, "")
        assert found.problems == problems(seen)
        assert found.notes == notes(seen)
        assert max(map(len, str(found).splitlines())) <= 80

    def test_tells_the_settings(self, x64):
        with jax.default_matmul_precision("highest"):
            pass  # a setting of a block of code is none of the process
        jax.config.update("jax_default_matmul_precision", "high")
        try:
            seen = look()
        finally:
            jax.config.update("jax_default_matmul_precision", None)
        assert (seen.precision, seen.x64) == ("high", True)

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (RuntimeError("Unable to initialize backend 'tpu'"), "Unable to initialize backend 'tpu'"),
            (AssertionError(), "none of the platforms that it was told to use is there"),
        ],
    )
    def test_stands_where_no_device_can_be_started(self, monkeypatch, error, told):
        def fail():
            raise error

        monkeypatch.setattr(jax, "devices", fail)
        found = devices.report()
        assert found.facts.devices == ()
        lines = str(found).splitlines()
        assert {"devices   none", "here      0 of them, in process 0 of 1", "memory    not known"} <= set(lines)
        assert found.problems[0].startswith(f"JAX cannot start its devices: {told}")

    def test_knows_the_variables_that_are_set(self, monkeypatch):
        for name in ("TPU_NAME", "TPU_WORKER_ID"):
            monkeypatch.setenv(name, "0")
        assert {"TPU_NAME", "TPU_WORKER_ID"} <= set(look().environment)

    def test_knows_the_memory_of_a_device(self):
        class Chip:
            platform = "tpu"

            def memory_stats(self):
                return {"bytes_in_use": 1, "bytes_limit": 16}

        class Silent(Chip):
            def memory_stats(self):
                return None

        class Remote(Chip):
            def memory_stats(self):
                raise RuntimeError("not addressable")

        assert [memory_of(chip()) for chip in (Chip, Silent, Remote)] == [16, None, None]

    @pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux tells its memory there")
    def test_a_cpu_has_the_memory_of_the_machine(self):
        kilobytes = int(re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())[1])
        assert memory_of(jax.local_devices(backend="cpu")[0]) == pytest.approx(1024 * kilobytes, rel=1e-3)

    def test_reads_what_jax_requires(self):
        lines = [
            "jaxlib<=0.12.0.1,>=0.11.2", "numpy>=2.2", 'jaxlib==0.11.2; extra == "minimum-jaxlib"',
            'libtpu==0.0.50.*; extra == "tpu"', 'jax-cuda12-plugin[with-cuda]<=0.12.0.1,>=0.12.0.1; extra == "cuda"',
            'jax-rocm7-plugin==0.12.0.1.*; extra == "rocm7-local"',
        ]  # fmt: skip
        assert requirements(lines) == {
            "jaxlib": "<=0.12.0.1,>=0.11.2",
            "libtpu": "==0.0.50.*",
            "jax-cuda12-plugin": "<=0.12.0.1,>=0.12.0.1",
            "jax-cuda12-pjrt": "<=0.12.0.1,>=0.12.0.1",
            "jax-rocm7-plugin": "==0.12.0.1.*",
        }

    def test_the_jax_that_is_installed_has_such_requirements(self):
        seen = look()
        assert {"jaxlib", "libtpu", "jax-cuda12-plugin"} <= set(seen.wanted)
        assert satisfied(seen.versions["jaxlib"], seen.wanted["jaxlib"])
        assert versions_of(("no-such-package", "jax")) == {"jax": jax.__version__}
        assert set(PACKAGES) >= set(seen.versions) - {"python"}

    @pytest.mark.parametrize(
        ("version", "wanted", "so"),
        [
            ("0.10.1", "<=0.10.1,>=0.10.1", True), ("0.10.0", "<=0.10.1,>=0.10.1", False),
            ("0.10.2", "<=0.10.1,>=0.10.1", False), ("0.9.9", "<=0.10.1", True), ("0.11", ">=0.10.1", True),
            ("0.0.41", "==0.0.41.*", True), ("0.0.41.3", "==0.0.41.*", True), ("0.0.4", "==0.0.41.*", False),
            ("0.0.410", "==0.0.41.*", False), ("0.7.2+cuda12", "<=0.7.2,>=0.7.2", True),
            ("0.10.1.dev2026", "<=0.10.1", True),
        ],
    )  # fmt: skip
    def test_compares_versions(self, version, wanted, so):
        assert satisfied(version, wanted) is so


class TestCommand:
    def test_the_exit_code_tells_of_problems(self, monkeypatch, capsys):
        for told, code in (((), 0), (("It is broken.",), 1)):
            monkeypatch.setattr(devices, "report", lambda told=told: devices.Report(facts(CPU), told, ()))
            assert main([]) == code
            assert capsys.readouterr().out.endswith("Problem: It is broken.\n" if told else "No problem was found.\n")

    def test_arguments_get_a_sentence(self, capsys):
        assert main(["--verbose", "x"]) == 2
        told = capsys.readouterr()
        assert told.err == "python -m jaxmlp.devices takes no arguments; leave out --verbose x\n"
        assert told.out == ""

    def test_runs_on_the_command_line(self):
        command = [sys.executable, "-m", "jaxmlp.devices"]
        run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
        assert run.stdout.startswith("python ")
        assert run.returncode == (1 if "Problem: " in run.stdout else 0), run.stderr


class Recurrent:
    """A model of one's own: three numbers at a time go round seven times."""

    def init(self, key):
        return {"w": jnp.zeros((3, 5)), "u": jnp.zeros((5, 5)), "out": jnp.zeros((5, 2))}

    def apply(self, params, x, *, key=None):
        def turn(h, x):
            return jnp.tanh(x @ params["w"] + h @ params["u"]), None

        h, _ = jax.lax.scan(turn, jnp.zeros((x.shape[0], 5)), jnp.swapaxes(x, 0, 1))
        return h @ params["out"]


class Linear:
    """Two products, with nothing between them."""

    def init(self, key):
        return {"w": jnp.zeros((3, 5)), "v": jnp.zeros((5, 2))}

    def apply(self, params, x, *, key=None):
        return x @ params["w"] @ params["v"]


def held(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


class TestProducts:
    def test_are_counted_by_hand(self):
        found = products(jnp.matmul, jnp.ones((9, 130)), jnp.ones((130, 5)))
        assert found == (2 * 9 * 130 * 5, 2 * 16 * 256 * 128)

    def test_an_axis_is_padded_as_the_arrays_have_it_that_hold_it(self):
        a, w, delta = jnp.ones((9, 130)), jnp.ones((130, 5)), jnp.ones((9, 5))
        back = products(lambda d, w: jax.lax.dot_general(d, w, (((1,), (1,)), ((), ()))), delta, w)
        assert back.padded == 2 * 16 * 128 * 256  # 130 lies last in the result
        gradient = products(lambda a, d: jax.lax.dot_general(a, d, (((0,), (0,)), ((), ()))), a, delta)
        assert gradient.padded == 2 * 16 * 256 * 128  # 9 lies last in no array, 130 and 5 do

    def test_axes_that_lie_further_out_are_not_padded(self):
        found = products(jnp.matmul, jnp.ones((3, 9, 130)), jnp.ones((3, 130, 5)))
        assert found == (3 * 2 * 9 * 130 * 5, 3 * 2 * 16 * 256 * 128)

    def test_loops_branches_and_calls_are_looked_into(self):
        a = jnp.ones((2, 2))
        once = products(jnp.matmul, a, a).flops
        assert once == 16
        assert products(lambda a: jax.lax.fori_loop(0, 5, lambda i, x: x @ a, a), a).flops == 5 * once
        assert products(lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a @ a, lambda: a), a).flops == once
        assert products(jax.jit(lambda a: a @ a @ a), a).flops == 2 * once
        assert products(jnp.sin, a) == (0, 0)


class TestCheck:
    def test_counts_by_hand(self):
        found = devices.check(MLP((3, 5, 2)), ((8, 3), (8,)), batch_size=4, optimizer=ADAM, memory=10**6)
        forward = 2 * 4 * (3 * 5 + 5 * 2)
        backward = 2 * 4 * (3 * 5 + 5 * 2 + 5 * 2)  # no gradient by the inputs
        assert (found.steps, found.flops) == (2, 2 * (forward + backward))
        assert found.padding == pytest.approx(1 - (forward + backward) / (5 * 2 * 8 * 128 * 128))
        parameters = 3 * 5 + 5 + 5 * 2 + 2
        assert (found.parameters, found.rows) == (parameters, 8)
        assert {name: count for name, count in found.bytes.items() if name != "activations"} == {
            "parameters": 4 * parameters,
            "gradients": 4 * parameters,
            "optimizer state": 4 * (2 * parameters + 3),  # two moments, and steps that are counted
            "best parameters": 4 * parameters,
            "before the epoch": 4 * (3 * parameters + 3),
            "rows": 4 * 8 * (3 + 1),
        }
        assert found.total == sum(found.bytes.values())

    @pytest.mark.parametrize("net", [
        MLP((20, 30, 30, 4), residual=True, normalization="layer", dropout=0.1), MLP((20, 9)),
        MLP((20, 30, 4), "prelu", heads={"a": 3, "b": 1}, compute_dtype="bfloat16", parametrization="ntk"),
    ])  # fmt: skip
    def test_agrees_with_the_diagnostics_but_for_biases(self, net):
        found = devices.check(net, ((64, 20), (64,)), batch_size=32)
        biases = sum(net.sizes[1:])  # added on the way forward, and summed up on the way back
        assert found.flops == 2 * (diagnostics.flops(net, 32).both - 2 * 32 * biases)

    def test_counts_a_model_of_ones_own(self):
        found = devices.check(Recurrent(), ((40, 7, 3), (40,)), batch_size=10)
        forward = 2 * 10 * (7 * (3 * 5 + 5 * 5) + 5 * 2)
        backward = forward + 2 * 10 * (7 * 5 * 5 + 5 * 2)
        assert found.flops == 4 * (forward + backward)
        assert str(found).startswith("Recurrent\n")

    def test_counts_what_a_batch_and_an_evaluation_leave_by_hand(self):
        shapes, held_out = ((40, 3), (40,)), ((20_000, 3), (20_000,))
        found = devices.check(Linear(), shapes, batch_size=8)
        assert found.bytes["activations"] == 4 * 8 * (
            3 + 1 + 5 + 2
        )  # the rows themselves; then one layer and the other
        found = devices.check(Linear(), shapes, batch_size=8, validation=held_out)
        assert found.bytes["activations"] == 4 * (ROWS_AT_ONCE * (3 + 5) + 3 * 5 + 20_000 * 2)

    def test_fills_up_the_last_batch(self):
        full, ragged = (devices.check(MLP((3, 5, 2)), ((n, 3), (n,)), batch_size=4) for n in (12, 9))
        assert ragged.flops == full.flops
        assert ragged.steps == 3

    def test_a_batch_holds_all_rows_at_most(self):
        for batch_size in (None, 100):
            assert devices.check(MLP((3, 2)), ((9, 3), (9,)), batch_size=batch_size).batch_size == 9

    @pytest.mark.parametrize("optimizer", [optimizers.momentum(0.1), optimizers.muon(0.1)])
    def test_counts_what_a_run_then_holds(self, optimizer):
        net = MLP((6, 7, 8, 3), "prelu", normalization="rms")
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(30, 6)), rng.integers(0, 3, 30)
        recipe = training.Recipe(net, optimizer, losses.softmax_cross_entropy)
        found = devices.check(net, (x, y, np.ones(30)), batch_size=8, optimizer=optimizer, validation=(x[:9], y[:9]))
        state = jax.eval_shape(
            lambda key: training.make_run(recipe, epochs=1, batch_size=8)(key, (jnp.ones((30, 6)), jnp.zeros(30, int))),
            jax.random.key(0),
        )
        sizes = {name: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(getattr(state, name)))
                 for name in ("params", "opt_state", "best_params")}  # fmt: skip
        assert found.bytes["parameters"] == sizes["params"]
        assert found.bytes["best parameters"] == sizes["best_params"]
        assert found.bytes["optimizer state"] == sizes["opt_state"]
        params = net.init(jax.random.key(0))
        train = training.to_batch(recipe, params, "", (x, y, np.ones(30)))
        held_out = training.to_batch(recipe, params, "", (x[:9], y[:9]))
        assert found.bytes["rows"] == held((train, held_out))

    @pytest.mark.skipif("jax.default_backend() != 'cpu'", reason="measured on CPUs; others set more aside")
    @pytest.mark.parametrize(
        ("net", "rows", "batch_size", "held_out", "least", "most"),
        [
            (MLP((100, 256, 256, 10)), 9000, 4096, None, 0.9, 1.1),  # activations take the most
            (MLP((500, 900, 900, 10)), 500, 32, None, 0.9, 1.1),  # parameters do
            (MLP((100, 400, 10)), 500, 100, 9000, 0.9, 1.1),  # evaluation does
            (MLP((100, 256, 256, 10), "tanh"), 9000, 4096, None, 1.0, 1.4),  # XLA computes some of them twice
        ],
        ids=["activations", "parameters", "evaluation", "tanh"],
    )
    def test_knows_about_what_xla_sets_aside_for_the_run(self, net, rows, batch_size, held_out, least, most):
        def shapes(rows):
            return (jax.ShapeDtypeStruct((rows, net.sizes[0]), jnp.float32), jax.ShapeDtypeStruct((rows,), jnp.int32))

        validation = None if held_out is None else shapes(held_out)
        run = training.make_run(
            training.Recipe(net, ADAM, losses.softmax_cross_entropy), epochs=3, batch_size=batch_size
        )
        aside = jax.jit(run).lower(jax.random.key(0), shapes(rows), validation).compile().memory_analysis()
        real = aside.temp_size_in_bytes + aside.argument_size_in_bytes + aside.output_size_in_bytes
        found = devices.check(net, shapes(rows), batch_size=batch_size, optimizer=ADAM, validation=validation)
        assert least * real <= found.total <= most * real

    def test_evaluates_as_many_rows_at_once_as_a_run_does(self):
        assert ROWS_AT_ONCE == EVALUATION_ROWS

    def test_members_are_shared_out(self):
        shapes = ((64, 20), (64,))
        alone = devices.check(MLP((20, 30, 4)), shapes, batch_size=16, optimizer=ADAM)
        many = devices.check(MLP((20, 30, 4)), shapes, batch_size=16, optimizer=ADAM, members=10, devices=4)
        assert many.flops == 10 * alone.flops
        assert many.bytes == {
            name: count * (1 if name == "rows" else 3) for name, count in alone.bytes.items()
        }  # the fullest has three
        assert many.padding == alone.padding

    def test_a_batch_is_shared_out(self):
        shapes = ((64, 20), (64,))
        alone = devices.check(MLP((20, 30, 4)), shapes, batch_size=32, optimizer=ADAM)
        shared = devices.check(MLP((20, 30, 4)), shapes, batch_size=32, optimizer=ADAM, devices=4)
        assert shared.flops == alone.flops
        assert shared.bytes["activations"] * 4 == alone.bytes["activations"]
        assert shared.bytes["rows"] * 4 == alone.bytes["rows"]
        assert shared.bytes["parameters"] == alone.bytes["parameters"]
        assert shared.padding == alone.padding  # 8 rows each

    def test_says_whether_it_fits(self):
        shapes = ((64, 20), (64,))
        total = devices.check(MLP((20, 30, 4)), shapes, batch_size=16).total
        for memory, fits in ((int(total / 0.8) + 1, True), (int(total / 0.8) - 1, False)):
            found = devices.check(MLP((20, 30, 4)), shapes, batch_size=16, memory=memory)
            assert found.fits is fits
            assert ("which fits into its" if fits else "which is too much for its") in str(found)
            told = [line for line in found.advice if "cannot hold it" in line]
            assert told == (
                [] if fits else ["A device cannot hold it; give a smaller batch_size, fewer rows or a smaller net."]
            )

    def test_says_how_many_members_fit(self):
        alone = devices.check(MLP((20, 30, 4)), ((64, 20), (64,)), batch_size=16)
        one = alone.total - alone.bytes["rows"]
        memory = int((alone.bytes["rows"] + 7.5 * one) / 0.8)
        found = devices.check(MLP((20, 30, 4)), ((64, 20), (64,)), batch_size=16, members=100, memory=memory)
        assert found.advice[0] == "A device holds 7 members at once; a sweep cuts them into slices by itself."

    def test_the_memory_is_that_of_the_first_device_of_which_cpus_have_a_share(self):
        mine = memory_of(jax.local_devices()[0])
        assert devices.check(MLP((3, 2)), ((9, 3), (9,)), batch_size=9).memory == mine
        shared = mine // 4 if jax.default_backend() == "cpu" else mine
        assert devices.check(MLP((3, 2)), ((9, 3), (9,)), batch_size=9, devices=4).memory == shared

    def test_nothing_is_said_of_fitting_where_nobody_knows(self):
        found = devices.check(MLP((3, 2)), ((9, 3), (9,)), batch_size=8)
        unknown = dataclasses.replace(found, memory=None)
        assert unknown.fits is None
        assert str(unknown).endswith("on the device")

    @pytest.mark.parametrize(
        ("widths", "batch_size", "shared_by", "advice"),
        [
            ((128, 256), 64, 1, ()),
            ((122,), 8, 1, ()),  # less than 5 % is empty
            ((100, 129, 100), 64, 1, (
                "On a TPU a layer's 100 units leave 22% of 1 tile of 128 empty; 128 take no longer.",
                "On a TPU a layer's 129 units leave 50% of 2 tiles of 128 empty; 256 take no longer.",
            )),
            ((128,), 100, 1, (
                "On a TPU the 100 rows of a batch fill 13 tiles of 8, the last in part; 104 take no longer.",
            )),
            ((128,), 100, 8, (
                "On a TPU each device's 13 rows of a batch fill 2 tiles of 8, the last in part; 16 take no longer.",
            )),
            ((), 64, 1, ()),
        ],
    )  # fmt: skip
    def test_advises_on_tiles(self, widths, batch_size, shared_by, advice):
        net = MLP((20, *widths, 4))
        assert devices.check(net, ((200, 20), (200,)), batch_size=batch_size, devices=shared_by).advice == advice

    def test_shapes_are_as_good_as_arrays(self):
        net = MLP((20, 30, 3), heads={"a": 2, "b": 1})
        x, y = np.zeros((64, 20), np.float64), {"a": np.zeros(64, np.int64), "b": np.zeros((64, 1), np.float32)}
        arrays = devices.check(net, (x, y), batch_size=16)
        assert devices.check(net, ((64, 20), {"a": (64,), "b": (64, 1)}), batch_size=16) == arrays
        assert devices.check(net, (x.tolist(), {k: v.tolist() for k, v in y.items()}), batch_size=16) == arrays

    def test_floats_have_64_bits_where_they_are_switched_on_and_labels_32(self, x64):
        found = devices.check(MLP((3, 5, 2)), (np.zeros((8, 3)), np.zeros(8, np.int64)), batch_size=8)
        assert found.bytes["rows"] == 8 * (3 * 8 + 4)
        assert found.bytes["parameters"] == 8 * 32

    def test_nothing_is_compiled(self, compilations):
        devices.check(MLP((3, 5, 2)), ((8, 3), (8,)), batch_size=8)  # small constants, once in a process
        before = compilations.count
        devices.check(MLP((3, 50, 2)), ((80, 3), (80,)), batch_size=8, optimizer=ADAM, validation=((9, 3), (9,)))
        assert compilations.count == before

    @pytest.mark.parametrize(
        ("arguments", "error", "sentence"),
        [
            ({"net": MLP}, TypeError, "net is <class.*give a model with init and apply"),
            ({"data": ((8, 3),)}, TypeError, "training data is 1 parts; give a tuple"),
            ({"data": 3}, TypeError, "training data is a int; give a tuple"),
            ({"data": ((8, 4), (8,))}, ValueError, r"x has rows of shape \(4,\), but sizes\[0\] of the net is 3; give"),
            ({"validation": ((8, 4), (8,))}, ValueError, r"validation x has rows of shape \(4,\), but"),
            ({"data": ((8, 3), (7,))}, ValueError, "x has 8 rows and y has 7; give as many"),
            ({"data": (3.0, (8,))}, ValueError, r"x has shape \(\); give at least one row"),
            ({"data": (np.zeros((0, 3)), np.zeros(0))}, ValueError, r"x has shape \(0, 3\); give at least one row"),
            ({"batch_size": 0}, ValueError, "batch_size is 0; give a whole number of at least 1"),
            ({"members": 0}, ValueError, "members is 0; give a whole number of at least 1"),
            ({"devices": 0}, ValueError, "devices is 0; give a whole number of at least 1"),
            ({"memory": 1.5}, TypeError, "memory is 1.5; give a whole number of at least 1"),
            ({"batch_size": 4, "devices": 8}, ValueError, "batch_size is 4, but 8 devices share it; give at least"),
        ],
    )  # fmt: skip
    def test_bad_input_gets_a_sentence(self, unchecked, arguments, error, sentence):
        with pytest.raises(error, match=sentence):
            devices.check(**{"net": MLP((3, 5, 2)), "data": ((8, 3), (8,)), "batch_size": 8, **arguments})

    def test_members_need_no_rows_each(self):
        assert devices.check(MLP((3, 2)), ((8, 3), (8,)), batch_size=4, members=8, devices=8).members == 8

    @pytest.mark.parametrize(("count", "text"), [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_951, "1.0 MB"),
        (2 * 10**15, "2000.0 TB"),
    ])  # fmt: skip
    def test_sizes_are_readable(self, count, text):
        assert size(count) == text


class TestEstimate:
    """The numbers of the README's page, computed anew from its formulas."""

    page = re.search(
        r"## From one core to a pod\n(.*?)\n## ", (Path(__file__).parent.parent / "README.md").read_text(), re.DOTALL
    )[1]
    peak, memory, links = 197e12, 819e9, {1: np.inf, 8: 100e9, 256: 200e9}
    small, wide = (784, 800, 10), (784, 4096, 4096, 10)

    def parameters(self, sizes):
        return sum(layer.parameters for layer in MLP(sizes).layers())

    @staticmethod
    @functools.cache
    def flops(sizes):
        found = devices.check(MLP(sizes), ((128, sizes[0]), (128,)), batch_size=128)
        assert found.flops % 128 == 0
        return found.flops // 128

    def moved(self, sizes):
        return 10 * self.parameters(sizes), 4 * sizes[0] + 6 * sum(sizes[1:])

    def intensity(self, sizes, rows):
        of_parameters, of_row = self.moved(sizes)
        return self.flops(sizes) * rows / (4 * (of_parameters + of_row * rows))

    def least_rows(self, sizes, chips):
        return 8 * self.parameters(sizes) * (1 - 1 / chips) / self.links[chips] * self.peak / self.flops(sizes)

    def times(self, sizes, rows, chips):
        of_parameters, of_row = self.moved(sizes)
        sent = 4 * (2 * self.parameters(sizes) / chips + (sizes[0] + 1) * rows) * (chips - 1)
        return (
            self.flops(sizes) * rows / self.peak,
            4 * (of_parameters + of_row * rows) / self.memory,
            sent / self.links[chips],
        )

    def test_the_table_follows_from_the_formulas(self):
        lines = re.findall(r"^\| ((?:[\d,]+ x )?784-.*) \|$", self.page, re.MULTILINE)
        assert len(lines) == 11
        for line in lines:
            net, *cells = line.split(" | ")
            members = int(net.split(" x ")[0].replace(",", "")) if " x " in net else None
            sizes = tuple(map(int, net.split(" x ")[-1].split("-")))
            batch, chips, rows, *told = (float(cell.replace(",", "")) for cell in cells)
            assert rows == (batch if members else batch / chips)
            seconds = self.times(sizes, rows, 1 if members else int(chips))
            step = max(seconds) * (-(-members // chips) if members else 1)
            total = step * 100 * -(-60_000 // batch)
            micro = [1e6 * time for time in (*seconds, step)]
            assert told == pytest.approx([*micro, total, chips * total / 3600], rel=0.006, abs=1e-12), line

    def test_the_sentences_do(self):
        intensities = self.intensity(self.small, 128), self.intensity(self.small, 1e12)
        assert f"its intensity is {intensities[0]:.0f} at b = 128 and stays below {intensities[1]:.0f}" in self.page
        assert f"197e12 / 819e9 = {self.peak / self.memory:.0f}" in self.page
        assert f"{8 * self.parameters(self.small) * 7 / 8 / 1e6:.1f} MB for each chip and step" in self.page
        rows = [f"{self.least_rows(sizes, chips):,.0f}" for sizes in (self.small, self.wide) for chips in (8, 256)]
        words = " ".join(self.page.split())
        assert (
            "b* is {} rows a chip on a v5e-8 and {} on a pod; for 784-4096-4096-10 it is {} and {}.".format(*rows)
            in words
        )
        one, board, pod = (max(self.times(self.wide, 8192 / chips, chips)) for chips in (1, 8, 256))
        assert f"eight chips are {one / board:.1f} times as fast as one for that net" in words
        assert f"only {board / pod:.1f} times as fast as those" in words
        member = max(self.times(self.small, 128, 1)) * 100 * 469
        assert f"{10_000 * member / 3600:.1f} p, and are done in {1250 * member / 60:.0f} minutes" in words
        assert f"and in {40 * member:.0f} seconds on a pod" in words
        assert "B = 128 eight chips take longer than one" in words
        assert max(self.times(self.small, 16, 8)) > max(self.times(self.small, 128, 1))
        padding = devices.check(MLP(self.small), ((128, 784), (128,)), batch_size=128).padding
        assert f"Padding ({padding:.0%}".replace("%", " %") in words
