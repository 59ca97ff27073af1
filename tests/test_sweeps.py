"""Sweeps: every member is the run it stands for, whatever runs beside it."""

import functools
import sys
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_saving import OPTIMIZERS, by_value

from jaxmlp import archive, losses, metrics, optimizers, regularizers, schedules, sweeps, training
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.sweeps import layout
from jaxmlp.sweeps import members as crew
from jaxmlp.training import StopReason, compiling

to_the_bit = pytest.mark.usefixtures("compiled_as_for_users")
KEY = jax.random.key(5)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int) + (X[:, 2] > 0.5)
DATA, VALIDATION = (X[:40], Y[:40]), (X[40:], Y[40:])
OPTIONS = {"epochs": 6, "batch_size": 7, "validation": VALIDATION, "metrics": {"accuracy": metrics.accuracy}}
RATES = sweeps.grid(learning_rate=[0.003, 0.03, 0.3])


def recipe(hyper):
    return training.Recipe(MLP((4, 8, 3)), optimizers.adam(hyper["learning_rate"]), losses.softmax_cross_entropy)


def everything(hyper):
    """A recipe in which all is a number that may be swept."""
    net = MLP((4, 8, 3), dropout=hyper["dropout"])
    chain = optax.chain(
        regularizers.clip_by_global_norm(hyper["clip"]), regularizers.gradient_noise(hyper["noise"]),
        regularizers.elastic_net(hyper["l1"], hyper["l2"]),
        optimizers.adamw(hyper["learning_rate"], b1=hyper["b1"], b2=0.99, weight_decay=hyper["decay"]),
    )  # fmt: skip
    loss = functools.partial(losses.softmax_cross_entropy, label_smoothing=hyper["smoothing"])
    return training.Recipe(net, chain, loss, augment=regularizers.input_noise(hyper["input_noise"]))


def assert_equal_to_the_bit(run, other):
    assert by_value(run.state) == by_value(other.state)
    assert (run.epochs, run.best_epoch, run.stop_reason) == (other.epochs, other.best_epoch, other.stop_reason)
    assert by_value(run.history, run.params, run.best_params) == by_value(
        other.history, other.params, other.best_params
    )
    assert list(run.history) == list(other.history)


@pytest.fixture(scope="module")
def runs():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XLA_FLAGS", "")
        return sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, **OPTIONS)


@to_the_bit
def test_a_member_is_the_run_of_its_setting_and_seed_to_the_bit(runs):
    assert len(runs) == 9
    for i in (0, 5, 7):
        alone = training.fit(recipe, DATA, hyper=RATES[i // 3], key=jax.random.fold_in(KEY, i % 3), **OPTIONS)
        assert_equal_to_the_bit(runs.member(i), alone)
    assert runs.setting.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert runs.seed.tolist() == [0, 1, 2] * 3
    assert list(runs.history) == ["train/loss", "validation/loss", "validation/accuracy"]
    assert runs.history["validation/loss"].shape == (9, 6)


ALIKE = ("sgd", "adam", "momentum", "adagrad", "rmsprop", "amsgrad", "adamax", "adamw", "lion", "schedule_free_sgd")
"""Optimizers that do nothing in a step which one of the others does not."""


@to_the_bit
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in ALIKE])
def test_a_member_is_its_run_with_every_optimizer(name):
    fixed = training.Recipe(MLP((4, 6, 6, 3)), OPTIMIZERS[name], losses.softmax_cross_entropy)
    together = sweeps.sweep(fixed, DATA, seeds=2, epochs=3, batch_size=16, key=KEY)
    alone = training.fit(fixed, DATA, epochs=3, batch_size=16, key=jax.random.fold_in(KEY, 1))
    assert_equal_to_the_bit(together.member(1), alone)


