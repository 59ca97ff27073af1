"""What is particular to each regularizer; the contracts that all share stand in ``test_contracts.py``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import chains, data, losses, masks, optimizers, regularizers, training
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, fit, train_step
from jaxmlp.training import state as standing
from jaxmlp.types import Batch, Layer

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(3, 2)), np.array([0.5, -2.0])
GRADIENT = {"w": RNG.normal(size=(3, 2)), "b": np.array([0.1, -0.3])}


def tree(w=W, b=B, dtype=float):
    return {"w": jnp.asarray(w, dtype), "b": jnp.asarray(b, dtype)}


def gradient():
    return tree(**GRADIENT)


def update(transform, updates, params, **extra):
    """What a transform makes of the first gradient, in one program."""

    def first(updates, params, extra):
        return optax.with_extra_args_support(transform).update(updates, transform.init(params), params, **extra)[0]

    return jax.jit(first)(updates, params, extra)


def moved(transform, updates, params):
    return jax.tree.map(lambda p, u: np.asarray(p) + np.asarray(u), params, update(transform, updates, params))


def path(transform, start, gradients, see=lambda params, state: params):
    """What is seen after each of some steps, whose gradients are given, in one program."""

    def step(carry, g):
        params, state = carry
        updates, state = transform.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), see(params, state)

    run = jax.jit(lambda params: jax.lax.scan(step, (params, transform.init(params)), gradients)[1])
    return jax.device_get(run(start))


def within(sample, expected, standard_error):
    """Statistics are tested within five standard errors."""
    assert abs(float(sample) - expected) < 5 * float(standard_error), (float(sample), expected, float(standard_error))


def close(a, b, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


def by_value(pytree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(pytree)]


# Penalties

PENALTIES = {
    "l1": (
        functools.partial(regularizers.l1, 0.3),
        lambda w: 0.3 * jnp.sum(jnp.abs(w)),
        lambda w: 0.3 * np.sign(w),
    ),
    "l2": (
        functools.partial(regularizers.l2, 0.3),
        lambda w: 0.3 / 2 * jnp.sum(w**2),
        lambda w: 0.3 * w,
    ),
    "elastic_net": (
        functools.partial(regularizers.elastic_net, 0.3, 0.7),
        lambda w: 0.3 * jnp.sum(jnp.abs(w)) + 0.7 / 2 * jnp.sum(w**2),
        lambda w: 0.3 * np.sign(w) + 0.7 * w,
    ),
}
each_penalty = pytest.mark.parametrize("name", PENALTIES)


@each_penalty
def test_a_penalty_adds_the_gradient_of_its_term_to_the_weights_gradient_and_no_other(name, x64):
    make, term, in_numpy = PENALTIES[name]
    updates = update(make(), gradient(), tree())
    np.testing.assert_allclose(updates["w"], GRADIENT["w"] + np.asarray(jax.grad(term)(jnp.asarray(W))), rtol=1e-14)
    np.testing.assert_allclose(updates["w"], GRADIENT["w"] + in_numpy(W), rtol=1e-14)
    np.testing.assert_array_equal(updates["b"], GRADIENT["b"])


@each_penalty
def test_a_weight_at_zero_feels_no_penalty(name, x64):
    """Where the derivative of |w| does not exist; JAX's own would be 1, and push the weight away."""
    assert jax.grad(jnp.abs)(0.0) == 1.0
    updates = update(PENALTIES[name][0](), gradient(), tree(w=np.zeros((3, 2))))
    np.testing.assert_array_equal(updates["w"], GRADIENT["w"])


@each_penalty
@pytest.mark.parametrize(("mask", "hit"), [(masks.biases, {"b"}), (masks.everything, {"b", "w"})])
def test_a_penalty_acts_on_what_its_mask_selects(name, mask, hit, x64):
    make, _, in_numpy = PENALTIES[name]
    updates = update(make(mask=mask), gradient(), tree())
    for leaf, values in (("w", W), ("b", B)):
        added = in_numpy(values) if leaf in hit else 0.0
        np.testing.assert_allclose(updates[leaf], GRADIENT[leaf] + added, rtol=1e-14)


