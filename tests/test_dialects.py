"""What ``DIALECTS.md`` says is executed: 100 steps of each library against 100 steps of ours."""

import ast
import functools
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch_reference
from dialects import (
    DIALECTS,
    KERAS,
    LIBRARIES,
    PYTORCH,
    SCIKIT_LEARN,
    START,
    STEPS,
    TABLE,
    TEXTBOOK,
    gradient,
    markdown,
)

from jaxmlp import masks, optimizers, regularizers, schedules

SCOPE = {
    "optimizers": optimizers,
    "regularizers": regularizers,
    "masks": masks,
    "schedules": schedules,
    "optax": optax,
    "jnp": jnp,
}
ROWS = {
    "x": np.array([[1.0, 2.0], [0.5, -1.0], [-2.0, 0.25], [-1.0, 3.0]]),
    "y": np.array([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0], [0.0, 2.0, 4.0], [-1.0, 0.5, 1.0]]),
}
# What one might take for the same: for each dialect with a trap the transform of whoever falls into it.
MISTAKEN = {
    "textbook, momentum with a schedule": "optimizers.momentum(lambda t: 0.02 * 0.96 ** t.astype(float), momentum=0.8)",
    "textbook, Nesterov": "optimizers.momentum(0.02, momentum=0.8)",
    "textbook, AdaGrad": "optimizers.adagrad(0.5, eps_root=0.1)",
    "textbook, RMSProp": "optimizers.rmsprop(0.02, decay=0.8, eps=0.1, eps_root=0.0)",
    "textbook, Adam": "optimizers.adam(0.02, b1=0.7, b2=0.95, eps=0.1)",
    "textbook, weight decay": (
        "optimizers.adamw(lambda t: 0.02 * 0.96 ** t.astype(float), b1=0.7, b2=0.95, eps=0.3, weight_decay=0.01, "
        "mask=masks.everything)"
    ),
    "textbook, L2 penalty": "optax.chain(regularizers.l2(0.3, mask=masks.everything), optimizers.sgd(0.02))",
    "Keras, momentum with a schedule": "optimizers.momentum(lambda t: 0.02 * 0.96 ** t.astype(float), momentum=0.8)",
    "Keras, Nesterov with a schedule": "optimizers.nesterov(lambda t: 0.02 * 0.96 ** t.astype(float), momentum=0.8)",
    "Keras, AdaGrad": "optimizers.adagrad(0.5, initial_accumulator_value=0.3, eps=0.1, eps_root=0.0)",
    "Keras, RMSProp": "optimizers.rmsprop(0.02, decay=0.8, eps=0.1, eps_root=0.0)",
    "Keras, Adam": "optimizers.adam(0.02, b1=0.7, b2=0.95, eps=0.3)",
    "Keras, AMSGrad": (
        "optax.inject_hyperparams(optimizers.amsgrad)"
        "(0.02, b1=0.7, b2=0.95, eps=lambda t: 0.3 / (1 - 0.95 ** (t + 1).astype(float)) ** 0.5)"
    ),
    "Keras, AdaMax": "optimizers.adamax(0.02, b1=0.7, b2=0.95, eps=0.3)",
    "Keras, NAdam": "optimizers.nadam(0.02, b1=0.7, b2=0.95, eps=0.3)",
    "Keras, Lion": "optimizers.lion(0.01, b1=0.6, b2=0.8, weight_decay=0.3)",
    "Keras, weight decay in momentum": (
        "optax.chain(regularizers.l2(0.3, mask=masks.everything), optimizers.momentum(0.02, momentum=0.8))"
    ),
    "Keras, L2 penalty": "optax.chain(regularizers.l2(0.3), optimizers.sgd(0.02))",
    "PyTorch, momentum with a schedule": (
        "optax.chain(optimizers.sgd(lambda t: 0.02 * 0.96 ** t.astype(float)), optimizers.scale_by_momentum(0.8))"
    ),
    "PyTorch, momentum with dampening": "optimizers.momentum(0.05, momentum=0.8)",
    "PyTorch, weight decay in momentum": "optax.chain(regularizers.l2(0.3), optimizers.momentum(0.02, momentum=0.8))",
    "PyTorch, AdaGrad": "optimizers.adagrad(0.5, initial_accumulator_value=0.3, eps=0.0, eps_root=0.1)",
    "PyTorch, RMSProp": "optimizers.rmsprop(0.02, decay=0.8, eps_root=0.3)",
    "PyTorch, AMSGrad": "optimizers.amsgrad(0.02, b1=0.7, b2=0.95, eps=0.3)",
    "PyTorch, weight decay in Adam": (
        "optimizers.adamw(0.02, b1=0.7, b2=0.95, eps=0.3, weight_decay=0.3, mask=masks.everything)"
    ),
    "PyTorch, AdamW": "optimizers.adamw(0.02, b1=0.7, b2=0.95, eps=0.3, weight_decay=0.3)",
    "PyTorch, AdaMax": "optimizers.adamax(0.02, b1=0.7, b2=0.95, eps=0.0, eps_outside=0.3)",
    "PyTorch, NAdam": "optimizers.nadam(0.02, b1=0.7, b2=0.95, eps=0.3)",
    "scikit-learn, Nesterov with a schedule": (
        "optimizers.nesterov(lambda t: 0.2 / (4 * t + 1).astype(float) ** 0.3, momentum=0.8)"
    ),
    "scikit-learn, Adam": "optimizers.adam(0.02, b1=0.7, b2=0.95, eps=0.3)",
    "scikit-learn, L2 penalty": "optax.chain(regularizers.l2(0.3), optimizers.momentum(0.05, momentum=0.8))",
}
STORED = json.loads(torch_reference.STORED.read_text(encoding="utf-8"))
HAS_TORCH = importlib.util.find_spec("torch") is not None


