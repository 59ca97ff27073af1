"""The contract matrix: every export of the registry crossed with every property that all must have."""

import dataclasses
import functools
import inspect
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from registry import (
    ACTIVATIONS,
    INITIALIZERS,
    LOSSES,
    METRICS,
    NETS,
    OTHERS,
    OTHERS_OF_LOSSES,
    OTHERS_OF_METRICS,
    PARAMETRIC,
    SCHEDULES,
    TRANSFORMS,
)

from jaxmlp import activations, initializers, losses, metrics, normalization, optimizers, regularizers, schedules
from jaxmlp.mlp import MLP
from jaxmlp.normalization import NORMALIZATIONS

STEPS = 4
each_transform = pytest.mark.parametrize("name", TRANSFORMS)
each_loss = pytest.mark.parametrize("name", LOSSES)
each_metric = pytest.mark.parametrize("name", METRICS)
each_float = pytest.mark.parametrize(("name", "number"), [(n, f) for n, e in TRANSFORMS.items() for f in e.floats])


def made(name, **changed):
    entry = TRANSFORMS[name]
    return entry.make(**{f: value for f, (value, _) in entry.floats.items()} | changed)


def gradient(params):
    return jax.tree.map(lambda p: p + jnp.sin(3 * p), params)


def extra(count):
    """The extra arguments that training hands over; the loss falls by ever less, and below 0."""
    key = jax.random.fold_in(jax.random.key(0), count)
    return {"value": 2.0 - 0.8 * jnp.sqrt(jnp.asarray(count, float)), "grad_fn": gradient, "key": key}


def updated(transform, updates, state, params, **changed):
    with_extra = transform if isinstance(transform, optax.MultiSteps) else optax.with_extra_args_support(transform)
    return with_extra.update(updates, state, params, **(extra(0) | changed))


def swinging(params, count):
    """A gradient that grows and changes its sign, so that memory and the latest disagree."""
    count = jnp.asarray(count, jnp.float32)
    return jax.tree.map(lambda g: (1 + count) * jnp.cos(2.5 * count) * g, gradient(params))


def path(transform, params):
    """The updates of some steps, and the averages that show in no update."""

    def step(carry, count):
        params, state = carry
        updates, state = updated(transform, swinging(params, count), state, params, **extra(count))
        return (optax.apply_updates(params, updates), state), (updates, averages(state))

    return jax.lax.scan(step, (params, transform.init(params)), jnp.arange(STEPS))[1]


def averages(state):
    """What an average-keeping state holds: it shows in no update."""
    return [
        s.m for s in jax.tree.leaves(state, is_leaf=lambda s: isinstance(s, regularizers.EMAState)) if hasattr(s, "m")
    ]


