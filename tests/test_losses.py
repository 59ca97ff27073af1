import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from registry import LOSSES, OTHERS_OF_LOSSES
from scipy import special, stats
from sklearn import metrics as sklearn_metrics

from jaxmlp import losses, optimizers, training
from jaxmlp.mlp import MLP
from jaxmlp.types import Batch, Layer

RNG = np.random.default_rng(0)
Z = 2 * RNG.normal(size=(7, 3))
NUMBERS = RNG.normal(size=(7, 3))
COUNTS = RNG.poisson(2.0, size=(7, 3))
YES_OR_NO = RNG.integers(0, 2, size=(7, 3))
SIDES = 2 * YES_OR_NO - 1
SHARES = RNG.uniform(size=(7, 3))
LABELS = np.array([0, 1, 2, 2, 1, 0, 1])
DISTRIBUTIONS = special.softmax(RNG.normal(size=(7, 3)), axis=1)
ONE_HOT = np.eye(3)[LABELS]
with_numbers = functools.partial


# The equations in NumPy: of outputs z and targets y of shape (rows, outputs), and labels y of shape (rows,).


def cross_entropy(z, y, eps=0.0):
    """Szegedy et al. 2016, section 7."""
    y = (1 - eps) * (np.eye(3)[y] if y.ndim == 1 else y) + eps / 3
    return -(y * special.log_softmax(z, axis=1)).sum(axis=1)


def binary_cross_entropy(z, y, eps=0.0):
    p, y = 1 / (1 + np.exp(-z)), (1 - eps) * y + eps / 2
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)


def focal(z, y, gamma=2.0, alpha=0.25):
    """Lin et al. 2017, equations 4 and 5."""
    p = 1 / (1 + np.exp(-z))
    p_t, alpha_t = np.where(y == 1, p, 1 - p), 1.0 if alpha is None else np.where(y == 1, alpha, 1 - alpha)
    return -(alpha_t * (1 - p_t) ** gamma * np.log(p_t)).mean(axis=1)


def pinball(z, y, level=0.5):
    """Koenker and Bassett 1978: the check function of y - z."""
    return np.maximum(np.multiply(level, y - z), np.multiply(np.subtract(level, 1), y - z)).mean(axis=1)


def ahead(z, y):
    """By how much the output of the label exceeds the largest of the others."""
    others = z[np.arange(3)[None, :] != y[:, None]].reshape(7, 2)
    return z[np.arange(7), y] - others.max(axis=1)


