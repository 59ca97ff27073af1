import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from jaxmlp import metrics


@st.composite
def cases(draw):
    """A random set of rows with weights, some of them 0."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n, classes = draw(st.sampled_from([2, 7, 40])), draw(st.sampled_from([2, 5]))
    weight = rng.uniform(size=n) * (rng.uniform(size=n) > 0.3)
    weight[0] = 1.0
    return rng.normal(size=(n, classes)), rng.integers(0, classes, n), weight


def arrays(*values):
    return [jnp.asarray(v, jnp.float32 if v.dtype.kind == "f" else jnp.int32) for v in values]


@settings(deadline=None, max_examples=25)
@given(cases())
def test_accuracy_and_confusion_matrix_equal_scikit_learn(case):
    outputs, labels, weight = case
    answers, classes = outputs.argmax(axis=1), range(outputs.shape[1])
    expected = reference.accuracy_score(labels, answers, sample_weight=weight)
    assert float(metrics.accuracy(*arrays(*case))) == pytest.approx(expected, rel=1e-5)
    expected = reference.accuracy_score(labels, answers)
    assert float(metrics.accuracy(*arrays(outputs, labels))) == pytest.approx(expected, rel=1e-5)
    counts = reference.confusion_matrix(labels, answers, labels=classes, sample_weight=weight)
    np.testing.assert_allclose(metrics.confusion_matrix(*arrays(*case)), counts, rtol=1e-5, atol=1e-6)
    counts = reference.confusion_matrix(labels, answers, labels=classes)
    np.testing.assert_array_equal(metrics.confusion_matrix(*arrays(outputs, labels)), counts)


@settings(deadline=None, max_examples=25)
@given(cases())
def test_mean_squared_error_equals_scikit_learn(case):
    outputs, _, weight = case
    targets = outputs[::-1].copy()
    expected = reference.mean_squared_error(targets, outputs, sample_weight=weight)
    assert float(metrics.mean_squared_error(*arrays(outputs, targets, weight))) == pytest.approx(expected, rel=1e-4)


def test_yes_or_no_outputs_are_cut_at_logit_zero():
    outputs, targets = jnp.array([[0.1], [-0.1], [0.0]]), jnp.array([[1], [1], [0]])
    assert float(metrics.accuracy(outputs, targets)) == pytest.approx(2 / 3)
    assert float(metrics.accuracy(outputs, jnp.array([[0.6], [0.4], [0.5]]))) == 1.0


def test_each_output_of_a_row_counts_for_its_part():
    outputs, targets = jnp.array([[1.0, -1.0, 1.0, 1.0]]), jnp.array([[1.0, 0.0, 0.0, 1.0]])
    assert float(metrics.accuracy(outputs, targets)) == 0.75


def test_metrics_run_inside_a_program():
    outputs, labels = jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([0, 1])
    assert float(jax.jit(metrics.accuracy)(outputs, labels, jnp.array([1.0, 0.0]))) == 1.0


def test_counts_are_exact_whatever_the_dtype_of_the_outputs():
    outputs = jnp.tile(jnp.array([[1.0, 0.0]], jnp.bfloat16), (1000, 1))
    assert metrics.confusion_matrix(outputs, jnp.zeros(1000, int)).tolist() == [[1000.0, 0.0], [0.0, 0.0]]


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
