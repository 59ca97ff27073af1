import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import OTHERS_OF_METRICS
from scipy import special
from sklearn import metrics as reference

from jaxmlp import losses, metrics, optimizers, training
from jaxmlp.mlp import MLP

with_argument = functools.partial
jitted = functools.cache(jax.jit)  # one program for each metric and shape
few = settings(deadline=None, max_examples=15)


@st.composite
def cases(draw, columns=(2, 5), targets="labels"):
    """A random set of rows, some of them alike, with weights, some of them 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.sampled_from([(2, columns[0]), (24, columns[0]), (24, columns[-1])]))  # few, to compile few
    weight = rng.uniform(size=n) * (rng.uniform(size=n) > 0.3)
    weight[0] = 1.0
    outputs = rng.normal(size=(draw(st.sampled_from([3, n])), k))
    outputs = outputs[rng.permutation(np.arange(n) % len(outputs))].astype(np.float32).astype(float)
    if targets == "labels":
        return outputs, rng.integers(0, k, n), weight
    if targets == "yes or no":
        return outputs, rng.integers(0, 2, (n, k)), weight
    return outputs, rng.normal(size=(n, k)).astype(np.float32).astype(float), weight


def ours(metric, *values):
    """A metric as it runs inside the program, in float32."""
    arrays = [jnp.asarray(v, jnp.float32 if v.dtype.kind == "f" else jnp.int32) for v in values]
    return np.asarray(jitted(metric)(*arrays), float)


def check(metric, case, expected):
    """Compare with a function of (outputs, targets, weight) that never sees a row of weight 0."""
    outputs, targets, weight = case
    counts = weight > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where a class does not occur
        weighted = expected(outputs[counts], targets[counts], weight[counts])
    np.testing.assert_allclose(ours(metric, *case), weighted, rtol=2e-5, atol=2e-6)


def softmax(outputs):
    return special.softmax(outputs, axis=1)


MACRO = {name: with_argument(getattr(metrics, name), average="macro") for name in ("precision", "recall", "f1")}
MICRO = {name: with_argument(getattr(metrics, name), average="micro") for name in ("precision", "recall", "f1")}
OF_SKLEARN = {"precision": reference.precision_score, "recall": reference.recall_score, "f1": reference.f1_score}


# -- labels --


@few
@given(cases())
def test_accuracy_and_confusion_matrix_equal_scikit_learn(case):
    k = range(case[0].shape[1])
    check(metrics.accuracy, case, lambda z, y, w: reference.accuracy_score(y, z.argmax(1), sample_weight=w))
    check(
        metrics.confusion_matrix,
        case,
        lambda z, y, w: reference.confusion_matrix(y, z.argmax(1), labels=k, sample_weight=w),
    )


@few
@given(cases())
def test_balanced_accuracy_equals_scikit_learn(case):
    def expected(z, y, w):
        return reference.balanced_accuracy_score(y, z.argmax(1), sample_weight=w)

    check(metrics.balanced_accuracy, case, expected)


@few
@given(cases(columns=(5,)))
def test_top_k_accuracy_equals_scikit_learn(case):
    for k in (1, 3):
        metric = TOP[k]

        def expected(z, y, w, k=k):
            return reference.top_k_accuracy_score(y, z, k=k, sample_weight=w, labels=range(5))

        check(metric, case, expected)


TOP = {k: with_argument(metrics.top_k_accuracy, k=k) for k in (1, 3, 5)}


@few
@given(cases(), st.sampled_from(sorted(OF_SKLEARN)))
def test_precision_recall_and_f1_of_labels_equal_scikit_learn(case, name):
    for average, metric in (("macro", MACRO[name]), ("micro", MICRO[name]), ("binary", getattr(metrics, name))):
        if average == "binary" and case[0].shape[1] > 2:
            continue

        def expected(z, y, w, average=average):
            return OF_SKLEARN[name](y, z.argmax(1), average=average, sample_weight=w, zero_division=0)

        check(metric, case, expected)


@few
@given(cases())
def test_log_loss_and_brier_of_labels_equal_scikit_learn_and_the_equation(case):
    k = case[0].shape[1]

    def log_loss(z, y, w):
        return reference.log_loss(y, softmax(z), sample_weight=w, labels=range(k))

    def brier(z, y, w):  # Brier 1950; for two classes half of it, as scikit-learn has it
        scores = ((softmax(z) - np.eye(k)[y]) ** 2).sum(axis=1)
        if k == 2:
            np.testing.assert_allclose(scores / 2, (softmax(z)[:, 1] - y) ** 2)
        return np.average(scores / (2 if k == 2 else 1), weights=w)

    check(metrics.log_loss, case, log_loss)
    check(metrics.brier, case, brier)


def area(yes, score, weight):
    """Scikit-learn's area, NaN where one kind is missing, in every version of it."""
    if yes.all() or not yes.any():
        return np.nan
    return reference.roc_auc_score(yes, score, sample_weight=weight)


