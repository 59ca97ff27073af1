import functools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import chains, logs, losses, metrics, optimizers, regularizers, schedules
from jaxmlp.activations import PReLU
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, StopReason, fit, make_run
from jaxmlp.training import state as standing
from jaxmlp.training import watch as watching
from jaxmlp.types import Batch, Layer

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int) + (X[:, 2] > 0.5)
TRAIN, VALIDATION = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = MLP(sizes=(4, 8, 3))
RECIPE = Recipe(NET, optimizers.adam(0.05), losses.softmax_cross_entropy)
OPTIONS = {"batch_size": 7, "key": KEY, "progress": False}
STEPS = 6  # 40 rows in batches of 7
WATCHED = [i * 40 // 7 for i in range(7)]
EACH = {"validation": VALIDATION, "metrics": {"accuracy": metrics.accuracy}, "evaluate_every": 3, "watch": 2}
"""Everything there is, at times of its own."""


def by_value(state):
    """The leaves of a state as bytes, to be compared to the bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def cross_entropy(params, x, y, weight=None, net=NET, key=None):
    log_p = jax.nn.log_softmax(net.apply(params, jnp.asarray(x), key=key))
    rows = -log_p[jnp.arange(len(y)), jnp.asarray(y)]
    weight = np.ones(len(y), np.float32) if weight is None else weight
    return jnp.sum(rows * weight) / jnp.sum(weight)


def norm(*trees):
    leaves = [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(trees)]
    return np.linalg.norm(np.concatenate(leaves))


@functools.cache
def whole(epochs=13):
    """A run that is watched and evaluated at times, undisturbed."""
    return fit(RECIPE, TRAIN, epochs=epochs, chunk=epochs, **EACH, **OPTIONS)


class TestNorms:
    def test_are_those_of_the_gradient_at_the_last_parameters_of_each_epoch(self):
        weight = RNG.uniform(0.1, 2.0, 40).astype(np.float32)
        data, seen = (*TRAIN, weight), []
        run = fit(RECIPE, data, epochs=3, watch=1, chunk=1, callback=lambda _, r: seen.append(r.params), **OPTIONS)
        for epoch, params in enumerate(seen):
            gradient = jax.grad(cross_entropy)(params, X[WATCHED], Y[WATCHED], weight[WATCHED])
            names = {"gradient_norm": gradient, "gradient_norm/0": gradient[0], "gradient_norm/1": gradient[1]}
            for name, part in names.items():
                np.testing.assert_allclose(run.history[name][epoch], norm(part), rtol=1e-4)

    def test_of_the_update_are_those_that_the_optimizer_would_make_next(self):
        net = MLP(sizes=(4, 8, 3), dropout=0.4)
        recipe = Recipe(net, optimizers.adam(0.05), losses.softmax_cross_entropy, lambda key, b: b._replace(x=2 * b.x))
        run = fit(recipe, TRAIN, epochs=2, watch=1, **OPTIONS)
        masks = jax.random.fold_in(standing.keys_of(KEY).dropout, 2 * STEPS)
        gradient = jax.grad(cross_entropy)(run.params, 2 * X[WATCHED], Y[WATCHED], None, net, masks)
        updates, _ = recipe.optimizer.update(gradient, run.state.opt_state, run.params)
        for of, part in (("", slice(None)), ("/0", 0), ("/1", 1)):
            np.testing.assert_allclose(run.history[f"gradient_norm{of}"][-1], norm(gradient[part]), rtol=1e-4)
            expected = norm(updates[part]) / norm(run.params[part])
            np.testing.assert_allclose(run.history[f"update_ratio{of}"][-1], expected, rtol=1e-4)

    def test_of_parameters_that_are_0_leave_the_ratio_finite(self):
        recipe = Recipe(NET, optimizers.sgd(1e-3), losses.softmax_cross_entropy)
        zeros = jax.tree.map(jnp.zeros_like, NET.init(KEY))
        values = watch(recipe, zeros)
        assert all(np.isfinite(value) for value in values.values())
        assert values["update_ratio/0"] == 0  # no gradient gets through weights of 0
        assert values["update_ratio"] > 1e30

    def test_have_the_names_of_the_first_level_of_any_parameters(self):
        class Slopes:
            def init(self, key):
                return {"near": jnp.ones(4), "far": [jnp.ones(4)] * 2}

            def apply(self, params, x, *, key=None):
                return x * (params["near"] + params["far"][0] + params["far"][1])[None]

        recipe = Recipe(Slopes(), optimizers.sgd(0.1), losses.squared_error)
        values = watch(recipe, Slopes().init(KEY), x=X[:7], y=0 * X[:7])
        names = [f"{what}{of}" for what in ("gradient_norm", "update_ratio") for of in ("", "/far", "/near")]
        assert list(values) == ["learning_rate", *names]
        assert values["gradient_norm/far"] ** 2 == pytest.approx(2 * values["gradient_norm/near"] ** 2, rel=1e-5)
        assert values["gradient_norm"] ** 2 == pytest.approx(3 * values["gradient_norm/near"] ** 2, rel=1e-5)

    def test_have_no_layers_where_the_parameters_are_a_single_array(self):
        scale = types.SimpleNamespace(init=lambda key: jnp.ones(4), apply=lambda params, x, key=None: x * params[None])
        values = watch(Recipe(scale, optax.sgd(0.1), losses.squared_error), jnp.ones(4), x=X[:7], y=0 * X[:7])
        assert list(values) == ["gradient_norm", "update_ratio"]


def watch(recipe, params, x=X[:7], y=Y[:7], weight=None, key=None):
    """What is measured at some parameters on seven rows."""
    rows = Batch(jnp.asarray(x), jnp.asarray(y), None if weight is None else jnp.asarray(weight, jnp.float32))
    measured = jax.jit(functools.partial(watching.measure, recipe))(params, recipe.optimizer.init(params), rows, key)
    return {name: float(measured[name]) for name in watching.in_order(measured)}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class TestUnits:
    """Against their definition in NumPy."""

    @staticmethod
    def of(net, params, **rows):
        values = watch(Recipe(net, optimizers.sgd(0.1), losses.softmax_cross_entropy), params, **rows)
        return {name: value for name, value in values.items() if name.startswith(("dead", "saturated"))}

    def test_of_relu_are_dead_where_no_row_reaches_them(self):
        first, second = NET.init(KEY)
        z = X[:7].astype(np.float64) @ np.asarray(first.w, np.float64)
        biases = np.where(np.arange(8) < 3, -100.0, 0.0)
        alive = (z + biases > 0).any(axis=0)
        values = self.of(NET, (Layer(first.w, jnp.asarray(biases, jnp.float32)), second))
        assert values == {
            "dead/0": pytest.approx(1 - alive.mean()),
            "saturated/0": pytest.approx((z + biases <= 0).mean(), rel=1e-5),
        }
        assert 3 / 8 <= values["dead/0"] < 1
        assert self.of(NET, (Layer(first.w, jnp.full(8, -100.0)), second)) == {"dead/0": 1, "saturated/0": 1}
        assert self.of(NET, (Layer(first.w, jnp.full(8, 100.0)), second)) == {"dead/0": 0, "saturated/0": 0}

    @pytest.mark.parametrize(
        ("name", "scale"), [("sigmoid", 8.0), ("sigmoid", 100.0), ("tanh", 3.0), ("gelu", 2.0), ("softplus", 8.0)]
    )
    def test_are_saturated_where_the_slope_is_a_twentieth_of_the_steepest(self, name, scale):
        net = MLP(sizes=(4, 30, 3), activation=name)
        first, second = net.init(KEY)
        z = X[:7].astype(np.float64) @ np.asarray(scale * first.w, np.float64)
        slope = {
            "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)) * 4,
            "tanh": lambda z: 1 - np.tanh(z) ** 2,
            "gelu": lambda z: (norm_cdf(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)) / 1.1289,
            "softplus": lambda z: sigmoid(z) / sigmoid(4.0),
        }[name]
        with np.errstate(over="ignore"):
            expected = (np.abs(slope(z)) < 0.05).mean()
        values = self.of(net, (Layer(scale * first.w, first.b), second))
        assert values["saturated/0"] == pytest.approx(expected, rel=1e-5)
        assert 0.05 < expected < 1
        assert scale < 100 or expected > 0.9

    @pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "prelu"])
    def test_are_healthy_at_the_start(self, name):
        net = MLP(sizes=(4, 30, 30, 3), activation=name)
        values = self.of(net, net.init(KEY))
        assert list(values) == ["dead/0", "dead/1", "saturated/0", "saturated/1"]
        assert values["dead/0"] == values["dead/1"] == 0
        assert values["saturated/0"] < 0.2
        assert values["saturated/1"] < 0.2

    def test_are_looked_at_behind_the_normalization(self):
        net = MLP(sizes=(4, 30, 3), activation="tanh", normalization="layer")
        first, second = net.init(KEY)
        usual = self.of(net, (first, second))
        assert usual["saturated/0"] < 0.1
        assert self.of(net, (first._replace(w=100 * first.w), second)) == pytest.approx(usual)
        scaled = first._replace(normalization=first.normalization._replace(scale=jnp.full(30, 100.0)))
        assert self.of(net, (scaled, second))["saturated/0"] > 0.9

    def test_of_a_learned_activation_have_each_a_steepest_slope(self):
        net = MLP(sizes=(4, 4, 3), activation=PReLU())
        first, second = net.init(KEY)
        first = first._replace(activation=first.activation._replace(slope=jnp.array([0.01, 0.1, 10.0, 100.0])))
        z = X[:7].astype(np.float64) @ np.asarray(first.w, np.float64)
        expected = np.concatenate([z[:, 0] < 0, z[:, 1] < -1e9, z[:, 2] < -1e9, z[:, 3] > 0]).mean()
        values = self.of(net, (first, second))
        assert values == {"dead/0": 0, "saturated/0": pytest.approx(expected, rel=1e-5)}
        assert self.of(net, (tuple(first), tuple(second))) == values  # plain tuples will do

    def test_each_layer_has_its_own_and_layer_10_comes_behind_layer_2(self):
        net = MLP((4, *[5] * 11, 3), ("tanh", *["relu"] * 10))
        params = [Layer(layer.w, layer.b - 100.0 * (i == 10)) for i, layer in enumerate(net.init(KEY))]
        values = self.of(net, tuple(params))
        assert list(values) == [f"{what}/{i}" for what in ("dead", "saturated") for i in range(11)]
        assert values["dead/0"] == 0
        assert values["dead/10"] == 1

    def test_of_a_step_function_are_all_dead_and_dropout_is_off(self):
        net = MLP(sizes=(4, 30, 3), activation="threshold", dropout=0.5)
        assert self.of(net, net.init(KEY)) == {"dead/0": 1, "saturated/0": 0}
        net = MLP(sizes=(4, 30, 30, 3), activation="tanh", dropout=0.9)
        recipe = Recipe(net, optimizers.sgd(0.1), losses.softmax_cross_entropy)
        params = jax.tree.map(lambda leaf: 5 * leaf, net.init(KEY))
        on, off = (watch(recipe, params, key=key) for key in (KEY, None))
        assert on["gradient_norm"] != off["gradient_norm"]
        assert on["saturated/1"] == off["saturated/1"] > 0

    def test_without_a_forward_derivative_may_be_had(self):
        @jax.custom_vjp
        def straight_through(z):
            return jnp.round(z)

        straight_through.defvjp(lambda z: (jnp.round(z), None), lambda _, g: (g,))
        net = MLP(sizes=(4, 8, 3), activation=straight_through, initializer="he_normal")
        assert self.of(net, net.init(KEY)) == {"dead/0": 0, "saturated/0": 0}

    def test_rows_of_weight_0_are_left_out_and_others_count_by_their_weight(self):
        net = MLP(sizes=(4, 2, 3), activation="relu")
        params = (Layer(jnp.eye(4)[:, :2], jnp.zeros(2)), Layer(jnp.ones((2, 3)), jnp.zeros(3)))
        x = np.zeros((7, 4), np.float32)
        x[:, :2] = [[1, 1], [-1, 1], [-1, 1], [-1, -1], [-1, -1], [-1, -1], [-1, -1]]
        assert self.of(net, params, x=x) == {"dead/0": 0, "saturated/0": pytest.approx(10 / 14)}
        values = self.of(net, params, x=x, weight=[0, 3, 0, 1, 0, 0, 0])
        assert values == {"dead/0": 0.5, "saturated/0": pytest.approx((3 * 1 + 1 * 2) / 4 / 2)}


def norm_cdf(z):
    from scipy.special import ndtr

    return ndtr(z)


def rates_after(transform, values, params=None):
    """The rates that a chain's state tells after some steps."""
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)} if params is None else params
    state, gradient = transform.init(params), jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for value in values:
            extra = {"value": jnp.float32(value)}
            _, state = optax.with_extra_args_support(transform).update(gradient, state, params, **extra)
    return tuple(float(rate) for rate in chains.learning_rates(state))


