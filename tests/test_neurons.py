"""Single units beside their truth tables, equations in NumPy float64, scikit-learn, and Novikoff's bound."""

import functools
import itertools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import Perceptron
from sklearn.svm import SVC

from jaxmlp import neurons
from jaxmlp.neurons import McCullochPitts, ThresholdUnit
from jaxmlp.neurons import separability as separability_of
from jaxmlp.neurons.separability import gap, some_normal

KEY = jax.random.key(3)


def table(inputs):
    """All rows of zeros and ones."""
    return jnp.array(list(itertools.product([0, 1], repeat=inputs)))


def planted(seed, sets, rows, inputs, margin):
    """Sets with a hyperplane between their classes, and Novikoff's bound from that hyperplane."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(sets, inputs + 1)) * np.append(np.ones(inputs), 0.3)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    w, b = v[:, None, :-1], v[:, -1:]
    x = rng.normal(size=(sets, rows, inputs))
    y = ((x * w).sum(-1) + b >= 0).astype(int)
    x += margin * (2 * y - 1)[..., None] * w / (w**2).sum(-1, keepdims=True)
    gamma = ((2 * y - 1) * ((x * w).sum(-1) + b)).min(axis=1)
    radius = np.sqrt((x**2).sum(-1) + 1).max(axis=1)
    return x, y, (radius / gamma) ** 2


def noisy(rows=40, inputs=3, seed=0, classes=2):
    """Rows that no hyperplane separates."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs))
    scores = x @ rng.normal(size=(inputs, classes)) + rng.normal(size=(rows, classes))
    return x, scores.argmax(axis=1)


def lattice(rows=40, inputs=3, seed=0, classes=2):
    """Rows of small whole numbers, of which many come to lie right on the boundary."""
    rng = np.random.default_rng(seed)
    return rng.integers(-2, 3, size=(rows, inputs)).astype(float), rng.integers(classes, size=rows)


def separable(rows=40, inputs=3, margin=0.05, seed=1):
    """Rows that a hyperplane separates, of both classes."""
    x, y, _ = planted(seed, 1, rows, inputs, margin)
    assert 0 < y.sum() < rows
    return x[0], y[0]


X_AND, Y_AND, Y_OR, Y_XOR = table(2), jnp.array([0, 0, 0, 1]), jnp.array([0, 1, 1, 1]), jnp.array([0, 1, 1, 0])


def equals(ours, theirs, **tolerance):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


# -- drawn by hand --

GATES = {
    "and": (neurons.and_gate, all),
    "or": (neurons.or_gate, any),
    "nand": (neurons.nand_gate, lambda row: not all(row)),
    "nor": (neurons.nor_gate, lambda row: not any(row)),
    "majority": (neurons.majority_gate, lambda row: 2 * sum(row) > len(row)),
}


@pytest.mark.parametrize("inputs", [1, 2, 3, 4])
@pytest.mark.parametrize("name", GATES)
def test_gates_have_their_truth_tables(name, inputs):
    make, truth = GATES[name]
    expected = [int(truth(row)) for row in table(inputs).tolist()]
    assert make(inputs).apply(table(inputs)).tolist() == expected


def test_not_and_xor_have_their_truth_tables():
    assert neurons.not_gate().apply(table(1)).tolist() == [1, 0]
    assert neurons.xor_gate().apply(table(2)).tolist() == [0, 1, 1, 0]


def single_units():
    """Every unit of two inputs, each not wired, inhibitory, or with one or two endings."""
    for ways in itertools.product(["", "veto", "one", "two"], repeat=2):
        excitatory = tuple(i for i, way in enumerate(ways) for _ in range({"one": 1, "two": 2}.get(way, 0)))
        inhibitory = tuple(i for i, way in enumerate(ways) if way == "veto")
        yield from (McCullochPitts(excitatory, inhibitory, threshold) for threshold in range(6))


def test_no_single_unit_is_nand_or_xor():
    answers = {tuple(unit.apply(table(2)).tolist()) for unit in single_units()}
    assert {(0, 0, 0, 1), (0, 1, 1, 1), (1, 0, 0, 0), (1, 0, 1, 0)} <= answers
    assert not {(1, 1, 1, 0), (0, 1, 1, 0)} & answers


@pytest.mark.parametrize("dtype", [bool, jnp.int8, jnp.float32])
def test_a_veto_is_absolute_and_an_input_named_twice_counts_twice(dtype):
    unit = McCullochPitts(excitatory=(0, 0, 1), inhibitory=(3,), threshold=2)
    rows = jnp.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]).astype(dtype)
    fires = unit.apply(rows)
    assert fires.astype(int).tolist() == [1, 0, 0, 0]
    assert fires.dtype == dtype
    assert jax.jit(unit.apply)(rows[0]).shape == ()


