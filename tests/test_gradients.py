import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from registry import LOSSES

from jaxmlp import activations, losses, regularizers
from jaxmlp.activations import ACTIVATIONS, threshold
from jaxmlp.mlp import MLP

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(12, 3))
STEP = 1e-5
MOST_PARAMETERS = 80  # one number of steps for all nets, so that they share compiled operations

# Not those that users registered, as doctests do in the same process.
OURS = sorted(name for name in ACTIVATIONS if name in activations.__all__ or name == "prelu")
passing = functools.partial(threshold, straight_through=True)


def with_numbers(entry):
    return functools.partial(entry.loss, **{name: value for name, (value, _) in entry.floats.items()})


LOSSES_AND_TARGETS = {name: (with_numbers(e), np.concatenate([e.targets] * 3)) for name, e in LOSSES.items()}

# Each transform, and the penalty whose gradient it adds, of the weights in the last axis.
PENALTIES = {
    "none": (optax.identity(), lambda w: 0 * w.sum(-1)),
    "l1": (regularizers.l1(0.2), lambda w: 0.2 * np.abs(w).sum(-1)),
    "l2": (regularizers.l2(0.3), lambda w: 0.3 / 2 * np.square(w).sum(-1)),
    "elastic_net": (
        regularizers.elastic_net(0.4, 0.5), lambda w: 0.4 * np.abs(w).sum(-1) + 0.5 / 2 * np.square(w).sum(-1)
    ),
}  # fmt: skip


def random_params(net):
    """Every parameter at random, also those that begin at 0 or 1: away from symmetries and kinks."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda p: jnp.asarray(0.6 * rng.normal(size=p.shape)), jax.eval_shape(net.init, KEY))


def flat_rows(tree):
    """One row of numbers for each entry of the leaves' first axis, in the order of ``ravel_pytree``."""
    return np.concatenate([np.reshape(leaf, (len(leaf), -1)) for leaf in jax.tree.leaves(tree)], axis=1)


@jax.jit
def of_every_loss(outputs):
    return jnp.stack([loss(outputs, jnp.asarray(y)).mean() for loss, y in LOSSES_AND_TARGETS.values()])


def assert_gradients_are_finite_differences(net, objectives=of_every_loss, names=tuple(LOSSES), key=None):
    """Compare every component; return the gradients without a penalty, one for each loss in the leaves' first axis.

    The net runs operation by operation, which is faster than to compile a program for each.
    """
    params = random_params(net)
    flat, unravel = ravel_pytree(params)

    def objectives_at(params):
        return objectives(net.apply(params, jnp.asarray(X), key=key))

    steps = STEP * np.eye(MOST_PARAMETERS, flat.size)
    shifted = np.concatenate([np.asarray(flat) + steps, np.asarray(flat) - steps])
    data = np.asarray(jax.vmap(lambda flat: objectives_at(unravel(flat)))(shifted))
    gradients = jax.jacrev(objectives_at)(params)
    is_weight = np.concatenate([np.full(p.size, p.ndim == 2) for p in jax.tree.leaves(params)])
    for penalty, (transform, value) in PENALTIES.items():
        above, below = np.split(data + value(shifted[:, is_weight])[:, None], 2)
        expected = (above - below)[: flat.size].T / (2 * STEP)
        update = functools.partial(transform.update, state=transform.init(params), params=params)
        penalized = flat_rows(jax.vmap(lambda g, update=update: update(g)[0])(gradients))
        for name, found, wanted in zip(names, penalized, expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9, err_msg=f"{name}, {penalty}")
    return gradients


def largest(gradients):
    """Return for each leaf the size of its largest component, at the loss where that is least."""
    return [np.abs(leaf).reshape(len(leaf), -1).max(axis=1).min() for leaf in jax.tree.leaves(gradients)]


