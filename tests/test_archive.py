import errno
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxmlp import archive

RNG = np.random.default_rng(0)
ARRAYS = {
    "float32": np.array([0.1, -0.0, np.inf, np.nan], np.float32),
    "float64/deep": RNG.normal(size=(3, 2)),
    "float16": np.array([[1.5]], np.float16),
    "payload of NaN": np.array([0x7FC01234], np.uint32).view(np.float32),
    "bfloat16": np.array([1.5, -3.0], ml_dtypes.bfloat16),
    "float8": np.array([0.5, 2.0], ml_dtypes.float8_e4m3fn),
    "int8": np.arange(-3, 3, dtype=np.int8),
    "uint64": np.array([2**63 + 1], np.uint64),
    "bool": np.array([True, False]),
    "scalar": np.float32(3.25),
    "empty": np.zeros((0, 4), np.int32),
    "complex": np.array([1 + 2j]),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "reversed bytes": np.arange(3, dtype=">i4"),
}
ABOUT = {"epoch": 3, "what": ["a", {"b": None, "c": 0.1}]}


@pytest.fixture
def path(tmp_path):
    archive.write(tmp_path / "a.npz", ARRAYS, ABOUT)
    return tmp_path / "a.npz"


class TestOneFile:
    def test_keeps_every_bit(self, path):
        arrays, about = archive.read(path)
        assert about == ABOUT
        assert list(arrays) == list(ARRAYS)
        for name, array in ARRAYS.items():
            native = np.asarray(array)
            native = native.astype(native.dtype.newbyteorder("="))
            assert arrays[name].dtype == native.dtype, name
            assert arrays[name].shape == native.shape, name
            assert arrays[name].tobytes() == native.tobytes(), name

    def test_numpy_opens_it_without_pickle(self, path):
        with np.load(path, allow_pickle=False) as opened:
            np.testing.assert_array_equal(opened["float64/deep"], ARRAYS["float64/deep"])

    @pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
    def test_keeps_random_keys(self, impl, tmp_path):
        keys = jax.random.split(jax.random.key(7, impl=impl), 3)
        archive.write(tmp_path / "k.npz", {"keys": keys}, {})
        read = archive.read(tmp_path / "k.npz")[0]["keys"]
        assert jax.random.key_impl(read) == jax.random.key_impl(keys)
        np.testing.assert_array_equal(jax.random.key_data(read), jax.random.key_data(keys))

    def test_a_flipped_bit_is_found_wherever_it_is(self, path):
        whole, harmless = path.read_bytes(), 0
        contents = {name: array.tobytes() for name, array in archive.read(path)[0].items()}
        for at in np.linspace(0, len(whole) - 1, 300).astype(int):
            broken = bytearray(whole)
            broken[at] ^= 1 << int(at) % 8
            path.write_bytes(broken)
            try:
                arrays, about = archive.read(path)
            except archive.ArchiveError:
                continue
            harmless += 1
            assert about == ABOUT
            assert {name: array.tobytes() for name, array in arrays.items()} == contents
        assert harmless < 150  # dates, lengths given twice, and other bits of a zip file that nobody reads

    def test_an_array_put_in_the_place_of_another_is_found(self, path):
        """Such a zip file is in order, with checksums of its own."""
        with np.load(path) as opened:
            entries = dict(opened)
        np.savez(path, **entries)
        assert archive.read(path)[1] == ABOUT
        np.savez(path, **{**entries, "int8": entries["int8"] + 1})
        with pytest.raises(archive.ArchiveError, match="the checksum of 'int8' does not match"):
            archive.read(path)

    def test_a_file_cut_short_is_found(self, path):
        whole = path.read_bytes()
        for length in np.linspace(0, len(whole) - 1, 60).astype(int):
            path.write_bytes(whole[:length])
            with pytest.raises(archive.ArchiveError, match=r"cannot be read|does not begin"):
                archive.read(path)

    def test_what_is_no_archive_gets_a_sentence(self, tmp_path):
        (tmp_path / "a.npz").write_text("epoch,loss\n")
        with pytest.raises(archive.ArchiveError, match="does not begin as an archive does"):
            archive.read(tmp_path / "a.npz")
        with pytest.raises(FileNotFoundError):
            archive.read(tmp_path / "b.npz")

    def test_a_newer_format_says_to_update(self, tmp_path, monkeypatch):
        monkeypatch.setattr(archive.file, "VERSION", 2)
        archive.write(tmp_path / "a.npz", {}, {})
        monkeypatch.undo()
        with pytest.raises(archive.ArchiveError, match="version 2 of the format, and 1 is the last known; update"):
            archive.read(tmp_path / "a.npz")

    @pytest.mark.parametrize(
        ("arrays", "about", "error", "sentence"),
        [
            ({"a": np.array(["x"])}, {}, TypeError, "dtype <U1; give numbers"),
            ({"a": np.array([None])}, {}, TypeError, "dtype object; give numbers"),
            ({"description": np.zeros(1)}, {}, ValueError, "give one that can be printed"),
            ({"a\n": np.zeros(1)}, {}, ValueError, "give one that can be printed"),
            ({}, {"loss": float("nan")}, ValueError, "about cannot be written as JSON"),
            ({}, {"x": object()}, TypeError, "about cannot be written as JSON"),
        ],
    )
    def test_what_cannot_be_kept_is_refused_before_anything_is_written(self, arrays, about, error, sentence, path):
        before = path.read_bytes()
        with pytest.raises(error, match=sentence):
            archive.write(path, arrays, about)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]