@pytest.mark.parametrize("mask", [masks.biases, masks.everything])
def test_weight_decay_and_constraints_act_on_what_their_masks_select(mask, x64):
    params, zeros = tree(), jax.tree.map(jnp.zeros_like, tree())
    selected = mask(params)
    after = {
        regularizers.weight_decay(0.3, mask=mask): lambda p: 1.3 * p,
        regularizers.proximal_l1(2.0, learning_rate=0.1, mask=mask): lambda p: np.sign(p) * np.maximum(abs(p) - 0.2, 0),
        regularizers.max_norm(0.1, mask=mask): lambda p: p * 0.1 / np.linalg.norm(p, axis=0) if p.ndim > 1 else (
            p * 0.1 / np.abs(p)
        ),
        regularizers.unit_norm(mask=mask): lambda p: p / (np.linalg.norm(p, axis=0) if p.ndim > 1 else np.abs(p)),
        regularizers.non_negative(mask=mask): lambda p: np.maximum(p, 0),
    }  # fmt: skip
    for transform, expected in after.items():
        new = moved(transform, zeros, params)
        for leaf, values in (("w", W), ("b", B)):
            wanted = expected(values) if selected[leaf] else values
            np.testing.assert_allclose(new[leaf], wanted, rtol=1e-14, atol=1e-16)


def test_groups_of_parameters_have_strengths_of_their_own_in_one_chain(x64):
    params = MLP(sizes=(2, 3, 3, 1)).init(KEY)
    params = jax.tree.map(lambda p: p + 0.1, params)
    chain = optax.chain(
        regularizers.l2(0.5, mask=masks.at("0/w")),
        regularizers.l1(0.2, mask=masks.at("[12]/w")),
        regularizers.l2(0.3, mask=masks.at("2/*")),
    )
    updates = update(chain, jax.tree.map(jnp.zeros_like, params), params)
    (w0, _), (w1, _), (w2, b2) = jax.tree.map(np.asarray, params)
    expected = [0.5 * w0, 0 * params[0].b, 0.2 * np.sign(w1), 0 * params[1].b, 0.2 * np.sign(w2) + 0.3 * w2, 0.3 * b2]
    close(jax.tree.leaves(updates), expected, rtol=1e-14)


# Weight decay

STEPS = 100
GRADIENTS = {"w": RNG.normal(size=(STEPS, 3, 2)) + 0.2, "b": RNG.normal(size=(STEPS, 2)) + 0.2}


def rate(count):
    return 0.1 / (1.0 + 0.05 * count.astype(float))


def test_adamw_equals_optaxs_over_a_hundred_steps_with_every_term_visible(x64):
    numbers = {"b1": 0.7, "b2": 0.95, "eps": 0.1, "eps_root": 0.03, "weight_decay": 0.4}
    gradients = jax.tree.map(jnp.asarray, GRADIENTS)
    ours = path(optimizers.adamw(rate, mask=masks.everything, **numbers), tree(), gradients)
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam takes a float to the power of an integer
        theirs = path(optax.adamw(rate, **numbers), tree(), gradients)
        masked = path(optax.adamw(rate, mask=masks.weights, **numbers), tree(), gradients)
    close(ours, theirs, rtol=1e-10)
    close(path(optimizers.adamw(rate, **numbers), tree(), gradients), masked, rtol=1e-10)
    assert np.abs(theirs["b"] - masked["b"]).max() > 0.1


def test_adam_decay_and_rate_in_a_chain_equal_the_paper_in_numpy(x64):
    """Loshchilov and Hutter 2019, algorithm 2, lines 6 to 12, with the whole rate at the decay."""
    b1, b2, eps, strength = 0.8, 0.9, 0.05, 0.6
    w, m, v, expected = W, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS["w"], 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        w = w - 0.1 / (1 + 0.05 * (t - 1)) * (m_hat / (np.sqrt(v_hat) + eps) + strength * w)
        expected.append(w)
    adam = optimizers.scale_by_adam(b1=b1, b2=b2, eps=eps)
    chain = optax.chain(adam, regularizers.weight_decay(strength), optimizers.sgd(rate))
    ours = path(chain, tree(), jax.tree.map(jnp.asarray, GRADIENTS))
    np.testing.assert_allclose(ours["w"], np.stack(expected), rtol=1e-10)


def test_the_share_that_decay_takes_does_not_depend_on_the_gradients_size_but_with_l2_it_does(x64):
    """Loshchilov and Hutter 2019, section 2: Adam divides l2's share away with the gradient."""
    w = jnp.asarray(W)

    def taken(chain_of, size):
        """By how much the weights come out smaller after ten steps than without a penalty."""
        gradients = size * jnp.asarray(GRADIENTS["w"][:10])
        return (path(chain_of(0.0), w, gradients) - path(chain_of(0.1), w, gradients))[-1]

    def decayed(strength):
        decay = regularizers.weight_decay(strength)
        return optax.chain(optimizers.scale_by_adam(eps=0.0), decay, optimizers.sgd(0.01))

    def penalized(strength):
        return optax.chain(regularizers.l2(strength), optimizers.scale_by_adam(eps=0.0), optimizers.sgd(0.01))

    np.testing.assert_allclose(taken(decayed, 1.0), taken(decayed, 1000.0), rtol=1e-10)
    np.testing.assert_allclose(taken(decayed, 1.0), 0.01 * W, rtol=0.2)  # ten steps of 0.01 * 0.1
    np.testing.assert_allclose(taken(penalized, 1000.0), taken(penalized, 1.0) / 1000, rtol=0.3)


