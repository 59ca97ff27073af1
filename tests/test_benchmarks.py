"""The benchmarks: each runs when it is only tried, and each peer does the work that it is timed for."""

import functools
import importlib
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.__main__ import questions
from experiments.benchmarks import data_scaling, first_result, fresh, memory, peers, step_time, timing, width_scaling

ROOT = Path(__file__).parent.parent
BENCHMARKS = {"step_time", "first_result", "data_scaling", "width_scaling", "memory"}

# other libraries' own promotions and warnings are theirs
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def lenient():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


INSTALLED = [name for name, (package, *_) in peers.LIBRARIES.items() if peers.version(package)]


def task_of(sizes, epochs):
    return peers.make_task(sizes, batch_size=20, rows=1000, epochs=epochs, seed=0)


def trained(library, task):
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # its threads wait for each other while other tests run
    library.reset()
    library.train()
    return peers.mean_loss(library, task)


@functools.cache
def loss_of(name, sizes, epochs):
    task = task_of(sizes, epochs)
    return trained(peers.make(name, task), task)


def is_spread(three):
    return len(three) == 3 and all(np.isfinite(three)) and 0 < three[0] <= three[1] <= three[2]


def saved(folder):
    (picture,) = folder.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    return json.loads((folder / "result.json").read_text())


def test_all_five_are_listed():
    assert {f"experiments.benchmarks.{name}" for name in BENCHMARKS} == {n for n in questions() if "benchmarks" in n}


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("sizes", [(6, 16, 1), (6, 16, 3)], ids=["two classes", "three"])
def test_each_peer_trains(name, sizes):
    """The loss falls, and after as many epochs it is where jaxmlp's is: the work is equal."""
    reached = loss_of(name, sizes, 20)
    assert reached < 0.8 * loss_of(name, sizes, 1)
    assert reached == pytest.approx(loss_of(peers.OURS, sizes, 20), rel=0.15)


@pytest.mark.parametrize("name", INSTALLED)
def test_each_run_begins_anew(name):
    task = task_of((6, 16, 3), 2)
    library = peers.make(name, task)
    first = [trained(library, task) for _ in range(3)]
    assert first[1] == pytest.approx(first[2], rel=1e-5)
    assert first[0] == pytest.approx(first[2], rel=0.02)  # Keras's first order of the rows is another


def test_the_task_is_what_it_says():
    task = task_of((6, 16, 1), 3)
    assert (task.binary, task.steps) == (True, 150)
    assert task.flops == 2 * 20 * (6 * 16 * 2 + 16 * 1 * 3)  # nobody asks for the gradient of the data
    assert (task.x.shape, task.x.dtype, task.y.dtype) == ((1000, 6), np.float32, np.int32)
    assert set(task.y) == {0, 1}
    assert peers.decades(1000, 100_000, 256) == [1024, 10_240, 100_096]


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_loss_is_the_mean_cross_entropy(outputs):
    class Fixed(peers.Library):
        def logits(self, x):
            return x[:, :outputs]

    task = task_of((6, 4, outputs), 1)
    x = task.x.astype(np.float64)
    logits = np.stack([0 * x[:, 0], x[:, 0]], axis=1) if outputs == 1 else x[:, :3]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.mean(np.log(probability[np.arange(1000), task.y]))
    assert peers.mean_loss(Fixed(), task) == pytest.approx(expected, rel=1e-5)


def test_turns_go_forth_and_back():
    assert list(timing.in_turns("abc", 3)) == list("abccbaabc")


def test_the_yardstick_does_every_product_of_a_step():
    task = task_of((6, 16, 8, 3), 1)
    yardstick = step_time.Yardstick(task)
    yardstick.train()
    assert len(yardstick.products) == 8
    assert task.flops == sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in yardstick.products)
    for a, b, product in yardstick.products:
        np.testing.assert_allclose(product, a @ b, rtol=1e-6)
    assert [read.size for read, _ in yardstick.memory] == [7 * 16 + 17 * 8 + 9 * 3] * 3


def test_a_package_that_is_missing_is_named_and_left_out(monkeypatch, capsys):
    monkeypatch.setattr(peers, "version", lambda package: None if package in ("torch", "flax") else "1.0")
    left = peers.installed(list(peers.LIBRARIES))
    assert left == [peers.OURS, peers.PLAIN_SCAN, peers.SCIKIT_LEARN, peers.KERAS, peers.EQUINOX]
    assert capsys.readouterr().out.splitlines() == [
        f"{package}: not installed, so its row is left out (pip install {package})" for package in ("torch", "flax")
    ]


def test_a_table_shows_medians_and_quartiles():
    found = {
        "jaxmlp": {"microseconds": [1.0, 2.0, 3.0], "ratio": [1.0, 1.0, 1.0], "compile_seconds": 0.5, "loss": 0.25},
        "yardstick": {"microseconds": [4.0, 5.0, 6.0], "ratio": [2.0, 2.5, 3.0], "compile_seconds": 0, "loss": None},
    }
    assert step_time.layout(found).splitlines() == [
        "library    us/step   quartiles  ratio     quartiles  compile s    loss",
        "----------------------------------------------------------------------",
        "jaxmlp         2.0  1.0 .. 3.0   1.00  1.00 .. 1.00       0.50  0.2500",
        "yardstick      5.0  4.0 .. 6.0   2.50  2.00 .. 3.00       0.00       -",
    ]
    assert list(timing.together({"16": found, "1024": found})) == [
        "  16  jaxmlp", "  16  yardstick", "1024  jaxmlp", "1024  yardstick"
    ]  # fmt: skip