@to_the_bit
def test_a_member_is_its_run_with_every_regularizer_and_its_own_early_stopping():
    names = {
        "dropout": 0.2, "clip": 0.5, "noise": 0.1, "l1": 1e-4, "l2": 1e-3, "learning_rate": 0.03, "b1": 0.8,
        "decay": 0.01, "smoothing": 0.1, "input_noise": 0.1,
    }  # fmt: skip
    settings = [{name: value * factor for name, value in names.items()} for factor in (1.0, 0.5, 0.1)]
    options = {"epochs": 40, "batch_size": 16, "validation": VALIDATION, "early_stopping": EarlyStopping(patience=3)}
    together = sweeps.sweep(everything, DATA, hyper=settings, seeds=2, key=KEY, **options)
    for i in (0, 3, 5):
        alone = training.fit(everything, DATA, hyper=settings[i // 2], key=jax.random.fold_in(KEY, i % 2), **options)
        assert_equal_to_the_bit(together.member(i), alone)
    assert len(set(together.epochs.tolist())) > 1
    assert StopReason.STOPPED_EARLY in together.stop_reason
    assert np.isnan(together.history["train/loss"][np.arange(40) >= together.epochs[:, None]]).all()
    assert together.wasted == 0


@to_the_bit
@pytest.mark.parametrize("at_once", [2, 9])
def test_the_size_of_slices_changes_no_bit(runs, at_once):
    other = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, at_once=at_once, **OPTIONS)
    assert by_value(other.states) == by_value(runs.states)


@to_the_bit
def test_the_number_of_workers_changes_no_bit(runs, monkeypatch):
    monkeypatch.setattr(crew, "workers", lambda: 5)
    other = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, **OPTIONS)
    assert by_value(other.states) == by_value(runs.states)


@to_the_bit
def test_members_side_by_side_are_their_runs_to_rounding(monkeypatch):
    options = OPTIONS | {"epochs": 1}
    mapped = sweeps.sweep(recipe, DATA, hyper=RATES[:2], seeds=2, key=KEY, **options)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # which computes them side by side
    together = sweeps.sweep(recipe, DATA, hyper=RATES[:2], seeds=2, key=KEY, **options)
    assert not together.groups[0].mapped
    for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(mapped.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(compiling, "options", lambda widths: {"xla_backend_optimization_level": 2})
    exact = sweeps.sweep(recipe, DATA, hyper=RATES[:2], seeds=2, key=KEY, exact=True, **options)
    assert by_value(exact.states) == by_value(mapped.states)


def test_side_by_side_the_time_of_stopped_members_is_reported(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    options = OPTIONS | {"epochs": 30, "early_stopping": EarlyStopping(patience=1)}
    runs = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=2, key=KEY, at_once=6, **options)
    assert runs.wasted == pytest.approx(1 - runs.epochs.mean() / runs.epochs.max())
    assert 0 < runs.wasted < 1


def test_side_by_side_a_slice_is_as_large_as_the_memory_allows(monkeypatch):
    class Device:
        limit = None

        def memory_stats(self):
            return {"bytes_limit": self.limit}

    device = Device()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    options = OPTIONS | {"epochs": 1}
    group = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=20, key=KEY, **options).groups[0]
    assert group.at_once == 60
    found = []
    for device.limit in (200_000, 400_000, 1):
        with pytest.warns(UserWarning, match="60 members of .* do not fit into the .* bytes of the device; they are"):
            found.append(crew.slice_size(group.program, group.shared, group.members, mapped=False))
    small, large, least = found
    assert 1 < small < large < 60
    assert abs(large - 2 * small) <= 2
    assert least == 1


def test_other_numbers_compile_nothing(compilations):
    sweeps.sweep(recipe, DATA, hyper=RATES, seeds=2, key=KEY, **OPTIONS)
    before = compilations.count
    again = sweeps.sweep(recipe, DATA, hyper=sweeps.grid(learning_rate=[0.5, 0.05, 0.1]), seeds=2, key=KEY, **OPTIONS)
    assert compilations.count == before
    assert again.compile_seconds < 1


@to_the_bit
def test_a_diverged_member_is_marked_and_harms_no_other(runs):
    settings = [*RATES, {"learning_rate": 1e38}]
    with_one = sweeps.sweep(recipe, DATA, hyper=settings, seeds=3, key=KEY, **OPTIONS)
    assert with_one.stop_reason[9:] == (StopReason.DIVERGED,) * 3
    assert by_value(jax.tree.map(lambda leaf: leaf[:9], with_one.states[0])) == by_value(runs.states[0])
    assert with_one.member(9).diverged_at is not None
    assert with_one.best().hyper == runs.best().hyper
    assert "3 diverged" in repr(with_one)
    table = with_one.table()
    assert table["diverged"].tolist() == [0, 0, 0, 3]
    assert table["learning_rate"].tolist()[-1] == 1e38


