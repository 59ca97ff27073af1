"""Several heads, from the net through loss and metrics to a run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import losses, metrics, optimizers, regularizers, training
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.losses import PerHead
from jaxmlp.metrics import OfHead
from jaxmlp.mlp import MLP
from jaxmlp.training import evaluation
from jaxmlp.types import Batch

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = {"kind": RNG.integers(0, 3, 40), "size": X @ [[1.0], [-2.0], [0.5]]}
NET = MLP((3, 16, 4), "tanh", heads={"kind": 3, "size": 1})
LOSS = PerHead({"kind": losses.softmax_cross_entropy, "size": losses.squared_error}, coefficients={"size": 0.5})
RECIPE = training.Recipe(NET, optimizers.adam(0.03), LOSS)


def train(data=(X, Y), recipe=RECIPE, **options):
    return training.fit(recipe, data, **{"epochs": 3, "batch_size": 8, "key": KEY, **options})


def test_the_loss_is_the_weighed_sum_of_the_heads_losses():
    outputs = {"kind": jnp.asarray(RNG.normal(size=(40, 3)), jnp.float32), "size": jnp.ones((40, 1))}
    y = {"kind": jnp.asarray(Y["kind"]), "size": jnp.asarray(Y["size"], jnp.float32)}
    expected = losses.softmax_cross_entropy(outputs["kind"], y["kind"]) + 0.5 * np.square(1 - Y["size"][:, 0])
    np.testing.assert_allclose(LOSS(outputs, y), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(LOSS)(outputs, y), expected, rtol=1e-5)
    unweighed = PerHead(dict(LOSS.losses))(outputs, y) - LOSS(outputs, y)
    np.testing.assert_allclose(unweighed, 0.5 * np.square(1 - Y["size"][:, 0]), rtol=1e-4, atol=1e-5)
    halves = jax.tree.map(lambda a: a.astype(jnp.bfloat16), outputs)
    assert LOSS(halves, y).dtype == jnp.bfloat16


def test_equal_losses_and_metrics_are_equal_and_hashed_alike_however_they_are_written():
    again = PerHead(
        (("size", losses.squared_error), ("kind", losses.softmax_cross_entropy)), coefficients=(("size", 0.5),)
    )
    assert again == LOSS
    assert hash(again) == hash(LOSS)
    assert PerHead(dict(LOSS.losses)) != LOSS
    assert {OfHead("a", metrics.accuracy): 1}[OfHead("a", metrics.accuracy)] == 1


def test_a_coefficient_may_be_a_hyperparameter():
    def recipe(c):
        loss = PerHead(dict(LOSS.losses), coefficients={"size": c})
        return training.Recipe(NET, optimizers.adam(0.03), loss)

    run, fixed = train(recipe=recipe, hyper=0.5), train()
    np.testing.assert_allclose(run.history["train/loss"], fixed.history["train/loss"], rtol=1e-5)
    other = train(recipe=recipe, hyper=2.0)
    assert other.history["train/loss"][0] > 1.5 * fixed.history["train/loss"][0]
    with pytest.raises(ValueError, match=r"coefficients\['size'\] is -1.0; give a number in \[0, inf\)"):
        train(recipe=recipe, hyper=-1.0)


def test_a_run_learns_all_heads_and_measures_each():
    measures = {
        "accuracy": OfHead("kind", metrics.accuracy),
        "r2": OfHead("size", metrics.r2),
        "own": lambda outputs, y, weight: jnp.mean(jnp.abs(outputs["size"] - y["size"])),
    }
    weight = np.ones(40)
    run = train((X, Y, weight), validation=(X, Y), epochs=150, metrics=measures, early_stopping=EarlyStopping(150))
    assert run.history["validation/r2"][-1] > 0.95
    assert run.history["validation/accuracy"][-1] > 0.6
    assert run.history["validation/own"][-1] < 0.3
    outputs = NET.apply(run.params, jnp.asarray(X, jnp.float32))
    assert float(metrics.accuracy(outputs["kind"], jnp.asarray(Y["kind"]))) == run.history["validation/accuracy"][-1]


def test_one_head_alone_is_the_run_without_heads():
    plain = training.Recipe(MLP((3, 16, 3)), optimizers.adam(0.03), losses.softmax_cross_entropy)
    alone = training.Recipe(
        MLP((3, 16, 3), heads={"kind": 3}), optimizers.adam(0.03), PerHead({"kind": losses.softmax_cross_entropy})
    )
    expected = train((X, Y["kind"]), plain, metrics={"accuracy": metrics.accuracy})
    run = train((X, {"kind": Y["kind"]}), alone, metrics={"accuracy": OfHead("kind", metrics.accuracy)})
    for name in expected.history:
        np.testing.assert_allclose(run.history[name], expected.history[name], rtol=1e-5)


def test_more_rows_than_one_slice_are_evaluated_alike(monkeypatch):
    measures = [("error", OfHead("size", metrics.mean_absolute_error))]
    y = {"kind": jnp.asarray(Y["kind"]), "size": jnp.asarray(Y["size"], jnp.float32)}
    rows, params = Batch(jnp.asarray(X, jnp.float32), y), NET.init(KEY)
    at_once = evaluation.evaluate(RECIPE, params, rows, measures)
    monkeypatch.setattr(evaluation, "EVALUATION_ROWS", 16)
    in_slices = evaluation.evaluate(RECIPE, params, rows, measures)
    for name in at_once:
        np.testing.assert_allclose(in_slices[name], at_once[name], rtol=1e-5)


def test_a_model_of_ones_own_may_return_heads():
    class Model:
        def init(self, key):
            return jnp.zeros((3, 1))

        def apply(self, params, x, *, key=None):
            return {"a": x @ params, "b": x @ (2 * params)}

    loss = PerHead({"a": losses.squared_error, "b": losses.absolute_error})
    y = Y["size"]
    run = train((X, {"a": y, "b": 2 * y}), training.Recipe(Model(), optimizers.adam(0.1), loss), epochs=60)
    np.testing.assert_allclose(run.params, [[1.0], [-2.0], [0.5]], atol=0.05)

    def own(outputs, targets):
        return jnp.square(outputs["a"] - targets["a"])[:, 0]

    run = train((X, {"a": y}), training.Recipe(Model(), optimizers.adam(0.1), own), epochs=60)
    np.testing.assert_allclose(run.params, [[1.0], [-2.0], [0.5]], atol=0.05)


def test_mixup_mixes_the_targets_of_all_heads_alike():
    y = {"a": jnp.eye(4), "b": jnp.arange(4.0)[:, None]}
    mixed = regularizers.mixup(0.5)(KEY, Batch(x=jnp.eye(4), y=y))
    np.testing.assert_allclose(mixed.y["a"], mixed.x)
    np.testing.assert_allclose(mixed.y["b"][:, 0], np.asarray(mixed.x) @ np.arange(4.0), rtol=1e-6)
    assert bool(jnp.any(mixed.x != jnp.eye(4)))
    with pytest.raises(ValueError, match="mixup mixes targets, but y is int32; give classes as probabilities"):
        regularizers.mixup(0.5)(KEY, Batch(x=jnp.eye(4), y={"a": jnp.eye(4), "b": jnp.arange(4)}))


# -- probabilities are no answers --

ONE_HOT = np.eye(3)[Y["kind"]]
CLASSES = training.Recipe(MLP((3, 4, 3)), optimizers.adam(0.03), losses.softmax_cross_entropy)
SMOOTH = training.Recipe(
    MLP((3, 4, 3)), optimizers.adam(0.03), functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1)
)


@pytest.mark.parametrize("recipe", [CLASSES, SMOOTH])
def test_metrics_that_would_misread_probabilities_are_refused(recipe):
    sentence = (
        r"metrics\['score'\] takes y of shape \(40, 3\) for yes or no at each output, .*; give labels as the y of"
    )
    for metric in (metrics.accuracy, functools.partial(metrics.f1, average="macro"), metrics.log_loss):
        with pytest.raises(ValueError, match=sentence):
            train((X, ONE_HOT), recipe, metrics={"score": metric})
    with pytest.raises(ValueError, match=sentence):
        train((X, ONE_HOT), recipe, validation=(X, ONE_HOT), metrics={"score": metrics.accuracy})
    in_head = training.Recipe(MLP((3, 4, 3), heads={"a": 3}), optimizers.sgd(0.1), PerHead({"a": recipe.loss}))
    with pytest.raises(ValueError, match=sentence):
        train((X, {"a": ONE_HOT}), in_head, metrics={"score": OfHead("a", metrics.accuracy)})


ONE = Y["size"]
MISREAD = [
    (losses.squared_error, ONE, metrics.accuracy),
    (losses.huber, ONE, metrics.log_loss),
    (losses.poisson, abs(ONE), metrics.mean_absolute_error),
    (losses.poisson, abs(ONE), metrics.roc_auc),
    (losses.sigmoid_binary_cross_entropy, ONE > 0, metrics.r2),
    (functools.partial(losses.sigmoid_focal, gamma=1.0), ONE > 0, metrics.mean_squared_error),
]


@pytest.mark.parametrize(("loss", "y", "metric"), MISREAD)
def test_metrics_that_read_outputs_otherwise_than_the_loss_are_refused(loss, y, metric):
    recipe = training.Recipe(MLP((3, 1)), optimizers.sgd(0.1), loss)
    with pytest.raises(
        ValueError, match=rf"metrics\['score'\] is {metric.__name__}, which reads outputs and targets other"
    ):
        train((X, y), recipe, metrics={"score": metric})

    def own(outputs, y, weight):
        return metric(outputs, (y > 0).astype(float), weight)

    assert len(train((X, y), recipe, metrics={"score": own}).history["train/score"]) == 3


def test_a_heads_loss_that_has_taken_a_mean_is_refused():
    def mean(outputs, targets):
        return jnp.mean(jnp.square(outputs - targets))

    recipe = training.Recipe(NET, optimizers.sgd(0.1), PerHead(dict(LOSS.losses) | {"size": mean}))
    with pytest.raises(
        ValueError, match=r"the loss of head 'size' returned shape \(\) for .* rows; return one number per row"
    ):
        train(recipe=recipe)


def test_names_of_heads_may_have_spaces():
    net = MLP((3, 1), heads={"petal length": 1})
    recipe = training.Recipe(net, optimizers.sgd(0.1), PerHead({"petal length": losses.squared_error}))
    with pytest.raises(ValueError, match=r"such as numpy.asarray\(y\['petal length'\]\)\[:, None\]"):
        train((X, {"petal length": ONE}), recipe, validation=(X, {"petal length": ONE[:, 0]}))


def test_labels_for_validation_or_a_function_of_ones_own_are_measured_aright():
    def own(outputs, y, weight):
        return metrics.accuracy(outputs, y.argmax(axis=1), weight)

    by_labels = train((X, Y["kind"]), CLASSES, metrics={"score": metrics.accuracy}).history["train/score"]
    by_own = train((X, ONE_HOT), CLASSES, metrics={"score": own}).history["train/score"]
    held_out = train((X, ONE_HOT), CLASSES, validation=(X, Y["kind"]), metrics={"score": metrics.accuracy})
    np.testing.assert_array_equal(by_own, by_labels)
    np.testing.assert_array_equal(held_out.history["validation/score"], by_labels)


def test_answers_of_several_outputs_are_still_measured():
    recipe = training.Recipe(MLP((3, 4, 3)), optimizers.adam(0.03), losses.sigmoid_binary_cross_entropy)
    assert len(train((X, ONE_HOT), recipe, metrics={"score": metrics.accuracy}).history["train/score"]) == 3


# -- bad input --


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: PerHead({}), TypeError, r"losses is {}; give functions by name, such as {'species': softmax"),
        (lambda: PerHead({"a": 1}), TypeError, r"losses is {'a': 1}; give functions by name"),
        (lambda: PerHead(dict(LOSS.losses), {"sise": 1.0}), ValueError, r"a name in coefficients is 'sise'; did"),
        (lambda: PerHead(losses.squared_error), TypeError, r"losses is <function .*; give values by name, such"),
        (lambda: PerHead((("a", max), ("a", min))), ValueError, r"losses has the name 'a' twice; give each a name"),
        (lambda: PerHead({"a": max}, 0.5), TypeError, r"coefficients is 0.5; give values by name, such as"),
        (
            lambda: PerHead({"a": max}, {"a": np.ones(3)}),
            ValueError, r"coefficients\['a'\] has shape \(3,\); give a single number in",
        ),
        (
            lambda: train((X, Y["size"]), training.Recipe(MLP((3, 1)), optimizers.sgd(0.1), losses.poisson)),
            ValueError, r"y holds -.* at index .*; poisson wants counts of at least 0",
        ),
        (lambda: PerHead(dict(LOSS.losses), {"size": -1.0}), ValueError, r"coefficients\['size'\] is -1.0; give a num"),
        (lambda: OfHead("a", 1), TypeError, r"metric is 1; give a function, such as metrics.accuracy"),
        (lambda: train((X, Y["kind"])), TypeError, r"y is a ndarray, but the net has heads; give their targets as"),
        (lambda: train((X, {"kind": Y["kind"]})), ValueError, r"there are heads kind in y, but PerHead has losses"),
        (lambda: train((X, {**Y, "kind": Y["kind"] + 1})), ValueError, r"y\['kind'\] holds the label 3 at row"),
        (lambda: train((X, {**Y, "size": Y["size"][:, 0]})), ValueError, r"y\['size'\] has shape \(40,\), but the net"),
        (lambda: train((X, {**Y, "size": Y["size"][:9]})), ValueError, r"x has 40 rows and y\['size'\] has 9; give"),
        (lambda: train(validation=(X, {**Y, "size": Y["size"] / 0})), ValueError, r"validation y\['size'\] holds NaN"),
        (
            lambda: train(recipe=training.Recipe(NET, optimizers.sgd(0.1), losses.squared_error)),
            TypeError, r"the net has the heads kind, size, but squared_error is for one output; give losses.PerHead",
        ),
        (
            lambda: train(recipe=training.Recipe(MLP((3, 4)), optimizers.sgd(0.1), losses.squared_error)),
            TypeError, r"y is a mapping, but squared_error is for one output; give losses.PerHead with a loss for each",
        ),
        (
            lambda: train(recipe=training.Recipe(MLP((3, 4)), optimizers.sgd(0.1), LOSS)),
            ValueError, r"there are no heads in outputs, but PerHead has losses for kind, size; give the same",
        ),
        (
            lambda: train(recipe=training.Recipe(MLP((3, 4), heads={"b": 4}), optimizers.sgd(0.1), LOSS)),
            ValueError, r"there are heads b in outputs, but PerHead has losses for kind, size",
        ),
        (
            lambda: train(metrics={"score": metrics.accuracy}),
            TypeError, r"metrics\['score'\] is for one output, but there are several heads; give metrics.OfHead",
        ),
        (
            lambda: train(metrics={"score": OfHead("kinds", metrics.accuracy)}),
            ValueError, r"metrics\['score'\].head is 'kinds'; did you mean 'kind'\?",
        ),
        (
            lambda: train((X, Y["kind"]), CLASSES, metrics={"score": OfHead("kind", metrics.accuracy)}),
            TypeError, r"metrics\['score'\] is of the head 'kind', but the net has one output; leave OfHead out",
        ),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_does_not_fit_gets_a_sentence(call, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        call()


def test_make_run_compares_the_lengths_of_heads_while_it_is_traced():
    run = training.make_run(RECIPE, epochs=1, batch_size=8)
    y = {"kind": jnp.asarray(Y["kind"]), "size": jnp.asarray(Y["size"][:9], jnp.float32)}
    with pytest.raises(ValueError, match=r"x has 40 rows and y\['kind'\] has 40 and y\['size'\] has 9; give as many"):
        jax.eval_shape(run, KEY, (jnp.asarray(X, jnp.float32), y))