def test_a_threshold_unit_fires_from_its_threshold_on():
    w, x = jnp.array([0.5, -2.0, 1.0]), jnp.array([[1.0, 0.25, 1.0], [1, 0.25, 0.9], [4, 0, 0], [0, 0, 0]])
    assert ThresholdUnit(w, threshold=1.0).apply(x).tolist() == [1, 0, 1, 0]
    thresholds = jnp.array([-0.1, 0.0, 0.1, 1.0])
    fires = jax.vmap(lambda theta: ThresholdUnit(w, theta).apply(x[3]))(thresholds)
    assert fires.tolist() == [1, 1, 0, 0]
    assert ThresholdUnit(w, 1.0).apply(jnp.zeros((2, 5, 3), int)).shape == (2, 5)


# -- the perceptron --


def numpy_perceptron(x, y, epochs, eta=1.0, w=None, b=0.0, orders=None):
    """Rosenblatt's rule, epoch by epoch; stops where scikit-learn with tol=None would go on without changes."""
    w = np.zeros(x.shape[1]) if w is None else np.array(w)
    path, mistakes = [], []
    for epoch in range(epochs):
        mistakes.append(0)
        for i in range(len(x)) if orders is None else orders[epoch]:
            t = 2 * y[i] - 1
            if t * (w @ x[i] + b) <= 0:
                w, b = w + eta * t * x[i], b + eta * t
                mistakes[-1] += 1
        path.append((w, b))
        if mistakes[-1] == 0:
            break
    return path, mistakes


def orders_of(key, epochs, rows):
    return [np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), rows)) for epoch in range(epochs)]


def follows(run, path, mistakes):
    """Whether a run is the one of NumPy, with NaN and 0 for the epochs that it was spared."""
    epochs, run_epochs = len(run.mistakes), len(mistakes)
    w, b = (np.array(part) for part in zip(*path, strict=True))
    spared = epochs - run_epochs
    np.testing.assert_allclose(run.path[0], np.concatenate([w, np.full((spared, *w.shape[1:]), np.nan)]), rtol=1e-9)
    np.testing.assert_allclose(run.path[1], np.concatenate([b, np.full((spared, *b.shape[1:]), np.nan)]), rtol=1e-9)
    equals(tuple(run.unit), (w[-1], b[-1]), rtol=1e-9)
    assert run.mistakes.tolist() == mistakes + [0] * spared
    assert int(run.total_mistakes) == sum(mistakes)
    assert int(run.epochs) == run_epochs
    assert bool(run.converged) == (mistakes[-1] == 0)


@pytest.mark.parametrize("sets", [noisy(), lattice(), separable()])
@pytest.mark.parametrize("key", [None, KEY])
def test_the_perceptron_equals_its_rule_in_numpy(sets, key, x64):
    x, y = sets
    start = neurons.Perceptron(jnp.linspace(-1, 2, x.shape[1]), jnp.array(0.25))  # no rounding, so rows can tie
    run = neurons.learn_perceptron(x, y, learning_rate=0.5, epochs=30, key=key, start=start)
    orders = None if key is None else orders_of(key, 30, len(x))
    follows(run, *numpy_perceptron(x, y, 30, 0.5, start.w, 0.25, orders))


@pytest.mark.parametrize("epochs", [1, 2, 5, 20])
@pytest.mark.parametrize("sets", [noisy(), lattice(), separable()])
def test_the_perceptron_equals_scikit_learn(sets, epochs, x64):
    x, y = sets
    theirs = Perceptron(shuffle=False, tol=None, eta0=1, max_iter=epochs).fit(x, y)
    run = neurons.learn_perceptron(x, y, epochs=epochs)
    equals((run.unit.w, run.unit.b), (theirs.coef_[0], theirs.intercept_[0]), rtol=1e-9)
    np.testing.assert_array_equal(run.unit.apply(jnp.asarray(x)) > 0, run.unit.score(jnp.asarray(x)) >= 0)
    np.testing.assert_allclose(run.unit.score(jnp.asarray(x)), theirs.decision_function(x), rtol=1e-9, atol=1e-12)


def test_a_row_on_the_boundary_fires_but_is_a_mistake_while_learning():
    zeros = neurons.Perceptron(jnp.zeros(2), jnp.array(0.0))
    assert zeros.apply(jnp.array([1.0, 1.0])) == 1
    run = neurons.learn_perceptron([[1.0, 1.0]], [1], epochs=3)
    assert (int(run.total_mistakes), int(run.epochs), run.unit.w.tolist(), float(run.unit.b)) == (1, 2, [1, 1], 1)