def close(a, b, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


def types(tree):
    return jax.tree.map(lambda a: (jnp.shape(a), jnp.result_type(a).name), tree)


@pytest.mark.parametrize("module", [optimizers, regularizers, schedules])
def test_every_export_is_in_the_registry(module):
    name = module.__name__.removeprefix("jaxmlp.")
    exported = getattr(module, "__all__", None) or [
        n for n, thing in vars(module).items() if inspect.isfunction(thing) and thing.__module__ == module.__name__
    ]
    functions = {n for n in exported if not inspect.isclass(getattr(module, n)) and not n.startswith("_")}
    registered = {n.split(",")[0].removeprefix(f"{name}.") for n in TRANSFORMS if n.startswith(f"{name}.")}
    if module is schedules:
        registered |= set(SCHEDULES)
    assert functions == registered | (OTHERS[name] & functions)
    assert OTHERS[name] <= set(exported)


def test_every_loss_metric_activation_and_initializer_is_in_the_registry():
    assert set(losses.__all__) == {n.split(",")[0] for n in LOSSES} | OTHERS_OF_LOSSES
    assert set(metrics.__all__) == {n.split(",")[0] for n in METRICS} | OTHERS_OF_METRICS
    assert ACTIVATIONS is activations.ACTIVATIONS
    classes = {
        f"{module.__name__.removeprefix('jaxmlp.')}.{n}"
        for module in (activations, normalization)
        for n, thing in vars(module).items()
        if inspect.isclass(thing) and hasattr(thing, "init") and "jaxmlp" in thing.__module__ and n != "Parametric"
    }
    assert classes == set(PARAMETRIC)
    named = {type(thing) for thing in (*NORMALIZATIONS.values(), ACTIVATIONS["prelu"])}
    assert named == {make for make, _ in PARAMETRIC.values()}
    assert INITIALIZERS is initializers.INITIALIZERS


@each_transform
def test_every_float_is_in_the_registry(name):
    module, function = name.split(",")[0].split(".")
    function = getattr(
        {"optimizers": optimizers, "regularizers": regularizers, "schedules": schedules}[module], function
    )
    floats = {n for n, p in inspect.signature(function).parameters.items() if float in typing.get_args(p.annotation)}
    assert floats == set(TRANSFORMS[name].floats)


@each_float
def test_vmap_over_each_float_equals_a_loop_and_the_float_matters(name, number):
    value, _ = TRANSFORMS[name].floats[number]
    values = jnp.array([0.5, 1.0], jnp.float32) * value
    params = TRANSFORMS[name].params(jnp.float32)

    @jax.jit
    def run(v):
        return path(made(name, **{number: v}), params)

    together = jax.vmap(run)(values)
    one_by_one = [run(v) for v in values]
    close(together, jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one), rtol=1e-4, atol=1e-5)
    leaves = zip(*map(jax.tree.leaves, one_by_one), strict=True)
    assert any(np.max(np.abs(a - b)) > 1e-3 for a, b in leaves), f"{number} changes nothing"


@each_transform
def test_jitted_equals_eager_and_other_floats_compile_nothing(name, compilations):
    entry = TRANSFORMS[name]
    params = entry.params(jnp.float32)
    floats = {f: jnp.float32(value) for f, (value, _) in entry.floats.items()}
    halved = {f: value / 2 for f, value in floats.items()}

    @jax.jit
    def three_steps(floats, params):
        return path(entry.make(**floats), params)

    jitted = three_steps(floats, params)
    before = compilations.count
    three_steps(halved, params)
    assert compilations.count == before
    transform = made(name)
    state = transform.init(params)
    for count in range(2):
        updates, state = updated(transform, swinging(params, count), state, params, **extra(count))
        close(updates, jax.tree.map(lambda leaf, c=count: leaf[c], jitted[0]), rtol=1e-4, atol=1e-5)
        params = optax.apply_updates(params, updates)


@each_transform
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_updates_keep_shape_and_dtype_and_the_state_its_types(name, dtype, x64):
    transform, params = made(name), TRANSFORMS[name].params(dtype)
    state = jax.eval_shape(transform.init, params)
    updates, new_state = jax.eval_shape(lambda s, p: updated(transform, p, s, p), state, params)
    assert types(updates) == types(params)
    assert types(new_state) == types(state)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)


@each_transform
def test_the_state_has_one_type_whether_floats_are_numbers_traced_or_schedules(name):
    entry = TRANSFORMS[name]
    params = entry.params(jnp.float32)
    fixed = jax.eval_shape(made(name).init, params)
    traced = jax.eval_shape(
        lambda floats: entry.make(**floats).init(params), {f: v for f, (v, _) in entry.floats.items()}
    )
    assert types(fixed) == types(traced)
    if "learning_rate" in entry.floats and "schedule_free" not in name:
        scheduled = jax.eval_shape(made(name, learning_rate=lambda count: 0.1 / (1 + count.astype(float))).init, params)
        assert jax.tree.structure(scheduled) == jax.tree.structure(fixed)