def assert_all_learn(net, gradients):
    """Refuse a comparison of zeros: only a threshold, whose derivative is 0, lets no gradient pass."""
    if net.activation == "threshold":
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients[:-1]))
        gradients = gradients[-1:]
    assert min(largest(gradients)) > 1e-4


@pytest.mark.parametrize("activation", OURS)
def test_gradients_of_every_loss_and_penalty_are_finite_differences_under_dropout(activation, x64):
    net = MLP((3, 5, 4, 3), activation, dropout=0.3)
    assert_all_learn(net, assert_gradients_are_finite_differences(net, key=KEY))


@pytest.mark.parametrize("normalization", [None, "layer", "rms"])
@pytest.mark.parametrize("activation", OURS)
def test_gradients_pass_through_normalization_and_residual_sums(activation, normalization, x64):
    net = MLP((3, 4, 4, 3), activation, normalization=normalization, residual=True)
    assert_all_learn(net, assert_gradients_are_finite_differences(net))


def test_gradients_pass_through_heads_coefficients_weights_of_rows_and_the_ntk_parametrization(x64):
    net = MLP((3, 5, 4, 3), "tanh", heads={"kind": 2, "size": 1}, parametrization="ntk")
    loss = losses.PerHead(
        {"kind": losses.softmax_cross_entropy, "size": losses.squared_error}, coefficients={"size": 0.5}
    )
    y = {"kind": jnp.arange(12) % 2, "size": jnp.cos(jnp.arange(12.0))[:, None]}

    @jax.jit
    def objective(outputs):
        return losses.weighted_mean(loss(outputs, y), jnp.arange(12.0) % 5)[None]

    assert_all_learn(net, assert_gradients_are_finite_differences(net, objective, ["heads"]))


def backpropagate(params, x, labels, function, derivative):
    """The delta rule of Rumelhart, Hinton and Williams (1986, Nature 323), whose equation numbers these are.

    Here the outputs are linear and the loss is softmax cross-entropy, whose derivative by a row's outputs is p - y.
    """
    signals = [x]
    for w, b in params:
        z = signals[-1] @ w + b  # 1
        signals.append(function(z))  # 2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    delta = (p - np.eye(z.shape[1])[labels]) / len(x)  # 4, for this loss
    gradients = []
    for (w, _), a in zip(reversed(params), reversed(signals[:-1]), strict=True):
        gradients.insert(0, (a.T @ delta, delta.sum(axis=0)))  # 6
        delta = delta @ w.T * derivative(a)  # 7, then 5
    return gradients