def falling(count):
    return 0.1 / (1 + jnp.asarray(count, float))


def by_kind(first, second):
    return optax.partition({"w": first, "b": second}, lambda params: jax.tree.map(lambda p: "bw"[p.ndim - 1], params))


PLATEAU = schedules.reduce_on_plateau(factor=0.5, patience=1)
OURS_INJECTED = optax.inject_hyperparams(lambda learning_rate: optimizers.adam(learning_rate))
RATES = {
    "sgd": (optimizers.sgd(falling), [0.1 / 3]),
    "adam": (optimizers.adam(0.05), [0.05]),
    "schedule_free": (optimizers.schedule_free_adamw(falling), [0.1 / 3]),
    "inject": (optax.inject_hyperparams(optax.adam)(learning_rate=falling), [0.1 / 3]),
    "inject_ours": (OURS_INJECTED(learning_rate=falling), [0.1 / 3]),
    "inject_another": (optax.inject_hyperparams(optax.scale_by_adam)(b1=0.8), []),
    "plateau": (optax.chain(optimizers.adam(falling), PLATEAU), [0.1 / 12]),
    "plateau_of_optax": (
        optax.chain(OURS_INJECTED(learning_rate=0.1), optax.contrib.reduce_on_plateau(factor=0.5, patience=1)),
        [0.1 / 4],
    ),
    "plateaus": (optax.chain(optimizers.sgd(0.1), PLATEAU, PLATEAU), [0.1 / 16]),
    "partition": (by_kind(optimizers.adam(0.2), optimizers.sgd(0.1)), [0.1, 0.2]),
    "partition_with_a_plateau": (
        by_kind(optax.chain(optimizers.adam(0.2), PLATEAU), optimizers.sgd(0.1)),
        [0.1, 0.2 / 4],
    ),
    "partition_before_a_plateau": (
        optax.chain(by_kind(optimizers.adam(0.2), optimizers.sgd(0.1)), PLATEAU),
        [0.1 / 4, 0.2 / 4],
    ),
    "multi_steps": (optax.MultiSteps(optimizers.sgd(0.1), 2).gradient_transformation(), [0.1]),
    "with_all_around": (
        optax.chain(
            regularizers.clip_by_global_norm(1.0), regularizers.l2(1e-3), optimizers.adamw(0.1), regularizers.ema(0.9)
        ),
        [0.1],
    ),
    "none": (optax.adam(0.1), []),
    "none_to_be_known": (optax.chain(optax.scale_by_adam(), optax.scale(-0.1)), []),
}
"""A transform, and the rates of its third step where the loss does not fall."""