@to_the_bit
def test_structure_makes_groups_whose_members_are_their_runs():
    def by_structure(hyper):
        net = MLP((4, *hyper["hidden"], 3), hyper["activation"])
        optimizer = getattr(optimizers, hyper["optimizer"])(hyper["learning_rate"])
        return training.Recipe(net, optimizer, losses.softmax_cross_entropy)

    settings = [
        {"hidden": (8,), "activation": "relu", "optimizer": "adam", "learning_rate": 0.01, "batch_size": 7},
        {"hidden": (5, 5), "activation": "tanh", "optimizer": "momentum", "learning_rate": 0.1, "batch_size": 20},
        {"hidden": (8,), "activation": "relu", "optimizer": "adam", "learning_rate": 0.1, "batch_size": 7},
    ]
    runs = sweeps.sweep(by_structure, DATA, hyper=settings, seeds=2, epochs=3, batch_size=None, key=KEY)
    assert [group.places.tolist() for group in runs.groups] == [[0, 1, 4, 5], [2, 3]]
    for i in (1, 3, 4):
        setting = settings[i // 2]
        rest = {name: value for name, value in setting.items() if name != "learning_rate"}
        alone = training.fit(
            lambda hyper, rest=rest: by_structure(rest | hyper), DATA,
            hyper={"learning_rate": setting["learning_rate"]},
            epochs=3, batch_size=setting["batch_size"], key=jax.random.fold_in(KEY, i % 2),
        )  # fmt: skip
        assert_equal_to_the_bit(runs.member(i), alone)
    np.testing.assert_array_equal(runs.history["train/loss"][4], runs.member(4).history["train/loss"])
    with pytest.raises(ValueError, match="the nets are of 2 structures, which no array holds; take member"):
        _ = runs.params


def test_the_ladder_of_rates_is_tried_unless_settings_are_given():
    runs = sweeps.sweep(recipe, DATA, key=KEY, **OPTIONS)
    assert [setting["learning_rate"] for setting in runs.settings] == list(schedules.ladder())


@to_the_bit
def test_a_saved_sweep_goes_on_to_the_bit(runs, tmp_path):
    sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, **(OPTIONS | {"epochs": 2}))
    resumed = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, resume=True, **OPTIONS)
    assert by_value(resumed.states) == by_value(runs.states)
    other = sweeps.grid(learning_rate=[0.003, 0.03, 0.1])
    with pytest.raises(ValueError, match="hyper has other settings than the saved sweep, or seeds"):
        sweeps.sweep(recipe, DATA, hyper=other, seeds=3, key=KEY, save=tmp_path, resume=True, **OPTIONS)
    with pytest.raises(ValueError, match="key is another than that of the saved sweep; give those that"):
        sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=jax.random.key(6), save=tmp_path, resume=True, **OPTIONS)
    with pytest.raises(ValueError, match="epochs is 3, but the saved sweep has run 6"):
        sweeps.sweep(
            recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, resume=True, **(OPTIONS | {"epochs": 3})
        )
    with pytest.raises(ValueError, match="params are others than those of the saved sweep"):
        sweeps.sweep(
            recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, resume=True, params=resumed.member(0).params,
            **OPTIONS,
        )  # fmt: skip

    def another(hyper):
        net = MLP((4, 8, 3), activation="tanh")
        return training.Recipe(net, optimizers.adam(hyper["learning_rate"]), losses.softmax_cross_entropy)

    with pytest.warns(RuntimeWarning, match="saved with another recipe: a step computed something else; it goes on"):
        sweeps.sweep(another, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, resume=True, **OPTIONS)


