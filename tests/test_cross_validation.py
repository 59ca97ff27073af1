"""Folds: against scikit-learn's, and against loops over fits that were written out."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold
from test_saving import by_value

from jaxmlp import data, losses, metrics, optimizers, sweeps, training
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.sweeps import folds as cutting
from jaxmlp.sweeps import members as crew

to_the_bit = pytest.mark.usefixtures("compiled_as_for_users")
KEY = jax.random.key(2)
RNG = np.random.default_rng(1)
X = RNG.normal(2, 3, size=(41, 4)).astype(np.float32)
Y = RNG.integers(0, 3, size=41)
W = RNG.uniform(0.5, 2, size=41).astype(np.float32)
OPTIONS = {"epochs": 8, "batch_size": 6, "early_stopping": EarlyStopping(patience=3)}
RECIPE = training.Recipe(MLP((4, 8, 3)), optimizers.adam(0.03), losses.softmax_cross_entropy)


def recipe(hyper):
    return training.Recipe(MLP((4, 8, 3)), optimizers.adam(hyper["learning_rate"]), losses.softmax_cross_entropy)


RATES = sweeps.grid(learning_rate=[0.003, 0.1])


def test_folds_are_as_equal_in_size_as_they_can_be():
    for n, folds in ((41, 4), (40, 4), (7, 7), (100, 3)):
        fold = cutting.assign(n, folds, key=KEY)
        assert sorted(np.bincount(fold, minlength=folds)) == sorted(np.bincount(np.arange(n) % folds))
    other = cutting.assign(100, 3, key=jax.random.key(3))
    assert (other != fold).any()
    np.testing.assert_array_equal(cutting.assign(100, 3, key=KEY), fold)


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_stratified_folds_hold_every_label_as_scikit_learns_do(folds):
    labels = np.array(["a"] * 23 + ["b"] * 11 + ["c"] * 5)
    ours = cutting.assign(39, folds, key=KEY, stratify=labels)
    theirs = [held_out for _, held_out in StratifiedKFold(folds).split(labels, labels)]
    for label in "abc":
        counts = [int((labels[ours == fold] == label).sum()) for fold in range(folds)]
        assert sorted(counts) == sorted(int((labels[rows] == label).sum()) for rows in theirs)
    sizes = np.bincount(ours)
    assert sizes.max() - sizes.min() <= 1


def test_no_group_is_in_two_folds_and_folds_are_alike_in_size():
    groups = np.repeat(np.arange(12), [1, 9, 2, 8, 3, 7, 4, 6, 5, 5, 5, 5])
    fold = cutting.assign(60, 4, key=KEY, groups=groups)
    for group in range(12):
        assert len(set(fold[groups == group])) == 1
    assert np.bincount(fold).tolist() == [15, 15, 15, 15]


@to_the_bit
def test_every_member_is_a_fit_on_the_rows_of_its_fold_to_the_bit():
    x, y, w = X[:40], Y[:40], W[:40]
    validated = sweeps.cross_validate(recipe, (x, y, w), folds=4, hyper=RATES, seeds=2, scaler=None, key=KEY, **OPTIONS)
    assert validated.runs.history["validation/loss"].shape == (2 * 4 * 2, 8)
    (fold_of_row,) = validated.fold_of_row
    for setting, fold, seed in ((0, 0, 0), (0, 2, 1), (1, 3, 0)):
        inside, outside = fold_of_row != fold, fold_of_row == fold
        alone = training.fit(
            recipe, (x[inside], y[inside], w[inside]), validation=(x[outside], y[outside], w[outside]),
            hyper=RATES[setting], key=jax.random.fold_in(KEY, seed), **OPTIONS,
        )  # fmt: skip
        member = validated.runs.member((setting * 4 + fold) * 2 + seed)
        assert by_value(member.state) == by_value(alone.state)
    assert validated.scores().shape == (2, 1, 4, 2)
    np.testing.assert_array_equal(
        validated.scores().ravel(), np.nanmin(validated.runs.history["validation/loss"], axis=1)
    )


@to_the_bit
@pytest.mark.parametrize("weight", [None, W], ids=["alike", "weighted"])
def test_folds_of_unequal_size_are_filled_with_rows_that_do_not_count(weight):
    validated = sweeps.cross_validate(RECIPE, (X, Y, weight), folds=4, scaler=None, key=KEY, **OPTIONS)
    weight = np.ones(41) if weight is None else weight
    (fold_of_row,) = validated.fold_of_row
    assert np.bincount(fold_of_row).tolist() == [11, 10, 10, 10]
    rows = np.append(np.flatnonzero(fold_of_row != 0), 0)
    filled = np.append(weight[rows[:-1]], 0)
    outside = fold_of_row == 0
    alone = training.fit(
        RECIPE, (X[rows], Y[rows], filled), validation=(X[outside], Y[outside], weight[outside]),
        key=jax.random.fold_in(KEY, 0), **OPTIONS,
    )  # fmt: skip
    assert by_value(validated.runs.member(0).state) == by_value(alone.state)


def test_the_scaler_sees_training_rows_alone():
    validated = sweeps.cross_validate(RECIPE, (X, Y), folds=4, key=KEY, **OPTIONS)
    (fold_of_row,) = validated.fold_of_row
    for fold in range(4):
        inside = fold_of_row != fold
        scaler = data.StandardScaler.fit(X[inside])
        ours = jax.tree.map(lambda numbers, fold=fold: numbers[fold], validated.runs.groups[0].shared.folds.scaler)
        np.testing.assert_allclose(ours.mean, scaler.mean, rtol=1e-5)
        np.testing.assert_allclose(ours.scale, scaler.scale, rtol=1e-5)
    spoilt = X.copy()
    spoilt[fold_of_row == 1] = 1e6
    other = sweeps.cross_validate(RECIPE, (spoilt, Y), folds=4, key=KEY, epochs=2, batch_size=6)
    clean = sweeps.cross_validate(RECIPE, (X, Y), folds=4, key=KEY, epochs=2, batch_size=6)
    assert by_value(other.runs.member(1).params) == by_value(clean.runs.member(1).params)
    assert by_value(other.runs.member(0).params) != by_value(clean.runs.member(0).params)


@to_the_bit
def test_class_weights_count_for_training_and_not_for_the_fold_held_out():
    validated = sweeps.cross_validate(
        RECIPE, (X[:40], Y[:40]), folds=4, scaler=None, class_weight={0: 3.0}, key=KEY, **OPTIONS
    )
    inside, outside = validated.fold_of_row[0] != 0, validated.fold_of_row[0] == 0
    alone = training.fit(
        RECIPE, (X[:40][inside], Y[:40][inside]), validation=(X[:40][outside], Y[:40][outside]), class_weight={0: 3.0},
        key=jax.random.fold_in(KEY, 0), **OPTIONS,
    )  # fmt: skip
    assert by_value(validated.runs.member(0).state) == by_value(alone.state)


def test_out_of_fold_predictions_are_those_of_the_members_that_have_not_seen_the_row():
    validated = sweeps.cross_validate(
        recipe, (X, Y), folds=3, repeats=2, seeds=2, hyper=RATES, stratify=Y, key=KEY, epochs=4, batch_size=6
    )
    assert validated.fold_of_row.shape == (2, 41)
    assert (validated.fold_of_row[0] != validated.fold_of_row[1]).any()
    found = validated.out_of_fold(1)
    assert found.shape == (41, 3)
    for row in (0, 17, 40):
        each = []
        for repeat in range(2):
            fold = validated.fold_of_row[repeat, row]
            inside = validated.fold_of_row[repeat] != fold
            scaler = data.StandardScaler.fit(X[inside])
            for seed in range(2):
                run = validated.runs.member(((1 * 2 + repeat) * 3 + fold) * 2 + seed)
                z = jnp.asarray(scaler.apply(X[row : row + 1]), jnp.float32)
                each.append(jax.nn.softmax(RECIPE.net.apply(run.params, z))[0])
        np.testing.assert_allclose(found[row], sum(each) / 4, rtol=1e-3, atol=1e-5)
    best = RATES.index(validated.runs.best().hyper)
    np.testing.assert_array_equal(validated.out_of_fold(), validated.out_of_fold(best))


def test_columns_whose_digits_would_be_lost_are_refused():
    x = X.astype(float) + np.array([0, 0, 1.7e9, 0])
    with pytest.raises(ValueError, match=r"x has a mean of 1.7e\+09 in column 2 and a standard deviation of only"):
        sweeps.cross_validate(RECIPE, (x, Y), key=KEY, **OPTIONS)


def test_nested_selection_tries_the_choice_on_rows_that_had_no_part_in_it():
    options = {"epochs": 4, "batch_size": 6, "metrics": {"accuracy": metrics.accuracy}}
    chosen = sweeps.nested(recipe, (X, Y), hyper=RATES, outer=3, folds=2, key=KEY, **options)
    assert list(chosen.scores) == ["loss", "accuracy"]
    outside, inside = (np.flatnonzero(same) for same in (chosen.fold_of_row == 1, chosen.fold_of_row != 1))
    within = sweeps.cross_validate(
        recipe, (X[inside], Y[inside]), hyper=RATES, folds=2, key=jax.random.fold_in(KEY, 1), **options
    )
    best = within.runs.best()
    assert chosen.settings[1] == best.hyper
    found = [within.score(member, (X[outside], Y[outside])) for member in best.members]
    assert chosen.scores["accuracy"][1] == pytest.approx(np.mean([score["accuracy"] for score in found]))
    assert chosen.scores["loss"][1] == pytest.approx(np.mean([score["loss"] for score in found]))
    np.testing.assert_allclose(
        chosen.out_of_fold[outside], within.predicted(best.members, jnp.asarray(X[outside])), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"folds": 42}, "folds is 42, but there are 41 rows; give at most 41"),
        ({"folds": 1}, "folds is 1; give a whole number of at least 2"),
        ({"stratify": np.array([0] * 39 + [1] * 2)}, "class 1 has 2 rows, so that some fold would lack it"),
        ({"stratify": Y[:5]}, r"stratify has shape \(5,\); give one label for each of the 41 rows"),
        ({"groups": np.array([0] * 20 + [1] * 21)}, "folds is 5, but there are 2 groups; give at most 2"),
        ({"stratify": Y, "groups": Y}, "stratify and groups are both given"),
        ({"repeats": 0}, "repeats is 0; give a whole number of at least 1"),
        ({"stratify": X[:, 0]}, "has 1 rows, so that some fold would lack it; give labels that several rows share, or"),
    ],
)
def test_folds_that_cannot_be_get_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        sweeps.cross_validate(RECIPE, (X, Y), key=KEY, **(OPTIONS | options))


@pytest.mark.parametrize("scaler", ["standard", data.StandardScaler.fit(X)])
def test_a_scaler_that_is_no_class_gets_a_sentence(scaler):
    with pytest.raises(TypeError, match=r"scaler is .*; give a class such as data.StandardScaler, or None"):
        sweeps.cross_validate(RECIPE, (X, Y), scaler=scaler, key=KEY, **OPTIONS)


def test_a_fold_without_weight_gets_a_sentence():
    weight = np.zeros(41)
    weight[7] = 1
    with pytest.raises(ValueError, match=r"weight is 0 for all rows that (are held out|train) in fold 0; give fewer"):
        sweeps.cross_validate(RECIPE, (X, Y, weight), folds=2, key=KEY, **OPTIONS)


@pytest.mark.parametrize(
    ("rows", "error", "sentence"),
    [
        (X, TypeError, "training data is a ndarray; give a tuple"),
        ((X, Y[:30]), ValueError, "x has 41 rows and y has 30; give as many rows in each"),
        ((X, Y, W[:7]), ValueError, "x has 41 rows and weight has 7; give as many rows in each"),
        ((X, {"a": Y[:30]}), ValueError, "x has 41 rows and y has 30; give as many rows in each"),
    ],
)
def test_nested_selection_of_bad_rows_gets_a_sentence(rows, error, sentence):
    with pytest.raises(error, match=sentence):
        sweeps.nested(recipe, rows, hyper=RATES, key=KEY, **OPTIONS)


def test_nested_selection_goes_on_after_ctrl_c(tmp_path, monkeypatch):
    """Ctrl-C within the second outer fold: the first is read and not run again, and the result is the same."""
    options = {"hyper": RATES, "outer": 2, "folds": 2, "key": KEY, "epochs": 3, "batch_size": 6}
    whole = sweeps.nested(recipe, (X.tolist(), Y.tolist()), **options)
    nesting, ran = sys.modules["jaxmlp.sweeps.nested"], []
    validate = nesting.cross_validate

    def interrupted(*rows, **of):
        ran.append(of["save"].name)
        if len(ran) == 2:
            monkeypatch.setattr(crew, "run_all", lambda slices, until, pressed, *more: pressed.set())
        return validate(*rows, **of)

    with monkeypatch.context() as patched:
        patched.setattr(nesting, "cross_validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweeps.nested(recipe, (X, Y), save=tmp_path, **options)
    monkeypatch.undo()
    assert ran == ["outer_0", "outer_1"]
    resumed = sweeps.nested(recipe, (X, Y), save=tmp_path, resume=True, **options)
    assert resumed.settings == whole.settings
    np.testing.assert_array_equal(resumed.scores["loss"], whole.scores["loss"])
    np.testing.assert_array_equal(resumed.out_of_fold, whole.out_of_fold)


def test_saved_folds_go_on_to_the_bit_and_other_folds_are_refused(tmp_path):
    options = {"hyper": RATES, "folds": 3, "key": KEY, "batch_size": 6}
    whole = sweeps.cross_validate(recipe, (X, Y), epochs=4, **options)
    sweeps.cross_validate(recipe, (X, Y), epochs=2, save=tmp_path, **options)
    resumed = sweeps.cross_validate(recipe, (X, Y), epochs=4, save=tmp_path, resume=True, **options)
    assert by_value(resumed.runs.states) == by_value(whole.runs.states)
    with pytest.raises(ValueError, match="the folds or their scaler are others than those of the saved sweep; give"):
        sweeps.cross_validate(recipe, (X, Y), epochs=4, save=tmp_path, resume=True, stratify=Y, **options)