@pytest.mark.parametrize(
    ("activation", "function", "derivative"),
    [
        ("tanh", np.tanh, lambda a: 1 - a**2),
        (passing, lambda z: (z >= 0).astype(float), np.ones_like),  # linear on the way back
    ],
    ids=["tanh", "straight-through threshold"],
)
def test_gradients_are_those_of_backpropagation_by_hand(activation, function, derivative, x64):
    net, labels = MLP((3, 5, 4, 3), activation), np.arange(12) % 3
    params = random_params(net)
    by_hand = backpropagate([(np.asarray(w), np.asarray(b)) for w, b in params], X, labels, function, derivative)

    def objective(params):
        return losses.softmax_cross_entropy(net.apply(params, jnp.asarray(X)), jnp.asarray(labels)).mean()

    for layer, (w, b) in zip(jax.jit(jax.grad(objective))(params), by_hand, strict=True):
        np.testing.assert_allclose(layer.w, w, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(layer.b, b, rtol=1e-10, atol=1e-15)
        assert min(np.abs(w).max(), np.abs(b).max()) > 1e-3


@pytest.mark.parametrize(
    ("activation", "z", "slope"),
    [
        ("relu", 0.0, 0.0), ("leaky_relu", 0.0, 1.0), ("prelu", 0.0, 1.0),
        ("threshold", 0.0, 0.0), pytest.param(passing, 0.0, 1.0, id="straight-through threshold"),
        ("elu", 0.0, 1.0), ("selu", 0.0, 1.7580993), ("hard_tanh", -1.0, 1.0), ("hard_tanh", 1.0, 1.0),
    ],
)  # fmt: skip
def test_a_unit_at_its_kink_passes_on_the_derivative_of_the_convention(activation, z, slope):
    net = MLP((1, 1, 1), activation)
    first, last = net.init(KEY)
    params = (
        first._replace(w=jnp.array([[1.5]]), b=jnp.array([z - 3.0])),
        last._replace(w=jnp.array([[-4.0]])),
    )
    gradient = jax.grad(lambda params: net.apply(params, jnp.array([[2.0]])).sum())(params)
    assert float(gradient[0].w[0, 0]) == pytest.approx(-8.0 * slope, rel=1e-6)
    assert float(gradient[0].b[0]) == pytest.approx(-4.0 * slope, rel=1e-6)
    assert gradient[1].b == 1.0


@pytest.mark.parametrize(
    ("loss", "y", "z", "slopes"),
    [
        (losses.absolute_error, [[6.0, 3.0]], [6.0, 2.0], [0.0, -0.5]),  # the first output meets its target
        (functools.partial(losses.quantile, level=0.25), [[6.0, 3.0]], [6.0, 2.0], [0.0, -0.125]),
        (losses.hinge, [[1, 0]], [1.0, -1.0], [-0.5, 0.5]),
        (losses.hinge, [0], [3.0, 2.0], [-1.0, 1.0]),
        (losses.perceptron, [[1, 0]], [0.0, 0.0], [-0.5, 0.5]),
        (losses.perceptron, [0], [3.0, 3.0], [-1.0, 1.0]),
    ],
    ids=["absolute_error", "quantile", "hinge", "hinge, labels", "perceptron", "perceptron, labels"],
)
def test_a_loss_at_its_kink_sends_back_the_slope_of_the_convention(loss, y, z, slopes):
    net, w, slopes = MLP((1, 1, 2), "identity"), np.array([[3.0, 5.0]]), np.array(slopes)
    first, last = net.init(KEY)
    params = (first._replace(w=jnp.array([[2.0]])), last._replace(w=jnp.asarray(w), b=jnp.asarray(z - 2 * w[0])))
    gradient = jax.grad(lambda params: loss(net.apply(params, jnp.ones((1, 1))), jnp.array(y)).sum())(params)
    np.testing.assert_array_equal(gradient[1].b, slopes)
    np.testing.assert_array_equal(gradient[1].w, 2 * slopes[None])
    np.testing.assert_array_equal(gradient[0].w, [[w[0] @ slopes]])
    np.testing.assert_array_equal(gradient[0].b, [w[0] @ slopes])


@pytest.mark.parametrize(
    "penalty", [regularizers.l1(0.5), regularizers.elastic_net(0.5, 0.0)], ids=["l1", "elastic_net"]
)
def test_a_weight_of_zero_feels_the_loss_alone_and_a_bias_never_a_penalty(penalty, x64):
    net = MLP((3, 4, 2), "tanh")
    first, last = random_params(net)
    params = (first._replace(w=first.w.at[1, 2].set(0.0)), last)
    gradient = jax.grad(lambda params: net.apply(params, jnp.asarray(X)).sum())(params)
    penalized, _ = penalty.update(gradient, penalty.init(params), params)
    added = jax.tree.map(lambda after, before: np.asarray(after - before), penalized, gradient)
    assert abs(gradient[0].w[1, 2]) > 1e-3
    assert added[0].w[1, 2] == 0
    for layer, of_penalty in zip(params, added, strict=True):
        np.testing.assert_allclose(of_penalty.w, 0.5 * np.sign(layer.w), rtol=1e-12)
        np.testing.assert_array_equal(of_penalty.b, 0.0)
        assert np.all(layer.b != 0)
