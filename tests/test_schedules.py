import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import losses, optimizers, schedules
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, fit

RNG = np.random.default_rng(0)


class TestLadder:
    def test_goes_by_ones_and_threes(self):
        assert schedules.ladder() == (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

    @pytest.mark.parametrize(
        ("low", "high", "steps"),
        [
            (0.002, 0.05, (0.003, 0.01, 0.03)),
            (0.003, 0.03, (0.003, 0.01, 0.03)),
            (0.1, 0.1, (0.1,)),
            (0.3, 0.9, (0.3,)),
            (0.5, 100.0, (1.0, 3.0, 10.0, 30.0, 100.0)),
            (9e-7, 4e-6, (1e-6, 3e-6)),
            (1.0, 9.99, (1.0, 3.0)),
        ],
    )
    def test_holds_the_steps_between_its_ends_both_included(self, low, high, steps):
        assert schedules.ladder(low, high) == steps

    @pytest.mark.parametrize(
        ("low", "high", "sentence"),
        [
            (0.0, 1.0, r"low is 0.0; give a number in \(0, inf\)"),
            (0.1, 0.09, r"high is 0.09; give a number in \[0.1, inf\)"),
            (0.1, math.inf, r"high is inf; give a number in \[0.1, inf\)"),
            (0.4, 0.9, r"low is 0.4 and high 0.9, with no step 1, 3, 10, 30 \.\.\. between; widen them"),
        ],
    )
    def test_of_ends_that_hold_nothing_gets_a_sentence(self, low, high, sentence):
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            schedules.ladder(low, high)


def flat_cosine(rate, steps, t, flat):
    share = min(t / steps, 1.0)
    return rate if share < flat else rate * (1 + math.cos(math.pi * (share - flat) / (1 - flat))) / 2


def coslog4(rate, steps, t):
    """Holzmueller et al. 2024, section 3: (1 - cos(2 pi log2(1 + (2^4 - 1) t))) / 2."""
    return rate * 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + (2**4 - 1) * min(t / steps, 1.0))))


SCHEDULES = {
    "flat_cosine": (schedules.flat_cosine, lambda rate, steps, t: flat_cosine(rate, steps, t, 0.5)),
    "flat_cosine, 0.75": (
        lambda rate, steps: schedules.flat_cosine(rate, steps, flat=0.75),
        lambda rate, steps, t: flat_cosine(rate, steps, t, 0.75),
    ),
    "flat_cosine, 0": (
        lambda rate, steps: schedules.flat_cosine(rate, steps, flat=0.0),
        lambda rate, steps, t: flat_cosine(rate, steps, t, 0.0),
    ),
    "coslog4": (schedules.coslog4, coslog4),
}
each_schedule = pytest.mark.parametrize("name", SCHEDULES)