# Constraints


def random_walk(*shape, steps=50):
    """Gradients without a drift, for steps of one length."""
    return jnp.asarray(RNG.normal(size=(steps, *shape)), jnp.float32)


def test_max_norm_holds_after_every_step_of_adam_and_is_active():
    """The last unit has no gradient and stays as it is; the bias walks as without the constraint."""
    limit, ulps = 0.8, 4 * np.finfo(np.float32).eps
    start = tree(0.3 * RNG.normal(size=(4, 3)), np.zeros(3), jnp.float32)
    gradients = {"w": random_walk(4, 3).at[:, :, 2].set(0), "b": random_walk(3)}
    adam = optimizers.adam(0.1)
    free = path(adam, start, gradients)
    walk = path(optax.chain(adam, regularizers.max_norm(limit)), start, gradients)
    norms = np.linalg.norm(np.asarray(walk["w"], float), axis=1)
    assert (np.linalg.norm(np.asarray(free["w"], float), axis=1)[:, :2] > limit).any(axis=0).all()
    assert (norms <= limit * (1 + ulps)).all()
    assert (norms[:, :2] >= limit * (1 - ulps)).any(axis=0).all()
    assert (norms[:, :2] < limit * (1 - 1e-3)).any(axis=0).all()
    np.testing.assert_array_equal(walk["w"][:, :, 2], np.broadcast_to(start["w"][:, 2], (50, 4)))
    np.testing.assert_array_equal(walk["b"], free["b"])


def test_max_norm_shortens_a_unit_and_keeps_its_direction(x64):
    w = np.array([[3.0, 0.3], [-4.0, 0.4]])
    new = moved(regularizers.max_norm(2.0), jnp.asarray([[3.0, 0.0], [-4.0, 0.0]]), jnp.asarray(w))
    np.testing.assert_allclose(new, [[1.2, 0.3], [-1.6, 0.4]], rtol=1e-15)


def test_unit_norm_holds_after_every_step_and_leaves_a_unit_of_zeros_alone():
    start = tree(RNG.normal(size=(4, 3)) * [1, 1, 0], np.zeros(3), jnp.float32)
    gradients = {"w": random_walk(4, 3).at[:, :, 2].set(0), "b": random_walk(3)}
    walk = path(optax.chain(optimizers.adam(0.1), regularizers.unit_norm()), start, gradients)
    norms = np.linalg.norm(np.asarray(walk["w"], float), axis=1)
    np.testing.assert_allclose(norms[:, :2], 1.0, rtol=4 * np.finfo(np.float32).eps)
    np.testing.assert_array_equal(walk["w"][:, :, 2], 0.0)
    np.testing.assert_array_equal(walk["b"], path(optimizers.adam(0.1), start["b"], gradients["b"]))


def test_unit_norm_divides_by_the_length_of_the_moved_unit(x64):
    new = moved(regularizers.unit_norm(), jnp.asarray([[1.0, 0.0], [0.0, -7.0]]), jnp.asarray([[2.0, 0.0], [4.0, 5.0]]))
    np.testing.assert_allclose(new, [[0.6, 0.0], [0.8, -1.0]], rtol=1e-15)


def test_non_negative_weights_are_so_exactly_and_biases_may_be_negative():
    start = tree(np.abs(RNG.normal(size=(4, 3))), np.zeros(3), jnp.float32)
    gradients = {"w": random_walk(4, 3), "b": random_walk(3)}
    walk = path(optax.chain(optimizers.adam(0.1), regularizers.non_negative()), start, gradients)
    free = path(optimizers.adam(0.1), start, gradients)
    assert (walk["w"] >= 0).all()
    assert (walk["w"] == 0).any()
    assert (free["w"] < 0).any()
    expected = np.asarray(start["w"])
    for before, after, now in zip([start["w"], *free["w"]], free["w"], walk["w"], strict=False):
        expected = np.maximum(expected + np.asarray(after - before), 0)
        np.testing.assert_allclose(now, expected, atol=2e-6)
    np.testing.assert_array_equal(walk["b"], free["b"])
    assert (walk["b"] < 0).any()