EQUATIONS = {
    "softmax_cross_entropy": (losses.softmax_cross_entropy, LABELS, cross_entropy),
    "softmax_cross_entropy, smooth": (
        with_numbers(losses.softmax_cross_entropy, label_smoothing=0.3), LABELS, with_numbers(cross_entropy, eps=0.3)
    ),
    "softmax_cross_entropy, probabilities": (losses.softmax_cross_entropy, DISTRIBUTIONS, cross_entropy),
    "softmax_cross_entropy, smooth probabilities": (
        with_numbers(losses.softmax_cross_entropy, label_smoothing=1),
        DISTRIBUTIONS,
        with_numbers(cross_entropy, eps=1.0),
    ),
    "sigmoid_binary_cross_entropy": (losses.sigmoid_binary_cross_entropy, SHARES, binary_cross_entropy),
    "sigmoid_binary_cross_entropy, smooth": (
        with_numbers(losses.sigmoid_binary_cross_entropy, label_smoothing=0.3),
        YES_OR_NO,
        with_numbers(binary_cross_entropy, eps=0.3),
    ),
    "sigmoid_focal": (losses.sigmoid_focal, YES_OR_NO, focal),
    "sigmoid_focal, without alpha": (
        with_numbers(losses.sigmoid_focal, gamma=0.7, alpha=None), YES_OR_NO, with_numbers(focal, gamma=0.7, alpha=None)
    ),
    "sigmoid_focal, without gamma": (
        with_numbers(losses.sigmoid_focal, gamma=0.0, alpha=None), SHARES, binary_cross_entropy
    ),
    "hinge": (losses.hinge, YES_OR_NO, lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z).mean(axis=1)),
    "hinge, sides": (losses.hinge, SIDES, lambda z, y: np.maximum(0, 1 - y * z).mean(axis=1)),
    "hinge, labels": (losses.hinge, LABELS, lambda z, y: np.maximum(0, 1 - ahead(z, y))),
    "perceptron": (losses.perceptron, YES_OR_NO, lambda z, y: np.maximum(0, (1 - 2 * y) * z).mean(axis=1)),
    "perceptron, sides": (losses.perceptron, SIDES, lambda z, y: np.maximum(0, -y * z).mean(axis=1)),
    "perceptron, labels": (losses.perceptron, LABELS, lambda z, y: z.max(axis=1) - z[np.arange(7), y]),
    "squared_error": (losses.squared_error, NUMBERS, lambda z, y: ((z - y) ** 2).mean(axis=1)),
    "absolute_error": (losses.absolute_error, NUMBERS, lambda z, y: abs(z - y).mean(axis=1)),
    "huber": (losses.huber, NUMBERS, lambda z, y: special.huber(1.0, z - y).mean(axis=1)),
    "huber, narrow": (
        with_numbers(losses.huber, delta=0.4), NUMBERS, lambda z, y: special.huber(0.4, z - y).mean(axis=1)
    ),
    "quantile": (losses.quantile, NUMBERS, pinball),
    "quantile, high": (with_numbers(losses.quantile, level=0.8), NUMBERS, with_numbers(pinball, level=0.8)),
    "quantile, three levels": (
        with_numbers(losses.quantile, level=(0.1, 0.5, 0.7)), NUMBERS, with_numbers(pinball, level=[[0.1, 0.5, 0.7]])
    ),
    "poisson": (
        losses.poisson,
        COUNTS,
        lambda z, y: (-stats.poisson.logpmf(y, np.exp(z)) - special.gammaln(y + 1)).mean(axis=1),
    ),
}  # fmt: skip
each_equation = pytest.mark.parametrize("name", EQUATIONS)


@each_equation
def test_values_equal_the_equation_in_numpy(name, x64):
    loss, y, equation = EQUATIONS[name]
    rows = loss(jnp.asarray(Z), jnp.asarray(y))
    np.testing.assert_allclose(rows, equation(Z, y), rtol=1e-12, atol=1e-14)
    assert {name.split(",")[0] for name in EQUATIONS} == set(losses.__all__) - OTHERS_OF_LOSSES


@each_equation
def test_gradients_equal_finite_differences_of_the_equation(name, x64):
    loss, y, equation = EQUATIONS[name]
    gradient = jax.grad(lambda z: loss(z, jnp.asarray(y)).sum())(jnp.asarray(Z))
    differences, step = np.zeros_like(Z), 1e-5
    for index in np.ndindex(Z.shape):  # a row's loss depends on its own outputs only
        shift = np.zeros_like(Z)
        shift[index] = step
        differences[index] = (equation(Z + shift, y).sum() - equation(Z - shift, y).sum()) / (2 * step)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)


KINKS = {  # loss, outputs, targets, slope
    "hinge, yes": (losses.hinge, [[1.0]], [[1]], [[-1.0]]),
    "hinge, no": (losses.hinge, [[-1.0]], [[0]], [[1.0]]),
    "hinge, labels": (losses.hinge, [[3.0, 2.0, 2.0]], [0], [[-1.0, 0.5, 0.5]]),
    "perceptron, yes": (losses.perceptron, [[0.0]], [[1]], [[-1.0]]),
    "perceptron, no": (losses.perceptron, [[0.0]], [[0]], [[1.0]]),
    "perceptron, labels": (losses.perceptron, [[0.0, 0.0, 0.0]], [1], [[0.5, -1.0, 0.5]]),
    "absolute_error": (losses.absolute_error, [[2.0]], [[2]], [[0.0]]),
    "huber, where it is met": (losses.huber, [[2.0]], [[2]], [[0.0]]),
    "huber, above": (with_numbers(losses.huber, delta=3.0), [[5.0]], [[2]], [[3.0]]),
    "huber, below": (with_numbers(losses.huber, delta=3.0), [[-1.0]], [[2]], [[-3.0]]),
    "quantile": (with_numbers(losses.quantile, level=0.9), [[2.0]], [[2]], [[0.0]]),
    "sigmoid_binary_cross_entropy at 0": (losses.sigmoid_binary_cross_entropy, [[0.0]], [[1]], [[-0.5]]),
}


