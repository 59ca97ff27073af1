import functools
import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxmlp import archive, checkpoints, devices, losses, optimizers, training
from jaxmlp.checkpoints import Folder, checksums
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, StopReason, fit, saving

RNG = np.random.default_rng(0)
ARRAYS = {
    "float32": jnp.array([0.1, -0.0, jnp.inf, jnp.nan], jnp.float32),
    "params/0/w": jnp.asarray(RNG.normal(size=(8, 6)), jnp.float32),
    "payload of NaN": jax.lax.bitcast_convert_type(jnp.array([0x7FC01234], jnp.uint32), jnp.float32),
    "float16": jnp.array([[1.5]], jnp.float16),
    "bfloat16": jnp.array([1.5, -3.0], jnp.bfloat16),
    "float8": jnp.array([0.5, 2.0], jnp.float8_e4m3fn),
    "int8": jnp.arange(-3, 3, dtype=jnp.int8),
    "uint32": jnp.array([2**32 - 1], jnp.uint32),
    "bool": jnp.array([True, False]),
    "scalar": jnp.float32(3.25),
    "empty": jnp.zeros((0, 4), jnp.int32),
    "complex": jnp.array([1 + 2j], jnp.complex64),
    "weak": jnp.asarray(2.5),
    "key": jax.random.key(7),
    "keys": jax.random.split(jax.random.key(7, impl="rbg"), 3),
}  # fmt: skip
ABOUT = {"epoch": 3, "what": ["a", {"b": None, "c": 0.1}]}


def shapes(arrays, sharding=None):
    return {name: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding) for name, a in arrays.items()}


def written(folder, arrays, about=None, epoch=1, **options):
    with Folder(folder, **options).open() as writer:
        writer.write(epoch, arrays, about or {})


def read(folder, like, at_most=None):
    return Folder(folder).read(lambda about, names: like, at_most)


def bits(array):
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if is_key else array).tobytes()


def assert_same(arrays, wanted):
    assert sorted(arrays) == sorted(wanted)
    for name, array in wanted.items():
        assert arrays[name].dtype == array.dtype, name
        assert arrays[name].shape == array.shape, name
        assert bits(arrays[name]) == bits(array), name


def spread(*shape, names="ab"):
    """A mesh of some of the eight devices."""
    axes = (jax.sharding.AxisType.Auto,) * len(shape)
    return jax.make_mesh(shape, tuple(names[: len(shape)]), axis_types=axes, devices=jax.devices()[: np.prod(shape)])


class TestChecksums:
    def test_the_layout_makes_no_difference(self):
        array = jnp.asarray(RNG.integers(0, 2**32, (8, 4, 2)), jnp.uint32)
        layouts = [
            NamedSharding(spread(8), PartitionSpec("a")),
            NamedSharding(spread(2, 4), PartitionSpec("b", None, "a")),
        ]
        by_layout = checksums({str(i): jax.device_put(array, layout) for i, layout in enumerate(layouts)})
        assert {*by_layout.values()} == {*checksums({"": array}).values()}

    @pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float16", "float32", "int32", "complex64"])
    def test_every_bit_counts(self, dtype):
        array = np.zeros(3, dtype)
        found = [checksums({"": jnp.asarray(array)})[""]]
        for byte, bit in itertools.product(range(array.nbytes), range(8)):
            changed = array.copy()
            changed.view(np.uint8)[byte] ^= 1 << bit
            found.append(checksums({"": jnp.asarray(changed)})[""])
        assert len(set(found)) == len(found) == 8 * array.nbytes + 1

    def test_the_order_counts(self):
        one, other = jnp.array([[1, 2], [3, 4]]), jnp.array([[1, 3], [2, 4]])
        assert len({*checksums({"one": one, "other": other}).values()}) == 2

    def test_they_are_those_of_the_format(self):
        """By the equation, in Python's numbers; else older checkpoints would be taken for damaged ones."""

        def mix(h):
            h = (h ^ (h >> 16)) * 0x85EBCA6B % 2**32
            h = (h ^ (h >> 13)) * 0xC2B2AE35 % 2**32
            return h ^ (h >> 16)

        words = [7, 2**31, 5, 0, 1, 2**32 - 1]
        halves = [
            sum(mix(w ^ mix((i + seed) % 2**32)) for i, w in enumerate(words)) % 2**32
            for seed in (0x9E3779B9, 0x7F4A7C15)
        ]
        assert checksums({"": jnp.array(words, jnp.uint32).reshape(3, 2)}) == {"": "{:08x}{:08x}".format(*halves)}