def test_the_proximal_step_shrinks_by_the_rate_of_the_same_step(x64):
    """Iterative soft-thresholding in NumPy: Beck and Teboulle 2009, equation 1.4, with a rate that falls."""
    strength, w, expected = 0.8, W, []
    for t in range(STEPS):
        eta = 0.1 / (1 + 0.05 * t)
        w = w - eta * GRADIENTS["w"][t]
        w = np.sign(w) * np.maximum(np.abs(w) - eta * strength, 0)
        expected.append(w)
    chain = optax.chain(optimizers.sgd(rate), regularizers.proximal_l1(strength, learning_rate=rate))
    walk = path(chain, tree(), jax.tree.map(jnp.asarray, GRADIENTS))
    np.testing.assert_allclose(walk["w"], np.stack(expected), rtol=1e-10, atol=1e-15)
    np.testing.assert_array_equal(walk["w"] == 0, np.stack(expected) == 0)
    assert 0.05 < (walk["w"] == 0).mean() < 0.95
    np.testing.assert_allclose(walk["b"], path(optimizers.sgd(rate), jnp.asarray(B), jnp.asarray(GRADIENTS["b"])))


# Clipping


@pytest.mark.parametrize("limit", [0.05, 0.5, 50.0])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (regularizers.clip_by_value, optax.clip),
        (regularizers.clip_by_global_norm, optax.clip_by_global_norm),
        (regularizers.clip_adaptive, optax.adaptive_grad_clip),
        (functools.partial(regularizers.clip_adaptive, eps=2.5), lambda limit: optax.adaptive_grad_clip(limit, 2.5)),
    ],
    ids=["value", "global_norm", "adaptive", "adaptive_eps"],
)
def test_clipping_equals_optaxs(ours, theirs, limit, x64):
    clipped = update(ours(limit), gradient(), tree())
    close(clipped, update(theirs(limit), gradient(), tree()), rtol=1e-13)
    changed = [not np.array_equal(clipped[leaf], GRADIENT[leaf]) for leaf in ("w", "b")]
    assert {0.05: [True, True], 50.0: [False, False]}.get(limit, changed) == changed


def test_adaptive_clipping_is_by_unit_and_takes_a_leaf_of_one_number(x64):
    """A matrix of one row has as many units as columns; optax clips it as a whole."""
    w, g, limit = np.array([[1.0, -2.0, 0.0]]), np.array([[-5.0, 0.01, 1.0]]), 0.1
    expected = g * np.minimum(1, limit * np.maximum(np.abs(w), 1e-3) / np.abs(g))
    np.testing.assert_allclose(update(regularizers.clip_adaptive(limit), jnp.asarray(g), jnp.asarray(w)), expected)
    for i in range(3):
        alone = update(regularizers.clip_adaptive(limit), jnp.asarray(g[0, i]), jnp.asarray(w[0, i]))
        assert alone.shape == ()
        np.testing.assert_allclose(alone, expected[0, i])


@pytest.mark.parametrize("limit", [0.05, 0.5, 50.0])
def test_clipping_each_leaf_by_its_norm_is_kerass_clipnorm(limit, x64):
    """Keras 3, ``clip_by_norm`` of its base optimizer: values * clipnorm / max(norm, clipnorm)."""
    clipped = update(regularizers.clip_by_norm(limit), gradient(), tree())
    for leaf, g in GRADIENT.items():
        np.testing.assert_allclose(clipped[leaf], g * limit / max(np.linalg.norm(g), limit), rtol=1e-14)


BY_NORM = {
    "by_norm": regularizers.clip_by_norm,
    "by_global_norm": regularizers.clip_by_global_norm,
    "adaptive": regularizers.clip_adaptive,
}


@pytest.mark.parametrize("name", BY_NORM)
@pytest.mark.parametrize("size", [300.0, 1e-4])
def test_half_precision_gradients_are_clipped_though_their_squares_leave_its_range(name, size):
    """300^2 is infinite in float16 and 0.0001^2 is 0; each unit's gradient is twice as long as it may be."""
    params = jnp.ones((4, 1), jnp.float16)  # of length 2
    g = jnp.full((4, 1), size, jnp.float16)
    limit = float(g[0, 0])  # half of the gradient's length
    clipped = update(BY_NORM[name](limit / 2 if name == "adaptive" else limit), g, params)
    assert clipped.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(clipped, float), limit / 2, rtol=1e-3)


@pytest.mark.parametrize("name", BY_NORM)
def test_the_gradient_through_clipping_is_finite_at_a_gradient_of_zero(name):
    """As in learning through the optimizer; where nothing is clipped, it is 1."""
    params = tree(dtype=jnp.float32)

    def total(g):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(update(BY_NORM[name](1.0), g, params)))

    close(jax.grad(total)(jax.tree.map(jnp.zeros_like, params)), jax.tree.map(jnp.ones_like, params))