TIMED = [
    (step_time, "microseconds", {"9-20-12-6-1, batch 20"}),
    (data_scaling, "nanoseconds", {"1,024 rows", "10,240 rows"}),
    (width_scaling, "microseconds", {"width 16"}),
]


@pytest.mark.parametrize(("benchmark", "unit", "places"), TIMED, ids=[of[0].__name__.split(".")[-1] for of in TIMED])
def test_times_come_with_their_spread_and_a_loss(benchmark, unit, places, tmp_path, capsys, monkeypatch):
    few = (peers.OURS, peers.PLAIN_SCAN, peers.SCIKIT_LEARN)  # the others take long to import
    monkeypatch.setattr(benchmark, "LIBRARIES", few)
    numbers = benchmark.run(benchmark.Config(smoke=True, out=tmp_path))
    assert set(numbers) == places
    for found in numbers.values():
        assert set(found) == {*few, timing.WHOLE_CALL}
        for at in found.values():
            assert is_spread(at[unit])
            assert is_spread(at["ratio"])
            assert at["compile_seconds"] >= 0
            assert 0 < at["loss"] < 3
        assert found[peers.OURS]["ratio"] == [1, 1, 1]
        assert found[peers.OURS][unit][1] <= found[timing.WHOLE_CALL][unit][1]
    printed = capsys.readouterr().out
    assert "no GPU was at hand, and none was measured" in printed
    assert printed.count(peers.PLAIN_SCAN) == len(places)
    result = saved(tmp_path)
    assert result["config"]["smoke"] is True
    assert result["numbers"]["versions"]["scikit-learn"] == peers.version("scikit-learn")


def test_arithmetic_done_is_flops_over_time(monkeypatch):
    monkeypatch.setattr(timing, "measure", lambda *_: {peers.OURS: {"seconds": [1.0, 2.0, 4.0]}})
    task = width_scaling.make_task(1024, seed=0)
    assert task.steps == 16 * task.epochs == 16
    at = width_scaling.measure(task, [peers.OURS], 1)[peers.OURS]
    assert at["microseconds"] == [1e6 / 16, 2e6 / 16, 4e6 / 16]
    assert at["gflops"] == pytest.approx(16 * 2 * 128 * (2 * 64 * 1024 + 3 * 1024 * 1034) / 2 / 1e9)


def test_a_warm_cache_is_filled_once_and_a_cold_one_is_none(tmp_path, capsys, monkeypatch):
    calls, train = [], fresh.train

    def watched(name, folder, **options):
        found = train(name, folder, **options)
        cache = options["environment"].get(fresh.CACHE)
        calls.append((name, None if cache is None else len(list(Path(cache).glob("*-cache")))))
        return found

    monkeypatch.setattr(fresh, "train", watched)
    numbers = first_result.run(first_result.Config(smoke=True, out=tmp_path))
    (_, programs), *others = calls
    assert programs > 0
    assert others == [(peers.OURS, None), (peers.OURS, programs), (peers.SCIKIT_LEARN, None)]
    for at in numbers.values():
        assert 0 < at["ready_seconds"] < at["seconds"][1]
        assert 0 < at["again_seconds"] < at["seconds"][1]
        assert at["accuracy"] > 0.6
    assert numbers[peers.OURS + first_result.WARM]["accuracy"] == numbers[peers.OURS]["accuracy"]
    assert "jaxmlp, warm cache" in capsys.readouterr().out
    assert set(saved(tmp_path)["numbers"]["rows"]) == set(numbers)


def test_memory_counts_the_rows_at_least(tmp_path):
    (found,) = memory.run(memory.Config(smoke=True, out=tmp_path)).values()
    assert set(found) == {peers.OURS, peers.SCIKIT_LEARN}
    for at in found.values():
        assert at["data_bytes"] == 100_096 * (64 + 1) * 4
        assert 0.2 < at["bytes_per_byte"][1] < 20
        assert 0 < at["loss"] < 3
    assert "rows" in saved(tmp_path)["numbers"]


def test_a_process_that_fails_is_said(tmp_path):
    with pytest.raises(RuntimeError, match=r"jaxmlp failed in a process of its own:[\s\S]*task.json"):
        fresh.train(peers.OURS, tmp_path)


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_values_and_folders_that_will_not_do_are_refused_before_the_run(name, tmp_path):
    benchmark = importlib.import_module(f"experiments.benchmarks.{name}")
    with pytest.raises(ValueError, match="rounds is 0; give a whole number of at least 1"):
        benchmark.run(benchmark.Config(rounds=0, out=tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="choose another with --out"):
        benchmark.run(benchmark.Config(out=tmp_path / "file" / "folder"))