@to_the_bit
def test_it_is_saved_while_it_runs(runs, tmp_path, monkeypatch):
    """Members are copied while workers write over them; what is copied is not lost with what it was copied from."""
    monkeypatch.setattr(sys.modules["jaxmlp.training"], "SECONDS_PER_SAVE", 0.0)
    monkeypatch.setattr(sys.modules["jaxmlp.training"], "SECONDS_PER_CHUNK", 0.001)
    saves, write_next = [], archive.write_next
    monkeypatch.setattr(archive, "write_next", lambda *of: saves.append(of[1]) or write_next(*of))
    options = OPTIONS | {"epochs": 3000}
    whole = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, **options)
    assert len(saves) > 3
    assert saves == sorted(saves)
    np.testing.assert_array_equal(whole.history["train/loss"][:, :6], runs.history["train/loss"])
    number, arrays, _ = archive.read_latest(tmp_path, at_most=saves[-2])
    assert number == saves[-2]
    assert np.isnan(arrays["0/history/train/loss"]).sum() == 9 * 3000 - number
    with pytest.raises(ValueError, match="where something is saved already; give resume=True, or another"):
        sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, **OPTIONS)


def test_a_failure_of_one_worker_ends_the_others_at_once(monkeypatch):
    run, failing = crew._run, []

    def fail_once(part, until):
        if until > 10 and not failing:
            failing.append(part)
            raise MemoryError("out of it")
        run(part, until)

    monkeypatch.setattr(crew, "_run", fail_once)
    began = time.perf_counter()
    with pytest.raises(MemoryError, match="out of it"):
        sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, **(OPTIONS | {"epochs": 1_000_000}))
    assert time.perf_counter() - began < 30


@to_the_bit
def test_ctrl_c_leaves_what_has_been_run_and_it_goes_on_to_the_bit(runs, tmp_path, ctrl_c):
    options = OPTIONS | {"epochs": 100_000}
    ctrl_c()
    partial = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=3, key=KEY, save=tmp_path, **options)
    assert StopReason.INTERRUPTED in partial.stop_reason
    assert 0 < partial.epochs.sum() < 900_000
    i = int(partial.epochs.argmax())
    first = partial.history["train/loss"][i, :6]
    np.testing.assert_array_equal(first, runs.history["train/loss"][i])


def test_best_is_the_best_mean_over_seeds(runs):
    losses_at_best = runs.history["validation/loss"].min(axis=1).reshape(3, 3)
    best = runs.best()
    place = int(losses_at_best.mean(axis=1).argmin())
    assert best.hyper == RATES[place]
    assert best.mean == pytest.approx(losses_at_best[place].mean())
    assert best.std == pytest.approx(losses_at_best[place].std())
    assert best.members == tuple(range(3 * place, 3 * place + 3))
    assert best.run.history["validation/loss"].min() == losses_at_best[place].min()
    accuracies = runs.history["validation/accuracy"][np.arange(9), runs.best_epoch - 1].reshape(3, 3)
    by_accuracy = runs.best("validation/accuracy")  # known to be better large
    assert by_accuracy.hyper == RATES[int(accuracies.mean(axis=1).argmax())]
    assert by_accuracy.mean == pytest.approx(accuracies.mean(axis=1).max())
    table = runs.table("validation/accuracy", "max")
    assert table["mean"].tolist() == sorted(accuracies.mean(axis=1), reverse=True)
    assert table["highest"].max() == accuracies.max()


def test_metrics_of_users_are_judged_as_they_say():
    options = OPTIONS | {"metrics": {"mine": lambda outputs, y, weight: outputs.mean()}}
    runs = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=1, key=KEY, **options)
    with pytest.raises(
        ValueError, match="mode is None, but 'validation/mine' is not known to be better small or large"
    ):
        runs.best("validation/mine")
    values = runs.at_best("validation/mine")
    assert runs.best("validation/mine", "min").hyper == RATES[int(values.argmin())]
    assert runs.best("validation/mine", "max").hyper == RATES[int(values.argmax())]


def test_what_is_watched_decides_what_is_best():
    rule = EarlyStopping(patience=50, metric="accuracy", mode="max")
    runs = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=2, key=KEY, early_stopping=rule, **OPTIONS)
    assert runs.judged_by == "validation/accuracy"
    best = runs.history["validation/accuracy"].max(axis=1).reshape(3, 2).mean(axis=1)
    assert runs.best().mean == pytest.approx(best.max())
    assert runs.table()["mean"].tolist() == pytest.approx(sorted(best, reverse=True))