class TestLearningRates:
    @pytest.mark.parametrize("name", RATES)
    def test_are_those_of_the_last_step(self, name):
        transform, expected = RATES[name]
        assert rates_after(transform, [1.0, 1.0, 1.0]) == pytest.approx(expected)

    @pytest.mark.parametrize("name", ["sgd", "schedule_free", "inject_ours", "plateau"])
    def test_are_before_any_step_those_of_the_first(self, name):
        assert rates_after(RATES[name][0], []) == pytest.approx([0.1])

    def test_of_muon_are_two(self):
        params = MLP(sizes=(2, 3, 3, 1)).init(KEY)
        assert rates_after(optimizers.muon(0.02, adam_learning_rate=0.3), [1.0], params) == pytest.approx([0.3, 0.02])

    def test_of_a_line_search_are_what_it_found(self):
        """On a parabola of curvature 2 the first step is as long as the way to its lowest point."""
        transform = optax.chain(optax.scale(-1.0), optax.scale_by_backtracking_linesearch(20, store_grad=True))
        params = jnp.array([3.0])

        def value(params):
            return jnp.sum(jnp.square(params))

        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            extra = {"value": value(params), "grad": jax.grad(value)(params), "value_fn": value}
            state = transform.update(extra["grad"], transform.init(params), params, **extra)[1]
        assert 0 < chains.learning_rates(state)[0] < 1

    @pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
    def test_are_of_the_default_float(self, dtype):
        params = NET.init(KEY, dtype)
        chain = optax.chain(
            optax.inject_hyperparams(optax.sgd)(learning_rate=0.5), schedules.reduce_on_plateau(), optimizers.sgd(0.25)
        )
        assert [rate.dtype.name for rate in chains.learning_rates(chain.init(params))] == ["float32"] * 2

    def test_of_a_run_are_those_of_the_step_that_would_come_next(self):
        run = fit(
            Recipe(NET, optimizers.adam(falling), losses.softmax_cross_entropy), TRAIN, epochs=3, watch=1, **OPTIONS
        )
        assert run.history["learning_rate"] == pytest.approx([0.1 / (1 + STEPS * epoch) for epoch in (1, 2, 3)])
        assert float(run.state.opt_state[1].learning_rate) == pytest.approx(0.1 / (STEPS * 3))

    def test_of_a_run_fall_on_a_plateau(self):
        """A step an epoch, whose loss stays: the first is better than none, each later one halves the scale."""
        recipe = Recipe(NET, optax.chain(optimizers.sgd(0.1), PLATEAU), lambda outputs, y: 1 + 0 * outputs[:, 0])
        run = fit(recipe, TRAIN, epochs=4, watch=1, **{**OPTIONS, "batch_size": None})
        assert run.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125, 0.00625])

    def test_of_a_run_with_two_have_a_name_each(self):
        recipe = Recipe(NET, by_kind(optimizers.adam(0.2), optimizers.sgd(0.1)), losses.softmax_cross_entropy)
        run = fit(recipe, TRAIN, epochs=2, watch=1, **OPTIONS)
        assert list(run.history)[:3] == ["train/loss", "learning_rate/0", "learning_rate/1"]
        assert run.history["learning_rate/0"] == pytest.approx([0.1, 0.1])
        assert run.history["learning_rate/1"] == pytest.approx([0.2, 0.2])

    @pytest.mark.parametrize("make", [optimizers.sgd, optimizers.schedule_free_sgd])
    def test_that_are_arrays_stay_the_user_s(self, make):
        """A state may be donated, and its arrays are gone then."""
        rate, params = jnp.float32(0.1), {"w": jnp.ones((2, 2))}
        first = make(rate).init(params)
        second = make(rate).update(params, first, params)[1]
        donate = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
        for state in (first, second):
            assert float(state.learning_rate) == float(rate)
            assert not state.learning_rate.weak_type
            donate(state)
        assert float(rate) == pytest.approx(0.1)