def test_a_thousand_separable_sets_keep_to_novikoffs_bound():
    x, y, bound = planted(0, 1000, 30, 3, margin=0.1)
    learn = jax.jit(jax.vmap(functools.partial(neurons.learn_perceptron, epochs=1000)))
    run = learn(jnp.asarray(x, jnp.float32), jnp.asarray(y))
    assert bool(run.converged.all())
    np.testing.assert_array_equal(jax.vmap(neurons.Perceptron.apply)(run.unit, jnp.asarray(x, jnp.float32)), y)
    mistakes = np.asarray(run.total_mistakes)
    assert np.all(mistakes <= bound)
    assert np.max(mistakes / bound) > 0.1  # else the bound would be no test
    for i in range(100):
        exact = separability_of(x[i], y[i])
        assert mistakes[i] <= exact.mistake_bound <= bound[i] * (1 + 1e-9)


def test_and_and_or_are_learned_within_the_bound_and_xor_never():
    for y in (Y_AND, Y_OR):
        run = neurons.learn_perceptron(X_AND, y)
        assert bool(run.converged)
        assert run.unit.apply(X_AND).tolist() == y.tolist()
        assert int(run.total_mistakes) <= separability_of(X_AND, y).mistake_bound
    run = neurons.learn_perceptron(X_AND, Y_XOR, epochs=50)
    assert (int(run.epochs), bool(run.converged)) == (50, False)
    assert bool((run.mistakes > 0).all())


def test_the_rate_scales_weights_that_begin_at_zero_and_no_more():
    x, y = noisy()
    one = neurons.learn_perceptron(x, y, epochs=5)
    quarter = neurons.learn_perceptron(x, y, epochs=5, learning_rate=0.25)
    equals(quarter.path, jax.tree.map(lambda leaf: leaf / 4, one.path))
    equals(quarter.mistakes, one.mistakes)


def test_a_run_goes_on_where_another_ended():
    x, y = noisy()
    first = neurons.learn_perceptron(x, y, epochs=2)
    rest = neurons.learn_perceptron(x, y, epochs=3, start=first.unit)
    equals(rest.unit, neurons.learn_perceptron(x, y, epochs=5).unit)


def test_what_is_not_finite_inside_jit_is_never_learned():
    run = jax.jit(functools.partial(neurons.learn_perceptron, epochs=3))(jnp.array([[jnp.nan]]), jnp.array([1]))
    assert not bool(run.converged)
    run = jax.jit(functools.partial(neurons.learn_multiclass_perceptron, classes=2, epochs=3))(
        jnp.array([[jnp.nan]]), jnp.array([1])
    )
    assert not bool(run.converged)


# -- its kin --


@pytest.mark.parametrize("sets", [noisy(), lattice(), separable()])
@pytest.mark.parametrize("key", [None, KEY])
def test_the_averaged_perceptron_averages_over_every_row(sets, key, x64):
    x, y = sets
    w, b, seen, mistakes = np.zeros(x.shape[1]), 0.0, [], []
    for order in [range(len(x))] * 12 if key is None else orders_of(key, 12, len(x)):
        mistakes.append(0)
        for i in order:
            t = 2 * y[i] - 1
            if t * (w @ x[i] + b) <= 0:
                w, b, mistakes[-1] = w + t * x[i], b + t, mistakes[-1] + 1
            seen.append((w, b))
    run = neurons.learn_averaged_perceptron(x, y, epochs=12, key=key)
    average = tuple(np.mean(np.array(part), axis=0) for part in zip(*seen, strict=True))
    equals(tuple(run.unit), average, rtol=1e-9)
    equals(tuple(run.last), (w, b), rtol=1e-9)
    assert run.mistakes.tolist() == mistakes


def numpy_multiclass(x, y, classes, epochs, orders=None):
    w, b, path, mistakes = np.zeros((x.shape[1], classes)), np.zeros(classes), [], []
    for epoch in range(epochs):
        mistakes.append(0)
        for i in range(len(x)) if orders is None else orders[epoch]:
            score = x[i] @ w + b
            rival = max((k for k in range(classes) if k != y[i]), key=lambda k: score[k])
            if score[y[i]] <= score[rival]:
                w, b, mistakes[-1] = w.copy(), b.copy(), mistakes[-1] + 1
                w[:, y[i]] += x[i]
                w[:, rival] -= x[i]
                b[y[i]] += 1
                b[rival] -= 1
        path.append((w, b))
        if mistakes[-1] == 0:
            break
    return path, mistakes


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("make", [noisy, lattice])
def test_the_multiclass_perceptron_equals_its_rule_in_numpy(make, key, x64):
    x, y = make(classes=4)
    run = neurons.learn_multiclass_perceptron(x, y, epochs=10, key=key)
    follows(run, *numpy_multiclass(x, y, 4, 10, None if key is None else orders_of(key, 10, len(x))))


def test_the_multiclass_perceptron_learns_three_separable_classes(x64):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    x = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])[y] + rng.uniform(-0.9, 0.9, size=(90, 2))
    run = neurons.learn_multiclass_perceptron(x, y)
    assert bool(run.converged)
    assert run.unit.apply(jnp.asarray(x)).tolist() == y.tolist()
    np.testing.assert_allclose(
        run.unit.score(jnp.asarray(x)), x @ np.array(run.unit.w) + np.array(run.unit.b), rtol=1e-9
    )
    follows(run, *numpy_multiclass(x, y, 3, 100))