class TestRoundTrip:
    @pytest.mark.parametrize("asynchronous", [True, False])
    def test_keeps_every_bit(self, asynchronous, tmp_path):
        written(tmp_path, ARRAYS, ABOUT, asynchronous=asynchronous)
        arrays, about = read(tmp_path, shapes(ARRAYS))
        assert about == ABOUT
        assert_same(arrays, ARRAYS)
        assert not arrays["weak"].weak_type
        assert jax.random.key_impl(arrays["keys"]) == "rbg"
        draws = [jax.random.uniform(a["key"]) for a in (arrays, ARRAYS)]
        assert draws[0] == draws[1]

    def test_of_64_bits(self, x64, tmp_path):
        arrays = {"float64": jnp.asarray(RNG.normal(size=5)), "int64": jnp.array([2**62 + 1])}
        assert arrays["float64"].dtype == jnp.float64
        written(tmp_path, arrays)
        assert_same(read(tmp_path, shapes(arrays))[0], arrays)

    def test_from_eight_devices_to_others_and_back(self, tmp_path):
        of_rows = NamedSharding(spread(8), PartitionSpec("a"))
        both = NamedSharding(spread(2, 3), PartitionSpec("a", "b"))
        one, third = None, SingleDeviceSharding(jax.devices()[2])
        array = {"w": ARRAYS["params/0/w"]}
        for i, (there, back) in enumerate(
            [(of_rows, one), (of_rows, third), (of_rows, both), (both, of_rows), (one, of_rows)]
        ):
            written(tmp_path / str(i), jax.device_put(array, there))
            arrays, _ = read(tmp_path / str(i), shapes(array, back))
            assert_same(arrays, array)
            if back is not None:
                assert arrays["w"].sharding == back
                assert [s.data.shape for s in arrays["w"].addressable_shards] == [back.shard_shape((8, 6))] * len(
                    back.device_set
                )

    def test_arrays_of_several_places_may_stand_together(self, tmp_path):
        of_rows = NamedSharding(spread(8), PartitionSpec("a"))
        arrays = {"far": jax.device_put(jnp.arange(8), of_rows), "near": jnp.arange(3)}
        written(tmp_path, arrays)
        assert_same(
            read(
                tmp_path,
                {name: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding) for name, a in arrays.items()},
            )[0],
            arrays,
        )

    def test_may_be_donated(self, tmp_path):
        """What was written, while it is being written; and what was read."""
        add = jax.jit(lambda x: x + 1, donate_argnums=0)
        x = add(jnp.zeros(300_000))
        with Folder(tmp_path).open() as writer:
            for epoch in range(3):
                writer.write(epoch, {"x": x}, {})
                x = add(x)
        for epoch in range(3):
            arrays, _ = read(tmp_path, shapes({"x": x}), at_most=epoch)
            assert (np.asarray(arrays["x"]) == epoch + 1).all()
        assert add(arrays["x"])[0] == 4

    @pytest.mark.parametrize(
        ("like", "sentence"),
        [
            ({}, "'w' is in the checkpoint and has no place here"),
            ({"v": jax.ShapeDtypeStruct((2,), jnp.float32)}, "'v' is not in the checkpoint; ask for what was written"),
            ({"w": jax.ShapeDtypeStruct((3,), jnp.float32)}, r"'w' has shape \(2,\) in the checkpoint, \(3,\) here"),
            ({"w": jax.ShapeDtypeStruct((2,), jnp.int32)}, "'w' has dtype float32 in the checkpoint, int32 here"),
            ({"w": jax.eval_shape(lambda: jax.random.key(0))}, r"'w' has .* in the checkpoint, .* here"),
        ],
    )
    def test_what_does_not_fit_gets_a_sentence(self, like, sentence, tmp_path):
        written(tmp_path, {"w": jnp.ones(2)})
        with pytest.raises(archive.ArchiveError, match=sentence):
            read(tmp_path, like)

    @pytest.mark.parametrize(
        ("arrays", "about", "error", "sentence"),
        [
            ({"a": np.zeros(1)}, {}, TypeError, r"arrays\['a'\] is ndarray; give an array of JAX's"),
            ({}, {"loss": float("nan")}, ValueError, "about cannot be written as JSON"),
            ({}, {"x": object()}, TypeError, "about cannot be written as JSON"),
        ],
    )
    def test_what_cannot_be_kept_is_refused(self, arrays, about, error, sentence, unchecked, tmp_path):
        with Folder(tmp_path).open() as writer, pytest.raises(error, match=sentence):
            writer.write(1, {"w": jnp.zeros(1), **arrays}, about)
        assert list(tmp_path.iterdir()) == []


