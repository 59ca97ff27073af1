import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

from jaxmlp import losses, masks, metrics, optimizers, regularizers
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, fit, make_run
from jaxmlp.types import Layer

KEY = jax.random.key(0)
RECIPE = Recipe(MLP(sizes=(2, 3)), optimizers.sgd(0.1), losses.softmax_cross_entropy)
X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
Y = np.array([0, 1, 2, 1])

pytestmark = pytest.mark.usefixtures("unchecked")


def train(data=(X, Y), recipe=RECIPE, **options):
    return fit(recipe, data, **({"epochs": 1, "batch_size": 2, "key": KEY} | options))


@pytest.mark.parametrize(
    "x",
    [
        X.astype(np.float64), X.astype(np.float16), X.astype(int), X.tolist(), pd.DataFrame(X, columns=["a", "b"]),
        np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], jnp.asarray(X), X > 0,
    ],
)  # fmt: skip
def test_all_kinds_of_arrays_train(x):
    assert train((x, Y)).epochs == 1


@pytest.mark.parametrize("y", [Y.astype(np.uint8), Y.astype(float), Y.tolist(), pd.Series(Y), jnp.asarray(Y)])
def test_all_kinds_of_labels_train_alike(y):
    run = train((X, y))
    np.testing.assert_array_equal(run.history["train/loss"], train().history["train/loss"])


def test_read_only_arrays_train_and_stay():
    x = X.copy()
    x.flags.writeable = False
    train((x, Y))
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"data": (X, Y[:3])}, r"x has 4 rows and y has 3; give as many rows in each"),
        ({"data": (X[:0], Y[:0])}, r"x has shape \(0, 2\) and so holds nothing"),
        ({"data": (X * np.nan, Y)}, r"x holds NaN or infinity in 8 places, the first at index \(0, 0\)"),
        ({"data": (X, Y * np.nan)}, r"y holds NaN or infinity in 4 places"),
        ({"data": (X * 1e300, Y)}, r"x holds numbers too large for float32"),
        ({"data": (X, Y + 1)}, r"y holds the label 3 at row 2, but the net has 3 outputs; number the classes 0 ... 2"),
        ({"data": (X, Y - 1)}, r"y holds the label -1 at row 0"),
        ({"data": (np.ones((4, 3)), Y)}, r"x has shape \(4, 3\), but sizes\[0\] of the net is 2"),
        ({"data": (np.ones(4), Y)}, r"x has shape \(4,\), but sizes\[0\] of the net is 2; give x of shape \(rows, 2\)"),
        ({"data": (X, Y, np.array([1.0, -1.0, 2.0, 1.0]))}, r"weight is -1.0 at row 1; give numbers of at least 0"),
        ({"data": (X, Y, np.zeros(4))}, r"weight is 0 at every row"),
        ({"data": (X, Y, np.ones((4, 1)))}, r"weight has shape \(4, 1\); give one number for each of the 4 rows"),
        ({"validation": (X, Y, np.ones(3))}, r"validation weight has shape \(3,\); give one number for each of the 4"),
        ({"data": (X, Y[:, None])}, r"y has shape \(4, 1\), .*; give numpy.asarray\(y\).ravel\(\)"),
        ({"validation": (X[:, :1], Y)}, r"validation x has shape \(4, 1\), but sizes\[0\]"),
        ({"validation": (X, Y + 1)}, r"validation y holds the label 3 at row 2"),
        ({"validation": (X, Y[:2])}, r"validation x has 4 rows and validation y has 2"),
        ({"batch_size": 0}, r"batch_size is 0; give a whole number of at least 1"),
        ({"epochs": 0}, r"epochs is 0; give a whole number of at least 1"),
        (
            {"params": MLP(sizes=(2, 4)).init(KEY)},
            r"the net's own have shape \(2, 3\) at \[0\]\.w, params have shape \(2, 4\); give params of",
        ),
        ({"params": ()}, r"params have 0 arrays, the net's own 2; give what its init returns"),
        ({"params": ((np.ones((2, 3), int), np.ones(3)),)}, r"params\[0\].w holds other than finite floats"),
        ({"params": ((np.full((2, 3), np.nan), np.ones(3)),)}, r"params\[0\].w holds other than finite floats"),
        ({"chunk": 0}, r"chunk is 0; give a whole number of at least 1"),
        ({"metrics": {"loss": metrics.accuracy}}, r"metrics has the name 'loss'"),
    ],
)
def test_bad_values_get_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"data": (X.astype(object), Y)}, r"x has dtype object"),
        ({"data": (X.astype(complex), Y)}, r"x has dtype complex128; give real numbers"),
        ({"data": (X, Y + 0.5)}, r"y holds the label 0.5 at row 0; softmax_cross_entropy wants whole numbers 0 ... 2"),
        ({"data": (X, ["a", "b", "c", "b"])}, r"y has dtype <U1 \(text such as 'a'\)"),
        ({"data": X}, r"training data is a ndarray; give a tuple \(x, y\) or \(x, y, weight\)"),
        ({"data": (X,)}, r"training data is 1 parts; give a tuple"),
        ({"validation": X}, r"validation data is a ndarray; give a tuple"),
        ({"epochs": 2.5}, r"epochs is 2.5; give a whole number"),
        ({"batch_size": "32"}, r"batch_size is '32'; give a whole number"),
        ({"key": 0}, r"key is 0; give one random key, such as jax.random.key\(0\)"),
        ({"key": jax.random.split(KEY, 2)}, r"give one random key"),
        ({"early_stopping": 10}, r"early_stopping is 10; give an EarlyStopping\(patience=...\) or None"),
        ({"class_weight": [1.0]}, r"class_weight is \[1.0\]; give 'balanced', or numbers by class"),
        ({"metrics": [metrics.accuracy]}, r"metrics is \[.*\]; give functions by name"),
        ({"metrics": {"accuracy": 0.5}}, r"give functions by name"),
    ],
)
def test_bad_types_get_a_sentence(options, sentence):
    with pytest.raises(TypeError, match=sentence):
        train(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"class_weight": {7: 1.0}}, r"class_weight has the class 7, which is not in y; y has \["),
        ({"class_weight": {0: -1.0}}, r"class_weight\[0\] is -1.0"),
        ({"early_stopping": EarlyStopping(metric="accurracy")}, "early_stopping.metric is 'accurracy'"),
    ],
)
def test_names_and_numbers_that_do_not_fit_get_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(metrics={"accuracy": metrics.accuracy}, **options)