@pytest.mark.parametrize("make", [noisy, lattice])
def test_with_two_classes_the_multiclass_perceptron_is_the_perceptron(make, x64):
    x, y = make()
    two, one = neurons.learn_multiclass_perceptron(x, y, epochs=7), neurons.learn_perceptron(x, y, epochs=7)
    equals((two.unit.w[:, 1], two.unit.b[1]), tuple(one.unit), rtol=1e-9)
    equals((two.unit.w[:, 0], two.unit.b[0]), tuple(-part for part in one.unit), rtol=1e-9)
    assert two.mistakes.tolist() == one.mistakes.tolist()


def numpy_pocket(x, y, key, epochs):
    """Gallant 1990, with ratchet, and the test at the end of each epoch; yields what the pocket and pi have wrong."""
    t, n = 2 * y - 1, len(x)
    pi = pocket = np.zeros(x.shape[1] + 1)
    run = pocket_run = pocket_right = 0
    x = np.column_stack([x, np.ones(n)])
    for epoch in range(epochs):
        for i in np.asarray(jax.random.randint(jax.random.fold_in(key, epoch), (n,), 0, n)):
            if t[i] * (x[i] @ pi) <= 0:
                pi, run = pi + t[i] * x[i], 0
                continue
            run += 1
            if run > pocket_run and np.sum(t * (x @ pi) > 0) > pocket_right:
                pocket, pocket_run, pocket_right = pi, run, np.sum(t * (x @ pi) > 0)
        right = np.sum(t * (x @ pi) > 0)
        if right > pocket_right:
            pocket, pocket_run, pocket_right = pi, run, right
        yield pocket, pi, n - pocket_right, n - right
        if pocket_right == n:
            return


FEW_ROWS = [lattice(6, 2, seed) for seed in range(20)]  # where a run one too long shows


@pytest.mark.parametrize("sets", [noisy(60), lattice(60), separable(), *FEW_ROWS])
def test_the_pocket_rule_equals_gallants_in_numpy(sets, x64):
    x, y = sets
    run = neurons.learn_pocket(x, y, key=KEY, epochs=15)
    epochs = list(numpy_pocket(x, y, KEY, 15))
    pocket, last, wrong, last_wrong = zip(*epochs, strict=True)
    equals(np.append(run.unit.w, run.unit.b), pocket[-1], rtol=1e-9)
    equals(np.append(run.last.w, run.last.b), last[-1], rtol=1e-9)
    spared = [0] * (15 - len(epochs))
    assert run.wrong.tolist() == [*wrong, *spared]
    assert run.last_wrong.tolist() == [*last_wrong, *spared]
    assert int(run.epochs) == len(epochs)


def test_the_pocket_is_never_worse_than_the_perceptron_and_never_gets_worse():
    x, y = zip(*[noisy(50, 4, seed) for seed in range(20)], strict=True)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)
    learn = jax.vmap(lambda x, y, key: neurons.learn_pocket(x, y, key=key, epochs=20))
    run = learn(x, y, jax.random.split(KEY, 20))
    assert bool((run.wrong <= run.last_wrong).all())
    assert bool((jnp.diff(run.wrong) <= 0).all())
    assert int(jnp.sum(run.wrong[:, -1])) < 0.7 * int(jnp.sum(run.last_wrong[:, -1]))
    for unit, wrong in ((run.unit, run.wrong), (run.last, run.last_wrong)):
        decided = jax.vmap(neurons.Perceptron.apply)(unit, x)
        assert np.sum(np.asarray(decided) != np.asarray(y), axis=1).tolist() == wrong[:, -1].tolist()


def test_the_pocket_finds_the_best_for_xor_and_stops_where_nothing_is_wrong():
    assert int(neurons.learn_pocket(X_AND, Y_XOR, key=KEY).wrong[-1]) == 1
    run = neurons.learn_pocket(X_AND, Y_AND, key=KEY)
    assert 1 < int(run.epochs) < 100
    assert (run.wrong > 0).tolist() == [epoch < int(run.epochs) - 1 for epoch in range(100)]
    assert run.unit.apply(X_AND).tolist() == Y_AND.tolist()


