"""What theory says of the methods, against solutions and rates that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import ElasticNet, Lasso, Ridge

from jaxmlp import losses, masks, optimizers, regularizers
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, train_step
from jaxmlp.types import Batch

ROWS = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 8)) + 0.3
Y = X @ [3.0, -2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.02] + 1.5 + 0.1 * RNG.normal(size=ROWS)


def linear_model(optimizer, steps=4000):
    """The coefficients and the intercept of a linear net after many full-batch steps, in one program."""
    recipe = Recipe(MLP(sizes=(8, 1)), optimizer, losses.squared_error)
    batch = Batch(jnp.asarray(X), jnp.asarray(Y)[:, None])

    def step(carry, _):
        made = train_step(recipe, *carry, batch)
        return (made.params, made.opt_state), None

    @jax.jit
    def run(params):
        return jax.lax.scan(step, (params, optimizer.init(params)), None, steps)[0][0]

    (layer,) = run(recipe.net.init(jax.random.key(0)))
    return np.asarray(layer.w)[:, 0], float(layer.b[0])


RATE = 0.15


def test_a_linear_net_with_a_proximal_step_is_scikit_learns_lasso_with_the_same_exact_zeros(x64):
    """scikit-learn halves the squared error, so its alpha is half of our strength."""
    lasso = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000).fit(X, Y)
    proximal = regularizers.proximal_l1(0.2, learning_rate=RATE)
    w, b = linear_model(optax.chain(optimizers.sgd(RATE), proximal))
    np.testing.assert_allclose(w, lasso.coef_, rtol=1e-6)
    np.testing.assert_allclose(b, lasso.intercept_, rtol=1e-6)
    np.testing.assert_array_equal(w == 0, lasso.coef_ == 0)
    assert 3 <= (w == 0).sum() <= 5


def test_the_plain_l1_penalty_comes_near_the_lasso_but_hops_around_zero(x64):
    lasso = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000).fit(X, Y)
    w, _ = linear_model(optax.chain(regularizers.l1(0.2), optimizers.sgd(2e-3)), 10_000)
    np.testing.assert_allclose(w, lasso.coef_, atol=1e-3)
    assert (w != 0).all()
    assert np.abs(w[lasso.coef_ == 0]).max() <= 2 * 0.2 * 2e-3  # the lengths of two steps


def test_a_linear_net_with_l2_is_scikit_learns_ridge(x64):
    """scikit-learn's error is a sum over the rows, and its penalty has no half: alpha = rows * strength / 2."""
    ridge = Ridge(alpha=30.0, solver="cholesky").fit(X, Y)
    w, b = linear_model(optax.chain(regularizers.l2(2 * 30.0 / ROWS), optimizers.sgd(RATE)))
    np.testing.assert_allclose(w, ridge.coef_, rtol=1e-9)
    np.testing.assert_allclose(b, ridge.intercept_, rtol=1e-9)


@pytest.mark.parametrize("smooth_part", ["l2", "elastic_net"])
def test_a_proximal_step_beside_l2_is_scikit_learns_elastic_net(smooth_part, x64):
    """The strengths of the docstring are for half the squared error, so the net's, which is whole, has them twice."""
    alpha, l1_ratio = 0.2, 0.7
    sklearns = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-14, max_iter=100_000).fit(X, Y)
    l1, l2 = 2 * alpha * l1_ratio, 2 * alpha * (1 - l1_ratio)
    smooth = {"l2": regularizers.l2(l2), "elastic_net": regularizers.elastic_net(0.0, l2)}[smooth_part]
    w, b = linear_model(optax.chain(smooth, optimizers.sgd(RATE), regularizers.proximal_l1(l1, learning_rate=RATE)))
    np.testing.assert_allclose(w, sklearns.coef_, rtol=1e-6)
    np.testing.assert_allclose(b, sklearns.intercept_, rtol=1e-6)
    np.testing.assert_array_equal(w == 0, sklearns.coef_ == 0)


def test_scikit_learns_elastic_net_is_where_the_loss_and_elastic_net_balance(x64):
    """At the optimum the gradient of half the squared error and the penalty's cancel, where no weight is 0."""
    alpha, l1_ratio = 0.2, 0.7
    sklearns = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-14, max_iter=100_000).fit(X, Y)
    w = jnp.asarray(sklearns.coef_)[:, None]
    gradient = X.T @ (X @ sklearns.coef_ + sklearns.intercept_ - Y)[:, None] / ROWS
    transform = regularizers.elastic_net(alpha * l1_ratio, alpha * (1 - l1_ratio))
    total, _ = transform.update(jnp.asarray(gradient), transform.init(w), w)
    at_zero = np.asarray(w) == 0
    assert 2 <= at_zero.sum() <= 5
    np.testing.assert_allclose(np.asarray(total)[~at_zero], 0.0, atol=1e-10)
    assert (np.abs(np.asarray(total)[at_zero]) < alpha * l1_ratio).all()