@each_transform
def test_a_zero_gradient_gives_a_finite_update_in_every_dtype(name):
    """With the defaults of everything that has one: there eps is small enough to be lost in half precision."""
    entry = TRANSFORMS[name]
    function = getattr(entry.make, "func", entry.make)
    parameters = inspect.signature(function).parameters
    needed = {
        f: v for f, (v, _) in entry.floats.items() if f not in parameters or parameters[f].default is inspect._empty
    }
    transform = entry.make(**needed)
    params = [entry.params(dtype) for dtype in (jnp.float32, jnp.bfloat16, jnp.float16)]
    if "muon" in name:
        params = params[0] + params[1][1:2] + params[2][1:2] + params[0][2:]
    zeros = jax.tree.map(jnp.zeros_like, params)

    def flat(params):
        return jax.tree.map(lambda p: 0 * p, params)  # and not finite where they are not

    @jax.jit
    def two_steps(params):
        state = transform.init(params)
        _, state = updated(transform, zeros, state, params, grad_fn=flat)
        return updated(transform, zeros, state, params, grad_fn=flat)[0]

    for start in (params, zeros):
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(two_steps(start)))


@each_transform
def test_pure_the_same_again_and_nothing_of_the_users_changed(name, unchecked):
    transform = made(name)
    params = jax.tree.map(np.array, TRANSFORMS[name].params(jnp.float32))
    kept = jax.tree.map(np.copy, params)
    state = transform.init(params)
    state_kept = jax.tree.map(np.array, state)
    first = updated(transform, params, state, params)
    second = updated(transform, params, state, params)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, (params, state), (kept, state_kept))


@each_transform
def test_chains_with_optax_in_both_directions(name):
    params = TRANSFORMS[name].params(jnp.float32)
    chain = optax.chain(optax.scale(0.5), made(name), optax.scale(3.0))
    chained, _ = updated(chain, params, chain.init(params), params)
    alone = made(name)
    halved = jax.tree.map(lambda g: g * 0.5, params)
    expected, _ = updated(alone, halved, alone.init(params), params)
    close(chained, jax.tree.map(lambda u: 3 * u, expected), rtol=1e-6)


@each_transform
def test_works_inside_multi_steps(name):
    params = TRANSFORMS[name].params(jnp.float32)
    transform = optax.MultiSteps(made(name), every_k_schedule=2)
    small, large = jax.tree.map(lambda p: 0.5 * p, params), jax.tree.map(lambda p: 1.5 * p, params)
    state = transform.init(params)
    with jax.numpy_dtype_promotion("standard"):  # optax divides a float by an integer
        none, state = updated(transform, small, state, params)
        both, state = updated(transform, large, state, params)
    assert not any(bool(jnp.any(u)) for u in jax.tree.leaves(none))
    alone = made(name)
    expected, _ = updated(alone, params, alone.init(params), params)
    close(both, expected, rtol=1e-5, atol=1e-6)


@each_transform
def test_works_under_masks(name):
    params = TRANSFORMS[name].params(jnp.float32)
    frozen = jnp.array([7.0])
    tree = {"ours": params, "frozen": frozen}
    transform = optax.masked(made(name), {"ours": True, "frozen": False})

    def masked_gradient(p):
        return {"ours": gradient(p["ours"]), "frozen": p["frozen"]}

    updates, _ = updated(transform, tree, transform.init(tree), tree, grad_fn=masked_gradient)
    alone = made(name)
    expected, _ = updated(alone, params, alone.init(params), params)
    np.testing.assert_array_equal(updates["frozen"], frozen)
    close(updates["ours"], expected, rtol=1e-6)


@each_transform
def test_empty_pytrees_work(name):
    transform = made(name)
    updates, state = updated(transform, {}, transform.init({}), {})
    assert updates == {}
    assert jax.tree.structure(state) == jax.tree.structure(transform.init({}))


@each_transform
def test_none_in_a_pytree_stays_none(name):
    transform, params = made(name), TRANSFORMS[name].params(jnp.float32)
    tree = {"a": None, "b": params}
    updates, _ = updated(transform, tree, transform.init(tree), tree)
    assert updates["a"] is None
    assert types(updates["b"]) == types(params)


SEES_THE_GRADIENT_ALONE = {
    "optimizers.orthogonalize",
    "regularizers.clip_by_value",
    "regularizers.clip_by_norm",
    "regularizers.clip_by_global_norm",
    "regularizers.gradient_noise",
    "schedules.reduce_on_plateau",
}