@pytest.mark.parametrize("key", [None, KEY])
def test_adaline_equals_the_lms_rule_in_numpy(key, x64):
    x, _ = noisy()
    y = x @ np.array([1.0, -2.0, 0.5]) + np.sin(7 * x[:, 0])
    w, b, path, squares = np.zeros(3), 0.0, [], []
    for order in [range(40)] * 6 if key is None else orders_of(key, 6, 40):
        errors = []
        for i in order:
            errors.append(y[i] - (w @ x[i] + b))
            w, b = w + 0.05 * errors[-1] * x[i], b + 0.05 * errors[-1]
        path.append((w, b))
        squares.append(np.mean(np.square(errors)))
    run = neurons.learn_adaline(x, y, learning_rate=0.05, epochs=6, key=key)
    equals(tuple(run.path), tuple(np.array(part) for part in zip(*path, strict=True)), rtol=1e-9)
    equals(tuple(run.unit), (w, b), rtol=1e-9)
    np.testing.assert_allclose(run.mean_squared_error, squares, rtol=1e-9)
    np.testing.assert_allclose(run.unit.apply(jnp.asarray(x)), x @ w + b, rtol=1e-9, atol=1e-12)


def test_adaline_comes_as_near_to_least_squares_as_its_rate_is_small(x64):
    x, labels = noisy()
    y = 2 * labels - 1
    fit = np.linalg.lstsq(np.column_stack([x, np.ones(40)]), y)[0]

    def distance(rate):
        unit = neurons.learn_adaline(x, y, learning_rate=rate, epochs=int(20 / rate) // 40 + 400).unit
        return np.linalg.norm(np.append(unit.w, unit.b) - fit)

    assert distance(0.01) < 0.05
    assert distance(0.005) == pytest.approx(distance(0.01) / 2, rel=0.1)
    assert distance(0.0025) == pytest.approx(distance(0.01) / 4, rel=0.15)


# -- all rules --

LEARNERS = {
    "perceptron": functools.partial(neurons.learn_perceptron, learning_rate=0.5),
    "averaged": neurons.learn_averaged_perceptron,
    "multiclass": functools.partial(neurons.learn_multiclass_perceptron, classes=2),
    "pocket": neurons.learn_pocket,
    "adaline": neurons.learn_adaline,
}


@pytest.mark.parametrize("name", [*LEARNERS, "perceptron, in random order"])
def test_jitted_and_vmapped_over_data_and_keys_equals_a_loop(name):
    learn = functools.partial(LEARNERS[name.split(",")[0]], epochs=3)
    takes_key = name == "pocket" or "random" in name
    x, y = zip(noisy(8), lattice(8), noisy(8, seed=1), strict=True)
    x, y, keys = jnp.asarray(x, jnp.float32), jnp.asarray(y), jax.random.split(KEY, 3)

    def run(x, y, key):
        return learn(x, y, key=key) if takes_key else learn(x, y)

    one_by_one = [run(*one) for one in zip(x, y, keys, strict=True)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one)
    equals(jax.jit(jax.vmap(run))(x, y, keys), stacked, rtol=1e-5, atol=1e-6)
    assert any(bool(jnp.any(leaf[0] != leaf[2])) for leaf in jax.tree.leaves(stacked))


@pytest.mark.parametrize("name", sorted(set(LEARNERS) - {"pocket"}))  # whose draws take long
def test_step_by_step_equals_compiled(name):
    learn = functools.partial(LEARNERS[name], epochs=2)
    x, y = noisy(4)
    with jax.disable_jit():
        step_by_step = learn(x, y)
    equals(step_by_step, learn(x, y), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("learn", [neurons.learn_perceptron, neurons.learn_adaline])
def test_vmap_over_the_rate_equals_a_loop_and_another_rate_compiles_nothing(learn, compilations):
    x, y = noisy(8)
    x, y, rates = jnp.asarray(x, jnp.float32), jnp.asarray(y), [0.05, 0.1, 0.2]
    start = {"start": neurons.Perceptron(jnp.ones(3), jnp.array(0.5))} if learn is neurons.learn_perceptron else {}

    def run(rate):
        return learn(x, y, learning_rate=rate, epochs=5, **start)

    one_by_one = [run(rates[0])]
    before = compilations.count
    one_by_one += [run(rate) for rate in rates[1:]]
    assert compilations.count == before
    equals(jax.vmap(run)(jnp.array(rates)), jax.tree.map(lambda *a: jnp.stack(a), *one_by_one), rtol=1e-5, atol=1e-6)
    assert bool(jnp.any(one_by_one[0].unit.w != one_by_one[1].unit.w))


@pytest.mark.parametrize("name", LEARNERS)
def test_numbers_of_any_type_are_learned_from_alike(name):
    learn = functools.partial(LEARNERS[name], epochs=3, **({"key": KEY} if name == "pocket" else {}))
    x, y = lattice(8)
    expected = learn(x, y.astype(float))
    for given in (
        (x.tolist(), y.tolist()),
        (x.astype(np.int8), y.astype(np.uint8)),
        (jnp.asarray(x, jnp.bfloat16), jnp.asarray(y, bool)),
    ):
        equals(learn(*given), expected)
        assert jax.tree.map(jnp.result_type, learn(*given)) == jax.tree.map(jnp.result_type, expected)
    unit = expected.unit
    equals(unit.apply(jnp.asarray(x, int)), unit.apply(jnp.asarray(x, jnp.float32)))


# -- separability --


def support_vector_margin(x, y):
    machine = SVC(kernel="linear", C=1e8, tol=1e-10).fit(x, y)
    return np.min((2 * y - 1) * machine.decision_function(x)) / np.linalg.norm(machine.coef_)


def through_the_origin(rows):
    """The best margin of rows t x' from a hyperplane through the origin: 1 / the shortest v with v . row >= 1."""
    constraint = {"type": "ineq", "fun": lambda v: rows @ v - 1, "jac": lambda v: rows}
    start = np.linalg.lstsq(rows, np.ones(len(rows)))[0]
    found = minimize(
        lambda v: v @ v, start, jac=lambda v: 2 * v, method="SLSQP", constraints=constraint, options={"ftol": 1e-14}
    )
    return 1 / np.sqrt(found.fun)


@pytest.mark.parametrize(("rows", "inputs"), [(8, 1), (30, 2), (60, 5), (60, 20), (10, 30)])
def test_margins_are_those_of_a_support_vector_machine(rows, inputs):
    x, y, planted_bound = (part[0] for part in planted(2, 1, rows, inputs, margin=0.3))
    assert 0 < y.sum() < rows
    found = separability_of(x, y)
    assert found.separable
    assert found.margin == pytest.approx(support_vector_margin(x, y), rel=1e-5)
    t, augmented = 2 * y - 1, np.column_stack([x, np.ones(rows)])
    distances = t * (x @ found.w + found.b)
    assert np.linalg.norm(found.w) == pytest.approx(1)
    assert distances.min() == pytest.approx(found.margin)
    assert distances[t > 0].min() == pytest.approx(distances[t < 0].min())
    assert found.augmented_margin == pytest.approx(through_the_origin(t[:, None] * augmented), rel=1e-5)
    assert found.radius == pytest.approx(np.linalg.norm(augmented, axis=1).max())
    assert found.mistake_bound == pytest.approx((found.radius / found.augmented_margin) ** 2)
    assert found.mistake_bound <= planted_bound * (1 + 1e-9)


@pytest.mark.parametrize("inputs", [2, 20])
def test_the_margin_moves_with_the_rows_and_grows_with_them(inputs):
    x, y = separable(60, inputs, 0.2)
    found = separability_of(x, y)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(inputs, inputs)))
    moved = separability_of(1e6 + 3 * x @ turn, 1 - y)
    assert moved.margin == pytest.approx(3 * found.margin, rel=1e-8)
    np.testing.assert_allclose(moved.w, -found.w @ turn, atol=1e-7)


