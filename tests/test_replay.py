import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import data, losses, optimizers, regularizers
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, fit
from jaxmlp.training.program import start, try_steps
from jaxmlp.training.recipe import resolve
from jaxmlp.training.replay import replay
from jaxmlp.training.state import DIVERGED, Inputs, Program, keys_of
from jaxmlp.types import Batch, Layer

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = ((X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int) + (X[:, 2] > 0.5)).astype(np.int32)
NET = MLP(sizes=(4, 8, 3))
STILL, SLOW = optimizers.sgd(0.0), optimizers.sgd(0.05)
CROSS_ENTROPY = losses.softmax_cross_entropy


def stand(recipe, x=X, y=Y, *, batch_size=7, epoch=0, step=0, params=None, weight=None, hyper=None, key=KEY):
    """What a replay is given, for the first parameters before any step."""
    program = Program(recipe, epochs=5, batch_size=batch_size)
    rows = Batch(*jax.tree.map(jnp.asarray, (x, y)), None if weight is None else jnp.asarray(weight))
    inputs = Inputs(keys_of(key), rows, hyper=hyper)
    state = start(program, inputs, params)
    return program, inputs, state._replace(epoch=jnp.int32(epoch), step=jnp.int32(step))


def diverged(recipe, x=X, y=Y, **options):
    """What a replay is given by a run that diverged."""
    with pytest.warns(RuntimeWarning, match="at epoch"):
        run = fit(recipe, (x, y), **{"epochs": 5, "batch_size": 7, "key": KEY} | options)
    assert int(run.state.stop) == DIVERGED
    return run.origin.program, run.origin.inputs, run.state


def order_of(epoch, key=KEY):
    return np.asarray(data.order(jax.random.fold_in(keys_of(key).order, epoch), 40))


def with_row(row, value):
    x = X.copy()
    x[row] = value
    return x


def stage(made, name):
    (found,) = (stage for stage in made.stages if stage.name == name)
    return found


def infinite_at(step):
    def rate(count):
        return jnp.where(count.astype(float) == step, jnp.inf, 0.05)

    return Recipe(NET, optimizers.sgd(rate), CROSS_ENTROPY)


