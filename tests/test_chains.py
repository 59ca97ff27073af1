import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import chains, losses, masks, optimizers, regularizers, schedules
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, fit, make_run

PARAMS = MLP(sizes=(2, 3, 3, 1)).init(jax.random.key(0))
ADAM, SGD, L2 = optimizers.scale_by_adam(), optimizers.sgd(0.1), regularizers.l2(0.1)

OF_EACH_KIND = {
    "sharpness": {"sam": optimizers.scale_by_sam()},
    "gradient": {
        "clipping": regularizers.clip_by_global_norm(1.0),
        "gradient_noise": regularizers.gradient_noise(0.1),
    },
    "penalty": {"a penalty (l1, l2, elastic_net)": L2},
    "direction": {
        "momentum": optimizers.scale_by_momentum(),
        "nesterov": optimizers.scale_by_nesterov(),
        "adagrad": optimizers.scale_by_adagrad(),
        "adadelta": optimizers.scale_by_adadelta(),
        "rmsprop": optimizers.scale_by_rmsprop(),
        "adam": ADAM,
        "amsgrad": optimizers.scale_by_amsgrad(),
        "adamax": optimizers.scale_by_adamax(),
        "nadam": optimizers.scale_by_nadam(),
        "lion": optimizers.scale_by_lion(),
        "muon": optimizers.orthogonalize(),
    },
    "decay": {"weight_decay": regularizers.weight_decay(0.1)},
    "rate": {"sgd (the learning rate)": SGD},
    "averaged_rate": {"schedule_free": optimizers.schedule_free_sgd(0.1)},
    "scale": {"reduce_on_plateau": schedules.reduce_on_plateau()},
    "constraint": {
        "a constraint (proximal_l1, max_norm, unit_norm, non_negative)": regularizers.non_negative(),
    },
    "average": {"ema": regularizers.ema(0.9)},
}
"""One transform for each state there is, by what a message calls it."""

LAST = "what follows a constraint can leave it again, so let constraints come last, with only ema behind"
FIRST = "sam takes the gradient anew, which loses what came before, so let it come first"
AVERAGE = "ema averages the parameters after the step, so let it come last"
PENALTY = "a penalty joins the loss's gradient, so let it stand before the optimizer"
DECAY = "decay behind the rate makes weights grow, so let it stand between direction and rate"
TWO_RATES = "two rates, each with the minus sign of descent, climb; keep one"
WRONG = {
    **{("average", later): AVERAGE for later in OF_EACH_KIND if later != "average"},
    **{("constraint", later): LAST for later in OF_EACH_KIND if later not in ("constraint", "average")},
    **{(earlier, "sharpness"): FIRST for earlier in OF_EACH_KIND if earlier not in ("constraint", "average")},
    ("direction", "penalty"): PENALTY,
    ("decay", "direction"): (
        "decay that a direction scales is not decoupled, so let it stand between direction and rate, or take l2"
    ),
    **{(rate, "penalty"): PENALTY for rate in ("rate", "averaged_rate")},
    **{(rate, "decay"): DECAY for rate in ("rate", "averaged_rate")},
    **dict.fromkeys(itertools.product(("rate", "averaged_rate"), repeat=2), TWO_RATES),
    ("scale", "direction"): (
        "a direction with a memory of its own undoes the scale, so let reduce_on_plateau come behind it"
    ),
    ("averaged_rate", "scale"): "the points that it averages do not follow a scaled step, so take another optimizer",
    ("averaged_rate", "constraint"): (
        "a constraint does not reach its average, where the run is evaluated, so take another optimizer"
    ),
}
"""Why the second may not stand behind the first; all other pairs may."""

PAIRS = list(itertools.product(OF_EACH_KIND, OF_EACH_KIND))


def message(chain, params=PARAMS):
    """What is said against a chain; None for nothing."""
    try:
        chains.check_order(chain.init(params))
    except ValueError as error:
        return str(error)
    return None