def test_the_ensemble_is_the_mean_of_probabilities(runs):
    each = [jax.nn.softmax(recipe(RATES[0]).net.apply(runs.member(i).best_params, jnp.asarray(X))) for i in (1, 5, 5)]
    np.testing.assert_allclose(runs.ensemble(X, [1, 5, 5]), sum(each) / 3, rtol=1e-5)
    best = runs.best().members
    np.testing.assert_array_equal(runs.ensemble(X), runs.ensemble(X, best))
    assert runs.outputs(X, [2]).shape == (1, 53, 3)


def test_the_selected_ensemble_is_as_good_as_the_best_member_and_each_step_is_the_best(runs):
    def brier(p, y):
        return float(jnp.mean((p - jax.nn.one_hot(y, 3)) ** 2))

    chosen = sweeps.select_ensemble(runs, X[40:], Y[40:], size=4)
    singles = [brier(runs.ensemble(X[40:], [i]), Y[40:]) for i in range(9)]
    assert chosen[0] == int(np.argmin(singles))
    for size in (2, 3, 4):
        taken = [brier(runs.ensemble(X[40:], [*chosen[: size - 1], i]), Y[40:]) for i in range(9)]
        assert chosen[size - 1] == int(np.argmin(taken))


def test_patience_table_is_what_training_with_each_patience_gives():
    options = {"epochs": 40, "batch_size": 16, "validation": VALIDATION}
    hyper = sweeps.grid(learning_rate=[0.1, 0.3])
    whole = sweeps.sweep(recipe, DATA, hyper=hyper, seeds=2, key=KEY, **options)
    table = sweeps.patience_table(whole, [1, 3, 8])
    for patience, epochs, mean, rate, best in table.itertuples(index=False):
        rule = EarlyStopping(patience=patience)
        stopped = sweeps.sweep(recipe, DATA, hyper=hyper, seeds=2, key=KEY, early_stopping=rule, **options)
        assert epochs == stopped.epochs.mean()
        assert mean == pytest.approx(np.nanmin(stopped.history["validation/loss"], axis=1).mean())
        assert (rate, best) == (stopped.best().hyper["learning_rate"], pytest.approx(stopped.best().mean))
    with pytest.raises(ValueError, match="patiences has 9, but members were stopped by 8; run the sweep without it"):
        sweeps.patience_table(stopped, [9])


def test_patience_counts_epochs_where_not_all_are_evaluated():
    options = {"epochs": 40, "batch_size": 16, "validation": VALIDATION, "evaluate_every": 4}
    whole = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=2, key=KEY, **options)
    table = sweeps.patience_table(whole, [5])
    stopped = sweeps.sweep(recipe, DATA, hyper=RATES, seeds=2, key=KEY, early_stopping=EarlyStopping(5), **options)
    assert len(set(stopped.epochs.tolist())) > 1
    assert table["epochs"].tolist() == [stopped.epochs.mean()]
    assert table["mean"][0] == pytest.approx(np.nanmin(stopped.history["validation/loss"], axis=1).mean())