class TestEqualsTheRun:
    """A step replayed is the step of the run, made by ``try_steps`` inside of a program."""

    @pytest.mark.parametrize(
        ("recipe", "step", "weighted"),
        [
            (Recipe(NET, optimizers.adam(0.02), CROSS_ENTROPY), 3, False),
            (Recipe(NET, optimizers.adam(0.02), CROSS_ENTROPY), 5, True),
            (Recipe(MLP((4, 8, 8, 3), dropout=0.4, normalization="rms", residual=True), SLOW, CROSS_ENTROPY), 5, False),
            (Recipe(NET, optimizers.sam(0.05), CROSS_ENTROPY, augment=regularizers.input_noise(0.5)), 2, False),
            (Recipe(NET, optax.chain(regularizers.gradient_noise(0.1), SLOW), CROSS_ENTROPY), 1, True),
            (lambda rate: Recipe(MLP((4, 8, 3), "prelu"), optimizers.sgd(rate), CROSS_ENTROPY), 0, False),
        ],
        ids=["plain", "last_batch", "dropout", "augment", "noise", "hyper"],
    )
    def test_in_its_loss_and_its_parameters(self, recipe, step, weighted):
        weight = RNG.uniform(0.1, 2.0, 40).astype(np.float32) if weighted else None
        hyper = None if isinstance(recipe, Recipe) else jnp.float32(0.1)
        program, inputs, state = stand(recipe, step=step, epoch=2, weight=weight, hyper=hyper)
        made = replay(program, inputs, state)
        recipe = resolve(recipe, hyper)
        after = jax.jit(lambda state: try_steps(program, recipe, inputs, state))(state._replace(stride=jnp.int32(1)))
        rows = order_of(2)[step * 7 : step * 7 + 7]
        np.testing.assert_array_equal(made.rows, rows)
        counts = len(rows) if weight is None else weight[rows].sum()
        np.testing.assert_allclose(stage(made, "mean loss").largest * counts, after.loss, rtol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), made.after.params, after.params
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), made.after.opt_state, after.opt_state
        )
        assert (made.epoch, made.step, made.first, made.layer, len(made.culprits)) == (3, step + 1, None, None, 0)
        assert repr(made).startswith(f"Epoch 3, step {step + 1}: all numbers are finite.\n\n")

    def test_in_every_stage(self):
        """Against the equations of a residual net in NumPy."""
        net = MLP((4, 5, 5, 3), residual=True, heads={"a": 2, "b": 1})
        loss = losses.PerHead({"a": losses.squared_error, "b": losses.squared_error})
        y = {"a": X[:, :2], "b": X[:, 2:3]}
        program, inputs, state = stand(Recipe(net, SLOW, loss), y=y, step=5)
        made = replay(program, inputs, state)
        x = X[made.rows].astype(np.float64)
        (w0, _), (w1, _), (w2, _) = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.params)
        z0 = x @ w0
        z1 = np.maximum(z0, 0) @ w1 + z0
        z2 = np.maximum(z1, 0) @ w2
        errors = z2 - x[:, :3]
        rows = np.mean(errors[:, :2] ** 2, axis=1) + errors[:, 2] ** 2
        by_output = errors * np.array([1, 1, 2]) / len(rows)  # the mean of a's two halves the 2 of the square
        expected = {
            "inputs": x,
            "layer 1: weighted sums": z0,
            "layer 1: activations": np.maximum(z0, 0),
            "layer 2: weighted sums": z1,
            "layer 2: activations": np.maximum(z1, 0),
            "layer 3: outputs for a": z2[:, :2],
            "layer 3: outputs for b": z2[:, 2:],
            "loss of each row": rows,
            "mean loss": rows.mean(),
            "gradient of layer 3: w": np.maximum(z1, 0).T @ by_output,
            "gradient of layer 3: b": by_output.sum(axis=0),
            "update of layer 3: w": 0.05 * np.maximum(z1, 0).T @ by_output,
            "new parameters of layer 3: b": 0.05 * by_output.sum(axis=0),
        }
        names = [stage.name for stage in made.stages]
        assert [name for name in names if name in expected] == list(expected)
        assert len(names) == 9 + 3 * 6
        assert names.index("gradient of layer 3: w") < names.index("gradient of layer 2: w")
        for name, values in expected.items():
            assert stage(made, name).largest == pytest.approx(np.abs(values).max(), rel=1e-5), name
            assert stage(made, name).size == values.size, name

    def test_with_masks_as_a_stage_of_their_own(self):
        program, inputs, state = stand(Recipe(MLP((4, 8, 3), dropout=0.5), SLOW, CROSS_ENTROPY))
        made = replay(program, inputs, state)
        a, dropped = (stage(made, f"layer 1: activations{after}").largest for after in ("", " after dropout"))
        assert dropped in (pytest.approx(2 * a), pytest.approx(0)) or dropped < 2 * a


