import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxmlp import archive, checkpoints, devices, losses, optimizers, regularizers, training
from jaxmlp.checkpoints import Folder, checksums
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, StopReason, fit

HERE = Path(__file__).parent
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
FEW = {name: ARRAYS[name] for name in ("params/0/w", "bfloat16", "key")}
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
        layouts = [NamedSharding(spread(8), PartitionSpec("a")), NamedSharding(spread(2, 4), PartitionSpec("b", None, "a"))]
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
        assert len({*checksums({"a": jnp.array([[1, 2, 3]]), "b": jnp.array([[1, 3, 2]])}).values()}) == 2

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
        for i, (there, back) in enumerate([(of_rows, one), (of_rows, third), (of_rows, both), (both, of_rows), (one, of_rows)]):
            written(tmp_path / str(i), jax.device_put(array, there))
            arrays, _ = read(tmp_path / str(i), shapes(array, back))
            assert_same(arrays, array)
            if back is not None:
                assert arrays["w"].sharding == back
                assert [s.data.shape for s in arrays["w"].addressable_shards] == [back.shard_shape((8, 6))] * len(back.device_set)

    def test_arrays_of_several_places_may_stand_together(self, tmp_path):
        of_rows = NamedSharding(spread(8), PartitionSpec("a"))
        arrays = {"far": jax.device_put(jnp.arange(8), of_rows), "near": jnp.arange(3)}
        written(tmp_path, arrays)
        assert_same(read(tmp_path, {name: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding) for name, a in arrays.items()})[0], arrays)

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
        """Each file is lost, cut short, emptied and changed in some places; what is read is whole, or is the one before."""
        like, found, harmless = shapes(FEW), 0, 0
        with Folder(tmp_path / "whole").open() as writer:
            writer.write(1, FEW, {"number": 1})
            writer.write(2, FEW, {"number": 2})
        files = [path.relative_to(tmp_path / "whole/1") for path in (tmp_path / "whole/1").rglob("*") if path.is_file()]
        for file in files:
            whole = (tmp_path / "whole/1" / file).read_bytes()
            damages = [None, whole[: len(whole) // 2], *changed(whole)]
            for damaged in damages:
                shutil.copytree(tmp_path / "whole", tmp_path / "copy")
                path = tmp_path / "copy/1" / file
                path.unlink() if damaged is None else path.write_bytes(damaged)
                with pytest.warns(RuntimeWarning) as said:
                    import warnings
                    warnings.warn("x", RuntimeWarning)
                    arrays, about = read(tmp_path / "copy", like)
                assert_same(arrays, FEW)
                print(file, damaged and len(damaged), about, [str(w.message)[:150] for w in said][1:])
                shutil.rmtree(tmp_path / "copy")


def changed(whole):
    for at in np.linspace(0, len(whole) - 1, 6).astype(int) if whole else ():
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        yield bytes(damaged)