class TestTimes:
    def test_losses_come_first_and_the_rest_in_order(self):
        assert list(whole().history) == [
            "train/loss", "validation/loss", "validation/accuracy", "learning_rate", "gradient_norm",
            "gradient_norm/0", "gradient_norm/1", "update_ratio", "update_ratio/0", "update_ratio/1", "dead/0",
            "saturated/0",
        ]  # fmt: skip

    def test_only_multiples_are_evaluated_or_watched_and_all_have_a_training_loss(self):
        epochs = np.arange(1, 14)
        for name, values in whole().history.items():
            apart = {"train/loss": 1, "validation/loss": 3, "validation/accuracy": 3}.get(name, 2)
            np.testing.assert_array_equal(np.isfinite(values), epochs % apart == 0, err_msg=name)

    def test_what_is_evaluated_is_the_same_as_ever(self):
        each = fit(RECIPE, TRAIN, epochs=13, **{**EACH, "evaluate_every": 1, "watch": False}, **OPTIONS)
        for name, values in each.history.items():
            seen = np.isfinite(whole().history[name])
            np.testing.assert_array_equal(whole().history[name][seen], values[seen])
        assert by_value(each.params) == by_value(whole().params)
        assert by_value(each.state.opt_state) == by_value(whole().state.opt_state)

    def test_the_best_epoch_is_among_the_evaluated(self):
        losses_seen = whole().history["validation/loss"]
        assert whole().best_epoch == int(np.nanargmin(losses_seen)) + 1
        assert whole().best_epoch % 3 == 0
        assert by_value(whole().at(whole().best_epoch).params) == by_value(whole().best_params)
        # Without validation data the training loss is judged, at the same epochs.
        run = fit(RECIPE, TRAIN, epochs=10, evaluate_every=4, **OPTIONS)
        assert run.best_epoch == 8
        assert np.isfinite(run.history["train/loss"]).all()

    @pytest.mark.parametrize(("steps", "epochs"), [(6, [1, 34, 68]), (1, [1])])
    def test_true_leaves_two_hundred_steps_between_but_for_the_first_epoch(self, steps, epochs):
        still = Recipe(MLP((4, 3)), optimizers.sgd(0.0), losses.softmax_cross_entropy)
        run = fit(still, TRAIN, epochs=69, watch=True, batch_size=-(-40 // steps), key=KEY, progress=False)
        assert (np.flatnonzero(np.isfinite(run.history["gradient_norm"])) + 1).tolist() == epochs

    def test_true_measures_after_every_longer_epoch(self):
        assert [watching.epochs_apart(True, steps) for steps in (1, 66, 67, 199, 200, 10_000)] == [200, 4, 3, 2, 1, 1]
        assert watching.epochs_apart(7, 1) == 7

    @pytest.mark.parametrize("ignore", [0, 3, 5, 6, 100])
    def test_patience_counts_evaluations_and_ignore_epochs(self, ignore):
        rule = EarlyStopping(patience=2, min_delta=9.0, ignore=ignore)
        run = fit(RECIPE, TRAIN, epochs=30, early_stopping=rule, evaluate_every=3, **OPTIONS)
        # Epoch 3 beats infinity; afterwards none is better, and those up to the ignored are not waited through.
        waited = [epoch for epoch in range(6, 31, 3) if epoch > ignore]
        assert run.epochs == (waited[1] if waited else 30)
        assert (run.stop_reason is StopReason.STOPPED_EARLY) == (ignore < 100)

    def test_rows_are_spread_over_all_and_the_same_each_time(self):
        rows = Batch(jnp.arange(10.0)[:, None], {"a": jnp.arange(10)}, jnp.arange(10.0))
        picked = watching.spread(rows, 4)
        assert picked.x[:, 0].tolist() == picked.weight.tolist() == picked.y["a"].tolist() == [0, 2, 5, 7]
        assert watching.spread(rows, 10) is rows
        large = Batch(jnp.zeros((3_000_000, 1), jnp.int8), jnp.arange(3_000_000))
        assert watching.spread(large, 2_000_000).y[-1] == 2_999_998


class TestNothingElseChanges:
    def test_watched_or_not_the_run_is_the_same_to_the_bit(self):
        chain = optax.chain(optimizers.adam(0.05), regularizers.ema(0.9))
        recipe = Recipe(MLP(sizes=(4, 8, 3), dropout=0.2), chain, losses.softmax_cross_entropy)
        quiet, watched = (fit(recipe, TRAIN, epochs=4, watch=watch, **OPTIONS) for watch in (False, 1))
        assert by_value(watched.state._replace(history={})) == by_value(quiet.state._replace(history={}))
        assert watched.history["train/loss"].tobytes() == quiet.history["train/loss"].tobytes()

    def test_chunks_of_any_size_give_the_same_bits(self):
        for chunk in (1, 5):
            assert by_value(fit(RECIPE, TRAIN, epochs=13, chunk=chunk, **EACH, **OPTIONS).state) == by_value(
                whole().state
            )

    def test_a_second_fit_compiles_nothing_and_another_interval_does(self, compilations):
        fit(RECIPE, TRAIN, epochs=13, **EACH, **OPTIONS)
        before = compilations.count
        fit(RECIPE, TRAIN, epochs=13, **EACH, **OPTIONS)
        assert compilations.count == before
        programs = [
            standing.Program(RECIPE, 5, 7, evaluate_every=every, watch=watch)
            for every in (1, 2)
            for watch in (False, True, 1, 2)
        ]
        assert len({standing.Program(RECIPE, 5, 7), *programs}) == 8


class TestSaved:
    def test_a_run_that_goes_on_equals_one_that_was_not_interrupted(self, tmp_path):
        path = tmp_path / "run.npz"
        fit(RECIPE, TRAIN, epochs=4, **EACH, **OPTIONS).save(path)
        with np.load(path) as file:
            assert file["history/gradient_norm"].shape == file["history/gradient_norm/0"].shape == (4,)
            assert not np.array_equal(file["history/gradient_norm"], file["history/gradient_norm/0"])
        resumed = fit(RECIPE, TRAIN, epochs=13, resume=path, **EACH, **OPTIONS)
        assert by_value(resumed.state) == by_value(whole().state)
        assert list(resumed.history) == list(whole().history)

    @pytest.mark.parametrize("kept", ["file", "memory"])
    def test_watching_may_begin_and_end_later(self, kept, tmp_path):
        path = tmp_path / "run.npz"
        quiet = {**EACH, "watch": False}
        runs = {watch: fit(RECIPE, TRAIN, epochs=4, **{**EACH, "watch": watch}, **OPTIONS) for watch in (False, 2)}
        for watch, run in runs.items():
            run.save(path)
            resume = path if kept == "file" else run
            resumed = fit(RECIPE, TRAIN, epochs=13, resume=resume, **(quiet if watch else EACH), **OPTIONS)
            assert by_value(resumed.params) == by_value(whole().params)
            assert ("gradient_norm" in resumed.history) is (not watch)
            for name, values in resumed.history.items():
                kept_from = 0 if "/loss" in name or "accuracy" in name else 4
                np.testing.assert_array_equal(values[kept_from:], whole().history[name][kept_from:])
                assert np.isnan(values[:kept_from]).all()

    def test_another_interval_of_evaluations_is_refused(self, tmp_path):
        path = tmp_path / "run.npz"
        fit(RECIPE, TRAIN, epochs=4, **EACH, **OPTIONS).save(path)
        with pytest.raises(ValueError, match="evaluate_every is 2, that of the saved run 3; give those that"):
            fit(RECIPE, TRAIN, epochs=13, resume=path, **{**EACH, "evaluate_every": 2}, **OPTIONS)

    def test_an_earlier_epoch_has_the_history_of_that_time(self):
        earlier = whole().at(7)
        for name, values in earlier.history.items():
            assert values.tobytes() == whole().history[name][:7].tobytes()


def infinite_at(step):
    """A recipe whose learning rate is infinite at one step."""

    def rate(count):
        return jnp.where(count.astype(float) == step, jnp.inf, 0.05)

    return Recipe(NET, optimizers.sgd(rate), losses.softmax_cross_entropy)


class TestOtherWaysToRun:
    @pytest.mark.parametrize("step", [12, 14])
    def test_a_run_that_diverges_keeps_what_was_measured_before(self, step):
        """Step 12 is the first of epoch 3, and the one that is planned after epoch 2."""
        with pytest.warns(RuntimeWarning, match=f"at epoch 3, step {step - 11}; "):
            run = fit(infinite_at, TRAIN, epochs=5, hyper=step, watch=1, **OPTIONS)
        assert run.diverged_at == (3, step - 11)
        assert [len(values) for values in run.history.values()] == [2] * len(run.history)
        assert run.history["learning_rate"] == pytest.approx([0.05, np.inf if step == 12 else 0.05])
        assert np.isfinite(run.history["gradient_norm"]).all()
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))

    def test_members_of_a_sweep_are_watched_each(self):
        def recipe(hyper):
            return Recipe(NET, optimizers.sgd(hyper["rate"]), losses.softmax_cross_entropy)

        arrays = jnp.asarray(TRAIN[0]), jnp.asarray(TRAIN[1])
        rates = jnp.array([0.05, 1e30, 0.2])
        run = make_run(recipe, epochs=4, batch_size=7, watch=2, evaluate_every=2)
        states = jax.jit(jax.vmap(run, in_axes=(None, None, None, 0)))(KEY, arrays, None, {"rate": rates})
        assert states.epoch.tolist() == [4, 0, 4]
        for member in (0, 2):
            options = {"watch": 2, "evaluate_every": 2, "hyper": {"rate": float(rates[member])}}
            alone = fit(recipe, TRAIN, epochs=4, **options, **OPTIONS)
            assert states.best_epoch[member] == alone.best_epoch
            for name, values in alone.history.items():
                np.testing.assert_allclose(states.history[name][member], values, rtol=1e-4, err_msg=name)
        assert jnp.isnan(states.history["gradient_norm"][1]).all()

    def test_in_64_bits_too(self, x64):
        run = fit(RECIPE, (X[:40].astype(float), Y[:40]), epochs=4, evaluate_every=2, watch=2, **OPTIONS)
        assert {values.dtype.name for values in run.history.values()} == {"float64"}
        assert run.history["learning_rate"][1] == 0.05


