import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import data, losses, metrics, optimizers
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, StopReason, evaluation, fit, make_run, train_step
from jaxmlp.training import fit as fit_function
from jaxmlp.training import state as standing
from jaxmlp.types import Batch

host = sys.modules["jaxmlp.training.host"]
assert fit_function is fit

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int) + (X[:, 2] > 0.5)
TRAIN, VALIDATION = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = MLP(sizes=(4, 8, 3))
RECIPE = Recipe(NET, optimizers.adam(0.02), losses.softmax_cross_entropy)


def by_value(state):
    """The leaves of a state as bytes, to be compared to the bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def plain_loop(net, optimizer, x, y, weight=None, *, epochs, batch_size, key, keep=None):
    """Training as one would write it without this library, from the same keys: no padding, no scan."""
    keys = standing.Keys(*(jax.random.fold_in(key, purpose) for purpose in range(3)))
    weight = np.ones(len(x)) if weight is None else weight
    params = net.init(keys.init)
    state = optimizer.init(params)
    steps = -(-len(x) // batch_size)
    means = []

    def loss_of(params, rows, dropout_key):
        outputs = net.apply(params, jnp.asarray(x[rows]), key=dropout_key)
        of_rows = losses.softmax_cross_entropy(outputs, jnp.asarray(y[rows]))
        return (of_rows * jnp.asarray(weight[rows], of_rows.dtype)).sum() / weight[rows].sum()

    for epoch in range(epochs):
        order = np.asarray(data.order(jax.random.fold_in(keys.order, epoch), len(x)))
        total = 0.0
        for i in range(steps):
            if keep == epoch * steps + i:
                return params, np.array(means)
            rows = order[i * batch_size : (i + 1) * batch_size]
            dropout_key = jax.random.fold_in(keys.dropout, epoch * steps + i)
            loss, gradient = jax.value_and_grad(loss_of)(params, rows, dropout_key)
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            total += float(loss) * weight[rows].sum()
        means.append(total / weight.sum())
    return params, np.array(means)


class TestTheRun:
    @pytest.mark.parametrize(("batch_size", "dropout"), [(8, 0.0), (7, 0.0), (40, 0.0), (8, 0.3), (1, 0.0)])
    def test_equals_a_plain_loop(self, batch_size, dropout, x64):
        net = MLP(sizes=(4, 8, 3), dropout=dropout)
        recipe = Recipe(net, optimizers.adam(0.02), losses.softmax_cross_entropy)
        run = fit(recipe, TRAIN, epochs=3, batch_size=batch_size, key=KEY)
        with jax.numpy_dtype_promotion("standard"):
            params, means = plain_loop(net, optax.adam(0.02), *TRAIN, epochs=3, batch_size=batch_size, key=KEY)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), run.params, params)
        np.testing.assert_allclose(run.history["train/loss"], means, rtol=1e-12)

    def test_equals_a_plain_loop_with_weights_and_a_smaller_last_batch(self, x64):
        weight = RNG.uniform(0.1, 2.0, size=40)
        options = {"epochs": 3, "batch_size": 7, "key": KEY}
        run = fit(RECIPE, (*TRAIN, weight), **options)
        with jax.numpy_dtype_promotion("standard"):
            params, means = plain_loop(NET, optax.adam(0.02), *TRAIN, weight, **options)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12), run.params, params)
        np.testing.assert_allclose(run.history["train/loss"], means, rtol=1e-11)

    def test_every_purpose_has_a_key_of_its_own(self):
        keys = [tuple(jax.random.key_data(key).tolist()) for key in standing.keys_of(KEY)]
        assert len(set(keys)) == 3
        assert keys == [tuple(jax.random.key_data(jax.random.fold_in(KEY, i)).tolist()) for i in range(3)]

    def test_chunks_of_any_size_give_the_same_bits(self):
        net = MLP(sizes=(4, 8, 3), dropout=0.2)
        recipe = Recipe(net, optimizers.adam(0.02), losses.softmax_cross_entropy)
        options = {
            "validation": VALIDATION, "epochs": 17, "batch_size": 7, "key": KEY,
            "early_stopping": EarlyStopping(patience=30), "metrics": {"accuracy": metrics.accuracy},
        }  # fmt: skip
        one, seven, all_at_once, by_time = (fit(recipe, TRAIN, chunk=c, **options) for c in (1, 7, 17, None))
        assert one.epochs == 17
        assert by_value(one.state) == by_value(seven.state) == by_value(all_at_once.state) == by_value(by_time.state)

    def test_make_run_is_the_same_run_and_can_be_mapped_over_seeds(self):
        keys = jax.random.split(KEY, 3)
        run = make_run(RECIPE, epochs=4, batch_size=7)
        arrays = jnp.asarray(X, jnp.float32)[:40], jnp.asarray(Y)[:40]
        single = jax.jit(run)(keys[1], arrays)
        together = jax.jit(jax.vmap(run, in_axes=(0, None)))(keys, arrays)
        fitted = fit(RECIPE, TRAIN, epochs=4, batch_size=7, key=keys[1])
        for state in (single, jax.tree.map(lambda leaf: leaf[1], together)):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), state, fitted.state)

    def test_make_run_stops_measures_and_begins_as_fit_does(self):
        recipe = Recipe(NET, optimizers.adam(0.1), losses.softmax_cross_entropy)
        options = {
            "epochs": 60, "batch_size": 7, "early_stopping": EarlyStopping(patience=3),
            "metrics": {"accuracy": metrics.accuracy},
        }  # fmt: skip
        given = NET.init(jax.random.key(9))
        arrays = [(jnp.asarray(x, jnp.float32), jnp.asarray(y)) for x, y in (TRAIN, VALIDATION)]
        state = jax.jit(make_run(recipe, **options))(KEY, *arrays, params=given)
        fitted = fit(recipe, TRAIN, validation=VALIDATION, key=KEY, params=given, **options)
        assert int(state.epoch) == fitted.epochs < 60
        assert int(state.stop) == standing.STOPPED_EARLY
        for name, curve in fitted.history.items():
            np.testing.assert_allclose(state.history[name][: fitted.epochs], curve, rtol=1e-3)
            assert jnp.isnan(state.history[name][fitted.epochs :]).all()

    def test_learns_and_counts_every_row(self):
        run = fit(RECIPE, TRAIN, epochs=60, batch_size=7, key=KEY, metrics={"accuracy": metrics.accuracy})
        assert run.history["train/accuracy"][-1] > 0.9
        assert run.stop_reason is StopReason.COMPLETE
        assert run.epochs == 60
        assert list(run.history) == ["train/loss", "train/accuracy"]

    def test_history_is_measured_on_the_validation_data_after_the_epoch(self):
        scores = {"accuracy": metrics.accuracy}
        recipe = Recipe(MLP(sizes=(4, 8, 3), dropout=0.5), optimizers.adam(0.02), losses.softmax_cross_entropy)
        run = fit(recipe, TRAIN, validation=VALIDATION, epochs=5, batch_size=7, key=KEY, metrics=scores)
        outputs = NET.apply(run.params, jnp.asarray(VALIDATION[0], jnp.float32))
        labels = jnp.asarray(VALIDATION[1])
        assert list(run.history) == ["train/loss", "validation/loss", "validation/accuracy"]
        loss = losses.softmax_cross_entropy(outputs, labels).mean()
        np.testing.assert_allclose(run.history["validation/loss"][-1], loss, rtol=1e-5)
        np.testing.assert_allclose(run.history["validation/accuracy"][-1], metrics.accuracy(outputs, labels))

    def test_best_parameters_are_those_of_the_lowest_validation_loss(self):
        recipe = Recipe(NET, optimizers.adam(0.1), losses.softmax_cross_entropy)
        run = fit(recipe, TRAIN, validation=VALIDATION, epochs=60, batch_size=7, key=KEY)
        curve = run.history["validation/loss"]
        assert run.best_epoch == int(np.argmin(curve)) + 1 < run.epochs
        outputs = NET.apply(run.best_params, jnp.asarray(VALIDATION[0], jnp.float32))
        best = losses.softmax_cross_entropy(outputs, jnp.asarray(VALIDATION[1])).mean()
        np.testing.assert_allclose(best, curve.min(), rtol=1e-5)
        shorter = fit(recipe, TRAIN, epochs=run.best_epoch, batch_size=7, key=KEY)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), run.best_params, shorter.params)

    def test_of_equally_good_epochs_the_first_is_the_best(self):
        still = Recipe(NET, optimizers.sgd(0.0), losses.softmax_cross_entropy)
        assert fit(still, TRAIN, validation=VALIDATION, epochs=3, batch_size=7, key=KEY).best_epoch == 1

    def test_make_run_takes_all_rows_where_a_batch_would_be_larger(self):
        arrays = jnp.asarray(X, jnp.float32), jnp.asarray(Y)
        states = [jax.jit(make_run(RECIPE, epochs=2, batch_size=size))(KEY, arrays) for size in (53, 1000)]
        assert by_value(states[0]) == by_value(states[1])

    def test_without_validation_the_training_loss_decides(self):
        recipe = Recipe(NET, optimizers.adam(0.3), losses.softmax_cross_entropy)
        run = fit(recipe, TRAIN, epochs=30, batch_size=7, key=KEY)
        assert run.best_epoch == int(np.argmin(run.history["train/loss"])) + 1

    @pytest.mark.parametrize("rows", [EarlyStopping(patience=3), EarlyStopping(patience=5, min_delta=0.02)])
    def test_stops_where_the_rule_says(self, rows):
        recipe = Recipe(NET, optimizers.adam(0.1), losses.softmax_cross_entropy)
        options = {"validation": VALIDATION, "epochs": 80, "batch_size": 7, "key": KEY}
        full = fit(recipe, TRAIN, **options)
        state, stopped = rows.init(), None
        for epoch, value in enumerate(full.history["validation/loss"], 1):
            state, stop = rows.update(jnp.asarray(value), state)
            if stop:
                stopped = epoch
                break
        run = fit(recipe, TRAIN, early_stopping=rows, **options)
        assert run.epochs == stopped < 80
        assert run.stop_reason is StopReason.STOPPED_EARLY
        np.testing.assert_array_equal(run.history["validation/loss"], full.history["validation/loss"][:stopped])

    @pytest.mark.parametrize("target", [None, 0.6])
    def test_stops_and_keeps_the_best_by_any_metric(self, target):
        rule = EarlyStopping(patience=4, metric="accuracy", mode="max", target=target)
        options = {"validation": VALIDATION, "batch_size": 7, "key": KEY, "metrics": {"accuracy": metrics.accuracy}}
        recipe = Recipe(NET, optimizers.adam(0.05), losses.softmax_cross_entropy)
        run = fit(recipe, TRAIN, epochs=80, early_stopping=rule, **options)
        curve = run.history["validation/accuracy"]
        assert run.best_epoch == int(np.argmax(curve)) + 1
        assert float(run.state.best_cost) == -curve.max()
        shorter = fit(recipe, TRAIN, epochs=run.best_epoch, **options)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), run.best_params, shorter.params)
        if target is None:
            assert run.stop_reason is StopReason.STOPPED_EARLY
            assert run.epochs == run.best_epoch + 4
        else:
            assert run.stop_reason is StopReason.REACHED
            assert curve[-1] >= 0.6 > curve[:-1].max(initial=0)

    def test_stops_where_scikit_learn_s_rule_does(self):
        rule = EarlyStopping.from_scikit_learn(n_iter_no_change=3, tol=0.05)
        run = fit(RECIPE, TRAIN, epochs=80, batch_size=7, key=KEY, early_stopping=rule)
        best, count, expected = np.inf, 0, None
        for epoch, value in enumerate(run.history["train/loss"], 1):
            count = count + 1 if value > best - 0.05 else 0
            best = min(best, value)
            expected = expected or (epoch if count > 3 else None)
        assert run.epochs == expected < 80

    def test_weights_count_rows_as_copies_would(self, x64):
        x, y, weight = X[:6], Y[:6], np.array([3, 0, 1, 1, 2, 1])
        options = {"epochs": 5, "key": KEY}
        weighted = fit(RECIPE, (x, y, weight), batch_size=6, **options)
        copied = fit(RECIPE, (np.repeat(x, weight, 0), np.repeat(y, weight)), batch_size=8, **options)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), weighted.params, copied.params
        )
        np.testing.assert_allclose(weighted.history["train/loss"], copied.history["train/loss"], rtol=1e-9)

    @pytest.mark.parametrize("given", [{0: 2.0, 2: 0.5}, "balanced"])
    def test_classes_may_count_differently(self, given):
        from sklearn.utils.class_weight import compute_sample_weight

        own = RNG.uniform(0.5, 2.0, size=40)
        weight = own * compute_sample_weight("balanced" if given == "balanced" else {1: 1.0, **given}, TRAIN[1])
        options = {"epochs": 3, "batch_size": 7, "key": KEY, "validation": VALIDATION}
        by_class = fit(RECIPE, (*TRAIN, own), class_weight=given, **options)
        by_row = fit(RECIPE, (*TRAIN, weight), **options)
        for name in by_row.history:
            np.testing.assert_allclose(by_class.history[name], by_row.history[name], rtol=1e-5)

    def test_two_classes_of_one_output_may_too(self):
        x, y = TRAIN[0], (TRAIN[1] == 0)[:, None].astype(int)
        recipe = Recipe(MLP((4, 3, 1)), optimizers.sgd(0.1), losses.sigmoid_binary_cross_entropy)
        options = {"epochs": 2, "batch_size": 7, "key": KEY}
        by_class = fit(recipe, (x, y), class_weight={1: 3.0}, **options)
        by_row = fit(recipe, (x, y, np.where(y[:, 0] == 1, 3.0, 1.0)), **options)
        np.testing.assert_allclose(by_class.history["train/loss"], by_row.history["train/loss"], rtol=1e-6)

    def test_validation_weights_count_too(self):
        x, y = VALIDATION
        weight = (np.arange(len(y)) % 2).astype(float)
        options = {"epochs": 2, "batch_size": 7, "key": KEY, "metrics": {"accuracy": metrics.accuracy}}
        weighted = fit(RECIPE, TRAIN, validation=(x, y, weight), **options)
        chosen = fit(RECIPE, TRAIN, validation=(x[1::2], y[1::2]), **options)
        for name in weighted.history:
            np.testing.assert_allclose(weighted.history[name], chosen.history[name], rtol=1e-5)

    def test_begins_with_given_parameters_and_leaves_them_alone(self):
        given = NET.init(jax.random.key(9))
        before = by_value(given)
        still = Recipe(NET, optimizers.sgd(0.0), losses.softmax_cross_entropy)
        run = fit(still, TRAIN, epochs=2, batch_size=7, key=KEY, params=given)
        assert by_value(run.params) == by_value(given) == before

    def test_large_sets_are_evaluated_in_slices(self, monkeypatch):
        params, rows = NET.init(KEY), Batch(jnp.asarray(X, jnp.float32), jnp.asarray(Y))
        scores = [("accuracy", metrics.accuracy)]
        whole = evaluation.evaluate(RECIPE, params, rows, scores)
        for size in (1, 7, 52, 53):
            monkeypatch.setattr(evaluation, "EVALUATION_ROWS", size)
            sliced = evaluation.evaluate(RECIPE, params, rows, scores)
            assert {k: pytest.approx(float(v), rel=1e-5) for k, v in whole.items()} == sliced

    def test_any_model_with_the_two_verbs_trains(self):
        class Slope:
            def init(self, key):
                return {"slope": jax.random.normal(key, (1,))}

            def apply(self, params, x, *, key=None):
                return x * params["slope"][None]

        x = np.linspace(-1, 1, 20)[:, None]
        recipe = Recipe(Slope(), optimizers.sgd(0.3), losses.squared_error)
        run = fit(recipe, (x, 3 * x), epochs=20, batch_size=5, key=KEY)
        assert float(run.params["slope"][0]) == pytest.approx(3.0, abs=1e-3)

    @pytest.mark.parametrize(
        "optimizer",
        [
            optax.chain(optimizers.adam(0.02), optax.contrib.reduce_on_plateau(patience=50)),
            optax.contrib.schedule_free_sgd(0.1),
            optax.MultiSteps(optimizers.adam(0.02), 2).gradient_transformation(),
            optax.chain(optax.clip_by_global_norm(1.0), optimizers.scale_by_adam(), optax.scale(-0.02)),
        ],
        ids=["plateau", "schedule_free", "multi_steps", "chain"],
    )
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_optax_transforms_and_chains_with_them_train(self, optimizer):
        recipe = Recipe(NET, optimizer, losses.softmax_cross_entropy)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            run = fit(recipe, TRAIN, epochs=20, batch_size=7, key=KEY, params=NET.init(KEY))
        assert run.history["train/loss"][-1] < 0.8 * run.history["train/loss"][0]

    def test_without_a_batch_size_every_step_takes_all_rows(self):
        runs = [fit(RECIPE, TRAIN, epochs=3, batch_size=size, key=KEY) for size in (None, 40)]
        assert by_value(runs[0].state) == by_value(runs[1].state)
        arrays = jnp.asarray(TRAIN[0], jnp.float32), jnp.asarray(TRAIN[1])
        state = jax.jit(make_run(RECIPE, epochs=3, batch_size=None))(KEY, arrays)
        np.testing.assert_allclose(state.history["train/loss"], runs[0].history["train/loss"], rtol=1e-5)

    def test_transforms_get_the_loss_and_its_gradient_at_any_parameters(self):
        """L-BFGS searches along a line by the extra arguments; on a linear net it finds the least squares."""
        x, y = TRAIN[0], TRAIN[0] @ [[1.0], [-2.0], [0.5], [0.0]] + np.sin(3 * TRAIN[0][:, :1])
        recipe = Recipe(MLP(sizes=(4, 1)), optax.lbfgs(), losses.squared_error)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            run = fit(recipe, (x, y), epochs=15, batch_size=40, key=KEY)
        solution = np.linalg.lstsq(np.column_stack([x, np.ones(40)]), y, rcond=None)[0]
        np.testing.assert_allclose(np.concatenate([run.params[0].w[:, 0], run.params[0].b]), solution[:, 0], atol=1e-3)

    def test_one_step_is_a_step_of_the_run(self):
        full = fit(RECIPE, TRAIN, epochs=1, batch_size=40, key=KEY)
        params = NET.init(standing.keys_of(KEY).init)
        batch = Batch(jnp.asarray(TRAIN[0], jnp.float32), jnp.asarray(TRAIN[1]))
        step = train_step(RECIPE, params, RECIPE.optimizer.init(params), batch)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), step.params, full.params)
        assert float(step.loss) == pytest.approx(float(full.history["train/loss"][0]), rel=1e-5)


class TestHyperparameters:
    @staticmethod
    def recipe(hyper):
        net = MLP(sizes=(4, 8, 3), dropout=hyper["dropout"])
        return Recipe(net, optimizers.adam(hyper["rate"]), losses.softmax_cross_entropy)

    def test_a_recipe_of_hyperparameters_equals_the_fixed_one(self):
        fixed = Recipe(MLP(sizes=(4, 8, 3), dropout=0.2), optimizers.adam(0.02), losses.softmax_cross_entropy)
        options = {"epochs": 3, "batch_size": 7, "key": KEY}
        made = fit(self.recipe, TRAIN, hyper={"dropout": 0.2, "rate": 0.02}, **options)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            made.params,
            fit(fixed, TRAIN, **options).params,
        )

    def test_a_second_fit_compiles_nothing(self, compilations):
        options = {"validation": VALIDATION, "epochs": 4, "batch_size": 9, "metrics": {"a": metrics.accuracy}}
        at_first = compilations.count
        fit(RECIPE, TRAIN, key=KEY, early_stopping=EarlyStopping(5), **options)
        before = compilations.count
        assert before > at_first
        again = jax.random.key(11)
        fit(RECIPE, TRAIN, key=again, early_stopping=EarlyStopping(6, 0.1), chunk=2, **options)
        fit(RECIPE, TRAIN, key=again, early_stopping=EarlyStopping(np.int64(6), 1), **options)
        assert compilations.count == before

    def test_a_recipe_written_out_anew_compiles_nothing(self):
        """See ``unchecked_fingerprint.py``."""
        options = ["-q", "-n", "0", "--noconftest", "-p", "no:cacheprovider", "-o", "python_files=unchecked_*.py"]
        command = [sys.executable, "-m", "pytest", *options, "unchecked_fingerprint.py"]
        run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout

    def test_other_numbers_compile_nothing(self, compilations):
        options = {"epochs": 4, "batch_size": 9, "key": KEY}
        fit(self.recipe, TRAIN, hyper={"dropout": 0.2, "rate": 0.02}, **options)
        before = compilations.count
        other = fit(self.recipe, TRAIN, hyper={"dropout": 0.0, "rate": np.float64(0.3)}, **options)
        assert compilations.count == before
        assert other.epochs == 4

    def test_may_be_mapped(self):
        run = make_run(self.recipe, epochs=3, batch_size=7)
        arrays = jnp.asarray(X, jnp.float32), jnp.asarray(Y)
        hyper = {"dropout": jnp.array([0.0, 0.5]), "rate": jnp.array([0.02, 0.1])}
        states = jax.jit(jax.vmap(run, in_axes=(None, None, None, 0)))(KEY, arrays, None, hyper)

        def hyper_of(member):
            return jax.tree.map(lambda values: values[member], hyper)

        for i in (0, 1):
            alone = fit(self.recipe, (X, Y), epochs=3, batch_size=7, key=KEY, hyper=hyper_of(i))
            np.testing.assert_allclose(states.history["train/loss"][i], alone.history["train/loss"], rtol=1e-4)

    @pytest.mark.parametrize(
        ("recipe", "hyper", "sentence"),
        [
            (RECIPE, {"rate": 0.1}, "hyper is given, but recipe is fixed"),
            (recipe, None, "recipe is a function of hyperparameters; give them as hyper"),
            (lambda hyper: None, {"rate": 0.1}, "recipe returned NoneType; return a training.Recipe"),
            ("adam", None, "recipe is 'adam'; give a training.Recipe"),
            (recipe, {"rate": "0.1", "dropout": 0.0}, r"hyper\['rate'\] is '0.1'; give a single number"),
            (recipe, {"rate": [0.1, None], "dropout": 0.0}, r"hyper\['rate'\]\[1\] is None; give a single number"),
            (recipe, {"rate": np.ones(2), "dropout": 0.0}, r"hyper\['rate'\] is array.*; give a single number"),
        ],
    )
    def test_what_does_not_fit_together_gets_a_sentence(self, recipe, hyper, sentence, unchecked):
        recipe = getattr(recipe, "__func__", recipe)
        with pytest.raises(TypeError, match=sentence):
            fit(recipe, TRAIN, epochs=1, batch_size=7, key=KEY, hyper=hyper)


def infinite_at(step):
    """A recipe whose learning rate is infinite at one step."""

    def rate(count):
        return jnp.where(count.astype(float) == step, jnp.inf, 0.05)

    return Recipe(NET, optimizers.sgd(rate), losses.softmax_cross_entropy)


class TestDivergence:
    @pytest.mark.parametrize("steps", [0, 1, 2, 4, 5, 6, 9, 11, 12, 17])
    def test_is_found_to_the_step_and_the_parameters_before_it_are_kept(self, steps):
        """40 rows in batches of 7 make 6 steps an epoch; the rate turns infinite at one of them."""
        with pytest.warns(RuntimeWarning, match=rf"at epoch {steps // 6 + 1}, step {steps % 6 + 1}; "):
            run = fit(infinite_at, TRAIN, epochs=5, batch_size=7, key=KEY, hyper=steps)
        assert run.stop_reason is StopReason.DIVERGED
        assert run.diverged_at == (steps // 6 + 1, steps % 6 + 1)
        assert run.epochs == steps // 6 == len(run.history["train/loss"])
        expected, _ = plain_loop(NET, optax.sgd(0.05), *TRAIN, epochs=5, batch_size=7, key=KEY, keep=steps)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), run.params, expected)

    def test_a_loss_that_is_not_finite_counts_with_finite_parameters(self):
        def poisoned(outputs, targets):
            return jnp.where(targets == 2, jnp.nan, 0.0) + 0 * outputs[:, 0]

        recipe = Recipe(NET, optax.apply_if_finite(optax.sgd(0.1), 100), poisoned)
        with pytest.warns(RuntimeWarning, match="became NaN or infinite at epoch 1, step 1;"):
            run = fit(recipe, (X[:8], np.full(8, 2)), epochs=2, batch_size=4, key=KEY)
        assert run.best_epoch == 0
        assert repr(run) == (
            "Run of 0 epochs, none with a finite loss; "
            "diverged, the loss or the parameters being no longer finite at epoch 1, step 1"
        )

    def test_the_best_epoch_before_it_is_kept(self):
        options = {"validation": VALIDATION, "batch_size": 7, "key": KEY}
        with pytest.warns(RuntimeWarning, match="epoch 3, step 3"):
            run = fit(infinite_at, TRAIN, epochs=5, hyper=14, **options)
        shorter = fit(infinite_at, TRAIN, epochs=2, hyper=-1, **options)
        assert run.best_epoch == shorter.best_epoch > 0
        assert by_value(run.best_params) == by_value(shorter.best_params)

    def test_harms_no_other_member(self):
        def recipe(rate):
            return Recipe(NET, optimizers.sgd(rate), losses.softmax_cross_entropy)

        arrays = jnp.asarray(X, jnp.float32), jnp.asarray(Y)
        run = make_run(recipe, epochs=6, batch_size=7)
        rates = jnp.array([0.05, 1e30, 0.1])
        states = jax.jit(jax.vmap(run, in_axes=(None, None, None, 0)))(KEY, arrays, None, rates)
        assert states.stop.tolist() == [standing.RUNNING, standing.DIVERGED, standing.RUNNING]
        assert states.epoch.tolist() == [6, 0, 6]
        for member, rate in ((0, 0.05), (2, 0.1)):
            alone = fit(recipe, (X, Y), epochs=6, batch_size=7, key=KEY, hyper=rate)
            np.testing.assert_allclose(states.history["train/loss"][member], alone.history["train/loss"], rtol=1e-4)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(states.params))


class TestTheHost:
    def test_an_ignored_ctrl_c_stays_ignored(self, usual_ctrl_c):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with host.interruptible() as interrupted:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
        assert not interrupted.is_set()

    def test_the_callback_sees_the_run_so_far_and_may_keep_it(self):
        seen = []
        options = {"validation": VALIDATION, "batch_size": 7, "key": KEY}
        fit(RECIPE, TRAIN, epochs=5, chunk=2, callback=lambda epoch, run: seen.append((epoch, run)), **options)
        assert [epoch for epoch, _ in seen] == [2, 4, 5]
        for epoch, run in seen:
            alone = fit(RECIPE, TRAIN, epochs=epoch, **options)
            assert run.epochs == epoch == len(run.history["validation/loss"])
            assert run.stop_reason is StopReason.RUNNING
            for kept, wanted in zip(*map(jax.tree.leaves, (run.params, alone.params)), strict=True):
                np.testing.assert_array_equal(kept, wanted)

    def test_the_callback_of_the_last_epochs_knows_why_the_run_ended(self):
        seen = []
        rule = EarlyStopping(patience=1, min_delta=1e9)
        options = {"batch_size": 7, "key": KEY, "early_stopping": rule}
        fit(RECIPE, TRAIN, epochs=9, callback=lambda epoch, run: seen.append(run.stop_reason), chunk=9, **options)
        assert seen == [StopReason.STOPPED_EARLY]

    def test_a_callback_that_cannot_be_called_is_refused(self, unchecked):
        with pytest.raises(TypeError, match=r"callback is 'log\.csv'; give a function of"):
            fit(RECIPE, TRAIN, epochs=1, batch_size=7, key=KEY, callback="log.csv")

    def test_ctrl_c_returns_the_run_so_far(self, ctrl_c):
        ctrl_c()
        run = fit(RECIPE, TRAIN, epochs=1_000_000, batch_size=7, key=KEY, chunk=100)
        assert run.stop_reason is StopReason.INTERRUPTED
        assert 0 < run.epochs < 1_000_000
        assert len(run.history["train/loss"]) == run.epochs
        assert np.isfinite(run.history["train/loss"]).all()

    def test_the_second_ctrl_c_is_python_s(self, usual_ctrl_c):
        with host.interruptible() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert interrupted.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    def test_works_outside_the_main_thread(self):
        runs = []
        thread = threading.Thread(target=lambda: runs.append(fit(RECIPE, TRAIN, epochs=2, batch_size=7, key=KEY)))
        thread.start()
        thread.join()
        assert runs[0].epochs == 2

    @pytest.mark.parametrize(
        ("terminal", "wanted", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
    )
    def test_progress_is_shown_on_terminals_only(self, terminal, wanted, shown, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        run = fit(RECIPE, TRAIN, epochs=3, batch_size=7, key=KEY, progress=wanted, chunk=1)
        printed = capsys.readouterr().err
        assert ("3/3 " in printed and f"train/loss={run.history['train/loss'][-1]:.4g}]" in printed) is shown
        assert bool(printed) is shown

    def test_progress_is_shown_in_notebooks(self, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
        monkeypatch.setitem(sys.modules, "ipykernel", threading)  # any module: only its name is asked for
        fit(RECIPE, TRAIN, epochs=3, batch_size=7, key=KEY)
        assert "3/3 " in capsys.readouterr().err

    def test_without_tqdm_there_is_no_bar_and_no_fuss(self, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert fit(RECIPE, TRAIN, epochs=2, batch_size=7, key=KEY).epochs == 2
        assert capsys.readouterr().err == ""

    def test_compile_time_is_told_apart(self):
        recipe = Recipe(MLP(sizes=(4, 9, 3)), optimizers.adam(0.02), losses.softmax_cross_entropy)
        first, second = (fit(recipe, TRAIN, epochs=2, batch_size=7, key=KEY) for _ in range(2))
        assert first.compile_seconds > 10 * second.compile_seconds
        assert first.compile_seconds > 10 * first.run_seconds

    def test_the_pace_fills_a_chunk_but_grows_slowly(self):
        assert host.next_pace(1, 1, 1e-6) == 4
        assert host.next_pace(100, 100, 0.2) == 100
        assert host.next_pace(100, 100, 2.0) == 10
        assert host.next_pace(1, 1, 60.0) == 1

    def test_a_run_says_what_came_out(self):
        run = fit(RECIPE, TRAIN, validation=VALIDATION, epochs=2, batch_size=7, key=KEY)
        value = run.history["validation/loss"][run.best_epoch - 1]
        assert repr(run).startswith(f"Run of 2 epochs, best after {run.best_epoch} (train/loss ")
        assert repr(run).endswith(f"validation/loss {value:.4g}); all epochs were run")


def test_the_user_s_arrays_are_neither_changed_nor_donated():
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y)
    fit(RECIPE, (x, y), validation=(x, y), epochs=2, batch_size=7, key=KEY)
    np.testing.assert_array_equal(x, X.astype(np.float32))
    np.testing.assert_array_equal(y, Y)
    jax.random.normal(KEY)


def test_the_older_kind_of_key_works():
    assert fit(RECIPE, TRAIN, epochs=1, batch_size=7, key=jax.random.PRNGKey(0)).epochs == 1