@pytest.mark.parametrize("name", KINKS)
def test_the_slope_at_a_kink_is_the_one_that_is_documented(name):
    loss, z, y, slope = KINKS[name]
    gradient = jax.grad(lambda z: loss(z, jnp.array(y)).sum())(jnp.array(z))
    np.testing.assert_allclose(gradient, slope)


def test_softmax_cross_entropy_equals_the_log_loss_of_scikit_learn(x64):
    logits, labels = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = losses.softmax_cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(rows, -np.log(p[np.arange(7), labels]), rtol=1e-12)
    assert rows.mean() == pytest.approx(sklearn_metrics.log_loss(labels, p, labels=range(4)), rel=1e-9)


def test_losses_equal_those_of_scikit_learn(x64):
    z, y = jnp.asarray(Z), jnp.asarray(NUMBERS)
    assert losses.squared_error(z, y).mean() == pytest.approx(sklearn_metrics.mean_squared_error(NUMBERS, Z))
    assert losses.absolute_error(z, y).mean() == pytest.approx(sklearn_metrics.mean_absolute_error(NUMBERS, Z))
    of_sklearn = sklearn_metrics.mean_pinball_loss(NUMBERS, Z, alpha=0.8)
    assert losses.quantile(z, y, level=0.8).mean() == pytest.approx(of_sklearn, rel=1e-12)
    for k in range(3):
        of_sklearn = sklearn_metrics.hinge_loss(SIDES[:, k], Z[:, k])
        assert losses.hinge(z[:, k : k + 1], jnp.asarray(SIDES[:, k : k + 1])).mean() == pytest.approx(of_sklearn)
    of_sklearn = sklearn_metrics.hinge_loss(LABELS, Z, labels=range(3))
    assert losses.hinge(z, jnp.asarray(LABELS)).mean() == pytest.approx(of_sklearn, rel=1e-12)
    constant = (special.xlogy(COUNTS, COUNTS) - COUNTS).mean()
    of_sklearn = sklearn_metrics.mean_poisson_deviance(COUNTS.ravel(), np.exp(Z).ravel()) / 2
    assert losses.poisson(z, jnp.asarray(COUNTS)).mean() + constant == pytest.approx(of_sklearn, rel=1e-12)


def test_losses_equal_those_of_optax(x64):
    z, labels = jnp.asarray(Z), jnp.asarray(LABELS)
    one_hot, sides, shares, numbers = map(jnp.asarray, (ONE_HOT, SIDES, SHARES, NUMBERS))
    smooth = optax.losses.smooth_labels(one_hot, 0.3)
    pairs = [
        (losses.softmax_cross_entropy(z, labels, label_smoothing=0.3), optax.losses.softmax_cross_entropy(z, smooth)),
        (losses.softmax_cross_entropy(z, one_hot), optax.losses.softmax_cross_entropy(z, one_hot)),
        (losses.sigmoid_focal(z, shares, gamma=1.5), optax.losses.sigmoid_focal_loss(z, shares, gamma=1.5, alpha=0.25)),
        (losses.hinge(z, sides), optax.losses.hinge_loss(z, sides.astype(float))),
        (losses.hinge(z, labels), optax.losses.multiclass_hinge_loss(z, labels)),
        (losses.perceptron(z, sides), optax.losses.perceptron_loss(z, sides.astype(float))),
        (losses.perceptron(z, labels), optax.losses.multiclass_perceptron_loss(z, labels)),
        (losses.huber(z, numbers, delta=0.6), optax.losses.huber_loss(z, numbers, delta=0.6)),
        (losses.squared_error(z, numbers), 2 * optax.losses.l2_loss(z, numbers)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs if theirs.ndim == 1 else theirs.mean(axis=1), rtol=1e-12, atol=1e-15)


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))  # it writes its settings there
        yield pytest.importorskip("keras")