def test_classes_of_several_outputs_are_refused():
    recipe = Recipe(MLP((2, 3)), optimizers.sgd(0.1), losses.squared_error)
    with pytest.raises(ValueError, match="class_weight is for one label a row, but y holds several numbers"):
        fit(recipe, (X, np.ones((4, 3))), epochs=1, batch_size=2, key=KEY, class_weight="balanced")


def test_a_batch_larger_than_the_data_is_cut_and_said():
    with pytest.warns(UserWarning, match="batch_size is 100, but there are 4 rows; each step takes all of them"):
        run = train(batch_size=100)
    np.testing.assert_array_equal(run.params[0].w, train(batch_size=4).params[0].w)


class Linear:
    """A user's own model."""

    def init(self, key):
        return jax.random.normal(key, (2, 3))

    def apply(self, params, x, *, key=None):
        return x @ params


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"data": (X, Y + 1)}, r"y holds the label 3 at row 2, but the net has 3 outputs"),
        ({"validation": (np.ones((4, 5)), Y)}, r"validation x has rows of shape \(5,\), x of shape \(2,\)"),
    ],
)
def test_data_of_a_user_s_own_model_are_checked_as_well(options, sentence):
    recipe = Recipe(Linear(), optimizers.sgd(0.1), losses.softmax_cross_entropy)
    assert train(recipe=recipe).epochs == 1
    with pytest.raises(ValueError, match=sentence):
        train(recipe=recipe, **options)