@to_the_bit
def test_halving_leaves_the_survivors_curves_unchanged():
    halved = sweeps.halving(recipe, DATA, seeds=2, key=KEY, first=2, factor=2.5, **(OPTIONS | {"epochs": 9}))
    whole = sweeps.sweep(recipe, DATA, seeds=2, key=KEY, **(OPTIONS | {"epochs": 9}))
    assert [(rung.epochs, len(rung.settings)) for rung in halved.rungs] == [(2, 7), (5, 3), (9, 2)]
    for i in range(14):
        ran = halved.runs.epochs[i]
        assert ran == max(rung.epochs for rung in halved.rungs if i // 2 in rung.settings)
        for name, curves in halved.runs.history.items():
            np.testing.assert_array_equal(curves[i, :ran], whole.history[name][i, :ran])
            assert np.isnan(curves[i, ran:]).all()
    for rung, after in zip(halved.rungs, halved.rungs[1:], strict=False):
        so_far = np.nanmin(whole.history["validation/loss"][:, : rung.epochs], axis=1).reshape(7, 2).mean(axis=1)
        kept = sorted(rung.settings, key=lambda place: so_far[place])[: len(after.settings)]
        assert after.settings == tuple(sorted(kept))
    last = halved.rungs[-1].settings
    assert halved.survivors == tuple(halved.runs.settings[place] for place in last)
    reasons = {halved.runs.stop_reason[i] for i in range(14) if i // 2 not in last}
    assert reasons == {StopReason.DROPPED}
    final = next(i for i in range(14) if i // 2 in last)
    assert by_value(halved.runs.member(final).state) == by_value(whole.member(final).state)


@to_the_bit
def test_interrupted_halving_goes_on_to_the_bit(tmp_path, monkeypatch):
    options = {"seeds": 2, "key": KEY, "first": 1, "factor": 2.0} | OPTIONS | {"epochs": 4}
    whole = sweeps.halving(recipe, DATA, **options)
    assert [len(rung.settings) for rung in whole.rungs] == [7, 4, 2]
    run_all, calls = crew.run_all, []

    def pressed_at_the_second(slices, until, interrupted, *more):
        calls.append((until, sum(part.filled for part in slices), len(slices)))
        if until == 2:
            run_all(slices[:1], until, interrupted, *more)
            interrupted.set()
        else:
            run_all(slices, until, interrupted, *more)

    with monkeypatch.context() as patched:
        patched.setattr(crew, "run_all", pressed_at_the_second)
        partial = sweeps.halving(recipe, DATA, save=tmp_path, **options)
    assert [of[:2] for of in calls] == [(1, 14), (2, 8)]
    assert partial.rungs == whole.rungs[:2]
    reasons = np.array([reason.name for reason in partial.runs.stop_reason]).reshape(7, 2)
    kept = list(partial.rungs[1].settings)
    assert set(reasons[kept].ravel()) == {"INTERRUPTED"}
    assert set(np.delete(reasons, kept, axis=0).ravel()) == {"DROPPED"}
    resumed = sweeps.halving(recipe, DATA, save=tmp_path, resume=True, **options)
    assert resumed.rungs == whole.rungs
    assert resumed.runs.stop_reason == whole.runs.stop_reason
    assert by_value(resumed.runs.states) == by_value(whole.runs.states)


def test_the_last_rungs_of_halving_keep_all_cores_busy(monkeypatch):
    monkeypatch.setattr(crew, "workers", lambda: 2)
    slices, run_all = [], crew.run_all
    monkeypatch.setattr(crew, "run_all", lambda of, *more: slices.append([p.filled for p in of]) or run_all(of, *more))
    hyper = sweeps.grid(learning_rate=np.geomspace(0.001, 0.1, 64).tolist())
    sweeps.halving(recipe, DATA, hyper=hyper, seeds=2, key=KEY, factor=8, **(OPTIONS | {"epochs": 16}))
    assert [(sum(filled), max(filled), len(filled)) for filled in slices] == [(128, 4, 32), (16, 4, 4), (2, 1, 2)]


def test_side_by_side_halving_narrows_its_slices_and_wastes_nothing(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    widths, run_all = [], crew.run_all
    monkeypatch.setattr(
        crew, "run_all", lambda of, *more: widths.append([len(p.state.epoch) for p in of]) or run_all(of, *more)
    )
    options = {"epochs": 4, "batch_size": None}
    halved = sweeps.halving(recipe, DATA, hyper=RATES, key=KEY, factor=3, first=1, **options)
    assert widths == [[3], [1], [1]]
    assert halved.runs.wasted == 0


def test_the_share_wasted_is_of_epochs_computed_for_members_that_had_stopped(unchecked):
    def part(mapped, epochs, filled):
        state = SimpleNamespace(epoch=np.array(epochs))
        return SimpleNamespace(group=SimpleNamespace(mapped=mapped), state=state, filled=filled)

    assert layout.spent([part(False, [2, 5, 3, 9], 3)]).tolist() == [10, 20]
    assert layout.spent([part(False, [2, 5, 3, 9], 3)], begin=2).tolist() == [4, 12]
    assert layout.spent([part(True, [2, 5, 3, 9], 3), part(True, [1], 1)]).tolist() == [11, 11]


def test_the_range_test_finds_where_the_loss_falls_and_where_it_breaks():
    def quadratic(hyper):
        return training.Recipe(
            MLP((1, 1), initializer="zeros"), optimizers.sgd(hyper["learning_rate"]), losses.squared_error
        )

    x, noise = np.ones((32, 1), np.float32), np.resize([1.0, -1.0], (32, 1)).astype(np.float32)
    tested = sweeps.lr_range_test(quadratic, (x, 5 + noise), low=1e-4, high=100.0, batch_size=None, key=KEY, seeds=3)
    assert tested.losses.shape == (3, 200)
    np.testing.assert_allclose(tested.learning_rates, np.geomspace(1e-4, 100, 200))
    average = w = b = 0.0
    for t, rate in enumerate(tested.learning_rates[:100]):
        loss = (w + b - 5) ** 2 + 1
        average = 0.9 * average + 0.1 * loss
        assert tested.losses[0, t] == pytest.approx(average / (1 - 0.9 ** (t + 1)), rel=1e-4)
        w, b = w - 2 * rate * (w + b - 5), b - 2 * rate * (w + b - 5)
    assert 1e-3 < tested.suggestion < 0.5
    noise = RNG.normal(size=(32, 1)).astype(np.float32)
    tested = sweeps.lr_range_test(quadratic, (x, 5 + noise), low=1e-4, high=100.0, batch_size=8, key=KEY, seeds=3)
    broke = tested.learning_rates[(np.isnan(tested.losses).sum(axis=0) > 1).argmax()]
    assert 0.5 < broke < 2  # the curvature of the loss is 4, so that descent breaks at 2/4
    assert "falls the fastest" in tested.reason
    assert f"most seeds diverge at {broke:.2g}" in tested.reason
    with pytest.raises(ValueError, match="the loss falls at no rate"):
        sweeps.lr_range_test(quadratic, (x, 0 * x), low=1e-4, high=1e-2, batch_size=8, key=KEY)


def test_grid_and_samples():
    assert sweeps.grid(a=[0.1, 0.2], b=["x", "y"]) == [
        {"a": 0.1, "b": "x"}, {"a": 0.1, "b": "y"}, {"a": 0.2, "b": "x"}, {"a": 0.2, "b": "y"},
    ]  # fmt: skip
    drawn = sweeps.sample(
        2000, key=KEY, rate=sweeps.log_uniform(1e-4, 1.0), share=sweeps.uniform(-1, 3), width=sweeps.choice([8, 16, 32])
    )
    rates = np.log10([setting["rate"] for setting in drawn])
    assert np.histogram(rates, bins=4, range=(-4, 0))[0].min() > 430
    shares = np.array([setting["share"] for setting in drawn])
    assert np.histogram(shares, bins=4, range=(-1, 3))[0].min() > 430
    widths = [setting["width"] for setting in drawn]
    assert all(600 < widths.count(width) < 740 for width in (8, 16, 32))
    assert abs(np.corrcoef(rates, shares)[0, 1]) < 0.1
    assert sweeps.sample(3, key=KEY, a=sweeps.uniform(0, 1)) == sweeps.sample(3, key=KEY, a=sweeps.uniform(0, 1))


BAD = {
    "a float batch size": (
        {"hyper": [{"learning_rate": 0.1, "batch_size": 7.5}]}, TypeError, "batch_size is 7.5; give a whole number",
    ),
    "a list": ({"hyper": {"learning_rate": [0.1, 0.2]}}, TypeError, r"is a list; sweeps.grid\(...\) makes a setting"),
    "never read": ({"hyper": {"learning_rate": 0.1, "l2": 0.1}}, ValueError, "hyper has 'l2', which recipe never"),
    "no settings": ({"hyper": []}, ValueError, "hyper is an empty list; give one setting at least"),
    "other names": (
        {"hyper": [{"learning_rate": 0.1}, {"rate": 0.1}]}, ValueError, r"hyper\[1\] has 'rate', but hyper\[0\]",
    ),
    "NaN": ({"hyper": {"learning_rate": np.nan}}, ValueError, r"hyper\[0\]\['learning_rate'\] is nan; give a finite"),
    "no setting": ({"hyper": 3}, TypeError, "hyper is 3; give a list of settings, such as sweeps.grid"),
    "out of range": ({"hyper": [*RATES, {"learning_rate": -1.0}]}, ValueError, "learning_rate is -1.0; give a number"),
    "no seeds": ({"seeds": 0}, ValueError, "seeds is 0; give a whole number of at least 1"),
    "none at once": ({"at_once": 0}, ValueError, "at_once is 0; give a whole number of at least 1"),
    "nothing to resume": ({"resume": True}, ValueError, "resume is True, but save is None; give the folder"),
    "no key": ({"key": 3}, TypeError, "key"),
    "an array": ({"hyper": {"learning_rate": np.ones(2)}}, TypeError, "is an array of shape .2,.; give"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(unchecked, name):
    options, error, sentence = BAD[name]
    with pytest.raises(error, match=sentence):
        sweeps.sweep(recipe, DATA, **({"hyper": RATES, "key": KEY} | OPTIONS | options))


@pytest.mark.parametrize(
    "read",
    [
        lambda hyper: (lambda learning_rate: learning_rate)(**hyper),
        lambda hyper: dict(hyper)["learning_rate"],
        lambda hyper: ({"other": 1} | hyper)["learning_rate"],
        lambda hyper: hyper.get("learning_rate"),
        lambda hyper: next(iter(hyper.values())),
    ],
)
def test_hyperparameters_may_be_read_in_any_way(read):
    def made(hyper):
        return training.Recipe(MLP((4, 3)), optimizers.adam(read(hyper)), losses.softmax_cross_entropy)

    runs = sweeps.sweep(made, DATA, hyper=RATES, key=KEY, epochs=1, batch_size=None)
    assert len({float(loss) for loss in runs.history["train/loss"][:, 0]} | {0.0}) == 2
    assert len({np.asarray(runs.member(i).params[0].w).tobytes() for i in range(3)}) == 3


def test_a_hyperparameter_may_be_read_within_the_loss_or_by_some_structures_only():
    def made(hyper):
        def loss(outputs, y):
            return hyper["scale"] * losses.softmax_cross_entropy(outputs, y)

        extra = {"momentum": hyper["momentum"]} if hyper["kind"] == "momentum" else {}
        return training.Recipe(MLP((4, 3)), getattr(optimizers, hyper["kind"])(0.1, **extra), loss)

    hyper = sweeps.grid(kind=["sgd", "momentum"], scale=[0.5], momentum=[0.9])
    assert len(sweeps.sweep(made, DATA, hyper=hyper, key=KEY, epochs=1, batch_size=None)) == 2


def test_a_float_that_becomes_structure_gets_a_sentence():
    def widths(hyper):
        return training.Recipe(MLP((4, int(hyper["width"]), 3)), optimizers.adam(0.1), losses.softmax_cross_entropy)

    with pytest.raises(
        ValueError, match="hyper has floats for 'width', of which recipe makes structure, such as a size"
    ):
        sweeps.sweep(widths, DATA, hyper={"width": 8.0}, key=KEY, **OPTIONS)
    assert len(sweeps.sweep(widths, DATA, hyper=[{"width": 8}, {"width": 4}], key=KEY, **OPTIONS).groups) == 2


def test_hyperparameters_of_a_fixed_recipe_are_refused():
    with pytest.raises(
        TypeError, match="hyper is given, but recipe is fixed; give a function from a setting to a Recipe"
    ):
        sweeps.sweep(recipe(RATES[0]), DATA, hyper=RATES, key=KEY, **OPTIONS)


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({}, ValueError, "grid is empty"),
        ({"a": []}, ValueError, "a is empty"),
        ({"a": 0.1}, TypeError, r"a is 0.1; give a list of values to try, such as \[0.1\]"),
        ({"a": "relu"}, TypeError, "a is 'relu'; give a list"),
        ({"a": [1.0, 1.0]}, ValueError, "a has 1.0 twice"),
        ({"a": [np.inf]}, ValueError, r"a\[0\] is inf; give a finite number"),
    ],
)
def test_a_bad_grid_gets_a_sentence(values, error, sentence):
    with pytest.raises(error, match=sentence):
        sweeps.grid(**values)


def test_pictures_suit_what_varies(runs):
    axes = runs.plot()
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("learning_rate", "validation loss", "log")
    best = runs.best().hyper["learning_rate"]
    assert f"best, {best:g}" in [text.get_text() for text in axes.get_legend().get_texts()]
    np.testing.assert_allclose(
        axes.lines[0].get_ydata(), np.median(runs.history["validation/loss"].min(axis=1).reshape(3, 3), axis=1)
    )