class TestKeeping:
    @staticmethod
    def filled(folder, values, first=0):
        with folder.open(["loss"]) as writer:
            for epoch, value in enumerate(values, first):
                writer.write(epoch, {"w": jnp.array(epoch)}, {}, {"loss": value})
        return folder.numbers()

    def test_the_last_few(self, tmp_path):
        assert self.filled(Folder(tmp_path, keep=2), [1.0] * 5) == [3, 4]
        assert int(read(tmp_path, {"w": jax.ShapeDtypeStruct((), jnp.int32)}, at_most=3)[0]["w"]) == 3

    @pytest.mark.parametrize(("mode", "kept"), [("min", [2, 4, 6]), ("max", [0, 1, 6])])
    def test_and_the_best_few(self, mode, kept, tmp_path):
        folder = Folder(tmp_path, keep=1, best="loss", mode=mode, keep_best=2)
        assert self.filled(folder, [0.9, 0.8, 0.1, float("nan"), 0.2, 0.5, 0.6]) == kept

    def test_they_are_known_when_the_folder_is_opened_again(self, tmp_path):
        folder = Folder(tmp_path, keep=1, best="loss")
        self.filled(folder, [0.9, 0.1, 0.8])
        assert self.filled(folder, [0.7, 0.6], first=3) == [1, 4]

    def test_an_epoch_that_is_written_again_counts_once(self, tmp_path):
        folder = Folder(tmp_path, keep=2)
        self.filled(folder, [0.0] * 4)
        assert self.filled(folder, [0.0], first=3) == [2, 3]
        assert self.filled(folder, [0.0], first=3) == [2, 3]
        assert len(list(tmp_path.iterdir())) == 2

    def test_what_comes_later_in_a_run_taken_up_from_before_is_superseded(self, tmp_path):
        folder = Folder(tmp_path, keep=3)
        self.filled(folder, [0.0] * 6)
        assert self.filled(folder, [0.0], first=2) == [2, 4, 5]
        assert int(read(tmp_path, {"w": jax.ShapeDtypeStruct((), jnp.int32)})[0]["w"]) == 2