@pytest.mark.parametrize("name", sorted(set(TRANSFORMS) - SEES_THE_GRADIENT_ALONE))
def test_gradients_of_another_structure_get_a_sentence_that_names_the_path(name):
    transform, params = made(name), TRANSFORMS[name].params(jnp.float32)
    other = {"net": {"w": params["w"]} if isinstance(params, dict) else params[:-1]}
    sentence = r"have .* at \['net'\]\[.*, updates have .*; give updates of the same structure"
    with pytest.raises(ValueError, match=sentence):
        updated(transform, other, transform.init({"net": params}), {"net": params})


OF_OPTAX = {
    "sgd": (optimizers.sgd, optax.sgd),
    "momentum": (optimizers.momentum, lambda rate: optax.sgd(rate, momentum=0.9)),
    "adam": (optimizers.adam, optax.adam),
    "rmsprop": (optimizers.rmsprop, optax.rmsprop),
    "adagrad": (optimizers.adagrad, optax.adagrad),
    "lion": (lambda rate: optimizers.lion(rate, mask=False), lambda rate: optax.lion(rate, weight_decay=0.0)),
    "l2": (
        lambda rate: optax.chain(regularizers.l2(0.5, mask=True), optimizers.sgd(rate)),
        lambda rate: optax.chain(optax.add_decayed_weights(0.5), optax.sgd(rate)),
    ),
}


@pytest.mark.parametrize("name", OF_OPTAX)
def test_whole_numbers_and_none_in_a_pytree_behave_as_in_optax(name):
    """A whole number moves by a fraction, and is cut to a whole one when the update is applied."""
    params = {"i": jnp.array([5, -7]), "n": None, "w": jnp.array([[1.0, -2.0]])}
    gradients = {"i": jnp.array([9, -4]), "n": None, "w": jnp.array([[0.5, 3.0]])}

    def two_steps(transform):
        state, new = transform.init(params), params
        for _ in range(2):
            updates, state = transform.update(gradients, state, new)
            new = optax.apply_updates(new, updates)
        return new, state

    ours, theirs = OF_OPTAX[name]
    with jax.numpy_dtype_promotion("standard"):
        (our_params, our_state), (their_params, _) = two_steps(ours(0.3)), two_steps(theirs(0.3))
    close(our_params, their_params, rtol=1e-6)
    assert types(our_params) == types(params)
    assert types(our_state) == types(ours(0.3).init(params))  # optax's Adam goes from whole numbers to floats


INTERVALS = {"[0, inf)": -0.1, "(0, inf)": 0.0, "[0, 1)": 1.0, "[0, 1]": 1.1, "(0, 1)": 1.0}


@each_float
def test_numbers_out_of_range_get_a_sentence_and_traced_ones_pass(name, number):
    _, interval = TRANSFORMS[name].floats[number]
    if number != "learning_rate" or "schedule_free" not in name:  # there the rate is a schedule
        for wrong in (INTERVALS[interval], float("nan")):
            with pytest.raises(
                ValueError, match=rf"^{number} is {wrong}; give a number in \{interval[:-1]}\{interval[-1]}"
            ):
                made(name, **{number: wrong})
    jax.eval_shape(lambda v: made(name, **{number: v}).init(TRANSFORMS[name].params(jnp.float32)), INTERVALS[interval])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_jittable_and_their_floats_may_be_traced(name):
    make, floats = SCHEDULES[name]
    values = {f: v for f, (v, _) in floats.items()}
    eager = [make(**values)(count) for count in range(12)]
    jitted = jax.jit(jax.vmap(lambda count: make(**values)(count)))(jnp.arange(12))
    np.testing.assert_allclose(jitted, jnp.stack(eager), rtol=1e-5, atol=1e-7)
    for number, (value, interval) in floats.items():
        traced = jax.vmap(lambda v, number=number: make(**{**values, number: v})(6))(jnp.array([value, value / 2]))
        plain = [make(**{**values, number: v})(6) for v in (value, value / 2)]
        np.testing.assert_allclose(traced, jnp.stack(plain), rtol=1e-5)
        assert plain[0] != plain[1]
        with pytest.raises(ValueError, match=rf"^{number} is .*; give a number in"):
            make(**{**values, number: INTERVALS[interval]})


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_activations_keep_shape_and_dtype_and_are_the_same_jitted(name, dtype):
    z = jnp.linspace(-4, 4, 12).reshape(3, 4).astype(dtype)
    function = ACTIVATIONS[name]
    if hasattr(function, "init"):
        function = functools.partial(function.apply, function.init(4, dtype))
    eager, jitted = function(z), jax.jit(function)(z)
    assert (eager.shape, eager.dtype) == (z.shape, z.dtype)
    tolerance = {"rtol": 1e-6} if dtype == "float32" else {"rtol": 1e-2, "atol": 1e-3}  # eager rounds at each step
    np.testing.assert_allclose(np.asarray(jitted, float), np.asarray(eager, float), **tolerance)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_initializers_keep_shape_and_dtype_and_are_the_same_again(name, dtype):
    key = jax.random.key(0)
    w = INITIALIZERS[name](key, (5, 4), jnp.dtype(dtype))
    assert (w.shape, w.dtype) == ((5, 4), dtype)
    np.testing.assert_array_equal(w, INITIALIZERS[name](key, (5, 4), jnp.dtype(dtype)))