@pytest.mark.parametrize("margin", [1e-3, 1e-6, 1e-9])
def test_small_margins_are_found_to_many_digits(margin):
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    t = np.where(np.arange(40) % 2, 1.0, -1.0)
    x = np.column_stack([margin * t, rng.normal(size=(40, 3))]) @ turn + 0.3
    assert separability_of(x, t > 0).margin == pytest.approx(margin, rel=1e-13 / margin + 1e-9)


@pytest.mark.parametrize(
    ("x", "y", "margin"),
    [
        (X_AND, Y_AND, np.sqrt(2) / 4),
        (X_AND, Y_OR, np.sqrt(2) / 4),
        (X_AND, Y_XOR, 0),
        ([[0.0], [1.0], [1.0]], [0, 1, 1], 0.5),  # a row twice
        ([[0.0], [1.0], [1.0]], [0, 1, 0], 0),  # one row with both labels
        ([[0.1, 0.7], [0.1, 0.7]], [0, 1], 0),  # no other rows
        ([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], [0, 0, 1, 1], np.sqrt(5) / 2),  # on a line, in order
        ([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], [0, 1, 1, 0], 0),  # on a line, one class around the other
        ([[0.1, 0.3], [0.2, 0.6], [0.3, 0.9]], [1, 0, 1], 0),  # on a line but for rounding
        ([[7.0, 1.0], [7.0, 3.0]], [0, 1], 1),  # a constant column
        ([[1e6, 0.0], [1e6, 2e-3]], [0, 1], 1e-3),  # far from the origin
        ([[0, 0], [2, 0], [0, 2], [0.5, 0.5]], [0, 0, 0, 1], 0),  # one class inside the other
        (noisy()[0], noisy()[1], 0),
    ],
)
def test_separable_or_not(x, y, margin):
    found = separability_of(x, y)
    assert found.separable == (margin > 0)
    assert found.margin == pytest.approx(margin, rel=1e-9)
    if margin == 0:
        assert (found.augmented_margin, found.mistake_bound, found.w.tolist()) == (0, np.inf, [0] * len(found.w))


