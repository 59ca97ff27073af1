"""Trajectories: a hundred steps in 64 bits against optax and against the equations in plain NumPy.

The settings make every term visible: large eps, a rate that changes at every step, no decay or momentum of 0.
``test_contracts.py`` crosses all optimizers with what they have in common; ``test_dialects.py`` compares them with
Keras, PyTorch and scikit-learn.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from jaxmlp import losses, masks, optimizers, training
from jaxmlp.mlp import MLP
from jaxmlp.types import Batch

STEPS = 100
SLOPES = np.array([1.0, 20.0, 0.1])
START = {"w": np.array([[1.0, -2.0, 3.0]]), "b": np.array([0.5, 0.1, -4.0])}


def rate(count):
    """A learning rate that changes at every step; ``count`` of those made."""
    return 0.1 / (1.0 + 0.05 * count)


def gradient(theta):
    """The gradient of an elongated bowl with a ripple, so that no two steps are alike."""

    def of_leaf(t):
        slopes = np.broadcast_to(SLOPES, t.shape).astype(t.dtype)
        return t * slopes + (jnp.sin(3 * t) if isinstance(t, jax.Array) else np.sin(3 * t))

    return jax.tree.map(of_leaf, theta)


def trajectory(transform, start=None, steps=STEPS, gradient=gradient):
    """Follow a transform for some steps from a fixed point, in one program."""
    transform = optax.with_extra_args_support(transform)

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(gradient(params), state, params, grad_fn=gradient)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    start = jax.tree.map(jnp.asarray, START if start is None else start)
    return jax.lax.scan(step, (start, transform.init(start)), None, steps)[1]


def equals(ours, theirs, **tolerance):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


def traced(schedule):
    """The schedule for JAX, whose counts are whole numbers."""
    return lambda count: schedule(count.astype(float))


RATE = traced(rate)
ALL = {"mask": masks.everything}
ADAM = {"b1": 0.7, "b2": 0.95, "eps": 0.1, "eps_root": 0.03}
OF_OPTAX = {
    "sgd": (lambda: optimizers.sgd(RATE), lambda: optax.sgd(RATE)),
    "momentum": (lambda: optimizers.momentum(RATE, momentum=0.8), lambda: optax.sgd(RATE, momentum=0.8)),
    "scale_by_momentum": (lambda: optax.chain(optimizers.scale_by_momentum(0.8), optax.scale(-0.01)),
                          lambda: optax.chain(optax.trace(0.8), optax.scale(-0.01))),
    "nesterov": (lambda: optimizers.nesterov(RATE, momentum=0.8),
                 lambda: optax.sgd(RATE, momentum=0.8, nesterov=True)),
    "adagrad": (lambda: optimizers.adagrad(RATE, initial_accumulator_value=0.3, eps_root=0.1),
                lambda: optax.adagrad(RATE, initial_accumulator_value=0.3, eps=0.1)),
    "adadelta": (lambda: optimizers.adadelta(RATE, rho=0.8, eps=0.1),
                 lambda: optax.adadelta(RATE, rho=0.8, eps=0.1)),
    "rmsprop": (lambda: optimizers.rmsprop(RATE, decay=0.8, eps_root=0.1),
                lambda: optax.rmsprop(RATE, decay=0.8, eps=0.1)),
    "rmsprop, eps outside": (lambda: optimizers.rmsprop(RATE, decay=0.8, eps=0.1, eps_root=0.0),
                             lambda: optax.rmsprop(RATE, decay=0.8, eps=0.1, eps_in_sqrt=False)),
    "rmsprop, centred with momentum": (
        lambda: optimizers.rmsprop(RATE, decay=0.8, eps_root=0.1, centered=True, momentum=0.6),
        # optax's own momentum comes behind the rate; a schedule tells the difference
        lambda: optax.chain(optax.scale_by_stddev(0.8, eps=0.1), optax.trace(0.6), optax.scale_by_learning_rate(RATE))),
    "adam": (lambda: optimizers.adam(RATE), lambda: optax.adam(RATE)),
    "adam, every term visible": (lambda: optimizers.adam(RATE, **ADAM), lambda: optax.adam(RATE, **ADAM)),
    "amsgrad": (lambda: optimizers.amsgrad(RATE, **ADAM), lambda: optax.amsgrad(RATE, **ADAM)),
    "adamax": (lambda: optimizers.adamax(RATE, b1=0.7, b2=0.9, eps=0.1),
               lambda: optax.adamax(RATE, b1=0.7, b2=0.9, eps=0.1)),
    "nadam": (lambda: optimizers.nadam(RATE, **ADAM), lambda: optax.nadam(RATE, **ADAM)),
    "adamw": (lambda: optimizers.adamw(RATE, **ADAM, weight_decay=0.2),
              lambda: optax.adamw(RATE, **ADAM, weight_decay=0.2, mask={"w": True, "b": False})),
    "lion": (lambda: optimizers.lion(RATE, b1=0.7, b2=0.9, weight_decay=0.2),
             lambda: optax.lion(RATE, b1=0.7, b2=0.9, weight_decay=0.2, mask={"w": True, "b": False})),
    "schedule_free_sgd": (lambda: optimizers.schedule_free_sgd(0.03, b1=0.7, weight_decay=0.2, **ALL),
                          lambda: optax.contrib.schedule_free_sgd(0.03, b1=0.7, weight_decay=0.2)),
    "schedule_free_adamw": (
        lambda: optimizers.schedule_free_adamw(0.03, b1=0.7, b2=0.95, eps=0.1, weight_decay=0.2, **ALL),
        lambda: optax.contrib.schedule_free_adamw(0.03, b1=0.7, b2=0.95, eps=0.1, weight_decay=0.2)),
    "sam": (lambda: optimizers.sam(RATE, rho=0.3),
            lambda: optax.contrib.sam(optax.sgd(RATE), optax.chain(optax.contrib.normalize(), optax.sgd(0.3)),
                                      opaque_mode=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_OPTAX)
def test_a_hundred_steps_equal_optax(name, x64):
    ours, theirs = OF_OPTAX[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        of_optax = gradient if name != "sam" else None
        theirs = trajectory_of_sam(theirs()) if of_optax is None else trajectory(theirs())[0]
    equals(trajectory(ours())[0], theirs, rtol=1e-6)


def trajectory_of_sam(transform):
    """In optax's opaque mode ``grad_fn`` also gets the number of the uphill step."""

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(gradient(params), state, params, grad_fn=lambda p, _: gradient(p))
        params = optax.apply_updates(params, updates)
        return (params, state), params

    start = jax.tree.map(jnp.asarray, START)
    return jax.lax.scan(step, (start, transform.init(start)), None, STEPS)[1]