@few
@given(cases())
def test_roc_auc_of_labels_equals_scikit_learn(case):
    k = case[0].shape[1]

    def expected(z, y, w):
        if k == 2:
            return area(y == 1, z[:, 1] - z[:, 0], w)
        each = [area(y == c, softmax(z)[:, c], w) for c in range(k)]
        if not np.isnan(each).any():
            ovr = reference.roc_auc_score(y, softmax(z), multi_class="ovr", sample_weight=w, labels=range(k))
            assert np.mean(each) == pytest.approx(ovr)
        return np.mean(each)

    check(metrics.roc_auc, case, expected)


def calibration(confidence, right, w, bins):
    """Guo et al. 2017, equation 3, bin by bin."""
    error = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            gap = np.average(right[inside], weights=w[inside]) - np.average(confidence[inside], weights=w[inside])
            error += w[inside].sum() / w.sum() * abs(gap)
    return error


CALIBRATION = {bins: with_argument(metrics.expected_calibration_error, bins=bins) for bins in (1, 2, 4, 14, 15)}


@few
@given(cases(), st.sampled_from([1, 4, 15]))
def test_the_calibration_error_of_labels_equals_the_equation(case, bins):
    def expected(z, y, w):
        return calibration(softmax(z).max(axis=1), z.argmax(axis=1) == y, w, bins)

    check(CALIBRATION[bins], case, expected)


def test_bins_are_closed_above_and_fifteen_unless_said():
    """0.5 belongs to the first of two bins, and to the last but one of three."""
    outputs, labels = jnp.array([[0.0, 0.0], [0.0, -9.0]]), jnp.array([0, 1])
    sure = float(jax.nn.sigmoid(9.0))
    apart, together = (0.5 + sure) / 2, abs(0.5 - sure) / 2  # the errors are +0.5 and -sure
    assert ours(CALIBRATION[2], outputs, labels) == pytest.approx(apart)
    assert ours(CALIBRATION[1], outputs, labels) == pytest.approx(together)
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(500, 3)), rng.integers(0, 3, 500)
    default = ours(metrics.expected_calibration_error, outputs, labels)
    assert default == ours(CALIBRATION[15], outputs, labels) != ours(CALIBRATION[14], outputs, labels)


# -- yes or no for each output --


@few
@given(cases(columns=(1, 3), targets="yes or no"), st.sampled_from(sorted(OF_SKLEARN)))
def test_precision_recall_and_f1_of_answers_equal_scikit_learn(case, name):
    single = case[0].shape[1] == 1
    for average, metric in (("macro", MACRO[name]), ("micro", MICRO[name]), ("binary", getattr(metrics, name))):
        if average == "binary" and not single:
            continue

        def expected(z, y, w, average=average):
            y, answers = (y[:, 0], z[:, 0] > 0) if single else (y, z > 0)
            return OF_SKLEARN[name](y, answers, average=average, sample_weight=w, zero_division=0)

        check(metric, case, expected)


@few
@given(cases(columns=(1, 3), targets="yes or no"))
def test_other_metrics_of_answers_equal_scikit_learn_output_by_output(case):
    def mean_of(function):
        return lambda z, y, w: np.mean([function(z[:, k], y[:, k], w) for k in range(z.shape[1])])

    def accuracy(z, y, w):
        return reference.accuracy_score(y, z > 0, sample_weight=w)

    def log_loss(z, y, w):
        return reference.log_loss(y, special.expit(z), sample_weight=w, labels=[0, 1])

    def brier(z, y, w):
        return np.average((special.expit(z) - y) ** 2, weights=w)

    def together(z, y, w):
        right = (z > 0) == (y > 0)
        return calibration(special.expit(abs(z)).ravel(), right.ravel(), np.repeat(w, z.shape[1]), 4)

    check(metrics.accuracy, case, mean_of(accuracy))
    check(metrics.log_loss, case, mean_of(log_loss))
    check(metrics.brier, case, mean_of(brier))
    check(metrics.roc_auc, case, mean_of(lambda z, y, w: area(y == 1, z, w)))
    check(CALIBRATION[4], case, together)


