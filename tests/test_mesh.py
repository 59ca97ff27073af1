"""Many devices as one: eight of the CPU's, which conftest asks for, against one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxmlp import devices, losses, metrics, optimizers, regularizers, sweeps, training
from jaxmlp.devices import Rows
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.sweeps import members
from jaxmlp.training import evaluation, saving

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(101, 12)), RNG.integers(0, 3, 101)
HELD_OUT = RNG.normal(size=(37, 12)), RNG.integers(0, 3, 37)
RECIPE = training.Recipe(
    MLP((12, 16, 8, 3), dropout=0.3),
    optax.chain(regularizers.l2(1e-3), optimizers.adam(1e-2)),
    losses.softmax_cross_entropy,
)
OPTIONS = {"batch_size": 18, "key": KEY, "validation": HELD_OUT, "progress": False}


def mesh(members=1, data=1, model=1):
    return devices.mesh(members=members, data=data, model=model, devices=jax.devices()[: members * data * model])


def assert_same(one, other, rtol, atol):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=atol)


def assert_same_runs(one, other, rtol=1e-5, atol=2e-6):
    assert one.history.keys() == other.history.keys()
    assert (one.epochs, one.best_epoch, one.stop_reason) == (other.epochs, other.best_epoch, other.stop_reason)
    assert_same(
        (one.params, one.best_params, one.history), (other.params, other.best_params, other.history), rtol, atol
    )


class TestMesh:
    def test_takes_what_the_others_leave_for_the_rows(self):
        assert dict(devices.mesh().shape) == {"members": 1, "data": 8, "model": 1}
        assert dict(devices.mesh(members=2, model=2).shape) == {"members": 2, "data": 2, "model": 2}
        assert devices.mesh(model=3).devices.size == 6

    def test_refuses_more_devices_than_there_are(self):
        with pytest.raises(
            ValueError, match=r"2 x 3 x 2 \(members x data x model\) needs 12 devices, but there are 8;"
        ):
            devices.mesh(members=2, data=3, model=2)
        with pytest.raises(ValueError, match="data is 0; give a whole number of at least 1"):
            devices.mesh(data=0)


class TestRows:
    @pytest.mark.parametrize(("count", "shards"), [(101, 8), (9, 8), (16, 8), (5, 4), (1, 2)])
    def test_each_has_its_place_among_shards_of_equal_length(self, count, shards):
        layout, train, _ = devices.spread(
            mesh(data=shards), training.to_batch(RECIPE, None, "", (X[:count], Y[:count])), None
        )
        rows = layout.train
        assert rows.count == count
        assert len(train.x) == rows.length == -(-count // shards) * shards
        np.testing.assert_array_equal(
            np.asarray(train.x)[np.asarray(rows.place(jnp.arange(count)))], X[:count].astype("f4")
        )
        assert {shard.data.shape[0] for shard in train.x.addressable_shards} == {rows.length // shards}

    def test_of_several_processes_lie_apart(self):
        """Of 3 and 4 rows of two processes, on two devices each, the shards have two places each."""
        rows = Rows(count=7, length=8, firsts=(0, 2, 3, 5), places=(0, 2, 4, 6))
        assert rows.place(jnp.arange(7)).tolist() == [0, 1, 2, 4, 5, 6, 7]

    def test_are_taken_in_any_order_and_lie_with_those_who_work_on_them(self):
        layout, train, _ = devices.spread(mesh(data=4), training.to_batch(RECIPE, None, "", (X, Y)), None)
        index = RNG.permutation(101)[:20].astype(np.int32)
        taken = jax.jit(lambda x, index: layout.take(layout.train, index, x))(train.x, index)
        np.testing.assert_array_equal(taken, X[index].astype("f4"))
        assert [shard.data.shape for shard in taken.addressable_shards] == [(5, 12)] * 4


@functools.cache
def alone(epochs=4, watch=1):
    return training.fit(RECIPE, (X, Y), epochs=epochs, watch=watch, metrics={"accuracy": metrics.accuracy}, **OPTIONS)


@pytest.mark.parametrize("shape", [{"data": 2}, {"data": 8}, {"data": 2, "model": 4}, {"model": 8}])
def test_a_run_is_the_same_on_any_mesh(shape):
    """101 rows on 8 devices, 18 a batch: neither is a multiple."""
    run = training.fit(
        RECIPE, (X, Y), epochs=4, watch=1, metrics={"accuracy": metrics.accuracy}, mesh=mesh(**shape), **OPTIONS
    )
    assert_same_runs(alone(), run)
    wide = PartitionSpec(None, "model") if "model" in shape else PartitionSpec()
    moments = [leaf for leaf in jax.tree.leaves(run.state.opt_state) if leaf.ndim == 2 and leaf.shape[1] == 16]
    for leaf in (run.params[0].w, run.params[1].w, run.state.best_params[0].w, *moments):
        assert leaf.sharding.spec == wide
    assert len(moments) == 2
    assert run.params[2].w.sharding.spec == run.params[0].b.sharding.spec == PartitionSpec()


def test_in_64_bits_it_is_the_same_to_a_trillionth(x64):
    weighted = (X, Y, RNG.uniform(0, 2, 101))
    rule = EarlyStopping(patience=2)
    one, eight = (
        training.fit(RECIPE, weighted, epochs=12, early_stopping=rule, mesh=of, class_weight="balanced", **OPTIONS)
        for of in (None, mesh(data=8))
    )
    assert_same_runs(one, eight, rtol=1e-12, atol=1e-12)


def mixed_with_neighbors(key, batch):
    return batch._replace(x=batch.x + 0.5 * jnp.roll(batch.x, 1, axis=0))


def test_mixing_sees_no_rows_that_fill_up():
    """The first row of a batch is mixed with the last one, not with one that fills the batch up."""
    recipe = training.Recipe(MLP((12, 8, 3)), optimizers.sgd(0.1), losses.softmax_cross_entropy, mixed_with_neighbors)
    options = {"epochs": 3, "batch_size": 18, "key": KEY}
    one, eight = (training.fit(recipe, (X, Y), mesh=of, **options) for of in (None, mesh(data=8)))
    assert_same_runs(one, eight)


def test_evaluation_goes_through_in_slices_of_each_shard(monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_ROWS", 3)
    _, train, _ = devices.spread(mesh(data=4), training.to_batch(RECIPE, None, "", (X, Y)), None)
    params = RECIPE.net.init(KEY)
    outputs = jax.jit(lambda x: evaluation._outputs(RECIPE, params, x, 4))(train.x)
    np.testing.assert_allclose(
        outputs[:101], RECIPE.net.apply(params, jnp.asarray(X, jnp.float32)), rtol=1e-5, atol=1e-6
    )


def collectives(of):
    """What the devices exchange in a compiled run, by kind, with the sizes."""
    inputs = (X.repeat(4, 0)[:400], Y.repeat(4, 0)[:400])
    program, inputs, params = training.prepare(RECIPE, inputs, epochs=2, batch_size=40, key=KEY, mesh=of)
    state = training.compiled_start(program, inputs, params)
    advance = training.compiled_advance(training.Origin(program, inputs, params))
    text = advance.lower(program, inputs, state, 1).compile().as_text()
    found = re.findall(
        r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(", text
    )
    return {kind: [shapes for shapes, of_kind in found if of_kind == kind] for _, kind in found}


def test_a_step_exchanges_its_rows_and_its_gradient_and_nothing_else():
    """Data parallel: x and y are scattered to those who work on them, and one sum goes over all gradients at once."""
    found = collectives(mesh(data=8))
    assert set(found) == {"reduce-scatter", "all-reduce"}
    assert sorted(re.findall(r"\w\d+\[[\d,]*\]", " ".join(found["reduce-scatter"]))) == ["f32[5,12]", "s32[5]"]
    assert len(found["all-reduce"]) == 1
    assert {"f32[16]", "f32[8]", "f32[3]", "f32[]"} <= set(re.findall(r"\w\d+\[[\d,]*\]", found["all-reduce"][0]))


def test_no_device_ever_holds_weights_that_are_spread():
    """Activations are brought together, and single numbers; never a matrix of weights, nor all of them as one array."""
    found = collectives(mesh(model=8))
    sizes = [np.prod([int(n) for n in shape.split(",") if n]) for kind in found.values() for shapes in kind
             for shape in re.findall(r"\w\d+\[([\d,]*)\]", shapes)]  # fmt: skip
    assert 40 * 16 in sizes  # what the first layer makes of a batch
    assert not {12 * 16, 16 * 8} & set(sizes)


class TestSaved:
    def test_on_eight_devices_a_run_goes_on_on_one_and_back(self, tmp_path):
        whole = alone(8, False)
        options = {"metrics": {"accuracy": metrics.accuracy}, "save": tmp_path, "resume": True, **OPTIONS}
        for epochs, of in ((2, mesh(data=8)), (4, None), (6, mesh(data=2, model=4)), (8, mesh(data=3))):
            run = training.fit(RECIPE, (X, Y), epochs=epochs, mesh=of, **options)
            assert run.epochs == epochs
        assert_same_runs(whole, run)
        assert_same(run.params, run.at(8).params, 0, 0)
        run.save(tmp_path / "run.npz")
        again = training.fit(
            RECIPE, (X, Y), epochs=8, resume=tmp_path / "run.npz", metrics=options["metrics"], **OPTIONS
        )
        assert_same(run.state.opt_state, again.state.opt_state, 0, 0)

    def test_checksums_depend_on_rows_and_their_order_and_on_no_mesh(self):
        def of(x, y, data=None):
            batch = training.to_batch(RECIPE, None, "", (x, y))
            if data is None:
                return saving.checksum(batch)
            layout, batch, _ = devices.spread(mesh(data=data), batch, None)
            return saving.checksum(batch, layout.train)

        known = of(X, Y)
        assert known == of(X, Y, 8) == of(X, Y, 2)
        assert known[0].startswith("float32[101, 12] ")
        assert len({*known, *of(X[::-1], Y[::-1])}) == 4
        changed = X.copy()
        changed[57, 11] += 1e-3
        assert of(changed, Y, 8)[0] != known[0]
        assert of(changed, Y, 8)[1] == known[1]
        swapped = X.copy()
        swapped[3, :4] = swapped[3, [2, 3, 0, 1]]  # two words of 64 bits
        assert of(swapped, Y)[0] != known[0]

    def test_checksums_of_many_rows_are_those_of_their_parts(self, monkeypatch):
        batch = training.to_batch(RECIPE, None, "", (X, Y))
        known = saving.checksum(batch)
        monkeypatch.setattr(saving, "BYTES_AT_ONCE", 100)
        assert saving.checksum(batch) == known


def test_a_run_that_diverges_on_a_mesh_is_replayed():
    broken = X.copy()
    broken[40] = 1e30
    recipe = training.Recipe(MLP((12, 8, 1)), optimizers.sgd(0.1), losses.squared_error)
    with pytest.warns(RuntimeWarning, match=r"First to blame: .* row 40"):
        run = training.fit(recipe, (broken, X[:, :1]), epochs=3, batch_size=18, key=KEY, mesh=mesh(data=8))
    assert 40 in run.replay().rows


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"mesh": "data"}, TypeError, "mesh is 'data'; give what devices.mesh returns"),
        ({"mesh": jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))}, TypeError, "give what devices.mesh"),
        ({"mesh": mesh(members=4)}, ValueError, "members over 4 devices, but fit trains one net; give data=4 in place"),
        ({"mesh": mesh(data=8), "batch_size": 7}, ValueError, "batch_size is 7, but mesh spreads .* over 8 devices"),
        ({"mesh": mesh(model=5)}, ValueError, r"model=5, but no layer of \(12, 16, 8, 3\) has a multiple of 5 outputs"),
    ],
)  # fmt: skip
def test_a_mesh_that_does_not_suit_is_refused_with_both_sides(options, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        training.fit(RECIPE, (X, Y), epochs=1, **{**OPTIONS, **options})


def ladder(hyper):
    net = MLP((12, 16, 3), dropout=hyper["dropout"])
    return training.Recipe(net, optimizers.adam(hyper["learning_rate"]), losses.softmax_cross_entropy)


SWEEP = {
    "hyper": sweeps.grid(learning_rate=[0.001, 0.01, 0.1], dropout=[0.0, 0.2]),
    "seeds": 3,
    "early_stopping": EarlyStopping(patience=2),
    **OPTIONS,
}


@functools.cache
def swept():
    return sweeps.sweep(ladder, (X, Y), epochs=5, **SWEEP)


@pytest.mark.parametrize("shape", [{"members": 4}, {"members": 2, "data": 2, "model": 2}])
def test_a_sweep_is_the_same_on_any_mesh(shape):
    """18 members on 4 devices, with a rest."""
    runs = sweeps.sweep(ladder, (X, Y), epochs=5, mesh=mesh(**shape), **SWEEP)
    known = swept()
    assert len(set(known.epochs)) > 1
    np.testing.assert_array_equal(runs.epochs, known.epochs)
    for name, history in known.history.items():
        np.testing.assert_allclose(runs.history[name], history, rtol=1e-4, atol=2e-6)
    assert runs.best().hyper == known.best().hyper
    assert runs.groups[0].at_once == 20 if "data" not in shape else 18


def test_a_sweep_saved_on_a_mesh_goes_on_elsewhere(tmp_path):
    options = {"save": tmp_path, "resume": True, **SWEEP}
    for epochs, of in ((2, mesh(members=4)), (3, None), (5, mesh(members=2, data=2))):
        runs = sweeps.sweep(ladder, (X, Y), epochs=epochs, mesh=of, **options)
    np.testing.assert_array_equal(runs.epochs, swept().epochs)
    np.testing.assert_allclose(runs.history["train/loss"], swept().history["train/loss"], rtol=1e-4, atol=2e-6)


def test_members_on_devices_of_their_own_exchange_nothing():
    without = {**SWEEP, "early_stopping": None}  # to be lowered, its numbers would have to be of another type
    group = sweeps.sweep(ladder, (X, Y), epochs=1, mesh=mesh(members=4), **without).groups[0]
    part = members.slices_of(group)[0]
    advance = members._compiled_advance(**group.options)
    text = advance.lower(group.program, True, group.shared, part.members, part.state, 1).compile().as_text()
    assert not re.search(r"all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute", text)


def test_the_bits_of_one_device_are_refused_where_rows_are_spread():
    with pytest.raises(ValueError, match="exact gives the bits of one device, but mesh spreads rows or weights"):
        sweeps.sweep(ladder, (X, Y), epochs=1, exact=True, mesh=mesh(data=2), **SWEEP)


def test_folds_and_halving_are_the_same_on_devices_of_their_members():
    hyper, four = {"learning_rate": 0.01, "dropout": 0.2}, mesh(members=4)
    options = {"epochs": 3, "batch_size": 18, "key": KEY, "progress": False}
    one, spread = (
        sweeps.cross_validate(ladder, (X, Y), folds=3, seeds=2, hyper=hyper, stratify=Y, mesh=of, **options)
        for of in (None, four)
    )
    assert_same(one.runs.history, spread.runs.history, 1e-4, 2e-6)
    np.testing.assert_allclose(one.out_of_fold(), spread.out_of_fold(), rtol=1e-4, atol=1e-5)
    settings = sweeps.grid(learning_rate=[0.001, 0.01, 0.1], dropout=[0.0])
    one, spread = (
        sweeps.halving(ladder, (X, Y), hyper=settings, validation=HELD_OUT, mesh=of, **options) for of in (None, four)
    )
    assert [rung.settings for rung in one.rungs] == [rung.settings for rung in spread.rungs]
    assert_same(one.runs.history, spread.runs.history, 1e-4, 2e-6)


def test_folds_pick_rows_of_their_own():
    with pytest.raises(ValueError, match="mesh spreads rows or weights, but each fold picks its own rows; spread"):
        sweeps.cross_validate(RECIPE, (X, Y), folds=3, epochs=1, batch_size=18, key=KEY, mesh=mesh(members=2, data=2))