class TestTheTable:
    def test_holds_every_state_there_is(self):
        """A state that is missing would let its transform stand anywhere."""
        states = {
            thing
            for module in (optimizers, regularizers, schedules)
            for name, thing in inspect.getmembers(module, inspect.isclass)
            if name.endswith("State") and issubclass(thing, tuple)
        }
        assert len(states) > 15
        assert set(chains.STAGES) == states
        tested = [transform for kind in OF_EACH_KIND.values() for transform in kind.values()]
        assert {type(transform.init({"w": jnp.ones((2, 2))})) for transform in tested} == states

    def test_has_the_stages_in_the_order_of_a_chain(self):
        assert sorted(stage.value for stage in chains.Stage) == [stage.value for stage in chains.Stage]
        assert [stage.name.lower() for stage in chains.Stage] == list(OF_EACH_KIND)

    def test_every_transform_of_the_libraries_has_its_own_state_in_it(self):
        """Such as clip_by_value or max_norm, which share theirs with others of their kind."""
        params = {"w": jnp.ones((2, 2))}
        alike = {
            "clipping": [
                regularizers.clip_by_value(1.0), regularizers.clip_by_norm(1.0), regularizers.clip_adaptive(1.0),
            ],
            "a penalty (l1, l2, elastic_net)": [regularizers.l1(0.1), regularizers.elastic_net(0.1, 0.1)],
            "a constraint (proximal_l1, max_norm, unit_norm, non_negative)": [
                regularizers.proximal_l1(0.1, learning_rate=0.1), regularizers.max_norm(1.0), regularizers.unit_norm(),
            ],
            "schedule_free": [
                optimizers.schedule_free_adamw(0.1), optimizers.schedule_free(0.1, optax.identity()),
            ],
        }  # fmt: skip
        for name, transforms in alike.items():
            assert {chains.STAGES[type(transform.init(params))][1] for transform in transforms} == {name}