def test_the_gradient_through_clipping_equals_optaxs_where_it_clips_and_where_not(x64):
    def total(transform, g):
        return jnp.sum(update(transform, g, tree())["w"] ** 3)

    for limit in (0.5, 50.0):
        ours = jax.grad(functools.partial(total, regularizers.clip_by_global_norm(limit)))(gradient())
        theirs = jax.grad(functools.partial(total, optax.clip_by_global_norm(limit)))(gradient())
        close(ours, theirs, rtol=1e-12)


# Noise: in the net


@pytest.mark.parametrize("dropped", [0.2, 0.7])
def test_dropout_keeps_its_share_and_the_mean(dropped):
    n = 100_000
    a = 2.0 + jax.random.normal(KEY, (n,))
    out = np.asarray(regularizers.dropout(jax.random.key(1), a, dropped))
    kept = out != 0
    within(kept.mean(), 1 - dropped, np.sqrt(dropped * (1 - dropped) / n))
    within((out - np.asarray(a)).mean(), 0.0, (out - np.asarray(a)).std() / np.sqrt(n))
    np.testing.assert_allclose(out[kept], np.asarray(a)[kept] / (1 - dropped), rtol=1e-6)


@pytest.mark.parametrize("dropped", [0.01, 0.2, 0.99])
@pytest.mark.parametrize("function", [regularizers.dropout, regularizers.alpha_dropout])
def test_a_traced_rate_drops_its_share_of_bfloat16_activations_too(function, dropped):
    """In bfloat16 itself a random number has 7 bits, and 0.99 is 0.9883."""
    n = 400_000
    out = jax.jit(function)(KEY, jnp.ones(n, jnp.bfloat16), dropped)
    kept = np.asarray(out == out.max(), float).mean()
    within(kept, 1 - dropped, np.sqrt(dropped * (1 - dropped) / n))


@pytest.mark.parametrize("dropped", [0.0, 0.1, 0.5])
def test_alpha_dropout_keeps_mean_zero_and_variance_one(dropped):
    n = 200_000
    out = np.asarray(regularizers.alpha_dropout(jax.random.key(1), jax.random.normal(KEY, (n,)), dropped), float)
    within(out.mean(), 0.0, out.std() / np.sqrt(n))
    within(out.var(), 1.0, ((out - out.mean()) ** 2).std() / np.sqrt(n))


@pytest.mark.parametrize("dropped", [0.1, 0.6])
def test_alpha_dropout_has_the_papers_constants(dropped, x64):
    """Klambauer et al. 2017: x, or alpha' with 1 - q, to a x + b; a = (q + alpha'^2 q (1 - q))^(-1/2), b below."""
    n, q = 10_000, 1 - dropped
    saturated = float(jax.nn.selu(-1000.0))
    a = (q + saturated**2 * q * (1 - q)) ** -0.5
    b = -a * (1 - q) * saturated
    x = np.linspace(-1.0, 2.0, n)
    out = np.asarray(regularizers.alpha_dropout(KEY, jnp.asarray(x), dropped))
    silenced = np.isclose(out, a * saturated + b, rtol=1e-12)
    within(silenced.mean(), dropped, np.sqrt(dropped * q / n))
    np.testing.assert_allclose(out[~silenced], a * x[~silenced] + b, rtol=1e-10, atol=1e-12)


# Noise: on the batch


def test_input_noise_is_normal_with_its_scale_and_leaves_targets_and_weights():
    n = 100_000
    batch = Batch(jnp.full((n, 1), 3.0), jnp.arange(n), jnp.linspace(0, 1, n))
    noisy = regularizers.input_noise(0.5)(KEY, batch)
    noise = np.asarray(noisy.x - batch.x, float)
    within(noise.mean(), 0.0, 0.5 / np.sqrt(n))
    within(noise.var(), 0.25, 0.25 * np.sqrt(2 / n))
    within((noise**4).mean(), 3 * 0.5**4, (noise**4).std() / np.sqrt(n))
    np.testing.assert_array_equal(noisy.y, batch.y)
    np.testing.assert_array_equal(noisy.weight, batch.weight)


ROWS, DRAWS = 4, 10_000


@jax.jit
def many_mixed(alpha, batch):
    return jax.vmap(regularizers.mixup(alpha), in_axes=(0, None))(jax.random.split(KEY, DRAWS), batch)