def test_brier_of_one_output_equals_scikit_learn():
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(size=(40, 1)), rng.integers(0, 2, (40, 1)), rng.uniform(size=40)
    expected = reference.brier_score_loss(y[:, 0], special.expit(z[:, 0]), sample_weight=w)
    assert ours(metrics.brier, z, y, w) == pytest.approx(expected, rel=1e-5)


SINGLE = {
    "accuracy": metrics.accuracy,
    "balanced_accuracy": metrics.balanced_accuracy,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "f1": metrics.f1,
    "macro f1": MACRO["f1"],
    "micro precision": MICRO["precision"],
    "log_loss": metrics.log_loss,
    "brier": metrics.brier,
    "expected_calibration_error": metrics.expected_calibration_error,
    "roc_auc": metrics.roc_auc,
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_output_scores_as_the_two_classes_that_it_stands_for(name):
    rng = np.random.default_rng(3)
    z, y, w = rng.normal(size=(30, 1)), rng.integers(0, 2, 30), rng.uniform(size=30)
    z[:3] = 0.0  # not above 0: no
    one = ours(SINGLE[name], z, y[:, None], w)
    assert ours(SINGLE[name], np.append(0 * z, z, 1), y, w) == pytest.approx(one, rel=1e-5)
    if name not in ("log_loss", "brier"):  # which take 1 and 0 only, or probabilities
        assert ours(SINGLE[name], z, 2 * y[:, None] - 1, w) == one


def test_yes_or_no_outputs_are_cut_at_logit_zero():
    outputs, targets = jnp.array([[0.1], [-0.1], [0.0]]), jnp.array([[1], [1], [0]])
    assert float(metrics.accuracy(outputs, targets)) == pytest.approx(2 / 3)
    assert float(metrics.accuracy(outputs, jnp.array([[0.6], [0.4], [0.5]]))) == 1.0


def test_each_output_of_a_row_counts_for_its_part():
    outputs, targets = jnp.array([[1.0, -1.0, 1.0, 1.0]]), jnp.array([[1.0, 0.0, 0.0, 1.0]])
    assert float(metrics.accuracy(outputs, targets)) == 0.75


# -- numbers --


@few
@given(cases(columns=(1, 3), targets="numbers"))
def test_metrics_of_errors_equal_scikit_learn(case):
    check(metrics.mean_squared_error, case, lambda z, y, w: reference.mean_squared_error(y, z, sample_weight=w))
    check(
        metrics.root_mean_squared_error, case, lambda z, y, w: reference.root_mean_squared_error(y, z, sample_weight=w)
    )
    check(metrics.mean_absolute_error, case, lambda z, y, w: reference.mean_absolute_error(y, z, sample_weight=w))


@few
@given(cases(columns=(1, 3), targets="numbers"))
def test_r2_equals_scikit_learn(case):
    outputs, targets, weight = case
    near = (targets + 0.3 * outputs, targets, weight)  # else two rows that lie close make it huge
    check(metrics.r2, near, lambda z, y, w: reference.r2_score(y, z, sample_weight=w))


def test_a_mean_over_classes_is_over_those_that_occur_and_over_outputs_over_all_as_in_scikit_learn():
    """Of four classes 0 and 1 occur in truth, 2 among the answers only, and 3 nowhere; output 2 knows no yes."""
    answers, labels = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    outputs, ones = np.eye(4)[answers], np.ones(4)
    assert ours(metrics.balanced_accuracy, outputs, labels) == pytest.approx((1 + 1 / 3) / 2)
    expected = {"precision": (1 / 2 + 1 + 0) / 3, "recall": (1 + 1 / 3 + 0) / 3, "f1": (2 / 3 + 1 / 2 + 0) / 3}
    for name, value in expected.items():
        of_sklearn = OF_SKLEARN[name](labels, answers, average="macro", zero_division=0)
        assert ours(MACRO[name], outputs, labels, ones) == pytest.approx(value) == of_sklearn
    z, y = np.array([[1.0, 1.0, -1.0]] * 4), np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0]])
    for name, value in {"precision": (1 + 3 / 4 + 0) / 3, "recall": 2 / 3, "f1": (1 + 6 / 7 + 0) / 3}.items():
        of_sklearn = OF_SKLEARN[name](y, z > 0, average="macro", zero_division=0)
        assert ours(MACRO[name], z, y, ones) == pytest.approx(value) == of_sklearn