class TestWhatIsShown:
    def test_a_run_says_losses_and_metrics_of_its_best_epoch(self):
        assert repr(whole()).startswith(f"Run of 13 epochs, best after {whole().best_epoch} (train/loss ")
        assert repr(whole()).count(" 0.") + repr(whole()).count(" 1") >= 3
        assert "nan" not in repr(whole())
        assert "norm" not in repr(whole())
        assert repr(whole().at(2)) == "Run of 2 epochs, none evaluated yet; is still running"

    def test_the_bar_shows_losses_and_metrics_as_they_were_last_evaluated(self, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        run = fit(RECIPE, TRAIN, epochs=13, chunk=1, **EACH, **{**OPTIONS, "progress": True})
        printed = capsys.readouterr().err
        last = run.history["validation/loss"][11]
        assert f"train/loss={run.history['train/loss'][-1]:.4g}, validation/loss={last:.4g}" in printed
        assert "nan" not in printed
        assert "norm" not in printed

    def test_logs_hold_all_with_gaps_where_nothing_was_measured(self, tmp_path):
        log = logs.CSV(tmp_path / "run.csv")
        log(13, whole())
        header, *lines = (tmp_path / "run.csv").read_text().splitlines()
        assert header == ",".join(["epoch", *whole().history])
        assert len(lines) == 13
        for epoch, line in enumerate(lines, 1):
            cells = line.split(",")[1:]
            filled = [True, epoch % 3 == 0, epoch % 3 == 0, *[epoch % 2 == 0] * 9]
            assert [cell != "" for cell in cells] == filled


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"watch": 0}, ValueError, "watch is 0; give True, False, or the number of epochs from one measurement to the"),
        ({"watch": -1}, ValueError, "watch is -1; give True, False, or the number"),
        ({"watch": "yes"}, TypeError, "watch is 'yes'; give True, False, or the number"),
        ({"watch": 2.0}, TypeError, "watch is 2.0; give True, False, or the number"),
        ({"watch": None}, TypeError, "watch is None; give True, False, or the number"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every is 0; give a whole number of at least 1"),
        ({"evaluate_every": 2.5}, TypeError, r"evaluate_every is 2\.5; give a whole number"),
        ({"evaluate_every": True}, TypeError, "evaluate_every is True; give a whole number"),
        ({"evaluate_every": 6}, ValueError, "evaluate_every is 6, so that none of 5 epochs is evaluated; give at most"),
    ],
)
def test_bad_input_gets_a_sentence(options, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        fit(RECIPE, TRAIN, epochs=5, **options, **OPTIONS)
    with pytest.raises(error, match=sentence):
        make_run(RECIPE, epochs=5, batch_size=7, **options)


def test_as_many_epochs_as_there_are_may_lie_between_evaluations():
    assert standing.evaluation_interval(5, 5) == 5


def test_numpy_s_whole_numbers_will_do():
    assert watching.checked(np.int64(3)) == 3
    assert type(watching.checked(np.int64(3))) is int
    assert (watching.checked(True), watching.checked(False)) == (True, False)