def test_warnings_point_at_the_line_that_called_fit(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        """
import jax
from jaxmlp import losses, optimizers, training
from jaxmlp.mlp import MLP
recipe = training.Recipe(MLP(sizes=(1, 2)), optimizers.sgd(1e38), losses.softmax_cross_entropy)
training.fit(recipe, ([[1e3], [-1e3]], [0, 1]), epochs=3, batch_size=9, key=jax.random.key(0))
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert f"{script}:6: UserWarning: batch_size is 9" in done.stderr
    assert f"{script}:6: RuntimeWarning: the loss or the parameters became NaN" in done.stderr


def test_targets_of_another_shape_than_the_outputs_get_a_sentence():
    recipe = Recipe(MLP(sizes=(2, 1)), optimizers.sgd(0.1), losses.sigmoid_binary_cross_entropy)
    with pytest.raises(
        ValueError, match=r"y has shape \(4,\), but the net has 1 outputs; .* such as numpy.asarray\(y\)"
    ):
        train((X, Y > 1), recipe)
    assert train((X, (Y > 1)[:, None]), recipe).epochs == 1


def test_a_loss_that_takes_the_mean_itself_gets_a_sentence():
    def mean_loss(outputs, targets):
        return losses.softmax_cross_entropy(outputs, targets).mean()

    recipe = Recipe(MLP(sizes=(2, 3)), optimizers.sgd(0.1), mean_loss)
    with pytest.raises(ValueError, match=r"loss 'mean_loss' returned shape \(\) for 2 rows; return one number per row"):
        train(recipe=recipe)


@pytest.mark.parametrize(
    ("name", "call", "value"),
    [
        ("x", lambda x: train((x, Y)), jnp.asarray(X)),
        ("key", lambda key: train(key=key), KEY),
        ("params", lambda params: train(params=params), RECIPE.net.init(KEY)),
        ("hyper", lambda hyper: train(recipe=by_rate, hyper=hyper), jnp.float32(0.1)),
    ],
)
def test_traced_arguments_are_sent_to_make_run(name, call, value):
    with pytest.raises(TypeError, match=rf"{name}.* traced, .*training.make_run"):
        jax.jit(lambda value: call(value).params)(value)


def by_rate(rate):
    return Recipe(MLP(sizes=(2, 3)), optimizers.sgd(rate), losses.softmax_cross_entropy)


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (-1.0, r"learning_rate is -1.0; give a number in \[0, inf\)"),
        (np.nan, r"hyper is nan; give a finite number"),
        (jnp.inf, r"hyper is inf; give a finite number"),
    ],
)
def test_hyperparameters_out_of_range_get_a_sentence(rate, sentence):
    assert train(recipe=by_rate, hyper=jnp.bfloat16(0.1)).epochs == 1
    with pytest.raises(ValueError, match=sentence):
        train(recipe=by_rate, hyper=rate)


def test_parameters_may_be_plain_tuples_and_lists_of_numpy_arrays():
    given = [(np.ones((2, 3)), np.zeros(3))]
    run = train(params=given)
    assert run.params[0][0].dtype == jnp.float32
    np.testing.assert_array_equal(given[0][0], 1.0)


def test_masks_find_the_paths_of_the_net_in_plain_tuples():
    optimizer = optax.chain(regularizers.l2(0.1, mask=masks.at("0/w")), optimizers.sgd(0.1))
    recipe = Recipe(MLP(sizes=(2, 3)), optimizer, losses.softmax_cross_entropy)
    run = train(recipe=recipe, params=[[np.ones((2, 3)), np.zeros(3)]])
    assert isinstance(run.params[0], Layer)


def test_a_validation_loss_that_is_never_finite_is_said():
    recipe = Recipe(MLP(sizes=(2, 1)), optimizers.sgd(0.0), losses.squared_error)
    with pytest.warns(RuntimeWarning, match="no epoch has a finite validation loss, so best_params are those before"):
        run = train((X, X[:, :1]), recipe, validation=(X * 1e30, X[:, :1]))
    assert run.best_epoch == 0


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((X, Y[:3]), "x has 4 rows and {}y has 3"),
        ((X, Y, np.ones(3)), "x has 4 rows and {}y has 4 and {}weight has 3"),
    ],
)
def test_make_run_compares_lengths_while_it_is_traced(data, sentence):
    run = make_run(RECIPE, epochs=1, batch_size=2)
    arrays = tuple(jnp.asarray(part) for part in data)
    with pytest.raises(ValueError, match=sentence.format("", "")):
        jax.jit(run)(KEY, arrays)
    with pytest.raises(ValueError, match="validation " + sentence.format("validation ", "validation ")):
        jax.jit(run)(KEY, (X, Y), arrays)


def test_make_run_refuses_wrong_options_at_once():
    with pytest.raises(TypeError, match="early_stopping is 3; give an EarlyStopping"):
        make_run(RECIPE, epochs=1, batch_size=2, early_stopping=3)
    with pytest.raises(ValueError, match="metrics has the name 'loss'"):
        make_run(RECIPE, epochs=1, batch_size=2, metrics={"loss": metrics.accuracy})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((MLP, optimizers.sgd(0.1), losses.squared_error), r"net is <class .*MLP'>; give a model with init and apply"),
        ((MLP(sizes=(2, 1)), optimizers.sgd, losses.squared_error), r"call it first, such as sgd\(1e-3\)"),
        ((MLP(sizes=(2, 1)), "adam", losses.squared_error), r"optimizer is 'adam'; give a gradient transform"),
        ((MLP(sizes=(2, 1)), optimizers.sgd(0.1), "mse"), r"loss is 'mse'; give a function"),
    ],
)
def test_a_recipe_of_wrong_parts_gets_a_sentence(arguments, sentence):
    with pytest.raises(TypeError, match=sentence):
        Recipe(*arguments)