def test_r2_of_equal_targets_is_one_if_they_are_met_and_else_zero_as_in_scikit_learn():
    weight = np.linspace(0.1, 1, 7)
    for y in (np.full((7, 2), 0.5), np.full((7, 2), 0.1)):  # in binary the mean of many 0.1 is not 0.1
        for outputs, expected in ((y, 1.0), (y + np.array([[0.0, 0.5]]), 0.5), (y + 0.5, 0.0)):
            if y[0, 0] == 0.5:
                assert reference.r2_score(y, outputs) == expected
            last_unknown = np.append(y[:-1], [[np.nan, np.nan]], 0)
            assert ours(metrics.r2, outputs, y, weight) == expected
            assert ours(metrics.r2, outputs, last_unknown, np.append(weight[:-1], 0)) == expected


def test_r2_is_exact_far_from_zero():
    y = np.array([[0.0], [1.0], [2.0], [4.0]])
    outputs = y + np.array([[0.5], [0.0], [-0.5], [0.0]])
    expected = reference.r2_score(y, outputs)
    assert ours(metrics.r2, outputs + 1e6, y + 1e6) == pytest.approx(expected, rel=1e-6)


# -- what is not defined, what is not finite, what does not fit --


def test_what_is_not_defined_is_nan_or_zero_as_documented():
    z, none, one = jnp.array([[0.5], [-0.5]]), jnp.zeros((2, 1), int), jnp.array([1.0, 0.0])
    assert jnp.isnan(jitted(metrics.roc_auc)(z, none))
    assert jnp.isnan(jitted(metrics.roc_auc)(z, jnp.array([[1], [0]]), one))
    assert jnp.isnan(jitted(metrics.roc_auc)(jnp.eye(3), jnp.array([0, 1, 1])))
    assert jnp.isnan(jitted(metrics.r2)(z, z, one))
    assert jnp.isnan(jitted(metrics.r2)(z, z, jnp.zeros(2)))
    assert jitted(metrics.recall)(z, none) == 0.0
    assert jitted(metrics.precision)(-jnp.abs(z), 1 - none) == 0.0
    assert jitted(metrics.f1)(-jnp.abs(z), none) == 0.0
    for metric in (metrics.accuracy, metrics.balanced_accuracy, MACRO["f1"], metrics.expected_calibration_error):
        assert jitted(metric)(z, none, jnp.zeros(2)) == 0.0


def test_outputs_of_nan_are_never_right_and_spoil_an_area():
    labels = jnp.array([1, 0])
    nothing = jnp.full((2, 3), jnp.nan)
    assert jitted(TOP[1])(nothing, labels) == 0.0
    assert jitted(TOP[1])(jnp.array([[0.0, 1.0, jnp.nan], [1.0, 0.0, 0.0]]), labels) == 0.5
    assert jnp.isnan(jitted(metrics.roc_auc)(jnp.array([[0.0], [1.0], [jnp.nan]]), jnp.array([[0], [1], [1]])))
    for metric in (metrics.log_loss, metrics.brier, metrics.expected_calibration_error):
        assert jnp.isnan(jitted(metric)(nothing, labels))


def test_of_equal_outputs_the_first_is_the_answer():
    outputs = jnp.zeros((1, 5))
    for k in (1, 3, 5):
        assert [jitted(TOP[k])(outputs, jnp.array([label])) for label in range(5)] == [1.0] * k + [0.0] * (5 - k)
    rising = jnp.arange(6.0)[None]
    assert [jitted(metrics.top_k_accuracy)(rising, jnp.array([label])) for label in (0, 1)] == [0.0, 1.0]  # k is 5


def test_equal_scores_count_half_in_an_area():
    yes = jnp.array([[1], [0], [1], [0]])
    for scores, expected in (
        ([0.0, 0.0, 0.0, 0.0], 0.5),
        ([-0.0, 0.0, 1.0, -1.0], (0.5 + 1 + 1 + 1) / 4),
        ([jnp.inf, 0.0, 1.0, -jnp.inf], 1.0),
    ):
        assert jitted(metrics.roc_auc)(jnp.array(scores)[:, None], yes) == expected