def name(dialect):
    return f"{dialect.library}, {dialect.topic}"


def each(dialects):
    return pytest.mark.parametrize("dialect", dialects, ids=name)


def bowl(params):
    return jax.tree.map(lambda theta: gradient(theta, jnp), params)


def step_of(transform, grad):
    def step(carry, _):
        params, state = carry
        updates, state = transform.update(grad(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return step


def walk(code, start, grad):
    """Follow the gradient transform that the code evaluates to, and return the parameters after each step."""
    transform = eval(code, SCOPE)

    @jax.jit
    def run(params):
        return jax.lax.scan(step_of(transform, grad), (params, transform.init(params)), None, STEPS)[1]

    return jax.tree.map(np.asarray, run(arrays(start)))


@functools.cache
def ours(code):
    """The path from the fixed start down the bowl, in 64-bit numbers."""
    assert jax.config.jax_enable_x64
    return walk(code, START, bowl)


def arrays(start):
    return {leaf: jnp.array(value) for leaf, value in start.items()}


def beginning(code):
    """The path's first steps, without compiling."""
    transform = eval(code, SCOPE)
    params = arrays(START)
    carry, path = (params, transform.init(params)), []
    for _ in range(3):
        carry, params = step_of(transform, bowl)(carry, None)
        path.append(params)
    return {leaf: np.stack([p[leaf] for p in path]) for leaf in params}


def same(one, other):
    assert one.keys() == other.keys()
    for leaf in one:  # where a path ends at 0 what is left is rounding
        np.testing.assert_allclose(one[leaf], other[leaf], rtol=1e-9, atol=1e-12, err_msg=leaf)


def apart(one, other):
    """The largest difference anywhere on two paths, whose numbers are of order 1."""
    return max(np.max(np.abs(one[leaf] - other[leaf])) for leaf in one)


def textbook(dialect):
    """Execute the equations in plain NumPy, with w and b as the two rows of theta."""
    names = {"g": gradient, "sqrt": np.sqrt, "sign": np.sign, "m": 0.0, "s": 0.0, "v": 0.0}
    names["theta"] = np.array([*START["w"], START["b"]])
    path = []
    for t in range(1, STEPS + 1):
        names |= {"t": t, "w": names["theta"] * np.array([[1.0], [0.0]])}
        exec(dialect.theirs, names)
        path.append(names.get("phi", names["theta"]))
    path = np.stack(path)
    return {"w": path[:, :1], "b": path[:, 1]}


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))  # it writes its settings there
        keras = pytest.importorskip("keras")
        assert keras.config.backend() == "jax"
        before = keras.config.floatx()
        keras.config.set_floatx("float64")
        yield keras
        keras.config.set_floatx(before)


def keras_path(keras, dialect):
    """Train a dense layer, whose kernel is w, with the optimizer; the layer's own penalties count."""
    made = eval(dialect.theirs, {"keras": keras})
    layer, optimizer = made if isinstance(made, tuple) else (keras.layers.Dense(3), made)
    layer.build((None, 1))
    layer.set_weights([np.array(START["w"]), np.array(START["b"])])
    optimizer.build(layer.trainable_variables)
    inputs = jnp.zeros((1, 1))

    def penalty(params):
        return sum(layer.stateless_call(params, [], inputs, return_losses=True)[2], jnp.zeros(()))

    def step(carry, _):
        params, state = carry
        gradients = jax.tree.map(jnp.add, bowl(params), jax.grad(penalty)(params))
        carry = optimizer.stateless_apply(state, gradients, params)
        return carry, carry[0]

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        values = tuple([v.value for v in vs] for vs in (layer.trainable_variables, optimizer.variables))
        w, b = jax.jit(lambda carry: jax.lax.scan(step, carry, None, STEPS)[1])(values)
    return {"w": np.asarray(w), "b": np.asarray(b)}