@pytest.mark.parametrize("name", PARAMETRIC)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_is_learned_keeps_shape_and_dtype_and_is_the_same_jitted_and_row_by_row(name, dtype):
    make, floats = PARAMETRIC[name]
    thing = make(**{f: value for f, (value, _) in floats.items()})
    params, z = thing.init(4, dtype), jnp.linspace(-4, 5, 24).reshape(2, 3, 4).astype(dtype)
    assert all(leaf.shape == (4,) and leaf.dtype == dtype for leaf in jax.tree.leaves(params))
    a = thing.apply(params, z)
    assert (a.shape, a.dtype) == (z.shape, z.dtype)
    tolerance = {"rtol": 1e-5} if dtype == "float32" else {"rtol": 1e-2, "atol": 1e-3}
    np.testing.assert_allclose(np.asarray(jax.jit(thing.apply)(params, z), float), np.asarray(a, float), **tolerance)
    np.testing.assert_allclose(np.asarray(thing.apply(params, z[1, 2]), float), np.asarray(a[1, 2], float), **tolerance)
    gradient = jax.grad(lambda p: jnp.sum(jnp.sin(thing.apply(p, z)).astype(float)))(params)
    assert all(bool(jnp.all(leaf != 0)) for leaf in jax.tree.leaves(gradient))
    assert hash(thing) == hash(make(**{f: value for f, (value, _) in floats.items()}))


@pytest.mark.parametrize(("name", "number"), [(n, f) for n, (_, floats) in PARAMETRIC.items() for f in floats])
def test_floats_of_what_is_learned_may_be_traced_and_matter(name, number):
    make, floats = PARAMETRIC[name]
    assert [f.name for f in dataclasses.fields(make)] == list(floats)
    values, z = jnp.array([0.5, 1.0]) * floats[number][0], jnp.linspace(-2, 1, 12).reshape(3, 4)

    def run(value):
        thing = make(**{number: value})
        return thing.apply(thing.init(4), z)

    together, one_by_one = jax.jit(jax.vmap(run))(values), [run(float(v)) for v in values]
    np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=1e-5)
    assert np.max(np.abs(one_by_one[0] - one_by_one[1])) > 1e-2
    with pytest.raises(ValueError, match=rf"^{number} is nan; give a number in"):
        make(**{number: float("nan")})


def test_every_option_of_a_net_is_in_the_registry():
    for field in dataclasses.fields(MLP):
        if field.name != "sizes":
            assert any(getattr(net, field.name) != field.default for net in NETS.values()), field.name