@functools.cache
def shares(alpha, weight=None):
    """The shares of all rows in many mixed batches, (draws, rows, rows): the inputs are unit vectors.

    They are whole numbers and have an axis more than the targets.
    """
    x, weight = np.eye(ROWS), None if weight is None else jnp.array(weight)
    out = many_mixed(alpha, Batch(jnp.asarray(x[..., None], jnp.int32), jnp.asarray(1.0 - 3.0 * x, float), weight))
    np.testing.assert_allclose(out.y, 1.0 - 3.0 * np.asarray(out.x)[..., 0], atol=1e-6)
    if weight is not None:
        np.testing.assert_array_equal(out.weight, np.broadcast_to(weight, (DRAWS, ROWS)))
    return np.asarray(out.x, float)[..., 0]


@pytest.mark.parametrize("weight", [None, (0.0, 1.0, 3.0, 0.5)])
def test_mixups_partners_follow_the_weights_and_a_row_of_weight_zero_is_none(weight):
    probabilities = np.ones(ROWS) / ROWS if weight is None else np.array(weight) / sum(weight)
    for row in range(ROWS):
        for partner in set(range(ROWS)) - {row}:
            found, p = (shares(2.0, weight)[:, row, partner] > 0).mean(), probabilities[partner]
            if p == 0:
                assert found == 0
            else:
                within(found, p, np.sqrt(p * (1 - p) / DRAWS))


@pytest.mark.parametrize("alpha", [0.4, 2.0])
def test_mixups_shares_have_the_moments_of_the_beta_distribution_and_each_row_its_own(alpha):
    own, others = shares(alpha)[:, 0, 0], shares(alpha)[:, 1, 1]
    share = own[(shares(alpha)[:, 0, 1:] > 0).any(axis=1)]  # where the partner is another row
    within(share.mean(), 0.5, share.std() / np.sqrt(len(share)))
    variance = 1 / (4 * (2 * alpha + 1))
    within(((share - 0.5) ** 2).mean(), variance, ((share - 0.5) ** 2).std() / np.sqrt(len(share)))
    within(np.corrcoef(own, others)[0, 1], 0.0, 1 / np.sqrt(len(own)))


def test_mixup_refuses_targets_that_cannot_be_mixed():
    with pytest.raises(ValueError, match=r"^mixup mixes targets, but y is int32; give classes as probabilities"):
        regularizers.mixup(0.2)(KEY, Batch(jnp.ones((2, 1)), jnp.array([0, 1])))


# Noise: on the gradient


def test_gradient_noise_fades_as_the_paper_says():
    """Neelakantan et al. 2015, equation 1: the variance is eta / (1 + t)^gamma, with t from 0."""
    n, steps, variance, decay = 40_000, 3, 0.3, 0.55
    transform = regularizers.gradient_noise(variance, decay=decay)
    g = jnp.full(n, 2.0)
    state = transform.init(g)
    for t in range(steps):
        updates, state = transform.update(g, state, key=jax.random.fold_in(KEY, t))
        noise = np.asarray(updates - g, float)
        expected = variance / (1 + t) ** decay
        within(noise.mean(), 0.0, np.sqrt(expected / n))
        within(noise.var(), expected, expected * np.sqrt(2 / n))


def test_gradient_noise_differs_between_leaves_and_follows_the_key():
    g = {"a": jnp.zeros(1000), "b": jnp.zeros(1000), "c": [jnp.zeros(1000)]}
    transform = regularizers.gradient_noise(1.0)
    first, again, other = (update(transform, g, None, key=jax.random.key(seed)) for seed in (1, 1, 2))
    noises = np.stack([*jax.tree.leaves(first), *jax.tree.leaves(other)])
    correlations = np.corrcoef(noises) - np.eye(6)
    assert np.abs(correlations).max() < 5 / np.sqrt(1000)
    assert by_value(first) == by_value(again)


def test_gradient_noise_without_a_key_gets_a_sentence():
    sentence = r"^gradient_noise has no key; training.fit hands one over, elsewhere call update\(..., key=key\)"
    with pytest.raises(ValueError, match=sentence):
        update(regularizers.gradient_noise(1.0), jnp.ones(2), None)


# In a run

X = RNG.normal(size=(40, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
HELD_OUT = (RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2)))
NET = MLP(sizes=(3, 5, 2), activation="tanh")


def still(outputs, targets):
    """A loss that has no gradient."""
    return 0 * jnp.sum(outputs, axis=1) + 0 * jnp.sum(targets, axis=1)