def regression(params):
    """The gradient of half the mean squared error of a linear model."""
    error = ROWS["x"] @ params["w"] + params["b"][None] - ROWS["y"]
    return {"w": ROWS["x"].T @ error / 4, "b": error.mean(axis=0)}


def scikit_learn_path(dialect):
    """Train a linear model on four rows; return its first weights, and the weights after each step."""
    from sklearn.neural_network import MLPRegressor

    def linear():
        model = eval(dialect.theirs, {"MLPRegressor": MLPRegressor})
        return model.set_params(hidden_layer_sizes=(), batch_size=4, shuffle=False, random_state=0)

    def params(model):
        return {"w": model.coefs_[0].copy(), "b": model.intercepts_[0].copy()}

    # The first weights are drawn within the first step; a step of no length leaves them as they were.
    start = params(linear().set_params(learning_rate_init=1e-300).partial_fit(ROWS["x"], ROWS["y"]))
    model = linear()
    path = [params(model.partial_fit(ROWS["x"], ROWS["y"])) for _ in range(STEPS)]
    return start, {leaf: np.stack([p[leaf] for p in path]) for leaf in start}


@each(TEXTBOOK)
def test_a_hundred_steps_equal_the_textbooks_equations(dialect, x64):
    same(ours(dialect.ours), textbook(dialect))


@each(KERAS)
def test_a_hundred_steps_equal_keras(dialect, x64, keras):
    same(ours(dialect.ours), keras_path(keras, dialect))


@each(PYTORCH)
def test_a_hundred_steps_equal_pytorch(dialect, x64):
    path = ours(dialect.ours)
    if HAS_TORCH:
        same(path, torch_reference.trajectory(dialect))
    for step, params in STORED["entries"][dialect.topic]["parameters"].items():
        same({leaf: values[int(step) - 1] for leaf, values in path.items()}, params)


@each(SCIKIT_LEARN)
def test_a_hundred_steps_equal_scikit_learn(dialect, x64):
    pytest.importorskip("sklearn")
    start, theirs = scikit_learn_path(dialect)
    same(walk(dialect.ours, start, regression), theirs)


@pytest.mark.parametrize("dialect", [d for d in DIALECTS if name(d) in MISTAKEN], ids=name)
def test_a_mistaken_convention_leads_elsewhere(dialect, x64):
    assert apart(ours(dialect.ours), ours(MISTAKEN[name(dialect)])) > 1e-3


def test_mistakes_are_made_about_dialects_that_exist():
    assert set(MISTAKEN) <= {name(d) for d in DIALECTS}


def numbers(code):
    """Yield the code once for each of its floats, with that float changed by 0.01."""
    floats = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant) and isinstance(n.value, float)]
    for n in floats:
        yield f"{code[: n.col_offset]}{n.value + 0.01:.6g}{code[n.end_col_offset :]}"


@each(DIALECTS)
def test_every_number_shows(dialect, x64):
    """A number that does not show would be compared with nothing."""
    first_steps = beginning(dialect.ours)
    for code in numbers(dialect.ours):
        at_once = apart(first_steps, beginning(code)) > 1e-5
        assert at_once or apart(ours(dialect.ours), ours(code)) > 1e-5, code


def test_what_is_stored_of_pytorch_was_made_from_these_entries():
    assert STORED["settings"] == torch_reference.settings()
    assert {topic: e["theirs"] for topic, e in STORED["entries"].items()} == {d.topic: d.theirs for d in PYTORCH}
    for entry in STORED["entries"].values():
        assert list(entry["parameters"]) == [str(step) for step in torch_reference.STEPS_STORED]


@each(PYTORCH)
def test_pytorch_still_gives_the_numbers_that_are_stored(dialect):
    pytest.importorskip("torch")
    live = torch_reference.at_steps(torch_reference.trajectory(dialect))
    for step, params in STORED["entries"][dialect.topic]["parameters"].items():
        same(live[step], params)


def test_every_library_is_here_and_no_topic_twice():
    assert [library for library in LIBRARIES if any(d.library == library for d in DIALECTS)] == list(LIBRARIES)
    assert len({name(d) for d in DIALECTS}) == len(DIALECTS)


def test_the_table_is_what_the_dialects_say():
    assert TABLE.read_text(encoding="utf-8") == markdown(), "run python tests/dialects.py"
