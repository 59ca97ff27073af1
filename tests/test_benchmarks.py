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
from experiments.benchmarks import (
    data_scaling,
    device_scaling,
    first_result,
    fresh,
    memory,
    peers,
    step_time,
    sweep_throughput,
    timing,
    width_scaling,
)
from experiments.benchmarks.peers import many

ROOT = Path(__file__).parent.parent
BENCHMARKS = {
    "step_time", "first_result", "data_scaling", "width_scaling", "memory", "sweep_throughput", "device_scaling",
}  # fmt: skip

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


def test_all_seven_are_listed():
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


MANY_INSTALLED = [name for name in many.LIBRARIES if all(peers.versions([name], many.LIBRARIES).values())]


@pytest.fixture
def one_process(monkeypatch):
    """Have joblib start no processes."""
    alone = {name: (of, module, options | {"cores": 1} if "cores" in options else options)
             for name, (of, module, options) in many.LIBRARIES.items()}  # fmt: skip
    monkeypatch.setattr(many, "LIBRARIES", alone)


def trained_many(name, task):
    library = many.make(name, task)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    library.reset()
    library.train()
    return library


@functools.cache
def size_and_loss_of_settings(name):
    """Return for each setting the mean over its seeds of sum w^2, and the median loss of all."""
    rates, strengths = (1e-3, 1e-2), (1e-4, 0.1)
    options = {
        "batch_size": 20,
        "rows": 500,
        "epochs": 8,
        "seed": 0,
        "seeds": 3,
        "learning_rates": rates,
        "l2": strengths,
    }
    task = many.make_many((6, 16, 3), **options)
    library = trained_many(name, task)
    assert task.settings == [(1e-3, 1e-4), (1e-3, 0.1), (1e-2, 1e-4), (1e-2, 0.1)]
    assert [task.member(i)[1:] for i in range(0, 12, 3)] == task.settings
    assert [(w.shape, b.shape) for w, b in library.layers()] == [((12, 6, 16), (12, 16)), ((12, 16, 3), (12, 3))]
    squares = sum((np.asarray(w) ** 2).sum(axis=(1, 2)) for w, _ in library.layers())
    return squares.reshape(4, 3).mean(axis=1), many.median_loss(library)


@pytest.mark.parametrize("name", MANY_INSTALLED)
def test_each_peer_trains_every_setting(name, one_process):
    """The weights of each setting end as large as jaxmlp's: each member has its learning rate and its strength."""
    squares, loss = size_and_loss_of_settings(name)
    expected, loss_of_ours = size_and_loss_of_settings(peers.OURS)
    assert expected[1] < 0.8 * expected[0]
    assert expected[3] < 0.2 * expected[2]
    np.testing.assert_allclose(squares, expected, rtol=0.2)
    assert loss == pytest.approx(loss_of_ours, rel=0.15)


@functools.cache
def loss_of_folds(name):
    task = many.make_many((6, 16, 1), batch_size=32, rows=500, epochs=8, seed=0, seeds=2, folds=5)
    assert (task.members, task.member_steps) == (10, 10 * 8 * 13)  # 400 rows, the last batch of 16
    library = trained_many(name, task)
    x, y = library.rows
    assert (x.shape, y.shape) == ((5, 400, 6), (5, 400))
    np.testing.assert_allclose([x.mean(axis=1), x.std(axis=1)], [np.zeros((5, 6)), np.ones((5, 6))], atol=1e-5)
    return many.median_loss(library)


@pytest.mark.parametrize("name", MANY_INSTALLED)
def test_each_peer_trains_every_fold(name, one_process):
    """After as many epochs the loss is where jaxmlp's is, the last batch being smaller."""
    assert loss_of_folds(name) < 0.65  # log 2 at first
    assert loss_of_folds(name) == pytest.approx(loss_of_folds(peers.OURS), rel=0.15)


def test_fewer_members_are_of_all_settings_and_folds():
    task = many.make_many(
        (6, 4, 1), batch_size=20, rows=100, epochs=1, seed=0, seeds=8, learning_rates=(0.1, 0.2), l2=(0.0, 1.0), folds=2
    )
    assert [task.at_most(count).members for count in (1000, 32, 31, 16, 1)] == [64, 32, 24, 16, 8]
    assert task.at_most(1).settings == task.settings
    assert task.at_most(1).fold.tolist() == [0, 1] * 4
    with pytest.raises(ValueError, match="folds is 3, but there are 100 rows"):
        many.make_many((6, 4, 1), batch_size=20, rows=100, epochs=1, seed=0, seeds=1, folds=3)