def test_the_areas_of_sure_rows_are_told_apart():
    """Probabilities of both would round to 1."""
    outputs, labels = jnp.array([[0.0, 50.0], [0.0, 60.0]]), jnp.array([0, 1])
    assert jitted(metrics.roc_auc)(outputs, labels) == 1.0
    assert jitted(metrics.roc_auc)(outputs, 1 - labels) == 0.0


def test_the_areas_of_sure_rows_of_several_classes_are_told_apart():
    z = np.zeros((6, 3), np.float32)
    z[:, 0] = [20, 22, 24, 26, 28, 30]
    y = np.array([1, 2, 1, 0, 0, 0])
    expected = reference.roc_auc_score(y, softmax(z.astype(float)), multi_class="ovr")
    assert float(metrics.roc_auc(jnp.asarray(z), jnp.asarray(y))) == pytest.approx(expected, rel=1e-6)


def test_weights_may_be_numpy_arrays(unchecked):
    z, y = jnp.array([[1.0, 0.0], [2.0, 3.0], [0.0, 1.0]]), jnp.array([0, 1, 0])
    for metric in (metrics.roc_auc, metrics.accuracy, metrics.confusion_matrix, metrics.brier):
        np.testing.assert_array_equal(metric(z, y, np.array([1.0, 2.0, 3.0])), metric(z, y, jnp.array([1.0, 2.0, 3.0])))


@pytest.mark.parametrize("metric", [metrics.log_loss, metrics.brier])
def test_the_noes_of_hinge_are_zeros_to_metrics_of_probabilities(metric):
    z = jnp.array([[5.0], [-5.0], [1.0]])
    assert metric(z, jnp.array([[1], [-1], [-1]])) == metric(z, jnp.array([[1], [0], [0]]))


def test_counts_do_not_stop_where_float32_does():
    rows = 2**24 + 8
    counts = metrics.confusion_matrix(jnp.zeros((rows, 2), jnp.bfloat16), jnp.zeros(rows, jnp.int8))
    assert counts.tolist() == [[rows, 0], [0, 0]]


def test_log_loss_does_not_clip():
    assert ours(metrics.log_loss, np.array([[0.0, 1000.0]]), np.array([0])) == 1000.0
    assert ours(metrics.log_loss, np.array([[-1000.0]]), np.array([[1]])) == 1000.0


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int32])
def test_labels_may_be_of_any_whole_type(dtype):
    outputs = jnp.eye(3)
    for metric in (metrics.accuracy, TOP[1], metrics.balanced_accuracy, MACRO["f1"], metrics.roc_auc):
        assert jitted(metric)(outputs, jnp.array([0, 1, 2], dtype)) == 1.0
    assert jitted(metrics.brier)(100 * outputs, jnp.array([0, 1, 2], dtype)) == 0.0


def test_metrics_run_inside_a_program():
    outputs, labels = jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([0, 1])
    assert float(jax.jit(metrics.accuracy)(outputs, labels, jnp.array([1.0, 0.0]))) == 1.0


def test_metrics_with_arguments_run_inside_of_fit():
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(20, 4)), np.arange(20) % 3, rng.uniform(size=20)
    chosen = {"area": metrics.roc_auc, "f1": MACRO["f1"], "error": CALIBRATION[4], "first": TOP[1]}
    recipe = training.Recipe(MLP((4, 3)), optimizers.sgd(0.1), losses.softmax_cross_entropy)
    run = training.fit(recipe, (x, y, weight), epochs=1, batch_size=8, key=jax.random.key(0), metrics=chosen)
    outputs = np.asarray(recipe.net.apply(run.params, jnp.asarray(x, jnp.float32)))
    for name, metric in chosen.items():
        assert run.history[f"train/{name}"][0] == pytest.approx(float(ours(metric, outputs, y, weight)), rel=1e-5)