# The equations, each in the symbols of its source: from theta, the state s (every entry begins at 0), the gradient
# function and the step t = 1, 2, ... to the next theta.


def momentum(theta, s, g, t):  # Sutskever et al. 2013, equations 1 and 2, the rate drawn out; dampening as in PyTorch
    s["m"] = 0.8 * s["m"] + (1.0 if t == 1 else 0.7) * g(theta)
    return theta - rate(t - 1) * s["m"]


def nesterov(theta, s, g, t):
    gradient = g(theta)
    s["v"] = 0.8 * s["v"] + gradient
    return theta - rate(t - 1) * (gradient + 0.8 * s["v"])


def adagrad(theta, s, g, t):  # Duchi et al. 2011, figure 1, with both kinds of eps
    s["s"] = s["s"] + g(theta) ** 2
    return theta - rate(t - 1) * g(theta) / (np.sqrt(0.3 + s["s"] + 0.05) + 0.1)


def adadelta(theta, s, g, t):  # Zeiler 2012, algorithm 1
    s["g2"] = 0.8 * s["g2"] + 0.2 * g(theta) ** 2
    step = -np.sqrt(s["x2"] + 0.1) / np.sqrt(s["g2"] + 0.1) * g(theta)
    s["x2"] = 0.8 * s["x2"] + 0.2 * step**2
    return theta + rate(t - 1) * step