class TestSchedules:
    @each_schedule
    def test_equal_their_formula_at_every_step_and_are_zero_afterwards(self, name, x64):
        make, formula = SCHEDULES[name]
        counts = np.arange(120)
        expected = [formula(0.3, 100, int(t)) for t in counts]
        schedule = jax.jit(jax.vmap(make(0.3, 100)))
        np.testing.assert_allclose(schedule(jnp.asarray(counts)), expected, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(schedule(jnp.asarray(counts))[100:], 0.0, atol=1e-14)

    @each_schedule
    def test_take_traced_rates_counts_of_any_kind_and_fractions_of_a_step(self, name):
        make, formula = SCHEDULES[name]
        rates = jnp.array([0.1, 0.4])
        expected = [formula(rate, 30, 22) for rate in (0.1, 0.4)]
        np.testing.assert_allclose(jax.vmap(lambda rate: make(rate, 30)(22))(rates), expected, rtol=1e-5)
        for count in (22, jnp.int32(22), jnp.float32(22)):
            np.testing.assert_allclose(make(0.1, 30)(count), expected[0], rtol=1e-5)
        np.testing.assert_allclose(make(0.1, 30)(jnp.float32(22.5)), formula(0.1, 30, 22.5), rtol=1e-5)

    def test_four_cycles_each_twice_as_long_end_at_zero_and_have_one_peak(self):
        rates = np.asarray(jax.vmap(schedules.coslog4(1.0, 1500))(jnp.arange(1501)))
        valleys = [0, 100, 300, 700, 1500]
        np.testing.assert_allclose(rates[valleys], 0.0, atol=1e-6)
        peaks = [a + int(rates[a:b].argmax()) for a, b in itertools.pairwise(valleys)]
        np.testing.assert_allclose(rates[peaks], 1.0, atol=1e-3)
        np.testing.assert_allclose(np.diff(peaks)[1:] / np.diff(peaks)[:-1], 2.0, rtol=0.05)

    @each_schedule
    def test_serve_as_learning_rates_from_the_first_step_on(self, name):
        """With a gradient that is always 1, the step of Adam is the rate as well."""
        make, formula = SCHEDULES[name]
        expected = [-formula(0.3, 12, t) for t in range(15)]
        for transform in (optimizers.sgd(make(0.3, 12)), optimizers.adam(make(0.3, 12), eps=0.0)):

            def step(state, _, transform=transform):
                update, state = transform.update(jnp.ones(1), state)
                return state, update[0]

            steps = jax.lax.scan(step, transform.init(jnp.ones(1)), None, 15)[1]
            np.testing.assert_allclose(steps, expected, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("make", [schedules.flat_cosine, schedules.coslog4])
    def test_of_no_steps_get_a_sentence(self, make, unchecked):
        with pytest.raises(ValueError, match=r"^steps is 0; give a whole number of at least 1$"):
            make(0.1, 0)
        with pytest.raises(TypeError, match=r"^steps is 10.5; give a whole number of at least 1$"):
            make(0.1, 10.5)


def scales(transform, values):
    """What the steps are multiplied by during one or several runs, in one program."""

    def step(state, value):
        updates, state = transform.update(jnp.ones(2), state, value=value)
        return state, updates[0]

    def run(values):
        return jax.lax.scan(step, transform.init(jnp.ones(2)), values)[1]

    with jax.numpy_dtype_promotion("standard"):  # optax multiplies a whole number and a float
        return np.asarray(jax.jit(jnp.vectorize(run, signature="(n)->(n)"))(jnp.asarray(values)))


STEPS = 600
FALLING = np.exp(-np.arange(STEPS) / 80) + 0.3 + 0.05 * RNG.random(STEPS)
JUMPING = np.where(np.arange(STEPS) % 90 < 10, 0.5, 1.0) * FALLING  # so that it gets better amid the rest
SETTINGS = {
    "defaults": ({}, 1),
    "patience of one": ({"factor": 0.9, "patience": 1}, 20),
    "patience": ({"factor": 0.5, "patience": 7}, 5),
    "rtol": ({"factor": 0.5, "patience": 7, "rtol": 0.1}, 20),
    "atol": ({"factor": 0.5, "patience": 7, "rtol": 0.0, "atol": 0.1}, 20),
    "cooldown of one": ({"factor": 0.8, "patience": 3, "cooldown": 1}, 20),
    "cooldown": ({"factor": 0.8, "patience": 3, "cooldown": 6}, 20),
    "long cooldown": ({"factor": 0.8, "patience": 2, "cooldown": 50}, 5),
    "windows": ({"factor": 0.5, "patience": 3, "accumulation_size": 5}, 5),
    "windows and cooldown": ({"factor": 0.8, "patience": 2, "accumulation_size": 4, "cooldown": 3}, 5),
    "min_scale": ({"factor": 0.5, "patience": 4, "min_scale": 0.3}, 2),
    "all": (
        {
            "factor": 0.7, "patience": 4, "rtol": 0.02, "atol": 0.01, "cooldown": 2, "accumulation_size": 3,
            "min_scale": 0.05,
        },
        5,
    ),
}  # fmt: skip


def reference(values, factor, patience, rtol, atol, cooldown, size):
    """The rule in words of its own, for losses of any sign."""
    scale, best, bad, rest, out = 1.0, math.inf, 0, 0, []
    for i in range(len(values)):
        if (i + 1) % size == 0:
            mean = sum(values[i + 1 - size : i + 1]) / size
            better = math.isinf(best) or mean < best - rtol * abs(best) - atol
            best = mean if better else best
            if rest:
                rest, bad = rest - 1, 0
            else:
                bad = 0 if better else bad + 1
            if bad == patience:
                scale, bad, rest = scale * factor, 0, cooldown
        out.append(scale)
    return np.array(out)


class TestReduceOnPlateau:
    @pytest.mark.parametrize("name", SETTINGS)
    def test_equals_optax_while_the_loss_is_positive(self, name, x64):
        numbers, falls = SETTINGS[name]
        values = np.stack([FALLING, JUMPING])
        ours = scales(schedules.reduce_on_plateau(**numbers), values)
        theirs = scales(optax.contrib.reduce_on_plateau(**numbers), values)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert ((np.diff(ours) < 0).sum(axis=1) >= falls).all()

    @pytest.mark.parametrize(("cooldown", "size"), [(0, 1), (3, 1), (2, 4)])
    def test_is_right_for_losses_below_zero(self, cooldown, size, x64):
        numbers = {"factor": 0.8, "patience": 3, "rtol": 0.05, "atol": 0.01, "cooldown": cooldown}
        values = np.stack([FALLING - 2.0, JUMPING - 0.8, -FALLING])
        ours = scales(schedules.reduce_on_plateau(accumulation_size=size, **numbers), values)
        expected = [reference(list(run), size=size, **numbers) for run in values]
        np.testing.assert_allclose(ours, np.stack(expected), rtol=1e-12)
        assert ((np.diff(ours) < 0).sum(axis=1) >= 5).all()

    @pytest.mark.parametrize("slope", [0.0, 1e-6])
    def test_falls_when_a_negative_loss_stagnates_or_rises_slowly_and_optaxs_does_not(self, slope, x64):
        values = -1.0 + slope * np.arange(61)
        ours = scales(schedules.reduce_on_plateau(factor=0.5, patience=10), values)
        np.testing.assert_array_equal(ours, 0.5 ** (np.arange(61) // 10))
        np.testing.assert_array_equal(scales(optax.contrib.reduce_on_plateau(factor=0.5, patience=10), values), 1.0)

    def test_an_equal_loss_is_no_better(self):
        ours = scales(schedules.reduce_on_plateau(factor=0.5, patience=2, rtol=0.0), np.ones(7))
        np.testing.assert_array_equal(ours, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125])

    def test_a_loss_that_is_not_finite_is_no_better(self):
        values = np.array([math.inf, math.nan, math.inf, 1.0, math.nan, 2.0], np.float32)
        ours = scales(schedules.reduce_on_plateau(factor=0.5, patience=2, rtol=0.1, atol=0.1), values)
        np.testing.assert_array_equal(ours, [1, 0.5, 0.5, 0.5, 0.5, 0.25])

    def test_the_whole_pytree_is_scaled_and_keeps_its_dtypes(self):
        transform = schedules.reduce_on_plateau(factor=0.5, patience=1)
        updates = {"a": jnp.full(2, 3.0, jnp.bfloat16), "b": jnp.array(-2.0)}
        state = transform.init(updates)
        for _ in range(2):
            scaled, state = transform.update(updates, state, value=jnp.float32(1.0))
        assert jax.tree.map(lambda leaf: leaf.dtype.name, scaled) == {"a": "bfloat16", "b": "float32"}
        np.testing.assert_array_equal(scaled["a"].astype(float), 1.5)
        np.testing.assert_array_equal(scaled["b"], -1.0)

    def test_without_a_value_gets_a_sentence(self):
        transform = schedules.reduce_on_plateau()
        with pytest.raises(ValueError, match=r"^reduce_on_plateau has no value; training.fit hands it over, elsewhere"):
            transform.update(jnp.ones(1), transform.init(None))

    @pytest.mark.parametrize(("name", "least"), [("patience", 1), ("cooldown", 0), ("accumulation_size", 1)])
    def test_counts_out_of_range_get_a_sentence(self, name, least):
        with pytest.raises(ValueError, match=rf"^{name} is {least - 1}; give a whole number of at least {least}$"):
            schedules.reduce_on_plateau(**{name: least - 1})
        schedules.reduce_on_plateau(**{name: least})

    def test_fit_hands_over_the_loss_of_each_step(self):
        """At rest the loss stays as it is: of 10 steps the first is the best, and each three after it are too many."""
        x = RNG.normal(size=(8, 2))
        y = x.sum(axis=1, keepdims=True)
        chain = optax.chain(optimizers.sgd(0.0), schedules.reduce_on_plateau(factor=0.5, patience=3))
        recipe = Recipe(MLP(sizes=(2, 1)), chain, losses.squared_error)
        run = fit(recipe, (x, y), epochs=10, batch_size=8, key=jax.random.key(0))
        (w, b), (_, plateau) = run.params[0], run.state.opt_state
        np.testing.assert_allclose(plateau.best, np.mean((x @ np.asarray(w) + np.asarray(b) - y) ** 2), rtol=1e-5)
        assert float(plateau.scale) == 0.5**3