def test_losses_equal_those_of_keras(keras, x64):
    k, z, labels = keras.losses, jnp.asarray(Z), jnp.asarray(LABELS)
    yes, numbers, counts, shares, one_hot = map(jnp.asarray, (YES_OR_NO, NUMBERS, COUNTS, DISTRIBUTIONS, ONE_HOT))
    logits = {"from_logits": True, "label_smoothing": 0.3}
    smooth = functools.partial(losses.softmax_cross_entropy, label_smoothing=0.3)
    wide = z + 3 - 3 * one_hot  # so that the largest of the others is above 0
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        pairs = [
            (smooth(z, labels), k.categorical_crossentropy(one_hot, z, **logits)),
            (smooth(z, shares), k.categorical_crossentropy(shares, z, **logits)),
            (losses.sigmoid_binary_cross_entropy(z, yes, label_smoothing=0.3), k.binary_crossentropy(yes, z, **logits)),
            (
                losses.sigmoid_focal(z, yes, gamma=1.5, alpha=0.3),
                k.binary_focal_crossentropy(yes, z, True, alpha=0.3, gamma=1.5, from_logits=True),
            ),
            (losses.huber(z, numbers, delta=0.6), k.huber(numbers, z, delta=0.6)),
            (losses.absolute_error(z, numbers), k.mean_absolute_error(numbers, z)),
            (losses.hinge(z, yes), k.hinge(yes, z)),
            (losses.hinge(wide, labels), k.categorical_hinge(one_hot, wide)),
            (losses.poisson(z, counts), k.poisson(counts, jnp.exp(z))),
        ]  # fmt: skip
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)  # Keras adds 1e-7 within the log of a rate