def rmsprop(theta, s, g, t):  # Graves 2013, equations 38 to 40, the step's momentum outside of the rate
    s["n"] = 0.8 * s["n"] + 0.2 * g(theta) ** 2
    s["g"] = 0.8 * s["g"] + 0.2 * g(theta)
    s["m"] = 0.6 * s["m"] + g(theta) / (np.sqrt(s["n"] - s["g"] ** 2 + 0.05) + 0.1)
    return theta - rate(t - 1) * s["m"]


def adam(theta, s, g, t):  # Kingma and Ba 2015, algorithm 1, with both kinds of eps
    s["m"] = 0.7 * s["m"] + 0.3 * g(theta)
    s["v"] = 0.95 * s["v"] + 0.05 * g(theta) ** 2
    m_hat, v_hat = s["m"] / (1 - 0.7**t), s["v"] / (1 - 0.95**t)
    return theta - rate(t - 1) * m_hat / (np.sqrt(v_hat + 0.03) + 0.1)


def amsgrad(theta, s, g, t):  # Reddi et al. 2018, algorithm 2, the corrections as in PyTorch
    s["m"] = 0.7 * s["m"] + 0.3 * g(theta)
    s["v"] = 0.95 * s["v"] + 0.05 * g(theta) ** 2
    s["max"] = np.maximum(s["max"], s["v"])
    return theta - rate(t - 1) * s["m"] / (1 - 0.7**t) / (np.sqrt(s["max"] / (1 - 0.95**t) + 0.03) + 0.1)


def adamax(theta, s, g, t):  # Kingma and Ba 2015, algorithm 2, with both kinds of eps
    s["m"] = 0.7 * s["m"] + 0.3 * g(theta)
    s["u"] = np.maximum(0.9 * s["u"], np.abs(g(theta)) + 0.1)
    return theta - rate(t - 1) / (1 - 0.7**t) * s["m"] / (s["u"] + 0.2)


def mu(t):
    """Dozat's advice for the momentum of step t = 1, 2, ..., with a shorter memory."""
    return 0.9 * (1 - 0.5 * 0.96 ** (t / 5))


def nadam(theta, s, g, t):  # Dozat 2016, algorithm 2
    s["m"] = mu(t) * s["m"] + (1 - mu(t)) * g(theta)
    s["n"] = 0.95 * s["n"] + 0.05 * g(theta) ** 2
    now, after = np.prod(mu(np.arange(1, t + 1))), np.prod(mu(np.arange(1, t + 2)))
    m_hat = mu(t + 1) * s["m"] / (1 - after) + (1 - mu(t)) * g(theta) / (1 - now)
    return theta - rate(t - 1) * m_hat / (np.sqrt(s["n"] / (1 - 0.95**t)) + 0.1)


def adamw(theta, s, g, t):  # Loshchilov and Hutter 2019, algorithm 2, line 12
    return adam(theta, s, g, t) - rate(t - 1) * 0.2 * theta


def lion(theta, s, g, t):  # Chen et al. 2023, algorithm 2
    c = 0.7 * s["m"] + 0.3 * g(theta)
    s["m"] = 0.9 * s["m"] + 0.1 * g(theta)
    return theta - rate(t - 1) * (np.sign(c) + 0.2 * theta)


def sam(theta, s, g, t):  # Foret et al. 2021, algorithm 1 and equation 2
    uphill = 0.3 * g(theta) / np.sqrt(np.sum(g(theta) ** 2))
    return theta - rate(t - 1) * g(theta + uphill)


def rising(count):
    """A warm-up, as Schedule-Free wants one: the largest rate so far is the last."""
    return 0.03 * np.minimum(1.0, (count + 1) / 20)


