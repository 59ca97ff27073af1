import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import optimizers

STEPS = 100


def rate(count):
    """A learning rate that changes at every step."""
    return 0.1 / (1.0 + 0.05 * count.astype(float))


def gradient(theta):
    """The gradient of an elongated bowl with a ripple, so that no two steps are alike."""
    return jax.tree.map(lambda t: t * jnp.array([1.0, 20.0, 0.1], t.dtype) + jnp.sin(3 * t), theta)


def trajectory(transform, dtype=jnp.float64, steps=STEPS):
    """Follow a transform for some steps from a fixed point, in one program."""

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    start = {"a": jnp.array([1.0, -2.0, 3.0], dtype), "b": jnp.array([[0.5, 0.1, -4.0]], dtype)[0]}
    return jax.lax.scan(step, (start, transform.init(start)), None, steps)[1]


SETTINGS = {
    "sgd": (lambda: optimizers.sgd(rate), lambda: optax.sgd(rate)),
    "adam": (lambda: optimizers.adam(rate), lambda: optax.adam(rate)),
    "adam, every term visible": (
        lambda: optimizers.adam(rate, b1=0.7, b2=0.95, eps=0.1, eps_root=0.03),
        lambda: optax.adam(rate, b1=0.7, b2=0.95, eps=0.1, eps_root=0.03),
    ),
    "scale_by_adam": (
        lambda: optax.chain(optimizers.scale_by_adam(b1=0.8, eps=0.1), optax.scale(-0.05)),
        lambda: optax.chain(optax.scale_by_adam(b1=0.8, eps=0.1), optax.scale(-0.05)),
    ),
}


def transforms():
    return {"sgd": optimizers.sgd(0.1), "adam": optimizers.adam(0.1), "scale_by_adam": optimizers.scale_by_adam()}


def test_every_exported_transform_is_tested_here():
    functions = {n for n in optimizers.__all__ if inspect.isfunction(getattr(optimizers, n))}
    assert functions == set(transforms())
    assert all(any(name.startswith(f) for name in SETTINGS) for f in functions)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_hundred_steps_equal_optax(name, x64):
    ours, theirs = SETTINGS[name]
    ours = trajectory(ours())
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam takes a float to the power of an integer
        theirs = trajectory(theirs())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs)


def test_a_hundred_steps_of_adam_equal_its_equations_in_numpy(x64):
    """Kingma and Ba 2015, algorithm 1, with eps_root added inside the root."""
    b1, b2, eps, eps_root = 0.7, 0.95, 0.1, 0.03
    theta, m, v = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3)
    path = []
    for t in range(1, STEPS + 1):
        g = theta * np.array([1.0, 20.0, 0.1]) + np.sin(3 * theta)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        theta = theta - 0.1 / (1 + 0.05 * (t - 1)) * m_hat / (np.sqrt(v_hat + eps_root) + eps)
        path.append(theta)
    ours = trajectory(optimizers.adam(rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root))
    np.testing.assert_allclose(ours["a"], np.stack(path), rtol=1e-9)


@pytest.mark.parametrize("hyperparameter", ["learning_rate", "b1", "b2", "eps", "eps_root"])
def test_every_number_of_adam_may_be_traced(hyperparameter):
    values = jnp.array([0.1, 0.4, 0.8])

    def final(value):
        arguments = {"learning_rate": 0.05, hyperparameter: value}
        return trajectory(optimizers.adam(**arguments), jnp.float32, 10)["a"][-1]

    together = jax.vmap(final)(values)
    one_by_one = jnp.stack([final(float(v)) for v in values])
    np.testing.assert_allclose(together, one_by_one, rtol=2e-5)
    assert not np.allclose(one_by_one[0], one_by_one[1])


def test_the_rate_of_sgd_may_be_traced():
    together = jax.vmap(lambda r: trajectory(optimizers.sgd(r), jnp.float32, 10)["a"][-1])(jnp.array([0.01, 0.03]))
    one_by_one = [trajectory(optimizers.sgd(r), jnp.float32, 10)["a"][-1] for r in (0.01, 0.03)]
    np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=1e-5)


