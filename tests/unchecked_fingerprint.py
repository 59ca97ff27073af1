"""Programs that compute the same are the same, and those that do not are not.

``test_training.py`` runs these without the check of types, which wraps every function in others that are made anew.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import losses, metrics, optimizers, regularizers, schedules, training
from jaxmlp.mlp import MLP
from jaxmlp.training.fingerprint import fingerprint

SCALE = 1.0


class Compilations:
    """Counts the programs that XLA builds."""

    count = 0

    def __call__(self, event, duration, **_):
        self.count += event == "/jax/core/compile/backend_compile_duration"


COMPILATIONS = Compilations()
jax.monitoring.register_event_duration_secs_listener(COMPILATIONS)


@pytest.fixture
def compilations():
    return COMPILATIONS


X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2


def rich(rate=0.1, smoothing=0.1, sizes=(3, 4, 2), level=0.5):
    """A recipe with closures in every part of it."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        regularizers.l2(1e-3, mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)),
        optimizers.adam(schedules.flat_cosine(rate, steps=100)),
        regularizers.ema(0.9),
    )
    loss = functools.partial(losses.softmax_cross_entropy, label_smoothing=smoothing)

    def augment(key, batch):
        return batch._replace(x=batch.x * level)

    return training.Recipe(MLP(sizes), optimizer, loss, augment)


CHANGES = [{"rate": 0.2}, {"smoothing": 0.2}, {"sizes": (3, 5, 2)}, {"level": 0.6}, {"level": np.float32(0.5)}]


def test_a_recipe_written_out_anew_has_the_same_fingerprint():
    assert fingerprint(rich()) == fingerprint(rich())
    assert hash(fingerprint(rich())) == hash(fingerprint(rich()))


@pytest.mark.parametrize("change", CHANGES)
def test_any_other_number_makes_another_fingerprint(change):
    assert fingerprint(rich(**change)) == fingerprint(rich(**change))
    assert fingerprint(rich(**change)) != fingerprint(rich())


@pytest.mark.parametrize(
    "name", [n for n in optimizers.__all__ if n[0].islower() and n not in ("newton_schulz", "orthogonalize")]
)
def test_every_optimizer_is_the_same_for_the_same_numbers_only(name):
    make = getattr(optimizers, name)
    if name.startswith("scale_by"):
        first, other = {"rho": 0.1} if "sam" in name else {}, None
    elif name == "schedule_free":
        make, first, other = (
            (lambda rate: optimizers.schedule_free(rate, optax.identity())),
            {"rate": 0.1},
            {"rate": 0.2},
        )
    else:
        first, other = {"learning_rate": 0.1}, {"learning_rate": 0.2}
    assert fingerprint(make(**first)) == fingerprint(make(**first))
    if other:
        assert fingerprint(make(**first)) != fingerprint(make(**other))


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (lambda: 1, lambda: 1.0),
        (lambda: True, lambda: 1),
        (lambda: "1", lambda: 1),
        (lambda: 0.0, lambda: -0.0),
        (lambda: [1], lambda: (1,)),
        (lambda: {"a": 1}, lambda: {"b": 1}),
        (lambda: np.ones(2), lambda: np.ones(3)),
        (lambda: np.ones(2), lambda: np.ones((2, 1))),
        (lambda: np.zeros(2, np.int32), lambda: np.zeros(2, np.float32)),
        (lambda: np.ones(2), lambda: np.array([1.0, 2.0])),
        (lambda: np.ones(2), lambda: np.ones(2, np.float32)),
        (lambda: np.ones(2, np.float32), lambda: jnp.ones(2)),
        (lambda: jax.random.key(0), lambda: jax.random.key(1)),
        (lambda: functools.partial(max, 1), lambda: functools.partial(max, 2)),
        (lambda: functools.partial(max, key=abs), lambda: functools.partial(max, key=len)),
        (lambda: lambda z, a=1: z, lambda: lambda z, a=2: z),
        (lambda: lambda z, *, a=1: z, lambda: lambda z, *, a=2: z),
        (lambda: lambda z: z + 1, lambda: lambda z: z + 2),
        (lambda: lambda z: jnp.sin(z), lambda: lambda z: jnp.cos(z)),
        (lambda: nn.Dense(3), lambda: nn.Dense(4)),
        (lambda: optax.adam(1e-3), lambda: optax.adam(2e-3)),
        (lambda: optax.lbfgs(), lambda: optax.lbfgs(memory_size=3)),
    ],
)
def test_equal_things_are_equal_and_others_are_not(one, another):
    assert fingerprint(one()) == fingerprint(one())
    assert hash(fingerprint(one())) == hash(fingerprint(one()))
    assert fingerprint(one()) != fingerprint(another())


def test_default_arguments_of_the_same_code_are_seen():
    def positional(number):
        return lambda z, a=number: z * a

    def by_name(number):
        return lambda z, *, a=number: z * a

    for make in (positional, by_name):
        assert make(1).__code__ == make(2).__code__
        assert fingerprint(make(1)) == fingerprint(make(1)) != fingerprint(make(2))


def scaled(z):
    return z * SCALE


def test_a_global_that_has_changed_is_seen_in_functions_without_a_place_of_their_own(monkeypatch):
    def make():
        return lambda z: [part * SCALE for part in z]

    before = fingerprint(make())
    assert fingerprint(make()) == before
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert fingerprint(make()) != before


def test_what_a_function_has_caught_may_change_and_is_seen():
    numbers = [1.0]

    def caught(z):
        return z * numbers[0]

    before = fingerprint(caught)
    numbers[0] = 2.0
    assert fingerprint(caught) != before


def test_cycles_end_and_unknown_objects_are_themselves():
    def calls_itself(z):
        return calls_itself(z - 1) if z > 0 else z

    assert fingerprint(calls_itself) == fingerprint(calls_itself)
    knot = []
    knot.append(knot)
    assert fingerprint(knot) == fingerprint(knot)
    one, other = object(), object()
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)
    assert fingerprint(scaled) != fingerprint(lambda z: z * SCALE)
    jitted = jax.jit(lambda z: z)
    assert fingerprint(jitted) == fingerprint(jitted) != fingerprint(jax.jit(lambda z: z))


def train(recipe, **options):
    options = {"epochs": 2, "batch_size": 4, "key": jax.random.key(0), "progress": False} | options
    return training.fit(recipe, (X, Y), **options)


def test_fit_in_a_loop_compiles_once(compilations):
    first = train(rich(), metrics={"accuracy": lambda *arguments: metrics.accuracy(*arguments)})
    before = compilations.count
    for _ in range(2):
        run = train(rich(), metrics={"accuracy": metrics.accuracy})
    assert compilations.count > before  # another metric
    before = compilations.count
    for _ in range(2):
        run = train(rich(), metrics={"accuracy": metrics.accuracy})
    assert compilations.count == before
    np.testing.assert_array_equal(run.history["train/loss"], first.history["train/loss"])


def test_another_number_compiles_anew_and_learns_otherwise(compilations):
    first = train(rich())
    before = compilations.count
    other = train(rich(rate=0.5))
    assert compilations.count > before
    assert not np.array_equal(other.history["train/loss"], first.history["train/loss"])


def test_a_function_of_hyperparameters_written_out_anew_compiles_once(compilations):
    def make():
        def recipe(hyper):
            return training.Recipe(MLP((3, 4, 2)), optimizers.sgd(hyper), losses.softmax_cross_entropy)

        return recipe

    train(make(), hyper=0.1)
    before = compilations.count
    train(make(), hyper=0.2)
    assert compilations.count == before