def schedule_free(direction):
    def step(theta, s, g, t):  # Defazio et al. 2024, equations 1 to 3; theta is y, the weights are the largest rate's
        if t == 1:
            s["x"] = s["z"] = theta
        eta = rising(t - 1)
        s["z"] = s["z"] - eta * (direction(theta, s, g, t) + 0.2 * theta)
        s["sum"] = s["sum"] + eta**1.5
        c = eta**1.5 / s["sum"]
        s["x"] = (1 - c) * s["x"] + c * s["z"]
        return 0.3 * s["z"] + 0.7 * s["x"]

    return step


def rms(theta, s, g, t):
    s["v"] = 0.95 * s["v"] + 0.05 * g(theta) ** 2
    return g(theta) / (np.sqrt(s["v"] / (1 - 0.95**t)) + 0.1)


def jnp_rising(count):
    return 0.03 * jnp.minimum(1.0, (count.astype(float) + 1) / 20)


FREE = {"b1": 0.7, "weight_lr_power": 1.5, "weight_decay": 0.2, **ALL}
EQUATIONS = {
    "momentum": (momentum, lambda: optimizers.momentum(RATE, momentum=0.8, dampening=0.3)),
    "nesterov": (nesterov, lambda: optimizers.nesterov(RATE, momentum=0.8)),
    "adagrad": (adagrad, lambda: optimizers.adagrad(RATE, initial_accumulator_value=0.3, eps=0.1, eps_root=0.05)),
    "adadelta": (adadelta, lambda: optimizers.adadelta(RATE, rho=0.8, eps=0.1)),
    "rmsprop": (
        rmsprop,
        lambda: optimizers.rmsprop(RATE, decay=0.8, eps=0.1, eps_root=0.05, centered=True, momentum=0.6),
    ),
    "adam": (adam, lambda: optimizers.adam(RATE, **ADAM)),
    "amsgrad": (amsgrad, lambda: optimizers.amsgrad(RATE, **ADAM, maximum_of="raw")),
    "adamax": (adamax, lambda: optimizers.adamax(RATE, b1=0.7, b2=0.9, eps=0.1, eps_outside=0.2)),
    "nadam": (nadam, lambda: optimizers.nadam(RATE, b1=lambda count: mu(count.astype(float) + 1), b2=0.95, eps=0.1)),
    "adamw": (adamw, lambda: optimizers.adamw(RATE, **ADAM, weight_decay=0.2, **ALL)),
    "lion": (lion, lambda: optimizers.lion(RATE, b1=0.7, b2=0.9, weight_decay=0.2, **ALL)),
    "sam": (sam, lambda: optimizers.sam(RATE, rho=0.3)),
    "schedule_free_sgd": (
        schedule_free(lambda theta, s, g, t: g(theta)),
        lambda: optimizers.schedule_free_sgd(jnp_rising, **FREE),
    ),
    "schedule_free_adamw": (
        schedule_free(rms),
        lambda: optimizers.schedule_free_adamw(jnp_rising, b2=0.95, eps=0.1, **FREE),
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_hundred_steps_equal_the_equations_in_numpy(name, x64):
    equation, ours = EQUATIONS[name]
    theta, s, path = START["w"], dict.fromkeys(("m", "v", "s", "g2", "x2", "n", "g", "max", "u", "sum"), 0.0), []
    for t in range(1, STEPS + 1):
        theta = equation(theta, s, gradient, t)
        path.append(theta)
    ours, state = trajectory(ours(), {"w": START["w"]})
    np.testing.assert_allclose(ours["w"], np.stack(path), rtol=1e-9)
    if name.startswith("schedule_free"):
        np.testing.assert_allclose(state.x["w"][-1], s["x"], rtol=1e-9)


def test_every_optimizer_has_a_trajectory():
    """A direction is followed as part of its method."""
    methods = {n for n in optimizers.__all__ if inspect.isfunction(getattr(optimizers, n)) and "scale_by" not in n}
    compared = {name.split(",")[0] for name in (*OF_OPTAX, *EQUATIONS)}
    elsewhere = {"muon", "orthogonalize", "newton_schulz", "schedule_free"}  # below; inside of its two methods
    assert methods == (compared - {"scale_by_momentum"}) | elsewhere


def test_nesterov_is_the_look_ahead_form_seen_from_the_point_ahead(x64):
    """m <- beta m - eta g(theta + beta m), theta <- theta + m, as the lecture writes it."""
    theta, m, ahead = START["w"], 0.0, []
    for _ in range(STEPS):
        m = 0.8 * m - 0.02 * gradient(theta + 0.8 * m)
        theta = theta + m
        ahead.append(theta + 0.8 * m)
    ours = trajectory(optimizers.nesterov(0.02, momentum=0.8), {"w": START["w"]})[0]["w"]
    np.testing.assert_allclose(ours, np.stack(ahead), rtol=1e-9)


LAYERS = [3 * np.random.default_rng(0).normal(size=size) for size in ((3, 4), (4, 6), (6, 4), (4, 2), (2,))]


def layers_gradient(params):
    return jax.tree.map(lambda p: p + jnp.sin(3 * p), params)


def newton_schulz(m):
    """Jordan et al. 2024, by the singular value decomposition: the iteration is a polynomial in each value."""
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    s = s / (np.sqrt(np.sum(s**2)) + 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ np.diag(s) @ vt


def test_muon_equals_its_equations_on_hidden_matrices_and_adamw_elsewhere(x64):
    transform = optimizers.muon(RATE, momentum=0.8, weight_decay=0.2, adam_learning_rate=0.05, adam_eps=0.1)
    ours = trajectory(transform, LAYERS, gradient=layers_gradient)[0]
    adamw = optimizers.adamw(0.05, eps=0.1, weight_decay=0.2)
    equals(
        [ours[i] for i in (0, 3, 4)],
        [trajectory(adamw, LAYERS, gradient=layers_gradient)[0][i] for i in (0, 3, 4)],
        rtol=1e-9,
    )
    for i in (1, 2):
        theta, b = LAYERS[i], 0.0
        stretch = max(1.0, theta.shape[1] / theta.shape[0]) ** 0.5
        for t in range(25):  # later it is so near the minimum that rounding decides which way a matrix points
            g = theta + np.sin(3 * theta)
            b = 0.8 * b + g
            theta = theta - rate(t) * (stretch * newton_schulz(g + 0.8 * b) + 0.2 * theta)
            np.testing.assert_allclose(ours[i][t], theta, rtol=1e-6)


def test_muon_equals_optax_without_its_correction_of_the_momentum(x64):
    """optax averages the gradient and corrects the average: a length that orthogonalization takes away."""
    ours = trajectory(optimizers.muon(0.03, momentum=0.0, mask=masks.weights), LAYERS, 10, layers_gradient)[0]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = optax.contrib.muon(0.03, beta=0.0, adam_learning_rate=1e-3, eps=1e-7)
        theirs = trajectory(theirs, LAYERS, 10, layers_gradient)[0]
    equals(ours[:4], theirs[:4], rtol=1e-5)  # the rest it gives to an Adam with Nesterov's momentum


def test_muon_says_what_to_do_where_there_are_no_hidden_matrices():
    with pytest.raises(ValueError, match="params have 2 matrices, so none between hidden layers; give a net with two"):
        optimizers.muon(0.02).init(MLP(sizes=(3, 4, 2)).init(jax.random.key(0)))


def test_orthogonalize_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match=r"works on matrices, but a leaf has shape \(2,\); mask it out"):
        optimizers.orthogonalize().update([jnp.ones(2)], optimizers.OrthogonalizeState())


@pytest.mark.parametrize("name", ["muon", "sam", "schedule_free_adamw"])
def test_modern_optimizers_learn_inside_fit(name):
    """Whatever they ask for, the run hands over: here the second gradient of SAM, the average of Schedule-Free."""
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
    rates = {"muon": 0.05, "sam": 0.3, "schedule_free_adamw": 0.05}
    recipe = training.Recipe(MLP((2, 16, 16, 2)), getattr(optimizers, name)(rates[name]), losses.softmax_cross_entropy)
    run = training.fit(recipe, (x, y), epochs=60, batch_size=20, key=jax.random.key(0), progress=False)
    assert run.history["train/loss"][-1] < 0.2 * run.history["train/loss"][0]


def test_sam_inside_a_step_takes_its_second_gradient_with_the_same_dropout_masks():
    """With rho = 0 the second gradient is the first, dropout and all."""
    net = MLP((3, 8, 1), dropout=0.5)
    params = net.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (10, 3))
    batch = Batch(x, x[:, :1])

    def after(optimizer):
        recipe = training.Recipe(net, optimizer, losses.squared_error)
        return training.train_step(recipe, params, optimizer.init(params), batch, jax.random.key(2)).params

    flat, plain, sharp = map(after, (optimizers.sam(0.1, rho=0.0), optimizers.sgd(0.1), optimizers.sam(0.1, rho=0.5)))
    equals(flat, plain, rtol=1e-6)
    assert np.max(np.abs(plain[0].w - sharp[0].w)) > 1e-3


def test_a_missing_gradient_function_gets_a_sentence():
    transform = optimizers.sam(0.1)
    with pytest.raises(ValueError, match=r"sam has no grad_fn; training.fit hands it over, elsewhere call update\("):
        transform.update(jnp.ones(2), transform.init(jnp.ones(2)), jnp.ones(2))


def test_a_steady_gradient_leaves_centred_rmsprop_no_spread():
    """Rounding brings s - a^2 below 0, to -3e-7: step by step, where nothing is fused."""
    transform = optimizers.rmsprop(0.1, centered=True, eps_root=0.0, eps=1e-3)
    gradient = jnp.linspace(0.01, 1.0, 1000)
    state = transform.init(gradient)
    for t in range(130):
        updates, state = transform.update(gradient, state)
        if t > 110:  # no spread is left, and the root is eps or little more: 0.1 g / eps = 100 g
            assert bool(jnp.all((-updates > 25 * gradient) & (-updates < 101 * gradient)))


def test_moments_of_bfloat16_parameters_decay():
    """In bfloat16 itself 0.999 v would round back to v, and v would never fall."""
    transform = optimizers.scale_by_adam()
    state = transform.init(jnp.ones(1, jnp.bfloat16))
    _, state = transform.update(jnp.ones(1, jnp.bfloat16), state)
    before = state.v
    _, state = transform.update(jnp.zeros(1, jnp.bfloat16), state)
    np.testing.assert_allclose(state.v, 0.999 * before, rtol=1e-6)


@pytest.mark.parametrize("gradient", [[0.0, 0.0], [3.0, 0.0]])
@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adamax"])
def test_without_eps_a_gradient_that_was_always_0_moves_nothing(name, gradient):
    none = {
        "adagrad": {"eps_root": 0.0, "initial_accumulator_value": 0.0},
        "rmsprop": {"eps_root": 0.0},
        "adamax": {"eps": 0.0},
    }
    transform = getattr(optimizers, name)(0.1, **none[name])
    updates, _ = transform.update(jnp.array(gradient), transform.init(jnp.zeros(2)))
    np.testing.assert_array_equal(updates == 0, np.array(gradient) == 0)


def test_an_unknown_maximum_gets_the_known_ones(unchecked):
    with pytest.raises(ValueError, match="maximum_of is 'Raw'; did you mean 'raw'"):
        optimizers.amsgrad(0.1, maximum_of="Raw")


@pytest.mark.parametrize("steps", [0, 2.5])
def test_steps_of_newton_schulz_are_a_whole_number(steps, unchecked):
    with pytest.raises((ValueError, TypeError), match=f"steps is {steps}; give a whole number of at least 1"):
        optimizers.orthogonalize(steps=steps)