@pytest.mark.parametrize(
    "name", ["plain", "an activation for each layer", "root mean square normalization", "all together"]
)
def test_nets_are_the_same_jitted_for_each_member_and_for_any_leading_shape(name, compilations):
    net, x = NETS[name], jax.random.normal(jax.random.key(2), (4, 2, 3))
    keys = jax.random.split(jax.random.key(0), 2)
    params, drawn = net.init(keys[0]), jax.jit(net.init)(keys[0])
    close(drawn, params, rtol=1e-5, atol=1e-6)
    assert types(drawn) == types(params)
    apply = jax.jit(net.apply)
    outputs = apply(params, x)
    close(net.apply(params, x), outputs, rtol=1e-5, atol=1e-6)
    close(net.apply(params, x[3, 1]), jax.tree.map(lambda part: part[3, 1], outputs), rtol=1e-5, atol=1e-6)
    assert all(part.shape[:-1] == (0,) for part in jax.tree.leaves(net.apply(params, x[:0, 0])))
    with_masks = net.apply(params, x, key=keys[0])
    differences = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), with_masks, outputs)
    assert (max(jax.tree.leaves(differences)) > 1e-2) == (net.dropout > 0)

    other, before = (jax.tree.map(lambda leaf: 2 * leaf, params), 3 * x), compilations.count
    apply(*other)
    assert compilations.count == before
    members = jax.vmap(net.init)(keys)
    together = jax.jit(jax.vmap(net.apply, in_axes=(0, None)))(members, x)
    for i in range(2):
        member = jax.tree.map(lambda leaf, i=i: leaf[i], members)
        close(net.apply(member, x), jax.tree.map(lambda part, i=i: part[i], together), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "bfloat16") for name in NETS), *(("all together", d) for d in ("float32", "float16", "float64"))],
)
def test_nets_keep_the_dtype_of_their_parameters_and_every_parameter_learns(name, dtype, x64):
    net, x = NETS[name], jax.random.normal(jax.random.key(2), (8, 3), dtype)
    params = net.init(jax.random.key(0), dtype)
    kept = jax.tree.map(np.array, params)
    outputs = net.apply(params, x)
    assert {leaf.dtype.name for leaf in jax.tree.leaves((params, outputs))} == {dtype}

    def total(params):
        outputs = jax.tree.leaves(net.apply(params, x, key=jax.random.key(1)))
        return sum(jnp.sum(jnp.sin(part.astype("float32"))) for part in outputs)

    gradient = jax.jit(jax.grad(total))(params)
    assert types(gradient) == types(params)
    for leaf in jax.tree.leaves(gradient):
        assert bool(jnp.all(jnp.isfinite(leaf)))
        assert bool(jnp.any(leaf != 0))
    jax.tree.map(np.testing.assert_array_equal, params, kept)


def filled(name, **changed):
    """A loss with its floats filled in, as a recipe has it."""
    entry = LOSSES[name]
    floats = {f: value for f, (value, _) in entry.floats.items()} | changed
    return functools.partial(entry.loss, **floats) if floats else entry.loss


def four_rows(name, dtype="float32"):
    return jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), dtype), jnp.asarray(LOSSES[name].targets)


@each_loss
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_losses_are_one_number_per_row_the_same_jitted_and_row_by_row(name, dtype):
    loss, (outputs, targets) = filled(name), four_rows(name, dtype)
    rows = loss(outputs, targets)
    assert (rows.shape, rows.dtype) == ((4,), outputs.dtype)
    tolerance = 1e-6 if dtype == "float32" else 2e-2
    close(jax.jit(loss)(outputs, targets).astype(float), rows.astype(float), rtol=tolerance, atol=tolerance)
    alone = jnp.concatenate([loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(4)])
    close(alone.astype(float), rows.astype(float), rtol=tolerance, atol=tolerance)


@each_loss
def test_every_float_of_a_loss_is_in_the_registry_and_has_a_default(name):
    numbers = list(inspect.signature(LOSSES[name].loss).parameters.values())[2:]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is not inspect._empty for p in numbers)
    assert {p.name for p in numbers if float in typing.get_args(p.annotation)} == set(LOSSES[name].floats)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "number"), [(n, f) for n, e in LOSSES.items() for f in e.floats])
