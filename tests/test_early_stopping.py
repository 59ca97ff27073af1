import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.early_stopping import EarlyStopping


def stopped_after(rule, values):
    """Return the number of values after which the rule stops, or None."""
    state = rule.init()
    for epoch, value in enumerate(values, 1):
        state, stop = rule.update(jnp.float32(value), state)
        if stop:
            return epoch
    return None


@pytest.mark.parametrize(
    ("patience", "values", "expected"),
    [
        (1, [1.0, 0.9, 0.9], 3),  # equal is no improvement
        (2, [1.0, 1.1, 0.9, 1.0, 1.0], 5),  # an improvement starts the count anew
        (3, [1.0, 1.1, 1.2], None),
        (3, [1.0, 1.1, 1.2, 1.3], 4),
        (2, [float("nan"), float("nan")], 2),
        (2, [1.0, float("nan"), 0.5, 0.4], None),
        (2, [-1.0, -2.0, -1.5, -1.5], 4),  # negative values are values
    ],
)
def test_stops_after_patience_epochs_without_improvement(patience, values, expected):
    assert stopped_after(EarlyStopping(patience=patience), values) == expected


def test_small_improvements_do_not_count_but_add_up():
    slow = [1.0, 0.95, 0.89, 0.85, 0.78]
    assert stopped_after(EarlyStopping(patience=2, min_delta=0.1), slow) is None
    assert stopped_after(EarlyStopping(patience=1, min_delta=0.1), slow) == 2
    assert stopped_after(EarlyStopping(patience=2, min_delta=0.2), slow) == 3


def test_an_improvement_of_exactly_min_delta_is_none():
    assert stopped_after(EarlyStopping(patience=1, min_delta=0.5), [1.0, 0.5]) == 2


def test_larger_is_better_where_it_is_said_to_be():
    scores = [0.5, 0.7, 0.6, 0.7, 0.8]
    assert stopped_after(EarlyStopping(patience=2, mode="max"), scores) == 4
    assert stopped_after(EarlyStopping(patience=3, mode="max"), scores) is None
    assert stopped_after(EarlyStopping(patience=2), scores) == 3


def test_the_first_epochs_are_not_waited_through():
    rising = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert [stopped_after(EarlyStopping(patience=2, ignore=n), rising) for n in (0, 1, 2, 3)] == [3, 3, 4, 5]


def test_a_target_is_reached_by_what_is_as_good():
    below, above = EarlyStopping(target=0.5), EarlyStopping(target=0.5, mode="max")
    assert [bool(below.reached(jnp.float32(value))) for value in (0.6, 0.5, 0.4, jnp.nan)] == [False, True, True, False]
    assert [bool(above.reached(jnp.float32(value))) for value in (0.6, 0.5, 0.4, jnp.nan)] == [True, True, False, False]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n_iter_no_change", "tol"), [(2, 0.01), (5, 1e-4), (3, 0.05)])
def test_scikit_learn_s_rule_stops_where_scikit_learn_does(seed, n_iter_no_change, tol):
    """Its own bookkeeping, fed with a given curve."""
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(seed)
    curve = np.exp(-np.arange(60) / 8) + 0.02 * rng.normal(size=60)
    model = MLPClassifier(tol=tol, n_iter_no_change=n_iter_no_change)
    model.best_loss_, model._no_improvement_count, model.loss_curve_ = np.inf, 0, []
    expected = None
    for epoch, value in enumerate(curve, 1):
        model.loss_curve_.append(value)
        arguments = inspect.signature(model._update_no_improvement_count).parameters  # 1.6 has no weights yet
        model._update_no_improvement_count(**dict.fromkeys(arguments) | {"early_stopping": False})
        if model._no_improvement_count > n_iter_no_change:
            expected = epoch
            break
    rule = EarlyStopping.from_scikit_learn(n_iter_no_change, tol)
    assert stopped_after(rule, curve) == expected is not None


def test_its_numbers_are_data():
    traces = []

    @jax.jit
    def stops_at_once(rule):
        traces.append(rule)
        return rule.update(jnp.float32(2.0), rule.update(jnp.float32(1.0), rule.init())[0])[1]

    assert stops_at_once(EarlyStopping(patience=1))
    assert not stops_at_once(EarlyStopping(patience=2, min_delta=0.5))
    assert len(traces) == 1


def test_wrong_numbers_get_a_sentence(unchecked):
    with pytest.raises(ValueError, match=r"patience is 0; give a whole number of at least 1"):
        EarlyStopping(patience=0)
    with pytest.raises(ValueError, match=r"patience is 0; give a whole number of at least 1"):
        EarlyStopping(patience=np.int64(0))
    with pytest.raises(TypeError, match=r"patience is 2.5; give a whole number of at least 1"):
        EarlyStopping(patience=2.5)
    with pytest.raises(ValueError, match=r"min_delta is -0.1"):
        EarlyStopping(min_delta=-0.1)
    with pytest.raises(ValueError, match=r"ignore is -1; give a whole number of at least 0"):
        EarlyStopping(ignore=-1)
    with pytest.raises(ValueError, match=r"target is nan"):
        EarlyStopping(target=float("nan"))
    with pytest.raises(ValueError, match=r"mode is 'auto'; "):
        EarlyStopping(mode="auto")