def test_fit_hands_gradient_noise_another_key_at_every_step():
    """Steps of noise alone: their variances add up, which those of one and the same noise would not."""
    net, steps, variance, decay = MLP(sizes=(3, 2000)), 12, 0.3, 0.55
    chain = optax.chain(regularizers.gradient_noise(variance, decay=decay), optimizers.sgd(1.0))
    recipe = Recipe(net, chain, still)
    options = {"epochs": steps // 2, "batch_size": 20, "params": (Layer(jnp.zeros((3, 2000)), jnp.zeros(2000)),)}
    first, again, other = (fit(recipe, (X, Y), key=jax.random.key(seed), **options) for seed in (1, 1, 2))
    assert by_value(first.params) == by_value(again.params) != by_value(other.params)
    walked = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(first.params)])
    expected = sum(variance / (1 + t) ** decay for t in range(steps))
    within(walked.var(), expected, expected * np.sqrt(2 / len(walked)))


@pytest.mark.parametrize("augment", [regularizers.input_noise(0.5), regularizers.mixup(0.4)])
def test_fit_augments_every_batch_anew_but_never_evaluates_so(augment):
    def recipe(rate):
        return Recipe(NET, optimizers.adam(rate), losses.squared_error, augment=augment)

    def validation_loss(params):
        outputs = NET.apply(params, jnp.asarray(HELD_OUT[0], jnp.float32))
        return np.mean((np.asarray(outputs) - HELD_OUT[1]) ** 2)

    options = {"epochs": 4, "batch_size": 40, "key": KEY, "validation": HELD_OUT}
    at_rest, learnt = (fit(recipe, (X, Y), hyper=rate, **options) for rate in (0.0, 0.05))
    assert (np.abs(np.diff(at_rest.history["train/loss"])) > 1e-4).all()
    np.testing.assert_allclose(at_rest.history["validation/loss"], validation_loss(at_rest.params), rtol=1e-5)
    np.testing.assert_allclose(learnt.history["validation/loss"][-1], validation_loss(learnt.params), rtol=1e-5)


def test_mixup_of_labels_gets_its_sentence_from_fit():
    recipe = Recipe(NET, optimizers.sgd(0.1), losses.softmax_cross_entropy, augment=regularizers.mixup(0.2))
    with pytest.raises(ValueError, match="mixup mixes targets, but y is int32"):
        fit(recipe, (X, np.arange(40) % 2), epochs=1, batch_size=8, key=KEY)


def test_one_step_without_a_key_augments_nothing():
    batch = Batch(jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32))
    noisy = Recipe(NET, optimizers.sgd(0.1), losses.squared_error, augment=regularizers.input_noise(1.0))
    clean = Recipe(NET, optimizers.sgd(0.1), losses.squared_error)

    @jax.jit
    def steps(params):
        state = clean.optimizer.init(params)
        return (
            train_step(noisy, params, state, batch),
            train_step(clean, params, state, batch, KEY),
            train_step(noisy, params, state, batch, KEY),
        )

    without_key, never, with_key = steps(NET.init(KEY))
    assert by_value(without_key) == by_value(never)
    assert with_key.loss != never.loss


# Averages


def average_of(points, decay):
    """The mean of the points, each later one counting more: sum decay^(t - i) theta_i / sum decay^(t - i)."""
    weights = decay ** np.arange(len(points))[::-1]
    return np.tensordot(weights / weights.sum(), np.stack(points), axes=1)


def test_ema_is_the_weighted_mean_of_the_points_after_each_step_and_changes_no_step(x64):
    start, gradients = tree(), jax.tree.map(lambda g: jnp.asarray(g[:30]), GRADIENTS)
    chain = optax.chain(optimizers.sgd(rate), regularizers.ema(0.8))
    points, averages = path(chain, start, gradients, lambda p, s: (p, chains.evaluation_params(s, p)))
    close(points, path(optimizers.sgd(rate), start, gradients), rtol=1e-14)
    for leaf in ("w", "b"):
        expected = [average_of(points[leaf][: t + 1], 0.8) for t in range(30)]
        np.testing.assert_allclose(averages[leaf], np.stack(expected), rtol=1e-12)
    close(chain.init(start)[1].evaluation_params(start), start, rtol=0)


@pytest.mark.parametrize("decay", [0.9, 0.999, 0.9999])
def test_the_average_of_parameters_that_stand_still_is_where_they_stand(decay):
    transform = regularizers.ema(decay)
    theta = jnp.array([1.0, -300.0], jnp.float32)
    zeros = jnp.zeros((50, 2), jnp.float32)
    averages = path(transform, theta, zeros, lambda p, s: s.evaluation_params(p))
    np.testing.assert_allclose(averages, np.broadcast_to(theta, (50, 2)), rtol=3e-6)


EPOCHS, BATCH = 6, 10