def test_ratios_are_between_times_for_as_much_work(monkeypatch):
    class Counted(peers.Library):
        run_seconds = 2.0

    monkeypatch.setattr(timing, "timed", lambda library: 3.0)
    found = timing.take_turns({peers.OURS: Counted(), "slow": Counted()}, 2, {peers.OURS: 100, "slow": 10})
    assert [at["ratio"][1] for at in found.values()] == [1.0, 1.5, 15.0]


def test_many_runs_are_timed_per_member_step(one_process, tmp_path, capsys, monkeypatch):
    few = (peers.OURS, many.SCIKIT_LEARN_CORES)
    monkeypatch.setattr(sweep_throughput, "LIBRARIES", few)
    for task in ("sweep", "folds"):  # all of them one program, which compiles once
        monkeypatch.setattr(sweep_throughput, task, lambda config: sweep_throughput.curve(config, 1))
    numbers = sweep_throughput.run(sweep_throughput.Config(smoke=True, out=tmp_path))
    assert set(numbers) == {sweep_throughput.SWEEP, sweep_throughput.FOLDS, "1 members"}
    for found in numbers.values():
        assert set(found) == {*few, timing.WHOLE_CALL}
        for at in found.values():
            assert is_spread(at["microseconds"])
            assert is_spread(at["ratio"])
            assert at["microseconds"] == pytest.approx([1e6 * of / 35 for of in at["seconds"]])
            assert 0 < at["loss"] < 3
        assert found[peers.OURS]["ratio"] == [1, 1, 1]
    assert "goal: at most 10 us" in capsys.readouterr().out
    assert saved(tmp_path)["numbers"]["versions"]["scikit-learn"] == peers.version("scikit-learn")


def test_the_tasks_are_what_their_titles_say():
    config = sweep_throughput.Config()
    of_sweep, of_folds = sweep_throughput.sweep(config), sweep_throughput.folds(config)
    for title, task in {sweep_throughput.SWEEP: of_sweep, sweep_throughput.FOLDS: of_folds}.items():
        sizes = "-".join(map(str, task.task.sizes))
        assert title == f"{task.members} runs of {sizes}, batch {task.task.batch_size}"
    assert (of_sweep.member_steps, of_folds.member_steps) == (112 * 10 * 64, 200 * 20 * 32)
    assert sweep_throughput.curve(config, 4096).member_steps == 4096 * 20 * 35


def test_single_runs_are_measured_for_few_members_only(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(sweep_throughput, "measure", lambda task, names, _: asked.append((task.members, names)) or {})
    monkeypatch.setattr(sweep_throughput, "figure", lambda found: None)
    monkeypatch.setattr(sweep_throughput.reporting, "save", lambda *_: None)
    monkeypatch.setattr(peers, "version", lambda package: "1.0")
    sweep_throughput.run(sweep_throughput.Config(members=(16, 64), out=tmp_path))
    assert [count for count, _ in asked] == [112, 200, 16, 64]
    assert [name for name in asked[2][1] if name not in asked[3][1]] == list(many.SINGLE)


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


def test_memory_counts_the_rows_at_least(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # its processes compute as for users, which is faster
    (found,) = memory.run(memory.Config(smoke=True, out=tmp_path)).values()
    assert set(found) == {peers.OURS, peers.SCIKIT_LEARN}
    for at in found.values():
        assert at["data_bytes"] == 100_096 * (64 + 1) * 4
        assert 0.2 < at["bytes_per_byte"][1] < 20
        assert 0 < at["loss"] < 3
    assert "rows" in saved(tmp_path)["numbers"]


def test_a_sweep_is_timed_against_one_device(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    monkeypatch.setattr(device_scaling, "EPOCHS", 1)
    found = device_scaling.run(device_scaling.Config(smoke=True, out=tmp_path))
    assert list(found) == ["1 device", "2 devices", "no mesh"]
    assert found["1 device"]["speedup"] == [1, 1, 1]
    for at in found.values():
        assert is_spread(at["seconds"])
        assert is_spread(at["speedup"])
    assert "2 devices" in capsys.readouterr().out
    assert saved(tmp_path)["numbers"] == found


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