class TestTheDisk:
    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_when_it_is_full_the_old_file_stands_and_nothing_is_left(self, call, path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        before = path.read_bytes()
        monkeypatch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            archive.write(path, {"new": np.zeros(9)}, {})
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_a_limit_of_the_system_in_the_midst_of_a_file_does_no_harm_either(self, path):
        program = f"""
import resource, signal
import numpy as np
from jaxmlp import archive
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    archive.write({str(path)!r}, {{"large": np.zeros(100_000)}}, {{}})
except OSError as error:
    print(type(error).__name__, error.errno)
"""
        before = path.read_bytes()
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["OSError", str(errno.EFBIG)]
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_fifty_kills_lose_nothing(self, tmp_path):
        """A child saves as fast as it can and says what it has saved; wherever it is killed, that is there."""
        program = """
import os, sys
import numpy as np
from jaxmlp import archive
print("ready", flush=True)
for _ in range(50):
    sys.stdin.readline()
    child = os.fork()
    if child == 0:
        first = max(archive.numbers(sys.argv[1]), default=0) + 1
        for number in range(first, first + 100_000):
            arrays = {str(i): np.full(2_000, number) for i in range(4)}
            archive.write_next(sys.argv[1], number, arrays, {"number": number}, keep=3)
            os.write(1, f"{number}\\n".encode())
    print("child", child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""
        command = [sys.executable, "-c", program, str(tmp_path)]
        rng, said = np.random.default_rng(1), 0
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as parent:
            assert parent.stdout.readline() == "ready\n"
            for _ in range(50):
                parent.stdin.write("\n")
                line = ""
                while not line.startswith("child"):
                    line = parent.stdout.readline()
                    said = int(line) if line.strip().isdigit() else said
                time.sleep(rng.uniform(0.01, 0.05))
                os.kill(int(line.split()[1]), signal.SIGKILL)
                while line != "dead\n":
                    line = parent.stdout.readline()
                    said = int(line) if line.strip().isdigit() else said
                if said == 0 and not archive.numbers(tmp_path):
                    continue  # killed before it had saved anything
                number, arrays, about = archive.read_latest(tmp_path)
                assert number >= said
                assert about == {"number": number}
                assert all((array == number).all() for array in arrays.values())
        assert said > 50
        archive.write_next(tmp_path, number + 1, {}, {}, keep=2)
        assert sorted(os.listdir(tmp_path)) == [f"{n:09d}.npz" for n in (number, number + 1)]


class TestTheSeries:
    def test_keeps_the_last_few(self, tmp_path):
        for number in range(12):
            archive.write_next(tmp_path, number, {"n": np.array(number)}, {}, keep=3)
        assert archive.numbers(tmp_path) == [9, 10, 11]
        assert archive.read_latest(tmp_path)[0] == 11
        assert archive.read_latest(tmp_path, at_most=10)[1]["n"] == 10

    def test_passes_over_damaged_ones(self, tmp_path):
        for number in (1, 2):
            archive.write_next(tmp_path, number, {"n": np.array(number)}, {})
        latest = tmp_path / "000000002.npz"
        latest.write_bytes(latest.read_bytes()[:-5])
        with pytest.warns(RuntimeWarning, match="passed over an archive: .*000000002"):
            assert archive.read_latest(tmp_path)[0] == 1

    def test_says_when_there_is_none(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="holds no archive; write one first"):
            archive.read_latest(tmp_path)

    def test_leaves_other_files_and_later_numbers_alone(self, tmp_path):
        (tmp_path / "notes.npz").write_text("mine")
        archive.write_next(tmp_path, 9, {}, {})
        archive.write_next(tmp_path, 4, {}, {}, keep=1)
        assert archive.numbers(tmp_path) == [4, 9]
        assert (tmp_path / "notes.npz").read_text() == "mine"


TREE = {"params": [(jnp.ones((2, 3)), jnp.zeros(3, jnp.bfloat16))], "count": jnp.array(3)}


class TestTrees:
    def test_come_back_as_they_were(self, tmp_path):
        archive.write(tmp_path / "t.npz", archive.flatten(TREE), {})
        back = archive.unflatten(jax.eval_shape(lambda: TREE), archive.read(tmp_path / "t.npz")[0])
        assert jax.tree.structure(back) == jax.tree.structure(TREE)
        for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(TREE), strict=True):
            assert a.dtype == b.dtype
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()

    def test_may_be_donated(self):
        raw = np.zeros(4096 + 64, np.uint8)
        aligned = raw[-raw.ctypes.data % 64 :][:4096].view(np.float32)  # what JAX might take over without a copy
        array = archive.unflatten(aligned, {"": aligned})
        assert array.unsafe_buffer_pointer() != aligned.ctypes.data
        jax.jit(lambda x: x + 1, donate_argnums=0)(array)
        assert (aligned == 0).all()

    @pytest.mark.parametrize(
        ("arrays", "sentence"),
        [
            ({}, "'w' is not in the file"),
            ({"w": np.zeros(3, np.float32)}, r"'w' has shape \(3,\) in the file, \(2,\) here"),
            ({"w": np.zeros(2, np.int32)}, "'w' has dtype int32 in the file, float32 here"),
            ({"w": np.zeros(2)}, "'w' has dtype float64 in the file, and 64-bit numbers are off"),
            ({"w": np.zeros(2, np.float32), "v": np.zeros(1)}, "'v' is in the file and has no place here"),
        ],
    )
    def test_what_does_not_fit_gets_a_sentence(self, arrays, sentence):
        with pytest.raises(archive.ArchiveError, match=sentence):
            archive.unflatten({"w": jax.ShapeDtypeStruct((2,), jnp.float32)}, arrays)

    def test_two_leaves_of_one_name_are_refused(self):
        with pytest.raises(ValueError, match="two leaves of the name 'a/b'"):
            archive.flatten({"a": {"b": 1}, "a/b": 2})