class TestOrder:
    @pytest.mark.parametrize("pair", PAIRS, ids=" then ".join)
    def test_of_two_transforms_is_right_or_refused_with_its_sentence(self, pair):
        params = {"w": jnp.ones((2, 2))}
        for (a, earlier), (b, later) in itertools.product(*(OF_EACH_KIND[kind].items() for kind in pair)):
            states = earlier.init(params), later.init(params)
            if pair in WRONG:
                with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
                    chains.check_order(states)
                assert str(caught.value) == f"{b} stands behind {a}: {WRONG[pair]}"
            else:
                chains.check_order(states)

    @pytest.mark.parametrize(
        "links",
        [
            [SGD],
            [ADAM, SGD],
            [optimizers.scale_by_sam(), regularizers.clip_by_value(1.0), regularizers.gradient_noise(0.1), L2, ADAM,
             regularizers.weight_decay(0.1), SGD, schedules.reduce_on_plateau(), regularizers.max_norm(1.0),
             regularizers.ema(0.9)],
            [regularizers.l2(0.1), regularizers.l1(0.1, mask=masks.biases), optimizers.adamw(0.1)],
            [optimizers.adam(0.1), regularizers.max_norm(3.0), regularizers.non_negative()],
            [optimizers.adam(0.1), regularizers.clip_by_value(0.1)],
            [SGD, optimizers.scale_by_momentum()],
            [SGD, optimizers.scale_by_nesterov()],
            [optimizers.scale_by_sam(), optimizers.muon(0.1)],
            [L2, optimizers.muon(0.1), schedules.reduce_on_plateau(), regularizers.ema(0.9)],
            [L2, optax.masked(optimizers.adam(0.1), masks.weights), regularizers.ema(0.9)],
            [optax.masked(optimizers.adam(0.1), masks.weights), optax.masked(SGD, masks.biases)],
            [L2, optax.MultiSteps(optimizers.adam(0.1), 2).gradient_transformation()],
            [L2, optax.inject_hyperparams(optimizers.adam)(learning_rate=0.1), regularizers.max_norm(1.0)],
            [L2, optax.partition({"a": SGD, "b": optimizers.adam(0.1)}, lambda p: Layers("a", "b", p))],
            [optax.chain(L2, optax.chain(ADAM, regularizers.weight_decay(0.1))), optax.chain(SGD)],
            [L2, optax.scale_by_adam(), optax.scale(-0.1), regularizers.ema(0.9)],
            [optax.adam(0.1), regularizers.ema(0.9)],
            [optax.add_decayed_weights(0.1), optax.scale_by_adam(), optax.scale(-0.1)],
            [optax.clip(1.0), optax.adam(0.1), optax.contrib.reduce_on_plateau()],
            [optax.adam(0.1), optax.sgd(0.1)],
            [optax.identity()],
        ],
    )  # fmt: skip
    def test_of_these_chains_is_right(self, links):
        assert message(optax.chain(*links)) is None

    @pytest.mark.parametrize(
        "link", [optimizers.muon(0.1), optax.MultiSteps(optimizers.adam(0.1), 2), optax.adam(0.1), ADAM]
    )
    def test_of_a_transform_alone_is_right(self, link):
        assert message(link) is None

    @pytest.mark.parametrize(
        ("chain", "sentence"),
        [
            (optax.chain(optimizers.adam(0.1), L2), f"a penalty (l1, l2, elastic_net) stands behind adam: {PENALTY}"),
            (
                optax.chain(optax.chain(optax.chain(ADAM)), optax.chain(optax.identity(), optax.chain(L2)), SGD),
                f"a penalty (l1, l2, elastic_net) stands behind adam: {PENALTY}",
            ),
            (
                optax.chain(optax.masked(optimizers.adam(0.1), masks.weights), L2),
                f"a penalty (l1, l2, elastic_net) stands behind adam: {PENALTY}",
            ),
            (
                optax.masked(optax.chain(optimizers.adam(0.1), L2), masks.weights),
                f"a penalty (l1, l2, elastic_net) stands behind adam: {PENALTY}",
            ),
            (
                optax.chain(optimizers.adam(0.1), optax.masked(L2, masks.weights)),
                f"a penalty (l1, l2, elastic_net) stands behind adam: {PENALTY}",
            ),
            (
                optax.chain(optax.MultiSteps(optimizers.sgd(0.1), 2).gradient_transformation(), L2),
                f"a penalty (l1, l2, elastic_net) stands behind sgd (the learning rate): {PENALTY}",
            ),
            (
                optax.MultiSteps(optax.chain(optimizers.sgd(0.1), L2), 2),
                f"a penalty (l1, l2, elastic_net) stands behind sgd (the learning rate): {PENALTY}",
            ),
            (
                optax.chain(optax.inject_hyperparams(optimizers.sgd)(learning_rate=0.1), L2),
                f"a penalty (l1, l2, elastic_net) stands behind sgd (the learning rate): {PENALTY}",
            ),
            (
                optax.partition({"a": optax.chain(SGD, L2), "b": SGD}, lambda p: Layers("a", "b", p)),
                f"a penalty (l1, l2, elastic_net) stands behind sgd (the learning rate): {PENALTY}",
            ),
            (
                optax.chain(regularizers.ema(0.9), optax.scale_by_adam(), optax.chain(optimizers.sgd(0.1))),
                f"sgd (the learning rate) stands behind ema: {AVERAGE}",
            ),
            (
                optax.chain(optimizers.momentum(0.1), optimizers.rmsprop(0.1)),
                f"sgd (the learning rate) stands behind sgd (the learning rate): {TWO_RATES}",
            ),
            (
                optax.chain(optimizers.schedule_free_adamw(0.1), optimizers.sgd(0.1)),
                f"sgd (the learning rate) stands behind schedule_free: {TWO_RATES}",
            ),
        ],
        ids=[
            "whole", "nested", "behind masked", "inside masked", "masked behind", "multi_steps", "inside multi_steps",
            "inject", "partition", "ema", "two", "schedule_free",
        ],
    )  # fmt: skip
    def test_of_these_chains_is_refused(self, chain, sentence):
        assert message(chain) == sentence

    def test_of_two_optimizers_in_a_row_is_refused_whatever_they_are(self):
        params = {"w": jnp.ones((2, 2))}
        optimizers_alone = [
            optimizers.momentum(0.1), optimizers.nesterov(0.1), optimizers.adagrad(0.1), optimizers.adadelta(),
            optimizers.rmsprop(0.1), optimizers.adam(0.1), optimizers.adamw(0.1), optimizers.amsgrad(0.1),
            optimizers.adamax(0.1), optimizers.nadam(0.1), optimizers.lion(0.1), optimizers.sgd(0.1),
            optimizers.schedule_free_sgd(0.1), optimizers.schedule_free_adamw(0.1), optimizers.sam(0.1),
        ]  # fmt: skip
        states = [transform.init(params) for transform in optimizers_alone]
        for state in states:
            chains.check_order(state)
        for both in itertools.product(states, states):
            with pytest.raises(ValueError, match=" stands behind "):
                chains.check_order(both)

    @pytest.mark.parametrize(
        ("behind", "reason"),
        [
            (L2, PENALTY),
            (regularizers.weight_decay(0.1), DECAY),
            (SGD, TWO_RATES),
            (optimizers.scale_by_sam(), FIRST),
        ],
        ids=["penalty", "decay", "rate", "sharpness"],
    )
    def test_behind_muon_is_known_though_its_parts_stand_side_by_side(self, behind, reason):
        assert reason in str(message(optax.chain(optimizers.muon(0.1), behind)))

    def test_in_optaxs_named_chains_is_known(self):
        wrong = optax.named_chain(("the optimizer", optimizers.adam(0.1)), ("a penalty", L2))
        assert message(wrong) == f"a penalty (l1, l2, elastic_net) stands behind adam: {PENALTY}"


def Layers(first, others, params):  # noqa: N802 - stands for a pytree
    """Label the first layer, and the others."""
    return tuple(jax.tree.map(lambda _, i=i: first if i == 0 else others, layer) for i, layer in enumerate(params))