def points_of_a_plain_loop(optimizer_of):
    """The parameters after each step of a loop over ``train_step``, from the keys that ``fit`` has."""
    recipe = Recipe(NET, optimizer_of(), losses.squared_error)
    keys = standing.keys_of(KEY)
    params = NET.init(keys.init)
    state, points = recipe.optimizer.init(params), []
    step = jax.jit(functools.partial(train_step, recipe))
    for epoch in range(EPOCHS):
        order = np.asarray(data.order(jax.random.fold_in(keys.order, epoch), len(X)))
        for rows in order.reshape(-1, BATCH):
            params, state, _ = step(params, state, Batch(jnp.asarray(X[rows]), jnp.asarray(Y[rows])))
            points.append(jax.device_get(params))
    return points


def averages_of_ema(points):
    return [average_of(points[: t + 1], 0.9) for t in range(len(points))]


def averages_of_schedule_free(points, b1=0.9):
    """Defazio et al. 2024, equations 1 to 3 solved for x: with a constant rate x is the mean of all z."""
    averages, x = [], None
    for t, y in enumerate(points, 1):
        c = 1 / t
        earlier = 0.0 if x is None else x
        z = (y - b1 * (1 - c) * earlier) / (1 - b1 + b1 * c)
        x = (1 - c) * earlier + c * z
        averages.append(x)
    return averages


@pytest.mark.parametrize(
    ("optimizer_of", "averages_of"),
    [
        (lambda: optax.chain(optimizers.adam(0.1), regularizers.ema(0.9)), averages_of_ema),
        (lambda: optimizers.schedule_free_sgd(0.3), averages_of_schedule_free),
        (lambda: optimizers.schedule_free_adamw(0.1, weight_decay=0.01), averages_of_schedule_free),
    ],
    ids=["ema", "schedule_free_sgd", "schedule_free_adamw"],
)
def test_fit_evaluates_and_returns_the_average_and_keeps_the_point_itself(optimizer_of, averages_of, x64):
    recipe = Recipe(NET, optimizer_of(), losses.squared_error)
    first_outputs = np.asarray(NET.apply(NET.init(standing.keys_of(KEY).init), jnp.asarray(HELD_OUT[0])))
    held_out = HELD_OUT[0], 0.7 * first_outputs  # so that the last epoch is not the best
    run = fit(recipe, (X, Y), validation=held_out, epochs=EPOCHS, batch_size=BATCH, key=KEY)
    points = points_of_a_plain_loop(optimizer_of)
    structure = jax.tree.structure(points[0])
    leaves = zip(*map(jax.tree.leaves, points), strict=True)
    averages = [averages_of(leaf) for leaf in leaves]
    after_epochs = [
        jax.tree.unflatten(structure, [leaf[t] for leaf in averages])
        for t in range(len(X) // BATCH - 1, len(points), len(X) // BATCH)
    ]

    def validation_loss(params):
        outputs = NET.apply(jax.tree.map(jnp.asarray, params), jnp.asarray(held_out[0]))
        return np.mean((np.asarray(outputs) - held_out[1]) ** 2)

    curve = np.array([validation_loss(params) for params in after_epochs])
    best = int(np.argmin(curve))
    assert 0 <= best < EPOCHS - 1
    close(run.state.params, points[-1], rtol=1e-10)
    close(run.params, after_epochs[-1], rtol=1e-8)
    close(run.best_params, after_epochs[best], rtol=1e-8)
    np.testing.assert_allclose(run.history["validation/loss"], curve, rtol=1e-10)
    assert run.best_epoch == best + 1
    assert abs(validation_loss(points[-1]) / curve[-1] - 1) > 1e-3


def test_a_constraint_holds_at_the_average_too():
    """The set is convex, so that a mean of points within it lies there; Schedule-Free's average is refused."""
    chain = optax.chain(optimizers.sgd(0.1), regularizers.non_negative(), regularizers.ema(0.9))
    gradients = {"w": random_walk(3, 2) + 1.0, "b": random_walk(2)}
    averages = path(chain, tree(np.abs(W)), gradients, lambda p, s: chains.evaluation_params(s, p))
    assert (averages["w"] >= 0).all()
    free = optax.chain(optimizers.sgd(0.1), regularizers.ema(0.9))
    without = path(free, tree(np.abs(W)), gradients, lambda p, s: chains.evaluation_params(s, p))
    assert (without["w"] < 0).any()
    np.testing.assert_array_equal(averages["b"], without["b"])


def test_two_averages_in_a_run_get_a_sentence():
    twice = optax.chain(optimizers.schedule_free_sgd(0.1), regularizers.ema(0.9))
    sentence = r"the optimizer keeps 2 averages, ScheduleFreeState and EMAState; keep one"
    with pytest.raises(ValueError, match=sentence):
        training.fit(Recipe(NET, twice, losses.squared_error), (X, Y), epochs=1, batch_size=10, key=KEY)