class TestDamage:
    def test_is_found_wherever_it_is(self, tmp_path):
        """Each file is lost or cut short, and changed: what is read is whole, or is the checkpoint before."""
        wanted, passed_over = {name: ARRAYS[name] for name in ("params/0/w", "bfloat16", "key")}, set()
        for epoch in (1, 2):
            written(tmp_path / "whole", wanted, {"number": epoch}, epoch)
        files = [path.relative_to(tmp_path) for path in (tmp_path / "whole/1").rglob("*") if path.is_file()]
        for i, file in enumerate(files):
            whole = (tmp_path / file).read_bytes()
            for damaged in (None if i % 2 else whole[: len(whole) // 2], flipped(whole, len(whole) // 2)):
                (tmp_path / file).unlink() if damaged is None else (tmp_path / file).write_bytes(damaged)
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    arrays, about = read(tmp_path / "whole", shapes(wanted))
                assert_same(arrays, wanted)
                assert about == {"number": 2 - len(said)}
                assert all("passed over checkpoint 1 of " in str(one.message) for one in said)
                passed_over |= {file.name} if said else set()
            (tmp_path / file).write_bytes(whole)
        assert {"manifest.ocdbt", "_METADATA", "metadata"} < passed_over
        assert read(tmp_path / "whole", shapes(wanted))[1] == {"number": 2}

    def test_a_changed_number_is_found_though_orbax_takes_no_notice(self, tmp_path):
        wanted = {"w": jnp.asarray(RNG.normal(size=5_000), jnp.float32)}
        written(tmp_path, wanted)
        of_numbers = max((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        whole = of_numbers.read_bytes()
        of_numbers.write_bytes(flipped(whole, len(whole) // 2))
        said = pytest.warns(RuntimeWarning, match="passed over checkpoint 0 of .*: the checksum of 'w' does not match")
        with (
            said,
            pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no checkpoint, and 1 that cannot be read; w"),
        ):
            read(tmp_path, shapes(wanted))

    def test_is_told_once_and_not_by_each_array(self, tmp_path, capfd, caplog):
        wanted = {str(i): jnp.ones((40, 40)) for i in range(30)}
        written(tmp_path, wanted)
        manifest = tmp_path / "0/arrays/manifest.ocdbt"
        manifest.write_bytes(flipped(manifest.read_bytes(), 60))
        with pytest.warns(RuntimeWarning) as said, pytest.raises(FileNotFoundError):
            read(tmp_path, shapes(wanted))
        assert len(said) == 1
        assert printed(capfd) == ""
        assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []

    def test_a_changed_description_is_found(self, tmp_path):
        written(tmp_path, {"w": jnp.ones(2)}, {"rate": 0.1})
        description = tmp_path / "0/about/metadata"
        description.write_text(description.read_text().replace("0.1", "0.2"))
        said = pytest.warns(RuntimeWarning, match="the checksum of its description does not match")
        with said, pytest.raises(FileNotFoundError, match="and 1 that cannot be read"):
            read(tmp_path, shapes({"w": jnp.ones(2)}))

    def test_the_only_one_stays_where_it_is(self, tmp_path):
        written(tmp_path, {"w": jnp.ones(2)})
        (tmp_path / "0/about/metadata").unlink()
        with pytest.raises(
            ValueError, match="holds 1 of Orbax's checkpoints, none of which is of jaxmlp or can be read"
        ):
            written(tmp_path, {"w": jnp.ones(2)})
        assert (tmp_path / "0/arrays").exists()

    def test_the_last_one_is_written_anew(self, tmp_path):
        for epoch in (1, 2):
            written(tmp_path, {"w": jnp.array(epoch)}, epoch=epoch, keep=2)
        (tmp_path / "1/about/metadata").write_text("[]")
        assert Folder(tmp_path).numbers() == [1]
        written(tmp_path, {"w": jnp.array(3)}, epoch=2, keep=2)
        assert Folder(tmp_path).numbers() == [1, 2]
        assert int(read(tmp_path, {"w": jax.ShapeDtypeStruct((), jnp.int32)})[0]["w"]) == 3

    def test_a_newer_format_says_so(self, tmp_path, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(checkpoints.contents, "VERSION", 2)
            written(tmp_path, {"w": jnp.ones(2)})
        said = pytest.warns(RuntimeWarning, match="it has version 2 of the format, and 1 is the last known")
        with said, pytest.raises(FileNotFoundError):
            read(tmp_path, {})

    def test_a_kill_loses_nothing_that_was_there(self, tmp_path):
        """A child saves as fast as it can; when a call begins to write, the one before is on disk."""
        program = """
            import sys
            import jax.numpy as jnp
            from jaxmlp.checkpoints import Folder
            with Folder(sys.argv[1], keep=2).open() as writer:
                for number in range(1, 100_000):
                    arrays = {str(i): jnp.full(200_000, number) for i in range(4)}
                    writer.write(number, arrays, {"number": number})
                    print(number, flush=True)
        """
        command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            while int(child.stdout.readline()) < 6:
                pass
            time.sleep(0.013)
            child.send_signal(signal.SIGKILL)
            rest, said = child.communicate()
        assert said == ""  # nor has Orbax anything to say
        last = max(map(int, rest.split()), default=6)
        like = {str(i): jax.ShapeDtypeStruct((200_000,), jnp.int32) for i in range(4)}
        arrays, about = read(tmp_path, like)
        assert about["number"] >= last - 1
        assert all((array == about["number"]).all() for array in arrays.values())
        for left in ("77", "78"):
            (tmp_path / f"{left}.orbax-checkpoint-tmp").mkdir()
        written(tmp_path, arrays, {"number": 0}, keep=1)
        assert len(list(tmp_path.iterdir())) == 1  # what killed ones were at is gone
        assert read(tmp_path, like)[1] == {"number": 0}


def flipped(contents, at):
    damaged = bytearray(contents)
    damaged[at] ^= 0x10
    return bytes(damaged)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "error", "sentence"),
        [
            ({"folder": 3}, TypeError, "folder is 3; give the path of a folder"),
            ({"keep": 0}, ValueError, "keep is 0; give a whole number of at least 1"),
            ({"keep_best": 0}, ValueError, "keep_best is 0; give a whole number of at least 1"),
            ({"best": 3}, TypeError, "best is 3; give a name of the history, such as 'validation/loss', or None"),
            ({"mode": "minimum"}, ValueError, "mode is 'minimum'; did you mean 'min'"),
        ],
    )
    def test_of_arguments(self, options, error, sentence, unchecked):
        with pytest.raises(error, match=sentence):
            Folder(**{"folder": "runs", **options})

    def test_orbax_is_not_there(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
        with pytest.raises(ImportError, match=r'needs orbax-checkpoint; install it by pip install "jaxmlp\[scale\]"'):
            Folder("runs")

    def test_a_folder_of_archives(self, tmp_path):
        archive.write_next(tmp_path, 3, {}, {})
        with pytest.raises(
            ValueError, match=f"{tmp_path} holds archives of a run; go on with save='{tmp_path}', or give"
        ):
            Folder(tmp_path).open()

    def test_a_folder_of_somebody_else_s_checkpoints(self, tmp_path):
        with orbax.checkpoint.CheckpointManager(tmp_path) as manager:
            manager.save(7, args=orbax.checkpoint.args.StandardSave({"w": jnp.ones(2)}))
        with pytest.raises(
            ValueError, match=f"{tmp_path} holds 1 of Orbax's checkpoints, none of which is of jaxmlp or"
        ):
            Folder(tmp_path).open()
        assert (tmp_path / "7").exists()

    def test_other_files_are_left_alone(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "pictures").mkdir()
        written(tmp_path, {"w": jnp.ones(2)}, epoch=1, keep=1)
        (tmp_path / "2024").mkdir()
        for epoch in (2, 3):
            written(tmp_path, {"w": jnp.ones(2)}, epoch=epoch, keep=1)
        assert sorted(os.listdir(tmp_path)) == ["2024", "2026", "notes.txt", "pictures"]

    @pytest.mark.parametrize("name", ["file", "file/below"])
    def test_a_place_that_cannot_be_written(self, name, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(OSError, match=f"{tmp_path / name} cannot be written .*; give another folder as save"):
            Folder(tmp_path / name).open()
        assert Folder(tmp_path / name).numbers() == []

    @pytest.mark.parametrize("asynchronous", [True, False])
    def test_a_disk_that_is_full(self, asynchronous, tmp_path, monkeypatch):
        written(tmp_path, {"w": jnp.ones(2)}, epoch=1)

        async def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(orbax.checkpoint.JsonCheckpointHandler, "_save_fn", full)
        sentence = (
            f"{tmp_path}: epoch 2 could not be written .*No space left on device.*; what was there before still is"
        )
        with pytest.raises(OSError, match=sentence), Folder(tmp_path, asynchronous=asynchronous).open() as writer:
            writer.write(2, {"w": jnp.zeros(2)}, {})
        monkeypatch.undo()
        assert Folder(tmp_path).numbers() == [1]
        time.sleep(0.3)  # other threads of what failed may still write into what is cleaned up next
        written(tmp_path, {"w": jnp.zeros(2)}, epoch=2)
        assert Folder(tmp_path).numbers() == [1, 2]


KEY = jax.random.key(3)
X = RNG.normal(size=(53, 4))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int) + (X[:, 2] > 0.5)
DATA, VALIDATION = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = MLP((4, 8, 3), dropout=0.2)
RECIPE = Recipe(NET, optimizers.adam(0.02), losses.softmax_cross_entropy)
OPTIONS = {"validation": VALIDATION, "batch_size": 8, "key": KEY}


def by_value(*trees):
    """The leaves of states and other trees as bytes, to be compared to the bit."""
    return [bits(leaf) for leaf in jax.tree.leaves(trees)]


@functools.cache
def whole():
    """A run that was never interrupted."""
    return fit(RECIPE, DATA, epochs=9, **OPTIONS)


@pytest.fixture
def at_every_chance(monkeypatch):
    """Save after every chunk."""
    monkeypatch.setattr(sys.modules["jaxmlp.training.host"], "SECONDS_PER_SAVE", 0.0)


def interrupt_after_four(epoch, run):
    if epoch == 4:
        raise KeyboardInterrupt


def printed(capfd):
    """All that was printed, without what XLA says of programs that the tests have from another process."""
    seen = capfd.readouterr()
    return seen.out + "".join(line for line in seen.err.splitlines(keepends=True) if "cpu_aot_loader" not in line)


class TestRuns:
    def test_one_that_goes_on_equals_one_that_was_never_interrupted(self, at_every_chance, tmp_path, capfd, caplog):
        folder = Folder(tmp_path / "runs", keep=2)
        options = {"epochs": 9, "resume": True, "save": folder, **OPTIONS}
        with pytest.raises(KeyboardInterrupt):
            fit(RECIPE, DATA, chunk=1, callback=interrupt_after_four, **options)
        assert folder.numbers() == [3, 4]
        assert by_value(fit(RECIPE, DATA, **options).state) == by_value(whole().state)
        assert folder.numbers()[-1] == 9
        assert by_value(fit(RECIPE, DATA, epochs=9, resume=folder, **OPTIONS).state) == by_value(whole().state)
        assert printed(capfd) == ""
        assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []

    def test_any_earlier_epoch_can_be_had_again(self, at_every_chance, tmp_path):
        run = fit(RECIPE, DATA, epochs=9, chunk=3, save=Folder(tmp_path, best="validation/loss"), **OPTIONS)
        assert by_value(run.state) == by_value(whole().state)
        for epoch in (2, 3, 7):
            assert by_value(run.at(epoch).params) == by_value(whole().at(epoch).params)

    def test_the_best_are_kept(self, at_every_chance, tmp_path):
        folder = Folder(tmp_path, keep=1, best="validation/loss", mode="max")
        run = fit(RECIPE, DATA, epochs=9, chunk=1, save=folder, **OPTIONS)
        assert folder.numbers() == [1 + int(np.argmax(run.history["validation/loss"])), 9]

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"batch_size": 7}, "batch_size is 7, that of the saved run 8; give those that"),
            (
                {"key": jax.random.key(4)},
                "key is another than that of the saved run; give those that .*runs began with",
            ),
            ({"data": (X[:39], Y[:39])}, "data are others than those of the saved run"),
            ({"epochs": 8}, "epochs is 8, but the saved run has run 9 already; give at least those"),
            ({"recipe": Recipe(NET, optimizers.sgd(0.1), losses.softmax_cross_entropy)}, "'opt_state/"),
            (
                {"recipe": Recipe(MLP((4, 9, 3)), RECIPE.optimizer, RECIPE.loss)},
                r"shape \(4, 8\) in the checkpoint, \(4, 9\)",
            ),
        ],
    )
    def test_another_run_s_folder_is_refused(self, changes, sentence, tmp_path):
        folder = Folder(tmp_path / "runs")
        fit(RECIPE, DATA, epochs=9, save=folder, **OPTIONS)
        options = {"recipe": RECIPE, "data": DATA, "epochs": 9, "save": folder, "resume": True, **OPTIONS, **changes}
        with pytest.raises(ValueError, match=sentence):
            fit(**options)
        assert folder.numbers() == [9]

    def test_a_name_that_is_not_in_the_history_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="best is 'validation/los'; did you mean 'validation/loss'"):
            fit(RECIPE, DATA, epochs=9, save=Folder(tmp_path, best="validation/los"), **OPTIONS)

    def test_what_is_no_place_to_save_is_refused(self, unchecked):
        with pytest.raises(TypeError, match=r"save is 3; give the path of a folder, a checkpoints\.Folder, or None"):
            fit(RECIPE, DATA, epochs=4, save=3, **OPTIONS)

    def test_ctrl_c_waits_until_all_is_written(self, tmp_path, ctrl_c):
        folder, recipe = Folder(tmp_path), Recipe(MLP((4, 3)), optimizers.sgd(0.1), RECIPE.loss)
        ctrl_c()
        run = fit(recipe, DATA, epochs=10_000_000, batch_size=40, key=KEY, save=folder)
        assert run.stop_reason is StopReason.INTERRUPTED
        assert folder.numbers() == [run.epochs]

    def test_a_machine_that_is_to_be_taken_away_is_saved_from(self, tmp_path, monkeypatch):
        asked = []

        def reached(manager, step):
            asked.append(step)
            return max(asked) == 2

        monkeypatch.setattr(orbax.checkpoint.CheckpointManager, "reached_preemption", reached)
        folder = Folder(tmp_path)
        run = fit(RECIPE, DATA, epochs=9, chunk=1, save=folder, **OPTIONS)
        assert run.stop_reason is StopReason.PREEMPTED
        assert folder.numbers() == [run.epochs] == [3]
        assert sorted(set(asked)) == [0, 1, 2]  # each number in turn: what is agreed on is one of them

    def test_from_eight_devices_to_one_and_to_a_mesh_of_another_shape(self, tmp_path):
        recipe = Recipe(MLP((4, 8, 3)), optimizers.momentum(0.1), losses.softmax_cross_entropy)
        options = {"resume": True, "save": Folder(tmp_path), "batch_size": 8, "key": KEY}
        eight = fit(recipe, DATA, epochs=3, mesh=devices.mesh(data=8), **options)
        one = fit(recipe, DATA, epochs=6, **options)
        assert one.params[0].w.devices() == {jax.devices()[0]}
        np.testing.assert_array_equal(one.history["train/loss"][:3], eight.history["train/loss"])
        alone = fit(recipe, DATA, epochs=6, batch_size=8, key=KEY)
        np.testing.assert_allclose(one.history["train/loss"], alone.history["train/loss"], rtol=1e-5)
        mesh = devices.mesh(data=2, model=4)
        program, inputs, _ = training.prepare(recipe, DATA, epochs=6, batch_size=8, key=KEY, mesh=mesh)
        state = saving.load(Folder(tmp_path), program, inputs)
        assert by_value(state) == by_value(one.state)
        for weights in (state.params[0].w, state.opt_state[0].m[0].w):
            assert len(weights.devices()) == 8
            assert weights.addressable_shards[0].data.shape == (4, 2)


LINE = Recipe(MLP((1, 1)), optimizers.adam(0.01), losses.squared_error)
X_OF_LINE = np.linspace(-1, 1, 12, dtype=np.float32)[:, None]

TOGETHER = """
    import os, signal, sys, time, jax, jax.numpy as jnp, numpy as np
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    port, number, alone, both, run = sys.argv[1:]
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(number))
    from jax.sharding import NamedSharding, PartitionSpec
    from jaxmlp import checkpoints, devices, losses, optimizers, training
    from jaxmlp.mlp import MLP

    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    halves, whole = (NamedSharding(mesh, PartitionSpec(*of)) for of in (("rows",), ()))
    shape = jax.ShapeDtypeStruct
    like = {"w": shape((6, 4), jnp.float32, sharding=halves), "n": shape((), jnp.int32, sharding=whole)}
    arrays, about = checkpoints.Folder(alone).read(lambda about, names: like)
    half = arrays["w"].addressable_shards[0]
    assert half.data.shape == (3, 4) and half.index[0].start == 3 * int(number), half
    assert (np.asarray(half.data) == 7 + np.arange(24.0).reshape(6, 4)[half.index]).all()
    assert int(arrays["n"]) == 5 and about == {"by": "one"}
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    with checkpoints.Folder(both, keep=2).open() as writer:
        for epoch in range(4):
            assert not writer.preempted()
            writer.write(epoch, arrays, {"by": "two"}, {"loss": 1.0})
            arrays = jax.tree.map(add, arrays)
    assert checkpoints.Folder(both).numbers() == [2, 3]

    def taken_away(epoch, run):
        time.sleep(0.1)
        if epoch == 3 and number == "1":
            os.kill(os.getpid(), signal.SIGTERM)

    x = np.linspace(-1, 1, 12, dtype=np.float32)[:, None][6 * int(number):][:6]
    recipe = training.Recipe(MLP((1, 1)), optimizers.adam(0.01), losses.squared_error)
    options = dict(batch_size=4, key=jax.random.key(0), mesh=devices.mesh(data=2), save=checkpoints.Folder(run))
    print(training.fit(recipe, (x, 3 * x), epochs=200, chunk=1, callback=taken_away, **options).stop_reason.name)
"""


def test_two_processes_write_and_read_what_one_reads_and_writes(tmp_path):
    """One of them is told that its machine is taken away: both save and end, and one process goes on."""
    arrays = {"w": 7 + jnp.arange(24.0).reshape(6, 4), "n": jnp.array(5)}
    written(tmp_path / "alone", arrays, {"by": "one"})
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    options = [str(tmp_path / name) for name in ("alone", "both", "run")]
    environment = {**os.environ, "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=1")}
    commands = [[sys.executable, "-c", textwrap.dedent(TOGETHER), str(port), str(i), *options] for i in range(2)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    for process in processes:
        out, said = process.communicate(timeout=120)
        assert (process.returncode, out.splitlines()[-1:]) == (0, ["PREEMPTED"]), said
    read_back, about = read(tmp_path / "both", shapes(arrays))
    assert about == {"by": "two"}
    assert_same(read_back, jax.tree.map(lambda a: a + 3, arrays))
    assert_same(read(tmp_path / "both", shapes(arrays), at_most=2)[0], jax.tree.map(lambda a: a + 2, arrays))

    saved = Folder(tmp_path / "run").numbers()[-1]
    assert 3 <= saved < 200
    options = {"epochs": saved + 2, "batch_size": 4, "key": jax.random.key(0)}
    resumed = fit(LINE, (X_OF_LINE, 3 * X_OF_LINE), resume=Folder(tmp_path / "run"), **options)
    never_interrupted = fit(LINE, (X_OF_LINE, 3 * X_OF_LINE), **options)
    np.testing.assert_allclose(resumed.history["train/loss"], never_interrupted.history["train/loss"], rtol=1e-5)