class TestARun:
    X = np.linspace(-1, 1, 8).reshape(4, 2)
    DATA = (X, X[:, :1])

    @pytest.mark.parametrize(
        "links",
        [
            [optimizers.adam(0.1), L2],
            [optimizers.sgd(0.1), regularizers.weight_decay(0.1)],
            [regularizers.max_norm(1.0), optimizers.sgd(0.1)],
            [regularizers.ema(0.9), optimizers.sgd(0.1)],
            [optimizers.sgd(0.1), optimizers.sgd(0.1)],
        ],
    )
    def test_in_a_wrong_order_is_refused_before_a_step_is_traced(self, links):
        traced = []

        def update(updates, state, params=None):
            traced.append(updates)
            return updates, state

        spy = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
        chain = optax.chain(*links, spy)
        recipe = Recipe(MLP(sizes=(2, 3, 3, 1)), chain, losses.squared_error)
        with pytest.raises(ValueError, match=" stands behind ") as from_fit:
            fit(recipe, self.DATA, epochs=1, batch_size=4, key=jax.random.key(0))
        run = make_run(recipe, epochs=1, batch_size=4)
        arrays = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), self.DATA)
        with pytest.raises(ValueError, match=" stands behind ") as from_make_run:
            jax.eval_shape(run, jax.random.key(0), arrays)
        assert str(from_fit.value) == str(from_make_run.value) == message(chain)
        assert traced == []


EMA = regularizers.ema(0.5)


class TestWhereARunIsEvaluated:
    """After steps of 1 and 2 from 0 the points are 1 and 3; with decay 0.5 their average is 7 / 3."""

    @staticmethod
    def after_two_steps(transform):
        @jax.jit
        def run():
            params = {"w": jnp.zeros((1, 1)), "b": jnp.zeros(1)}
            state = transform.init(params)
            for size in (1.0, 2.0):
                updates, state = transform.update(jax.tree.map(lambda p, n=size: p * 0 + n, params), state, params)
                params = optax.apply_updates(params, updates)
            return chains.evaluation_params(state, params)

        at = run()
        return at["w"][0, 0], at["b"][0]

    @pytest.mark.parametrize(
        "transform",
        [
            EMA,
            optax.chain(optax.identity(), EMA),
            optax.chain(optax.identity(), optax.chain(optax.scale(1.0), EMA)),
            optax.masked(EMA, masks.everything),
            optax.MultiSteps(EMA, 1),
            optax.apply_if_finite(EMA, 3),
            optax.named_chain(("step", optax.identity()), ("average", EMA)),
            optax.inject_hyperparams(regularizers.ema)(decay=0.5),
        ],
        ids=["alone", "chain", "nested", "masked", "multi_steps", "apply_if_finite", "named", "inject"],
    )
    def test_is_the_average_in_any_wrapper(self, transform):
        with jax.numpy_dtype_promotion("standard"):  # MultiSteps divides a float by a whole number
            at = self.after_two_steps(transform)
        np.testing.assert_allclose(at, 7 / 3, rtol=1e-6)

    def test_is_the_point_itself_without_an_average(self):
        at = self.after_two_steps(optax.chain(optax.identity(), optax.trace(0.0)))
        np.testing.assert_array_equal(at, 3.0)
        params = {"w": jnp.ones(1)}
        assert chains.evaluation_params((), params) is params

    def test_is_the_average_of_the_large_steps_within_multi_steps(self):
        """The first small steps make none; the mean of both, 1.5, is the first large one."""
        with jax.numpy_dtype_promotion("standard"):
            at = self.after_two_steps(optax.MultiSteps(optax.chain(optax.scale(2.0), EMA), 2))
        np.testing.assert_allclose(at, 3.0)

    def test_is_the_average_where_a_mask_has_one_and_the_point_elsewhere(self):
        at = self.after_two_steps(optax.masked(EMA, masks.weights))
        np.testing.assert_allclose(at, [7 / 3, 3.0], rtol=1e-6)

    def test_is_the_average_of_each_part_where_parts_have_their_own(self):
        parts = optax.masked(EMA, masks.weights), optax.masked(EMA, masks.biases)
        np.testing.assert_allclose(self.after_two_steps(optax.chain(*parts)), 7 / 3, rtol=1e-6)

    def test_is_the_average_in_the_parts_of_a_partition_that_keep_one(self):
        parts = {"free": optimizers.schedule_free_sgd(0.5, b1=0.0), "plain": optax.sgd(0.5)}
        at = self.after_two_steps(optax.partition(parts, {"w": "free", "b": "plain"}))
        np.testing.assert_allclose(at, [np.mean([-0.5, -1.5]), -1.5], rtol=1e-6)  # z after one and two steps

    def test_is_not_defined_by_two_averages(self):
        sentence = r"^the optimizer keeps 2 averages, EMAState and EMAState; keep one, where the run is evaluated"
        with pytest.raises(ValueError, match=sentence):
            self.after_two_steps(optax.chain(EMA, EMA))