def test_counts_are_exact_whatever_the_dtype_of_the_outputs():
    outputs = jnp.tile(jnp.array([[1.0, 0.0]], jnp.bfloat16), (1000, 1))
    assert metrics.confusion_matrix(outputs, jnp.zeros(1000, int)).tolist() == [[1000.0, 0.0], [0.0, 0.0]]
    assert float(jitted(MICRO["recall"])(outputs, jnp.arange(1000) // 999)) == pytest.approx(0.999, rel=1e-6)


def test_other_shapes_get_a_sentence(unchecked):
    with pytest.raises(ValueError, match=r"outputs have shape \(4, 2\) and targets \(4, 1\); give labels"):
        metrics.accuracy(jnp.zeros((4, 2)), jnp.zeros((4, 1), int))
    with pytest.raises(ValueError, match=r"have shape \(4, 1\) and targets \(4,\); .* for two outputs or more"):
        metrics.accuracy(jnp.zeros((4, 1)), jnp.zeros(4, int))
    with pytest.raises(ValueError, match=r"outputs have shape \(3, 3\) and labels \(3, 1\); give outputs of shape"):
        metrics.confusion_matrix(jnp.eye(3), jnp.zeros((3, 1), int))
    with pytest.raises(ValueError, match="labels have dtype float32; give whole numbers"):
        metrics.confusion_matrix(jnp.eye(3), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"weight has shape \(4, 1\), but there are 4 rows"):
        metrics.accuracy(jnp.zeros((4, 2)), jnp.zeros(4, int), jnp.ones((4, 1)))
    with pytest.raises(ValueError, match=r"have shape \(4, 1\) and targets \(4,\)"):
        metrics.mean_squared_error(jnp.zeros((4, 1)), jnp.zeros(4))


BY_TARGETS = {
    "labels or answers": [
        metrics.accuracy, metrics.balanced_accuracy, metrics.precision, metrics.recall, metrics.f1, metrics.log_loss,
        metrics.brier, metrics.expected_calibration_error, metrics.roc_auc,
    ],
    "labels": [metrics.top_k_accuracy, metrics.confusion_matrix],
    "numbers": [
        metrics.mean_squared_error, metrics.root_mean_squared_error, metrics.mean_absolute_error, metrics.r2,
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "metric"), [(kind, metric) for kind, group in BY_TARGETS.items() for metric in group])
def test_every_metric_refuses_shapes_that_would_broadcast_in_a_program_as_well(kind, metric, unchecked):
    assert sum(map(len, BY_TARGETS.values())) == len(set(metrics.__all__) - OTHERS_OF_METRICS)
    for run in (metric, jax.jit(metric)):
        for outputs, targets in (((4, 2), (4, 1)), ((4, 1), (4,)), ((4, 2), (1, 2)), ((4,), (4,)), ((4, 2), (3,))):
            if kind == "labels" and outputs == (4, 1):
                continue  # the labels of a single class
            with pytest.raises(ValueError, match=r"have shape \(4,.*give "):
                run(jnp.zeros(outputs), jnp.zeros(targets, int))
        if kind != "numbers":
            with pytest.raises(
                ValueError, match=r"(targets|labels) have dtype float32; give whole numbers 0 ... class"
            ):
                run(jnp.zeros((4, 2)), jnp.zeros(4))
        targets = jnp.zeros((4, 2), int) if kind == "numbers" else jnp.zeros(4, int)
        for shape in ((4, 1), (3,), ()):
            with pytest.raises(ValueError, match=r"weight.* \("):
                run(jnp.zeros((4, 2)), targets, jnp.ones(shape))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda z, y: metrics.f1(z, y), ValueError, r"average is 'binary', .* \(4, 3\).*; give 'macro' or 'micro' for"),
        (lambda z, y: metrics.recall(z, jnp.zeros((4, 3))), ValueError, r"average is 'binary', but outputs have shape"),
        (lambda z, y: metrics.f1(z, y, average="marco"), ValueError, r"average is 'marco'; did you mean 'macro'\?"),
        (lambda z, y: metrics.top_k_accuracy(z, y), ValueError, r"k is 5, but there are 3 classes; give a whole"),
        (lambda z, y: metrics.top_k_accuracy(z, y, k=0), ValueError, r"k is 0; give a whole number of at least 1"),
        (lambda z, y: metrics.top_k_accuracy(z, y, k=1.5), TypeError, r"k is 1.5; give a whole number"),
        (lambda z, y: metrics.expected_calibration_error(z, y, bins=0), ValueError, r"bins is 0; give a whole number"),
        (lambda z, y: metrics.balanced_accuracy(z, jnp.zeros((4, 3))), ValueError, r"several yes-or-no .*; give label"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_get_a_sentence(call, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        call(jnp.zeros((4, 3)), jnp.zeros(4, int))