@pytest.mark.parametrize(("x", "radius"), [([[3.0, 4.0]], np.sqrt(26)), ([[1.0, 0.0], [-1.0, 0.0]], np.sqrt(2))])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_is_separable_from_nothing(x, radius, label):
    found = separability_of(x, [label] * len(x))
    assert (found.separable, found.margin, found.b) == (True, np.inf, 2 * label - 1)
    assert found.radius == pytest.approx(radius)
    assert found.augmented_margin == pytest.approx(radius if len(x) == 1 else 1)
    run = neurons.learn_perceptron(x, [label] * len(x))
    assert int(run.total_mistakes) <= found.mistake_bound * (1 + 1e-9)


def test_the_bound_of_and_is_known():
    assert separability_of(X_AND, Y_AND).mistake_bound == pytest.approx(3 * 17)  # the shortest weights are (2, 2, -3)


def test_a_gap_within_rounding_is_none():
    t = np.array([1.0, -1.0])
    assert gap(np.array([1.0]), np.array([[0.1 + 0.2], [0.3]]), t)[0] == 0
    assert gap(np.array([1.0]), np.array([[0.3 + 1e-14], [0.3]]), t)[0] == pytest.approx(5e-15, rel=0.01)


def test_the_linear_programs_hyperplane_separates():
    x, y = separable()
    assert gap(some_normal(x, 2.0 * y - 1), x, 2.0 * y - 1)[0] > 0
    assert some_normal(np.array([[0.0], [0.0]]), np.array([1.0, -1.0])) is None


def test_a_linear_program_without_an_answer_is_no_verdict(monkeypatch):
    module = sys.modules["jaxmlp.neurons.separability"]
    failed = types.SimpleNamespace(status=4, message="numerical difficulties", x=None)
    monkeypatch.setattr(module, "linprog", lambda *args, **kwargs: failed)
    with pytest.raises(RuntimeError, match=r"ended without an answer \(numerical difficulties\); scale the columns"):
        separability_of(X_AND, Y_AND)