class TestNames:
    @pytest.mark.parametrize("step", [0, 10])
    def test_the_update_of_an_infinite_learning_rate(self, step):
        program, inputs, state = diverged(infinite_at, hyper=step)
        made = replay(program, inputs, state)
        assert (made.epoch, made.step, made.first.name, made.layer) == (
            step // 6 + 1, step % 6 + 1, "update of layer 1: w", 1,
        )  # fmt: skip
        assert made.blame == "update of layer 1 (w)"
        assert len(made.culprits) == 0
        assert made.verdict.endswith(
            f", then of layer 2; before, the gradient of layer 2 (w) reached {largest(made):.2g}."
        )
        assert made.advice.startswith("The gradient is finite: the learning rate is infinite")

    def test_the_row_and_the_layer_of_inputs_far_off(self):
        params = jax.tree.map(lambda leaf: 1e5 * leaf, NET.init(jax.random.key(0)))
        state = diverged(Recipe(NET, STILL, CROSS_ENTROPY), with_row(17, 1e30), params=params)
        made = replay(*state)
        assert 17 in made.rows
        assert (made.first.name, made.layer, made.culprits.tolist()) == ("layer 2: outputs", 2, [17])
        assert made.first.infinite + made.first.nan <= 3  # units, of that row alone
        assert made.blame == "outputs of layer 2, row 17"
        assert re.search(
            rf"are in the outputs of layer 2 \(.* of {3 * len(made.rows)}( infinite| NaN)?\), at", made.verdict
        )
        reached = stage(made, "layer 1: activations").largest
        assert made.verdict.endswith(f", at row 17; before, the activations of layer 1 reached {reached:.2g}.")
        assert made.advice.startswith("The inputs of row 17 reach 1e+30, those of a typical row 1.")
        assert ["->", "layer", "2:", "outputs"] in [line.split()[:4] for line in repr(made).split("\n")]

    def test_the_first_layer(self):
        made = replay(*stand(Recipe(NET, STILL, CROSS_ENTROPY), with_row(3, 3e38), batch_size=40))
        assert (made.first.name, made.layer, made.culprits.tolist()) == ("layer 1: weighted sums", 1, [3])

    def test_large_numbers_everywhere_as_a_matter_of_scale(self):
        params = jax.tree.map(lambda leaf: 1e20 * leaf, NET.init(jax.random.key(0)))
        made = replay(*stand(Recipe(NET, STILL, CROSS_ENTROPY), params=params))
        assert made.culprits.tolist() == sorted(made.rows)
        assert made.layer == 2
        assert made.advice.startswith("Try a smaller learning rate, clip the gradient")

    def test_rows_whose_loss_is_not_finite(self):
        def no_twos(outputs, targets):
            return jnp.where(targets == 2, jnp.nan, 1.0) * losses.softmax_cross_entropy(outputs, targets)

        program, inputs, state = diverged(Recipe(NET, optax.apply_if_finite(SLOW, 100), no_twos))
        made = replay(program, inputs, state)
        twos = sorted(row for row in made.rows if Y[row] == 2)
        assert len(twos) > 0
        assert (made.first.name, made.layer, made.culprits.tolist()) == ("loss of each row", None, twos)
        assert made.first.nan == len(twos)
        assert "in the loss 'no_twos', and at the targets of these rows" in made.advice

    @pytest.mark.parametrize("dropout", [0.0, 0.5])
    def test_rows_whose_gradient_is_not_finite(self, dropout):
        """The root of |z| has an infinite derivative at z = 0, which a row of zeros meets without biases."""
        net = MLP((4, 8, 3), activation=lambda z: jnp.sqrt(jnp.abs(z)), dropout=dropout)
        x = with_row([17, 30, 31], 0.0)
        made = replay(*stand(Recipe(net, SLOW, CROSS_ENTROPY), x, batch_size=40))
        assert stage(made, "mean loss").finite
        assert (made.first.name, made.layer, made.culprits.tolist()) == ("gradient of layer 1: w", 1, [17, 30, 31])
        assert ", because of rows 17, 30 and 31; before, the mean loss reached " in made.verdict
        assert made.advice.startswith("The losses are finite, but not their derivative")

    def test_no_row_where_only_the_sum_of_gradients_is_too_large(self):
        program, inputs, state = stand(
            Recipe(NET, SLOW, lambda outputs, y: 1e38 * outputs[:, 0]), weight=np.ones(40, np.float32)
        )
        made = replay(program, inputs, state)
        assert made.first is not None

    def test_leaves_of_a_model_that_is_no_mlp(self):
        class Power:
            def init(self, key):
                return {"scale": jnp.ones(1), "exponent": jnp.full(1, 0.5)}

            def apply(self, params, x, *, key=None):
                return params["scale"][None] * jnp.abs(x) ** params["exponent"][None]

        x = np.linspace(1, 2, 40, dtype=np.float32)[:, None]
        recipe = Recipe(Power(), SLOW, losses.squared_error)
        fine = replay(*stand(recipe, x, x))
        assert [stage.name for stage in fine.stages] == [
            "inputs", "outputs", "loss of each row", "mean loss",
            *(f"{what} of params['{leaf}']" for what in ("gradient", "update", "new parameters")
              for leaf in ("exponent", "scale")),
        ]  # fmt: skip
        far = replay(*diverged(recipe, np.where(np.arange(40)[:, None] == 9, 1e38, x), 1e30 * x))
        assert (far.first.name, far.layer) == ("loss of each row", None)

    def test_heads(self):
        net = MLP((4, 8, 3), heads={"a": 2, "b": 1}, activation="identity")
        recipe = Recipe(net, SLOW, losses.PerHead({"a": CROSS_ENTROPY, "b": losses.squared_error}))
        params = (Layer(jnp.ones((4, 8)), jnp.zeros(8)), Layer(jnp.array([[1.0, 1.0, 10.0]] * 8), jnp.zeros(3)))
        y = {"a": Y % 2, "b": X[:, :1]}
        made = replay(*stand(recipe, with_row(12, 3e36), y, params=params, batch_size=40))
        assert (made.first.name, made.layer, made.culprits.tolist()) == ("layer 2: outputs for b", 2, [12])
        assert made.blame == "outputs for b of layer 2, row 12"

    def test_no_row_of_the_padding(self):
        """Of 40 rows in batches of 7 the last batch holds 5, and twice row 0, which belongs to another one."""
        rows = order_of(0)[35:]
        assert 0 not in rows
        given = stand(Recipe(NET, STILL, CROSS_ENTROPY), with_row([0, rows[1]], 3e38), step=5)
        made = replay(*given)
        np.testing.assert_array_equal(made.rows, rows)
        assert made.culprits.tolist() == [rows[1]]
        assert stage(made, "inputs").size == 5 * 4
        assert stage(made, "layer 1: weighted sums").size == 5 * 8

    def test_a_sum_over_the_epoch_that_overflows(self):
        program, inputs, state = stand(Recipe(NET, SLOW, lambda outputs, y: 0 * outputs[:, 0] + 4e37))
        made = replay(program, inputs, state._replace(loss=jnp.float32(1e38)))
        assert made.first.name == "sum of losses in the epoch so far"
        assert stage(made, "mean loss").largest == pytest.approx(4e37)
        assert made.advice.startswith("Try a smaller learning rate")

    def test_parameters_that_were_not_finite_before(self):
        params = NET.init(KEY)
        params = (params[0], params[1]._replace(b=params[1].b.at[0].set(jnp.nan)))
        made = replay(*stand(Recipe(NET, SLOW, CROSS_ENTROPY), params=params))
        assert (made.first.name, made.layer) == ("parameters of layer 2: b", 2)
        assert made.verdict.startswith(
            "Epoch 1, step 1: the first numbers that are not finite are in the parameters of layer 2 (b) (1 of 3 NaN); "
            "before, the inputs reached "
        )

    def test_new_parameters_that_overflow(self):
        params = (Layer(jnp.full((4, 3), 3e38), jnp.zeros(3)),)
        made = replay(*stand(Recipe(MLP((4, 3)), growing, CROSS_ENTROPY), 0 * X, params=params))
        assert (made.first.name, made.layer) == ("new parameters of layer 1: w", 1)

    def test_what_differs_from_the_compiled_run(self):
        program, inputs, state = stand(Recipe(NET, SLOW, CROSS_ENTROPY))
        assert replay(program, inputs, state).advice == ""
        made = replay(program, inputs, state._replace(stop=jnp.int32(DIVERGED)))
        assert made.advice.startswith("The compiled run found others")
        assert made.blame == "all numbers are finite when the step is run eagerly"


growing = optax.GradientTransformation(
    lambda params: optax.EmptyState(), lambda g, state, params=None: (jax.tree.map(jnp.copy, params), state)
)


def largest(made):
    return max(stage.largest for stage in made.stages if stage.name.startswith("gradient"))


def test_few_rows_are_named_and_the_others_counted():
    made = replay(*stand(Recipe(NET, STILL, CROSS_ENTROPY), with_row(slice(2, 19), 3e38), batch_size=40))
    assert made.culprits.tolist() == list(range(2, 19))
    assert made.blame == "weighted sums of layer 1, rows 2, 3, 4, 5, 6 and 12 more"


def test_nothing_raises_where_nan_is_looked_for():
    params = jax.tree.map(lambda leaf: 1e30 * leaf, NET.init(KEY))
    given = stand(Recipe(NET, SLOW, losses.hinge), with_row(3, 3e38), params=params, batch_size=40)
    with jax.debug_nans(True), jax.debug_infs(True):
        made = replay(*given)
        with pytest.raises(FloatingPointError):
            jnp.log(-jnp.ones(1))
    assert not stage(made, "update of layer 1: w").finite