@pytest.mark.parametrize("name", transforms())
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_updates_keep_dtype_and_structure_and_the_state_its_types(name, dtype):
    transform = transforms()[name]
    params = {"w": jnp.ones((2, 3), dtype), "b": (jnp.ones(3, dtype), None)}
    state = transform.init(params)
    updates, new = transform.update(params, state, params)
    assert jax.tree.map(lambda u: (u.shape, u.dtype), updates) == jax.tree.map(lambda p: (p.shape, p.dtype), params)
    assert jax.tree.map(lambda s: (s.shape, s.dtype), new) == jax.tree.map(lambda s: (s.shape, s.dtype), state)


@pytest.mark.parametrize("name", transforms())
def test_a_traced_rate_of_another_dtype_changes_no_dtype(name, x64):
    make = {"sgd": optimizers.sgd, "adam": optimizers.adam, "scale_by_adam": lambda b1: optimizers.scale_by_adam(b1=b1)}
    params = jnp.ones(3, jnp.float32)

    def update(value):
        transform = make[name](value)
        return transform.update(params, transform.init(params), params)[0]

    assert jax.jit(update)(jnp.float64(0.1)).dtype == jnp.float32


@pytest.mark.parametrize("name", transforms())
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_a_zero_gradient_gives_a_zero_update(name, dtype):
    transform = transforms()[name]
    params = jnp.ones(3, dtype)
    updates, _ = transform.update(jnp.zeros(3, dtype), transform.init(params), params)
    np.testing.assert_array_equal(np.asarray(updates, np.float32), 0.0)


@pytest.mark.parametrize("name", transforms())
def test_jitted_and_eager_updates_agree(name):
    transform = transforms()[name]
    params = jnp.array([1.0, -2.0])
    eager = transform.update(params, transform.init(params), params)
    jitted = jax.jit(transform.update)(params, transform.init(params), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), eager, jitted)


@pytest.mark.parametrize("name", transforms())
def test_the_type_of_the_state_does_not_depend_on_the_rate_being_a_schedule(name):
    make = {"sgd": optimizers.sgd, "adam": optimizers.adam}.get(name)
    if make is None:
        assert isinstance(optimizers.scale_by_adam().init(jnp.ones(1)), optimizers.AdamState)
        return
    fixed, changing = make(0.1).init(jnp.ones(1)), make(rate).init(jnp.ones(1))
    assert jax.tree.structure(fixed) == jax.tree.structure(changing)


def test_chains_with_optax_on_both_sides():
    transform = optax.chain(optax.clip(0.5), optimizers.sgd(1.0), optax.scale(2.0))
    updates, _ = transform.update(jnp.array([3.0, -0.25]), transform.init(jnp.zeros(2)))
    np.testing.assert_allclose(updates, [-1.0, 0.5])


def test_moments_of_bfloat16_parameters_decay():
    """In bfloat16 itself 0.999 v would round back to v, and v would never fall."""
    transform = optimizers.scale_by_adam()
    state = transform.init(jnp.ones(1, jnp.bfloat16))
    _, state = transform.update(jnp.ones(1, jnp.bfloat16), state)
    before = state.v
    _, state = transform.update(jnp.zeros(1, jnp.bfloat16), state)
    np.testing.assert_allclose(state.v, 0.999 * before, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: optimizers.sgd(-0.1), r"learning_rate is -0.1; give a number in \[0, inf\)"),
        (lambda: optimizers.adam(float("inf")), r"learning_rate is inf"),
        (lambda: optimizers.adam(0.1, b1=1.0), r"b1 is 1.0; give a number in \[0, 1\)"),
        (lambda: optimizers.adam(0.1, b2=-0.1), r"b2 is -0.1; give a number in \[0, 1\)"),
        (lambda: optimizers.adam(0.1, eps=-1e-8), r"eps is -1e-08; give a number in \[0, inf\)"),
        (lambda: optimizers.adam(0.1, eps_root=-1.0), r"eps_root is -1.0; give a number in \[0, inf\)"),
    ],
)
def test_numbers_out_of_range_get_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