def test_a_float_of_a_loss_may_be_traced_keeps_the_dtype_and_matters(name, number, dtype, compilations):
    value, interval = LOSSES[name].floats[number]
    outputs, targets = four_rows(name, dtype)

    @jax.jit
    def gradient_of(v):
        return jax.value_and_grad(lambda z: filled(name, **{number: v})(z, targets).sum())(outputs)

    loss, gradient = gradient_of(jnp.float32(value))
    before = compilations.count
    _, other_gradient = gradient_of(jnp.float32(value / 2))
    assert compilations.count == before
    rows = filled(name)(outputs, targets)
    assert loss.dtype == rows.dtype == outputs.dtype
    close(loss.astype(float), rows.astype(float).sum(), rtol=1e-5 if dtype == "float32" else 3e-2)
    assert jnp.max(jnp.abs(gradient - other_gradient)) > 1e-2, f"{number} changes nothing"
    for wrong in (INTERVALS[interval], float("nan")):
        with pytest.raises(
            ValueError, match=rf"^{number} is {wrong}; give a number in \{interval[:-1]}\{interval[-1]}"
        ):
            filled(name, **{number: wrong})(outputs, targets)


def six_rows(name, dtype="float32"):
    """Outputs, targets and weights of a metric, no two outputs being alike."""
    metric, targets = METRICS[name]
    columns = 3 if targets.ndim == 1 else targets.shape[1]
    rng = np.random.default_rng(1)
    outputs, weight = (
        jnp.asarray(rng.normal(size=(6, columns)) - 0.4, dtype),
        jnp.asarray(rng.uniform(0.5, 2, 6), dtype),
    )
    return metric, outputs, jnp.asarray(targets), weight


@each_metric
def test_metrics_are_one_number_the_same_jitted_and_for_each_member(name):
    metric, outputs, targets, weight = six_rows(name)
    value = metric(outputs, targets, weight)
    assert value.shape == (() if name != "confusion_matrix" else (3, 3))
    assert bool(jnp.all(jnp.isfinite(value)))
    close(jax.jit(metric)(outputs, targets, weight), value, rtol=1e-6)
    close(metric(outputs, targets, None), metric(outputs, targets, jnp.ones(6)), rtol=1e-6)
    close(metric(outputs, targets), metric(outputs, targets, None), rtol=0)
    members = jnp.stack([outputs, -outputs])
    together = jax.jit(jax.vmap(metric, in_axes=(0, None, None)))(members, targets, weight)
    close(together, jnp.stack([value, metric(-outputs, targets, weight)]), rtol=1e-5, atol=1e-6)
    assert bool(jnp.any(together[0] != together[1])), "the outputs do not matter"


@each_metric
def test_metrics_take_sums_in_float32_at_least(name):
    metric, outputs, targets, weight = six_rows(name, "bfloat16")
    value = metric(outputs, targets, weight)
    assert value.dtype == jnp.float32
    close(value, metric(outputs.astype(jnp.float32), targets, weight.astype(jnp.float32)), rtol=1e-6)


@each_metric
def test_a_weight_of_zero_leaves_the_row_out_whatever_it_holds(name):
    metric, outputs, targets, weight = six_rows(name)
    matters = False
    for row in range(6):
        rest = np.delete(np.arange(6), row)
        left_out = metric(outputs[rest], targets[rest], weight[rest])
        none = weight.at[row].set(0)
        close(metric(outputs, targets, none), left_out, rtol=1e-5)
        close(metric(outputs.at[row].set(jnp.nan), targets, none), left_out, rtol=1e-5)
        matters |= bool(jnp.any(jnp.abs(metric(outputs, targets, weight) - left_out) > 1e-3))
    assert matters, "no row matters"
    jax.jit(metric)(outputs, targets, jnp.zeros(6))


@each_metric
def test_a_weight_of_two_is_the_row_twice(name):
    metric, outputs, targets, _ = six_rows(name)
    matters = False
    for row in range(6):
        twice = metric(*(jnp.concatenate([part, part[row : row + 1]]) for part in (outputs, targets)))
        close(metric(outputs, targets, jnp.ones(6).at[row].set(2)), twice, rtol=1e-5)
        matters |= bool(jnp.any(jnp.abs(metric(outputs, targets) - twice) > 1e-4))
    assert matters, "no row matters"