def test_with_plain_gradient_descent_decay_and_l2_are_the_same(x64):
    """Loshchilov and Hutter 2019, proposition 1."""
    decayed = linear_model(optax.chain(regularizers.weight_decay(0.3), optimizers.sgd(0.1)), 50)
    penalized = linear_model(optax.chain(regularizers.l2(0.3), optimizers.sgd(0.1)), 50)
    np.testing.assert_allclose(decayed[0], penalized[0], rtol=1e-12)
    assert np.abs(decayed[0] - linear_model(optimizers.sgd(0.1), 50)[0]).max() > 0.1


MU, L = 1.0, 100.0
CURVATURE = np.array([MU, 3.0, 10.0, 30.0, L])


def distances(transform, steps):
    """How far from the minimum of a bowl with known curvatures each step leaves the parameters."""

    def step(carry, _):
        theta, state = carry
        updates, state = transform.update(jnp.asarray(CURVATURE) * theta, state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), jnp.abs(theta).max()

    start = jnp.ones(5)
    return jax.lax.scan(step, (start, transform.init(start)), None, steps)[1]


def contraction(transform, steps):
    """The factor per step, far out: behind t^k rho^t the ratio of steps 2 t and t is 2^k rho^t."""
    norms = np.asarray(jax.jit(lambda: distances(transform, 2 * steps))())
    return (norms[2 * steps - 1] / norms[steps - 1]) ** (1 / steps)


def test_momentum_reaches_polyaks_rate(x64):
    """Polyak 1964: with the best eta and beta the factor is (sqrt(k) - 1) / (sqrt(k) + 1), where k = L / mu."""
    eta = 4 / (np.sqrt(L) + np.sqrt(MU)) ** 2
    root_of_beta = (np.sqrt(L / MU) - 1) / (np.sqrt(L / MU) + 1)  # 0.818
    measured = contraction(optimizers.momentum(eta, momentum=root_of_beta**2), 1500)
    assert measured == pytest.approx(root_of_beta, rel=2e-3)  # of which 2^(1 / 1500) are 5e-4


def test_gradient_descent_reaches_its_slower_rate(x64):
    """Lessard et al. 2016, proposition 1: with the best rate, 2 / (L + mu), the factor is (k - 1) / (k + 1)."""
    measured = contraction(optimizers.sgd(2 / (L + MU)), 500)
    assert measured == pytest.approx((L / MU - 1) / (L / MU + 1), rel=1e-9)  # 0.980


def test_nesterovs_method_reaches_its_rate(x64):
    """Lessard et al. 2016, proposition 1: with rate 1 / L and beta = (sqrt(k) - 1) / (sqrt(k) + 1) 1 - 1 / sqrt(k)."""
    root = np.sqrt(L / MU)
    measured = contraction(optimizers.nesterov(1 / L, momentum=(root - 1) / (root + 1)), 1500)
    assert measured == pytest.approx(1 - 1 / root, rel=2e-3)


def test_gradient_descent_diverges_just_above_twice_the_inverse_curvature_and_converges_just_below(x64):
    def last(rate):
        return distances(optimizers.sgd(rate), 1000)[-1]

    below, above = jax.jit(jax.vmap(last))(jnp.array([0.99, 1.01]) * 2 / L)
    # Along the largest curvature a step multiplies by 1 - rate * L, which is -0.98 and -1.02.
    assert float(below) < 1e-5
    assert float(above) == pytest.approx(1.02**1000, rel=1e-6)


def test_weight_decay_shrinks_by_a_share_that_compounds(x64):
    """Without a gradient, w_t = w_0 (1 - eta strength)^t; biases stay."""
    transform = optax.chain(
        optimizers.scale_by_adam(), regularizers.weight_decay(0.4, mask=masks.weights), optimizers.sgd(0.05)
    )
    params = {"w": jnp.full((2, 2), 3.0), "b": jnp.full(2, 3.0)}

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(jax.tree.map(jnp.zeros_like, params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, transform.init(params)), None, 40)
    np.testing.assert_allclose(params["w"], 3.0 * 0.98**40, rtol=1e-12)
    np.testing.assert_array_equal(params["b"], 3.0)