# -- bad input --


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: neurons.and_gate(0), ValueError, "inputs is 0; give a whole number of at least 1"),
        (lambda: neurons.or_gate(1.5), TypeError, "inputs is 1.5; give a whole number"),
        (lambda: McCullochPitts((0,), (-1,), 1), ValueError, r"inhibitory\[0\] is -1; give a whole number"),
        (lambda: McCullochPitts((0,), (), -1), ValueError, "threshold is -1; give a whole number of at least 0"),
        (lambda: McCullochPitts((0, 2), (2,), 1), ValueError, "input 2 is both excitatory and inhibitory; name"),
        (lambda: neurons.Circuit((), neurons.or_gate(1)), ValueError, "output reads input 0, but there are 0 hid"),
        (
            lambda: neurons.and_gate(3).apply(jnp.ones((5, 2))),
            ValueError,
            r"x has shape \(5, 2\), but the unit reads inputs 0 to 2; give x of shape \(..., 3\)",
        ),
        (
            lambda: neurons.and_gate(2).apply(jnp.array([[0, 1], [2, 1]])),
            ValueError,
            r"x holds 2 at index \(1, 0\); give zeros and ones only, such as x > 0",
        ),
        (
            lambda: ThresholdUnit(jnp.ones(2), 1.0).apply(jnp.ones((4, 3))),
            ValueError,
            r"x has shape \(4, 3\), but w has shape \(2,\); give x of shape \(..., 2\), one per weight",
        ),
        (
            lambda: jax.jit(neurons.Perceptron(jnp.ones(2), jnp.array(0.0)).apply)(jnp.ones(3)),
            ValueError,
            r"x has shape \(3,\), but w has shape \(2,\)",
        ),
    ],
)  # fmt: skip
def test_units_refuse_by_a_sentence(make, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize("name", [*LEARNERS, "separability"])
def test_rows_that_do_not_fit_get_a_sentence(name, unchecked):
    learn = separability_of if name == "separability" else functools.partial(LEARNERS[name], key=KEY)
    x, y = np.ones((4, 2)), np.array([0, 1, 0, 1])
    for wrong, error, sentence in (
        ((x[0], y), ValueError, r"x has shape \(2,\); give x of shape \(rows, inputs\), such as x\[:, None\] for one"),
        ((x, y[:, None]), ValueError, r"y has shape \(4, 1\); give y of shape \(rows,\), one .* per row, such as y.ra"),
        ((x, y[:3]), ValueError, "x has 4 rows and y has 3; give as many rows in each"),
        ((x * np.nan, y), ValueError, r"x holds NaN or infinity in 8 places, the first at index \(0, 0\)"),
        ((x, ["a", "b", "a", "b"]), TypeError, "y has dtype <U1 .*; encode every column as numbers first"),
    ):
        with pytest.raises(error, match=sentence):
            learn(*wrong)
        if name != "separability" and error is ValueError and "NaN" not in sentence:
            with pytest.raises(error, match=sentence):
                jax.jit(learn)(*wrong)
    if name != "separability":
        with pytest.raises(ValueError, match=r"x has shape \(0, 2\); give x of shape \(rows, inputs\)"):
            jax.eval_shape(learn, jnp.ones((0, 2)), jnp.ones(0))


@pytest.mark.parametrize("name", [*LEARNERS, "separability"])
def test_labels_that_no_class_has_get_a_sentence(name, unchecked):
    learn = separability_of if name == "separability" else functools.partial(LEARNERS[name], key=KEY)
    if name == "adaline":
        assert bool(jnp.isfinite(learn(np.ones((2, 1)), [-1, 1.5]).unit.b))  # learns numbers
        return
    advice = "give (labels|whole numbers from) 0 (and|to) 1"
    with pytest.raises(ValueError, match=rf"y holds -1 at index \(1,\); {advice}"):
        learn(np.ones((2, 1)), np.array([1, -1]))
    with pytest.raises(ValueError, match=rf"y holds 0.5 at index \(0,\); {advice}"):
        learn(np.ones((2, 1)), jnp.array([0.5, 1]))
    with pytest.raises(ValueError, match=rf"y holds 2 at index \(0,\); {advice}"):
        learn(np.ones((2, 1)), np.array([2, 1]))


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda x, y: neurons.learn_perceptron(x, y, epochs=0), ValueError, "epochs is 0; give a whole number"),
        (lambda x, y: neurons.learn_pocket(x, y, epochs=0, key=KEY), ValueError, "epochs is 0; give a whole number"),
        (lambda x, y: neurons.learn_averaged_perceptron(x, y, epochs=0), ValueError, "epochs is 0; give a whole"),
        (lambda x, y: neurons.learn_adaline(x, y, epochs=1.5), TypeError, "epochs is 1.5; give a whole number"),
        (lambda x, y: neurons.learn_multiclass_perceptron(x, y, epochs=0), ValueError, "epochs is 0; give a whole"),
        (lambda x, y: neurons.learn_multiclass_perceptron(x, y, classes=1), ValueError, "classes is 1; give a whole"),
        (
            lambda x, y: jax.jit(neurons.learn_multiclass_perceptron)(x, y),
            TypeError,
            "classes is None and y is traced; give the number of classes",
        ),
        (lambda x, y: neurons.learn_perceptron(x, y, learning_rate=0), ValueError, r"learning_rate is 0; .*\(0, inf\)"),
        (lambda x, y: neurons.learn_adaline(x, y, learning_rate=-1.0), ValueError, r"learning_rate is -1.0; give"),
        (
            lambda x, y: neurons.learn_adaline(x, y, learning_rate=jnp.ones(2)),
            ValueError,
            r"learning_rate has shape \(2,\); give a single number, and vmap over several",
        ),
        (lambda x, y: neurons.learn_perceptron(x, y, key=0), TypeError, "key is 0; give one random key"),
        (lambda x, y: neurons.learn_adaline(x, y, key=0), TypeError, "key is 0; give one random key"),
        (lambda x, y: neurons.learn_pocket(x, y, key=None), TypeError, "key is None, and the pocket rule draws"),
        (
            lambda x, y: neurons.learn_perceptron(x, y, start=neurons.Perceptron(jnp.ones(3), jnp.ones(()))),
            ValueError,
            r"start has w of shape \(3,\) and b of shape \(\); give w of shape \(2,\) and b of shape \(\)",
        ),
        (
            lambda x, y: jax.jit(separability_of)(x, y),
            TypeError,
            "x is traced, and this function works on the host; call it outside of jit and vmap",
        ),
    ],
)  # fmt: skip
def test_arguments_out_of_range_get_a_sentence(make, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        make(np.ones((4, 2)), np.array([0, 1, 0, 1]))


def test_units_of_whole_numbers_compute_with_all_digits(unchecked):
    whole = neurons.ThresholdUnit(jnp.array([1, 1]), 1.5)
    assert whole.apply(jnp.array([[1, 0], [1, 1]])).tolist() == [0, 1]
    assert neurons.ThresholdUnit(jnp.array([1, 1]), 1.0).apply([[0.6, 0.3], [0.6, 0.4]]).tolist() == [0, 1]
    assert float(neurons.Perceptron(jnp.array([1, 1]), jnp.array(-1)).score(jnp.array([0.9, 0.9]))) == pytest.approx(
        0.8
    )
    assert float(neurons.Adaline(jnp.array([1, 1]), jnp.array(0)).apply(np.array([0.9, 0.9]))) == pytest.approx(1.8)
    classes = neurons.MulticlassPerceptron(jnp.array([[1, 0], [0, 2]]), jnp.array([0, -1]))
    assert classes.apply(jnp.array([[0.9, 0.7], [0.3, 0.7]])).tolist() == [0, 1]


def test_units_take_the_lists_that_their_rules_learn_from(unchecked):
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    assert neurons.learn_perceptron(x, y).unit.apply(x).tolist() == y
    assert neurons.and_gate(2).apply(x).tolist() == y