@pytest.mark.parametrize("rows", [16_385, 32_769])  # where jax 0.10.2 computes the last ones wrong
def test_many_rows_eager_and_jitted_agree(rows):
    entries = [
        (functools.partial(e.loss, **{f: v for f, (v, _) in e.floats.items()}), e.targets) for e in LOSSES.values()
    ]
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(rows, 3)), jnp.float32)
    targets = [jnp.asarray(np.resize(y, (rows, *y.shape[1:]))) for _, y in entries]

    def all_losses(outputs, targets):
        return [loss(outputs, y) for (loss, _), y in zip(entries, targets, strict=True)]

    pairs = zip(jax.jit(all_losses)(outputs, targets), all_losses(outputs, targets), strict=True)
    for jitted, eager in pairs:
        np.testing.assert_allclose(jitted, eager, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(jax.jit(jnp.mean)(jitted), np.mean(eager, dtype=float), rtol=1e-4)


HUGE = {
    "softmax_cross_entropy": (losses.softmax_cross_entropy, [1, 1]),
    "softmax_cross_entropy, smooth": (with_numbers(losses.softmax_cross_entropy, label_smoothing=0.25), [1, 1]),
    "softmax_cross_entropy, probabilities": (losses.softmax_cross_entropy, [[0.2, 0.8], [0.0, 1.0]]),
    "sigmoid_binary_cross_entropy": (losses.sigmoid_binary_cross_entropy, [[0, 1], [1, 1]]),
    "sigmoid_binary_cross_entropy, smooth": (
        with_numbers(losses.sigmoid_binary_cross_entropy, label_smoothing=0.25), [[0, 1], [1, 1]]
    ),
    "sigmoid_focal": (losses.sigmoid_focal, [[0, 1], [1, 1]]),
    "sigmoid_focal, flat": (with_numbers(losses.sigmoid_focal, gamma=0.0), [[0, 1], [1, 1]]),
    "sigmoid_focal, steep": (with_numbers(losses.sigmoid_focal, gamma=0.5), [[0.0, 0.3], [1.0, 0.3]]),
    "hinge": (losses.hinge, [[0, 1], [1, 1]]),
    "hinge, labels": (losses.hinge, [1, 1]),
    "perceptron": (losses.perceptron, [[0, 1], [1, 1]]),
    "perceptron, labels": (losses.perceptron, [1, 1]),
    "squared_error": (losses.squared_error, [[0, 1], [1, 1]]),
    "absolute_error": (losses.absolute_error, [[0, 1], [1, 1]]),
    "huber": (losses.huber, [[0, 1], [1, 1]]),
    "quantile": (losses.quantile, [[0, 1], [1, 1]]),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_and_gradients_stay_right_for_huge_outputs(name, dtype):
    loss, y = HUGE[name]
    targets = jnp.asarray(y, dtype if any(isinstance(n, float) for n in np.ravel(y).tolist()) else int)

    def total(z):
        return loss(z, targets).sum()

    logits = jnp.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    value, gradient = jax.jit(jax.value_and_grad(total))(logits)
    jax.config.update("jax_enable_x64", True)
    try:
        exact = targets.astype(float) if jnp.issubdtype(targets.dtype, jnp.floating) else targets
        expected = jax.jit(jax.value_and_grad(lambda z: loss(z, exact).sum()))(logits.astype(float))
    finally:
        jax.config.update("jax_enable_x64", False)
    assert value.dtype == gradient.dtype == dtype
    assert bool(jnp.isfinite(gradient).all())
    tolerance = 1e-6 if dtype == "float32" else 1e-2
    np.testing.assert_allclose(float(value), float(expected[0]), rtol=tolerance)
    np.testing.assert_allclose(np.asarray(gradient, float), expected[1], rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_rate_beyond_the_numbers_is_infinite_and_never_nan(dtype):
    value, slope = jax.vmap(jax.value_and_grad(lambda z: losses.poisson(z[None, None], jnp.array([[3]]))[0]))(
        jnp.array([1e4, -1e4], dtype)
    )
    np.testing.assert_allclose(np.asarray(value, float), [np.inf, 3e4], rtol=1e-2)
    np.testing.assert_allclose(np.asarray(slope, float), [np.inf, -3.0])


def test_probabilities_of_zero_take_no_part_even_where_the_logit_is_minus_infinity():
    logits, y = jnp.array([[0.0, 0.0, -jnp.inf]]), jnp.array([[0.5, 0.5, 0.0]])
    value, gradient = jax.value_and_grad(lambda z: losses.softmax_cross_entropy(z, y).sum())(logits)
    assert value == pytest.approx(np.log(2))
    np.testing.assert_allclose(gradient, 0.0, atol=1e-7)


def test_one_hot_rows_equal_labels_in_whole_numbers_as_well():
    z = jnp.asarray(Z, jnp.float32)
    of_labels = losses.softmax_cross_entropy(z, jnp.asarray(LABELS))
    np.testing.assert_allclose(losses.softmax_cross_entropy(z, jnp.asarray(ONE_HOT, int)), of_labels, rtol=1e-6)


def test_whole_number_targets_serve_the_losses_of_floats():
    outputs = jnp.array([[1.0], [3.0]])
    np.testing.assert_allclose(losses.squared_error(outputs, jnp.array([[1], [1]])), [0.0, 4.0])
    assert losses.sigmoid_binary_cross_entropy(outputs, jnp.array([[True], [False]])).shape == (2,)
    np.testing.assert_allclose(losses.hinge(outputs, jnp.array([[True], [False]])), [0.0, 4.0])


def test_nan_is_not_taken_for_a_right_answer():
    for loss in (losses.hinge, losses.perceptron, losses.huber, losses.absolute_error, losses.quantile):
        assert bool(jnp.isnan(loss(jnp.array([[jnp.nan]]), jnp.array([[1]])))[0]), loss


def test_a_step_of_descent_on_the_perceptron_loss_is_the_perceptrons_rule():
    x, y = RNG.normal(size=(30, 2)), RNG.integers(0, 2, 30)
    recipe = training.Recipe(MLP((2, 1)), optimizers.sgd(1.0), losses.perceptron)
    params, w, b, mistakes = (Layer(jnp.zeros((2, 1)), jnp.zeros(1)),), np.zeros(2), 0.0, 0
    state = recipe.optimizer.init(params)
    step = jax.jit(functools.partial(training.train_step, recipe))
    for row, is_yes in zip(x, y, strict=True):
        params, state, _ = step(params, state, Batch(jnp.asarray(row[None], jnp.float32), jnp.array([[is_yes]])))
        if (2 * is_yes - 1) * (row @ w + b) <= 0:  # Rosenblatt 1958
            w, b, mistakes = w + (2 * is_yes - 1) * row, b + (2 * is_yes - 1), mistakes + 1
    np.testing.assert_allclose(params[0].w[:, 0], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(params[0].b[0], b, atol=1e-6)
    assert 5 < mistakes < 25


def test_several_levels_are_learned_at_once_and_may_be_traced():
    levels, y = jnp.array([0.1, 0.5, 0.9]), jnp.arange(101.0)  # whose quantiles are 10, 50 and 90
    targets = jnp.repeat(y[:, None], 3, axis=1)

    @jax.jit
    def loss(z, levels):
        return losses.quantile(jnp.tile(z[None], (101, 1)), targets, level=levels).mean()

    least = jnp.array([10.0, 50.0, 90.0])
    for k in range(3):
        assert loss(least, levels) < min(loss(least.at[k].add(d), levels) for d in (-1.0, 1.0))
    listed = losses.quantile(jnp.tile(least[None], (101, 1)), targets, level=[0.1, 0.5, 0.9])
    np.testing.assert_allclose(loss(least, levels), listed.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "level", [[0.1, 0.9], (0.1, 1.0, 0.5), [0.2, "a", 0.5], np.array([0.5, 0.5, 0.0]), None, jnp.ones(2)]
)
def test_levels_that_do_not_fit_get_a_sentence(level, unchecked):
    with pytest.raises(
        (ValueError, TypeError), match=r"^level.*; give (one level for each output|a number in \(0, 1\))"
    ):
        losses.quantile(jnp.asarray(Z), jnp.asarray(NUMBERS), level=level)


@pytest.mark.parametrize("wrap", [lambda loss: loss, jax.jit])
@pytest.mark.parametrize("name", sorted(set(losses.__all__) - OTHERS_OF_LOSSES - {"softmax_cross_entropy"}))
def test_shapes_that_would_broadcast_are_refused_in_a_program_as_well(name, wrap, unchecked):
    loss = wrap(getattr(losses, name))
    with pytest.raises(ValueError, match=r"have shape \(4, 1\) and targets \(4,\); .* such as y\[:, None\]"):
        loss(jnp.zeros((4, 1)), jnp.zeros(4, int))
    for shape in ((4, 4), (1, 1), (4, 1, 1), (3, 1)):
        with pytest.raises(
            ValueError, match=rf"have shape \(4, 1\) and targets \({shape[0]}, .*give targets of the same"
        ):
            loss(jnp.zeros((4, 1)), jnp.zeros(shape))


@pytest.mark.parametrize("wrap", [lambda loss: loss, jax.jit])
def test_labels_of_another_shape_or_type_are_refused(wrap, unchecked):
    loss = wrap(losses.softmax_cross_entropy)
    for shape in ((4, 1), (3,), (1, 3), (4, 2), (4, 3, 1)):
        with pytest.raises(ValueError, match=rf"logits have shape \(4, 3\) and labels \({shape[0]},.*; give logits"):
            loss(jnp.zeros((4, 3)), jnp.zeros(shape, int))
    with pytest.raises(ValueError, match=r"logits have shape \(4,\) and labels \(4,\)"):
        loss(jnp.zeros(4), jnp.zeros(4, int))
    with pytest.raises(ValueError, match=r"labels have dtype float32; give whole numbers"):
        loss(jnp.zeros((4, 3)), jnp.zeros(4))
    for loss in map(wrap, (losses.hinge, losses.perceptron)):
        with pytest.raises(ValueError, match=r"targets have dtype float32; give whole numbers"):
            loss(jnp.zeros((4, 3)), jnp.zeros(4))


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


def by_delta(delta):
    return training.Recipe(MLP((2, 1)), optimizers.sgd(0.1), with_numbers(losses.huber, delta=delta))


def test_the_numbers_of_a_loss_may_be_hyperparameters_of_a_run():
    x, y = RNG.normal(size=(12, 2)), 3 * RNG.normal(size=(12, 1))
    options = {"epochs": 2, "batch_size": 4, "key": jax.random.key(0)}
    swept = training.fit(by_delta, (x, y), hyper=0.5, **options)
    fixed = training.fit(by_delta(0.5), (x, y), **options)
    np.testing.assert_allclose(swept.history["train/loss"], fixed.history["train/loss"], rtol=1e-6)
    with pytest.raises(ValueError, match=r"y has shape \(12,\), but the net has 1 outputs"):
        training.fit(by_delta, (x, y[:, 0]), hyper=0.5, **options)
    with pytest.raises(ValueError, match=r"delta is -1.0; give a number in \(0, inf\)"):
        training.fit(by_delta, (x, y), hyper=-1.0, **options)


NUMBERS_WANTED = [losses.squared_error, losses.absolute_error, losses.huber, losses.quantile]
PROBABILITIES_WANTED = [losses.sigmoid_binary_cross_entropy, losses.sigmoid_focal]
ANSWERS_WANTED = [losses.hinge, losses.perceptron]


class TestTargets:
    def targets(self, y, outputs=3, loss=losses.softmax_cross_entropy):
        return losses.targets_for(loss, "y", y, outputs)

    @pytest.mark.parametrize("loss", [losses.softmax_cross_entropy, *ANSWERS_WANTED])
    @pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, np.float16])
    def test_whole_labels_of_any_type_become_int32(self, dtype, loss):
        labels = self.targets(np.array([0, 2, 1], dtype), 3, loss)
        assert labels.dtype == jnp.int32
        assert labels.tolist() == [0, 2, 1]

    @pytest.mark.parametrize("loss", [losses.softmax_cross_entropy, *ANSWERS_WANTED])
    @pytest.mark.parametrize("labels", [[0, 1, -1], [0, 1, 3], [0, 1, 2**40]])
    def test_labels_outside_the_classes_are_refused(self, labels, loss):
        with pytest.raises(ValueError, match=rf"y holds the label {labels[2]} at row 2, but the net has 3 outputs"):
            self.targets(labels, 3, loss)

    def test_labels_with_fractions_are_refused(self):
        with pytest.raises(TypeError, match=r"y holds the label 1.5 at row 1; softmax_cross_entropy wants whole"):
            self.targets([0.0, 1.5])
        with pytest.raises(TypeError, match=r"y holds the label 1.5 at row 1; hinge wants whole numbers 0 ... 2"):
            self.targets([0.0, 1.5], 3, losses.hinge)

    @pytest.mark.parametrize("loss", PROBABILITIES_WANTED)
    def test_probabilities_outside_zero_to_one_are_refused(self, loss):
        assert self.targets([[0], [1]], 1, loss).dtype == jnp.float32
        with pytest.raises(ValueError, match=rf"y holds 2 at index \(1, 0\); {loss.__name__} wants 0, 1 or a prob"):
            self.targets([[0], [2]], 1, loss)
        with pytest.raises(ValueError, match=r"y holds -0.5 at index \(0, 0\)"):
            self.targets([[-0.5]], 1, loss)

    def test_probabilities_of_classes_are_kept_and_must_sum_to_one(self):
        shares = self.targets([[0.335, 0.33, 0.33], [0, 0, 1]])
        assert (shares.dtype, shares.shape) == (jnp.float32, (2, 3))
        np.testing.assert_allclose(shares, [[0.335, 0.33, 0.33], [0, 0, 1]], rtol=1e-6)
        assert self.targets(ONE_HOT.astype(int)).dtype == jnp.float32
        for row, total in (([1, 1, 0], "2"), ([0.3, 0.3, 0.3], "0.9"), ([0, 0, 0], "0")):
            with pytest.raises(ValueError, match=rf"y sums to {total} at row 1; .*use sigmoid_binary_cross_entropy"):
                self.targets([[0, 0, 1], row])
        with pytest.raises(ValueError, match=r"y holds 1.5 at index \(0, 0\); softmax_cross_entropy wants 0, 1 or a"):
            self.targets([[1.5, -0.5, 0]])

    @pytest.mark.parametrize("loss", ANSWERS_WANTED)
    def test_yes_and_no_are_one_and_zero_or_one_and_minus_one_but_not_both(self, loss):
        np.testing.assert_array_equal(self.targets([[0, 1, 1]], 3, loss), [[0, 1, 1]])
        assert self.targets([[-1], [1]], 1, loss).dtype == jnp.float32
        for y, index in (([[-1], [0]], 1), ([[1], [2]], 1), ([[0.5], [1]], 0), ([[-2], [1]], 0)):
            with pytest.raises(
                ValueError, match=rf"y holds {y[index][0]}.* at index \({index}, 0\); {loss.__name__} wants 1 and 0"
            ):
                self.targets(y, 1, loss)

    def test_counts_below_zero_are_refused(self):
        assert self.targets([[0], [2.5]], 1, losses.poisson).dtype == jnp.float32
        with pytest.raises(ValueError, match=r"y holds -1 at index \(1, 0\); poisson wants counts of at least 0"):
            self.targets([[3], [-1]], 1, losses.poisson)

    @pytest.mark.parametrize("loss", NUMBERS_WANTED)
    def test_any_numbers_become_floats_for_the_losses_of_regression(self, loss):
        targets = self.targets([[5], [-7]], 1, loss)
        assert targets.dtype == jnp.float32
        assert targets.tolist() == [[5.0], [-7.0]]

    @pytest.mark.parametrize("loss", [*NUMBERS_WANTED, *PROBABILITIES_WANTED, *ANSWERS_WANTED, losses.poisson])
    def test_columns_that_the_net_has_not_are_refused(self, loss):
        with pytest.raises(ValueError, match=r"y has shape \(2, 1\), but the net has 3 outputs; .* shape \(rows, 3\)$"):
            self.targets([[0], [1]], 3, loss)
        with pytest.raises(ValueError, match=r"y has shape \(2,\), but .*, such as numpy.asarray\(y\)\[:, None\]"):
            self.targets([0, 1], 1, loss)

    @pytest.mark.parametrize(
        ("loss", "y", "outputs", "sentence"),
        [
            (losses.softmax_cross_entropy, [[0], [1]], 2, r"y has shape \(2, 1\).*; give numpy.asarray\(y\).ravel\(\)"),
            (losses.softmax_cross_entropy, [[0, 1], [1, 0]], 3, r"y has shape \(2, 2\).*; give a net with as many"),
            (lambda outputs, targets: targets, [2**40, 1], 1, r"y holds whole numbers that do not fit into int32"),
        ],
    )
    def test_other_shapes_and_sizes_get_a_sentence(self, loss, y, outputs, sentence):
        with pytest.raises(ValueError, match=sentence):
            self.targets(np.array(y), outputs, loss)

    def test_a_loss_is_known_with_its_numbers_filled_in(self):
        loss = with_numbers(with_numbers(losses.softmax_cross_entropy), label_smoothing=jnp.float32(0.1))
        assert self.targets([0.0, 2.0], 3, loss).dtype == jnp.int32
        with pytest.raises(ValueError, match=r"y holds the label 3"):
            self.targets([0, 3], 3, loss)
        with pytest.raises(ValueError, match=r"y holds -1 at index \(0, 0\); poisson wants"):
            self.targets([[-1]], 1, jax.tree_util.Partial(losses.poisson))

    def test_an_own_loss_gets_whole_numbers_whole(self):
        def own(outputs, targets):
            return outputs[:, 0] * targets

        assert jnp.issubdtype(self.targets([5, -7], 1, own).dtype, jnp.integer)
        assert self.targets([0.5, 1.0], 1, own).dtype == jnp.float32


def test_predictions_are_what_outputs_mean_to_the_loss():
    z = jnp.array([[0.0, 1.0, -2.0], [3.0, 0.5, 0.0]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    smooth = functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1)
    for loss, expected in (
        (losses.softmax_cross_entropy, p),
        (smooth, p),
        (losses.sigmoid_binary_cross_entropy, 1 / (1 + np.exp(-z))),
        (losses.sigmoid_focal, 1 / (1 + np.exp(-z))),
        (losses.poisson, np.exp(z)),
        (losses.squared_error, z),
        (losses.hinge, z),
        (lambda outputs, targets: outputs[:, 0], z),
    ):
        np.testing.assert_allclose(losses.predictions(loss, z), expected, rtol=1e-6)
    of_heads = losses.PerHead({"kind": smooth, "size": losses.squared_error})
    found = losses.predictions(of_heads, {"kind": z, "size": 2 * z})
    np.testing.assert_allclose(found["kind"], p, rtol=1e-6)
    np.testing.assert_array_equal(found["size"], 2 * z)
