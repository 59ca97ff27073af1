import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxmlp import losses

RNG = np.random.default_rng(0)


def test_softmax_cross_entropy_equals_the_log_loss_of_scikit_learn(x64):
    logits, labels = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = losses.softmax_cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(rows, -np.log(p[np.arange(7), labels]), rtol=1e-12)
    assert rows.mean() == pytest.approx(sklearn_metrics.log_loss(labels, p, labels=range(4)), rel=1e-9)


def test_sigmoid_binary_cross_entropy_is_the_mean_over_outputs(x64):
    logits, targets = RNG.normal(size=(7, 3)), RNG.uniform(size=(7, 3))
    p = 1 / (1 + np.exp(-logits))
    rows = losses.sigmoid_binary_cross_entropy(jnp.asarray(logits), jnp.asarray(targets))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(axis=1)
    np.testing.assert_allclose(rows, expected, rtol=1e-12)


def test_squared_error_is_the_mean_over_outputs_without_a_half(x64):
    outputs, targets = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 3))
    rows = losses.squared_error(jnp.asarray(outputs), jnp.asarray(targets))
    np.testing.assert_allclose(rows, ((outputs - targets) ** 2).mean(axis=1), rtol=1e-12)
    assert rows.mean() == pytest.approx(sklearn_metrics.mean_squared_error(targets, outputs), rel=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_losses_and_gradients_stay_finite_for_huge_logits(dtype):
    logits = jnp.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    labels, targets = jnp.array([1, 1]), jnp.array([[0, 1], [1, 1]])
    for loss, y in [(losses.softmax_cross_entropy, labels), (losses.sigmoid_binary_cross_entropy, targets)]:
        value, gradient = jax.value_and_grad(lambda z, loss=loss, y=y: loss(z, y).sum())(logits)
        assert value.dtype == dtype
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()
    assert float(losses.softmax_cross_entropy(logits, labels)[0]) == pytest.approx(2e4, rel=1e-2)


def test_the_gradient_of_the_binary_loss_at_logit_zero_is_half_minus_target():
    gradient = jax.grad(lambda z: losses.sigmoid_binary_cross_entropy(z, jnp.array([[1.0]])).sum())
    np.testing.assert_allclose(gradient(jnp.zeros((1, 1))), -0.5)


def test_whole_number_targets_serve_the_losses_of_floats():
    outputs = jnp.array([[1.0], [3.0]])
    np.testing.assert_allclose(losses.squared_error(outputs, jnp.array([[1], [1]])), [0.0, 4.0])
    assert losses.sigmoid_binary_cross_entropy(outputs, jnp.array([[True], [False]])).shape == (2,)


@pytest.mark.parametrize("loss", [losses.squared_error, losses.sigmoid_binary_cross_entropy])
def test_shapes_that_would_broadcast_are_refused(loss, unchecked):
    with pytest.raises(ValueError, match=r"have shape \(4, 1\) and targets \(4,\); .* such as y\[:, None\]"):
        loss(jnp.zeros((4, 1)), jnp.zeros(4))
    with pytest.raises(ValueError, match=r"have shape \(4, 1\) and targets \(4, 4\)"):
        loss(jnp.zeros((4, 1)), jnp.zeros((4, 4)))


def test_labels_of_another_shape_or_type_are_refused(unchecked):
    with pytest.raises(ValueError, match=r"logits have shape \(4, 3\) and labels \(4, 1\)"):
        losses.softmax_cross_entropy(jnp.zeros((4, 3)), jnp.zeros((4, 1), int))
    with pytest.raises(ValueError, match=r"labels have dtype float32; give whole numbers"):
        losses.softmax_cross_entropy(jnp.zeros((4, 3)), jnp.zeros(4))


def test_weighted_mean_equals_numpy_and_ignores_rows_of_weight_zero():
    rows, weight = RNG.normal(size=9), RNG.uniform(size=9)
    mean = losses.weighted_mean(jnp.asarray(rows, jnp.float32), jnp.asarray(weight, jnp.float32))
    assert float(mean) == pytest.approx(np.average(rows, weights=weight), rel=1e-5)
    many = losses.weighted_mean(jnp.ones(70_000, jnp.float16), jnp.ones(70_000, jnp.float16))
    assert many.dtype == jnp.float32
    assert many == 1.0
    assert losses.weighted_mean(jnp.array([2.0, jnp.nan]), jnp.array([1.0, 0.0])) == 2.0
    assert losses.weighted_mean(jnp.array([2.0, jnp.inf]), jnp.zeros(2)) == 0.0


def test_weights_of_zero_give_a_finite_gradient():
    gradient = jax.grad(lambda rows: losses.weighted_mean(rows, jnp.zeros(2)))(jnp.ones(2))
    np.testing.assert_array_equal(gradient, 0.0)


class TestTargets:
    def targets(self, y, outputs=3, loss=losses.softmax_cross_entropy):
        return losses.targets_for(loss, "y", y, outputs)

    @pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, np.float16])
    def test_whole_labels_of_any_type_become_int32(self, dtype):
        labels = self.targets(np.array([0, 2, 1], dtype))
        assert labels.dtype == jnp.int32
        assert labels.tolist() == [0, 2, 1]

    @pytest.mark.parametrize("labels", [[0, 1, -1], [0, 1, 3], [0, 1, 2**40]])
    def test_labels_outside_the_classes_are_refused(self, labels):
        with pytest.raises(ValueError, match=rf"y holds the label {labels[2]} at row 2, but the net has 3 outputs"):
            self.targets(labels)

    def test_labels_with_fractions_are_refused(self):
        with pytest.raises(TypeError, match=r"y holds the label 1.5 at row 1; softmax_cross_entropy wants whole"):
            self.targets([0.0, 1.5])

    def test_probabilities_outside_zero_to_one_are_refused(self):
        loss = losses.sigmoid_binary_cross_entropy
        assert self.targets([[0], [1]], 1, loss).dtype == jnp.float32
        with pytest.raises(ValueError, match=r"y holds 2 at index \(1, 0\); .* wants 0, 1 or a probability"):
            self.targets([[0], [2]], 1, loss)
        with pytest.raises(ValueError, match=r"y holds -0.5 at index \(0, 0\)"):
            self.targets([[-0.5]], 1, loss)

    @pytest.mark.parametrize(
        ("loss", "y", "outputs", "sentence"),
        [
            (losses.softmax_cross_entropy, [[0], [1]], 2, r"y has shape \(2, 1\).*; give numpy.asarray\(y\).ravel\(\)"),
            (losses.softmax_cross_entropy, [[0, 1], [1, 0]], 2, r"y has shape \(2, 2\).*argmax\(axis=1\)"),
            (
                losses.squared_error,
                [1.0, 2.0],
                1,
                r"y has shape \(2,\).*, such as numpy.asarray\(y\)\[:, None\]",
            ),
            (losses.sigmoid_binary_cross_entropy, [[0], [1]], 3, r"y has shape \(2, 1\), but the net has 3 outputs"),
            (lambda outputs, targets: targets, [2**40, 1], 1, r"y holds whole numbers that do not fit into int32"),
        ],
    )
    def test_other_shapes_and_sizes_get_a_sentence(self, loss, y, outputs, sentence):
        with pytest.raises(ValueError, match=sentence):
            self.targets(np.array(y), outputs, loss)

    def test_numbers_become_floats_for_the_squared_error(self):
        assert self.targets([[5], [-7]], 1, losses.squared_error).dtype == jnp.float32

    def test_an_own_loss_gets_whole_numbers_whole(self):
        def own(outputs, targets):
            return outputs[:, 0] * targets

        assert jnp.issubdtype(self.targets([5, -7], 1, own).dtype, jnp.integer)
        assert self.targets([0.5, 1.0], 1, own).dtype == jnp.float32
