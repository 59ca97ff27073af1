import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import registry
from jax.flatten_util import ravel_pytree

from jaxmlp import activations, diagnostics, losses, optimizers, regularizers, training
from jaxmlp.diagnostics import Verdict, problem
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe
from jaxmlp.types import Layer

KEY = jax.random.key(5)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
LABELS = np.array([0, 1, 1, 0, 1, 0])
WEIGHT = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 0.0])


def drawn(net, seed=0, dtype=float):
    """Parameters with biases that are not 0."""
    leaves, structure = jax.tree.flatten(net.init(KEY))
    rng = np.random.default_rng(seed)
    return jax.tree.unflatten(
        structure, [leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), dtype) for leaf in leaves]
    )


def mean_loss(net, params, x, y, loss, weight=None):
    """The mean loss, written without the library's."""
    y = jnp.asarray(y) if np.asarray(y).dtype.kind == "i" else jnp.asarray(y, float)
    rows = loss(net.apply(params, jnp.asarray(x, float)), y)
    weight = jnp.ones(len(x)) if weight is None else jnp.asarray(weight, float)
    return jnp.sum(rows * weight) / jnp.sum(weight)


def same(tree, other, **tolerance):
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), **tolerance)


OF_LOSSES = {
    "squared_error": (losses.squared_error, RNG.normal(size=(6, 2))),
    "absolute_error": (losses.absolute_error, RNG.normal(size=(6, 2))),
    "huber": (functools.partial(losses.huber, delta=0.5), RNG.normal(size=(6, 2))),
    "sigmoid": (losses.sigmoid_binary_cross_entropy, RNG.uniform(size=(6, 2))),
    "softmax of labels": (losses.softmax_cross_entropy, LABELS),
    "softmax of probabilities": (losses.softmax_cross_entropy, np.array([[0.3, 0.701]] * 6)),
    "smoothed": (functools.partial(losses.softmax_cross_entropy, label_smoothing=0.2), LABELS),
}


class TestBackprop:
    @pytest.mark.parametrize("name", OF_LOSSES)
    def test_is_the_gradient_of_every_loss(self, x64, name):
        loss, y = OF_LOSSES[name]
        net = MLP((3, 4, 5, 2), ("tanh", "sigmoid"))
        params = drawn(net)
        result = diagnostics.backprop(net, params, X, y, loss, weight=WEIGHT)
        value, gradient = jax.jit(jax.value_and_grad(lambda p: mean_loss(net, p, X, y, loss, WEIGHT)))(params)
        same(result.gradient, gradient, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(result.loss, value, rtol=1e-12)

    @pytest.mark.parametrize("name", ["identity", "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "selu"])
    def test_is_the_gradient_through_every_activation(self, x64, name):
        net = MLP((3, 4, 4, 2), name)
        params = drawn(net)
        result = diagnostics.backprop(net, params, X, LABELS, losses.softmax_cross_entropy)
        gradient = jax.jit(jax.grad(lambda p: mean_loss(net, p, X, LABELS, losses.softmax_cross_entropy)))(params)
        same(result.gradient, gradient, rtol=1e-10, atol=1e-14)

    def test_is_what_finite_differences_give(self, x64):
        net, (loss, y) = MLP((3, 3, 2), "tanh"), OF_LOSSES["squared_error"]
        flat, unravel = ravel_pytree(drawn(net))
        value = jax.jit(lambda theta: mean_loss(net, unravel(theta), X, y, loss))
        steps = 1e-5 * jnp.eye(flat.size)
        differences = [(value(flat + step) - value(flat - step)) / 2e-5 for step in steps]
        result = diagnostics.backprop(net, unravel(flat), X, y, loss)
        np.testing.assert_allclose(ravel_pytree(result.gradient)[0], differences, rtol=1e-7, atol=1e-9)

    def test_has_the_delta_of_each_weighted_sum(self, x64):
        net, (loss, y) = MLP((3, 4, 5, 2), ("tanh", "sigmoid")), OF_LOSSES["squared_error"]
        (w1, b1), (w2, b2), (w3, b3) = params = drawn(net)

        def shifted(shifts):
            a1 = jnp.tanh(X @ w1 + b1[None] + shifts[0])
            a2 = jax.nn.sigmoid(a1 @ w2 + b2[None] + shifts[1])
            rows = jnp.mean((a2 @ w3 + b3[None] + shifts[2] - y) ** 2, axis=1)
            return jnp.sum(rows * WEIGHT) / WEIGHT.sum()

        result = diagnostics.backprop(net, params, X, y, loss, weight=WEIGHT)
        deltas = jax.grad(shifted)([jnp.zeros((6, n)) for n in (4, 5, 2)])
        same([layer.delta for layer in result.layers], deltas, rtol=1e-10)
        values = result.values
        assert list(values) == [
            "z1",
            "a1",
            "z2",
            "a2",
            "z3",
            *["delta3", "dW3", "db3", "delta2", "dW2", "db2", "delta1", "dW1", "db1"],
        ]
        np.testing.assert_allclose(values["z1"], X @ w1 + b1[None], rtol=1e-12)
        np.testing.assert_allclose(values["a1"], np.tanh(X @ w1 + b1[None]), rtol=1e-12)
        np.testing.assert_allclose(values["z3"], net.apply(params, jnp.asarray(X)), rtol=1e-12)
        assert values["delta2"] is result.layers[1].delta
        assert result.formulas["delta2"] == "(delta3 W3^T) * f'(z2), where f'(z2) = a2 * (1 - a2)"
        assert result.formulas["delta1"].endswith("= 1 - a1 * a1")
        assert (result.formulas["z2"], result.formulas["dW2"]) == ("a1 W2 + b2", "a1^T delta2")

    def test_gives_the_numbers_of_a_published_example(self, x64):
        """Mazur 2015, "A step by step backpropagation example", whose outputs are sigmoids and biases not learned."""

        def half_squared(z, y):
            return 0.5 * jnp.sum((jax.nn.sigmoid(z) - y) ** 2, axis=1)

        params = [([[0.15, 0.25], [0.20, 0.30]], [0.35, 0.35]), ([[0.40, 0.50], [0.45, 0.55]], [0.60, 0.60])]
        net = MLP((2, 2, 2), "sigmoid")
        result = diagnostics.backprop(net, params, [[0.05, 0.10]], [[0.01, 0.99]], half_squared)
        np.testing.assert_allclose(result.values["a1"][0], [0.593269992, 0.596884378], rtol=1e-8)
        np.testing.assert_allclose(result.loss, 0.298371109, rtol=1e-8)
        np.testing.assert_allclose(result.layers[1].dw[0, 0], 0.082167041, rtol=1e-7)
        np.testing.assert_allclose(result.layers[0].dw[0, 0], 0.000438568, rtol=1e-6)

    @pytest.mark.parametrize(
        ("loss", "activation"),
        [
            ("squared_error", "sigmoid"), ("absolute_error", "tanh"), ("sigmoid", "relu"),
            ("softmax of labels", "leaky_relu"), ("huber", "gelu"),
        ],
    )  # fmt: skip
    def test_is_written_out_in_lines_that_are_true(self, loss, activation):
        loss, y = OF_LOSSES[loss]
        net = MLP((2, 3, 2), activation)
        result = diagnostics.backprop(net, drawn(net), X[:2, :2], y[:2], loss, weight=[1.0, 3.0])
        functions = {
            name: lambda z, f=f: float(f(jnp.float32(z)))
            for name, f in activations.ACTIVATIONS.items()
            if name != "prelu"
        }
        functions |= {"exp": np.exp, "sign": np.sign}
        found = re.findall(r"^  (\w+\[[\d, ]+\]) = (.*) = (\S+)$", repr(result), re.MULTILINE)
        written = {name: float(value) for name, _, value in found}
        for name, formula, value in found:
            assert eval(formula, functions) == pytest.approx(float(value), rel=5e-3, abs=2e-3), name  # four digits
        for name, values in result.values.items():
            own = values if name.startswith("d") and not name.startswith("delta") else values[0]
            for place, number in np.ndenumerate(np.asarray(own)):
                assert written[f"{name}[{', '.join(map(str, place))}]"] == pytest.approx(number, rel=1e-3, abs=1e-6)
        assert (
            len(found)
            == len(written)
            == sum(
                np.size(v if n.startswith("d") and not n.startswith("delta") else v[0])
                for n, v in result.values.items()
            )
        )

    def test_says_what_it_leaves_out_of_a_large_net(self):
        net = MLP((8, 30, 7))
        result = diagnostics.backprop(
            net, drawn(net), RNG.normal(size=(9, 8)), np.arange(9) % 7, losses.softmax_cross_entropy
        )
        text = repr(result)
        assert text.startswith("Net 8-30-7, relu; softmax_cross_entropy; row 0 of 9.\nOf wide layers the first 4 units")
        assert "z, a and delta are those of row 0; dW and db are sums over all rows." in text
        assert "+ ... (3 more) + " in text  # 8 inputs
        assert "+ ... (25 more)" in text  # 30 units
        assert "z1[3]" in text
        assert "[4" not in text
        assert len(text) < 10_000

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ({"normalization": "layer"}, "normalization"), ({"residual": True}, "residual blocks"),
            ({"dropout": 0.1}, "dropout"), ({"heads": {"a": 1, "b": 1}}, "heads"),
            ({"activation": "prelu"}, "a learned activation"), ({"parametrization": "ntk"}, "another parametrization"),
            ({"compute_dtype": "bfloat16"}, "another compute_dtype"),
        ],
    )  # fmt: skip
    def test_refuses_a_net_that_has_more_than_it_writes_out(self, options, found):
        net = MLP((3, 4, 4, 2), **options)
        with pytest.raises(ValueError, match=f"net has {found}, which backprop does not write out; give a net"):
            diagnostics.backprop(net, net.init(KEY), X, LABELS, losses.softmax_cross_entropy)

    def test_refuses_what_is_no_net_and_parameters_of_another(self, unchecked):
        with pytest.raises(TypeError, match="net is 3; give an MLP"):
            diagnostics.backprop(3, (), X, LABELS, losses.softmax_cross_entropy)
        net = MLP((3, 2))
        with pytest.raises(ValueError, match="params have 4 arrays, the net's own 2"):
            diagnostics.backprop(net, MLP((3, 3, 2)).init(KEY), X, LABELS, losses.softmax_cross_entropy)
        with pytest.raises(ValueError, match=r"the net's own have shape \(3, 2\)"):
            diagnostics.backprop(net, MLP((2, 2)).init(KEY), X, LABELS, losses.softmax_cross_entropy)


def rows_for(net, seed=0, rows=64):
    """A task that can be learned: which of some random directions a row goes along most."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, net.sizes[0])).astype(np.float32)
    return x, (x @ rng.normal(size=(net.sizes[0], net.sizes[-1]))).argmax(axis=1)


def times(factor):
    return lambda params: tuple(layer._replace(w=factor * layer.w) for layer in params)


def biased(bias):
    return lambda params: (*(layer._replace(b=layer.b + bias) for layer in params[:-1]), params[-1])


RELU, TANH, DEEP = MLP((8, 32, 32, 4)), MLP((8, 32, 32, 4), "tanh"), MLP((8, *[32] * 6, 4), "sigmoid")
ADAM, SGD = (optax.inject_hyperparams(method)(1e-3) for method in (optimizers.adam, optimizers.sgd))
"""Their rates are in their states, so that all of them share a program."""

SET_UPS = {
    "he": (RELU, ADAM, 1e-3, times(1.0), Verdict.HEALTHY),
    "glorot": (TANH, ADAM, 1e-3, times(1.0), Verdict.HEALTHY),
    "slow sgd": (RELU, SGD, 0.05, times(1.0), Verdict.HEALTHY),
    "deep sigmoid of small weights": (DEEP, ADAM, 1e-3, times(0.5), Verdict.VANISHING),
    "relu of small weights": (RELU, ADAM, 1e-5, times(0.02), Verdict.VANISHING),
    "large weights": (RELU, ADAM, 1e-3, times(10.0), Verdict.EXPLODING),
    "negative biases": (RELU, ADAM, 1e-3, biased(-20.0), Verdict.DEAD),
    "tanh of huge weights": (TANH, ADAM, 1e-3, times(50.0), Verdict.SATURATED),
    "sigmoid of huge weights": (DEEP, ADAM, 1e-3, times(60.0), Verdict.SATURATED),
    "adam at 10": (RELU, ADAM, 10.0, times(1.0), Verdict.RATE_TOO_HIGH),
    "sgd at 10": (RELU, SGD, 10.0, times(1.0), Verdict.RATE_TOO_HIGH),
}


class TestGradientFlow:
    @pytest.mark.parametrize("name", SET_UPS)
    def test_names_a_fault_where_there_is_one(self, name):
        net, optimizer, rate, spoil, verdict = SET_UPS[name]
        recipe = Recipe(net, optimizer, losses.softmax_cross_entropy)
        for seed in range(3):
            params = spoil(net.init(jax.random.key(seed)))
            opt_state = optimizer.init(params)
            opt_state.hyperparams["learning_rate"] = jnp.float32(rate)
            flow = diagnostics.gradient_flow(recipe, params, rows_for(net, seed), opt_state=opt_state)
            assert flow.verdicts == (verdict,), repr(flow)

    def test_finds_a_net_healthy_that_has_learned(self):
        recipe = Recipe(RELU, ADAM, losses.softmax_cross_entropy)
        run = training.fit(recipe, rows_for(RELU), epochs=40, batch_size=16, key=KEY, progress=False)
        flow = diagnostics.gradient_flow(recipe, run.params, rows_for(RELU), opt_state=run.state.opt_state)
        assert flow.verdicts == (Verdict.HEALTHY,)
        assert flow.loss < 0.5 * run.history["train/loss"][0]

    def test_sees_gradients_whose_squares_are_too_small_for_floats(self):
        net = MLP((1, 1, 1, 1, 1, 1), "identity")
        params = tuple(Layer(jnp.full((1, 1), 1e-5), jnp.zeros(1)) for _ in range(5))
        flow = diagnostics.gradient_flow(net, params, ([[1.0]], [[1.0]]), loss=losses.squared_error)
        np.testing.assert_allclose(flow.delta[:-1] / flow.delta[-1], 1e-5 ** np.arange(4.0, 0, -1), rtol=1e-4)

    def test_measures_signals_and_gradients_of_each_layer(self):
        net, optimizer = MLP((3, 4, 5, 2), ("tanh", "relu")), optimizers.momentum(0.1)
        recipe, params = Recipe(net, optimizer, losses.softmax_cross_entropy), drawn(net)
        flow = diagnostics.gradient_flow(recipe, params, (X, LABELS, WEIGHT))
        by_hand = diagnostics.backprop(net, params, X, LABELS, losses.softmax_cross_entropy, weight=WEIGHT)
        share = WEIGHT / WEIGHT.sum()
        updates, _ = optimizer.update(by_hand.gradient, optimizer.init(params), params)
        after = mean_loss(net, optax.apply_updates(params, updates), X, LABELS, recipe.loss, WEIGHT)
        np.testing.assert_allclose([flow.loss, flow.loss_after], [by_hand.loss, after], rtol=1e-5)
        for i, layer in enumerate(by_hand.layers):
            signals = [(layer.z, flow.z_mean, flow.z_std)] + [(layer.a, flow.a_mean, flow.a_std)] * (i < 2)
            for values, mean, std in signals:
                expected = share @ np.asarray(values).mean(axis=1)
                np.testing.assert_allclose(mean[i], expected, rtol=1e-4)
                np.testing.assert_allclose(std[i] ** 2, share @ ((values - expected) ** 2).mean(axis=1), rtol=1e-4)
            of_rows = np.asarray(layer.delta)[:5] / share[:5, None]  # the last row weighs nothing
            np.testing.assert_allclose(flow.delta[i] ** 2, share[:5] @ (of_rows**2).sum(axis=1), rtol=1e-4)
            flat, update, theta = (np.asarray(ravel_pytree(tree[i])[0]) for tree in (by_hand.gradient, updates, params))
            np.testing.assert_allclose(flow.gradient[i], np.linalg.norm(flat), rtol=1e-4)
            np.testing.assert_allclose(flow.gradient_rms[i], np.sqrt(np.mean(flat**2)), rtol=1e-4)
            np.testing.assert_allclose(flow.update_ratio[i], np.linalg.norm(update) / np.linalg.norm(theta), rtol=1e-4)
        assert np.isnan([flow.a_mean[2], flow.a_std[2], flow.dead[2], flow.saturated[2]]).all()
        rows = training.to_batch(recipe, params, "", (X, LABELS, WEIGHT))
        plan = training.plan_step(recipe, params, optimizer.init(params), rows)
        watched = jax.jit(lambda params, plan: training.measure_plan(recipe, params, plan, rows))(params, plan)
        np.testing.assert_allclose(flow.dead[:2], [watched["dead/0"], watched["dead/1"]])
        np.testing.assert_allclose(flow.saturated[:2], [watched["saturated/0"], watched["saturated/1"]])

    @pytest.mark.parametrize("name", ["residual", "all together"])
    def test_measures_any_net(self, name):
        net, loss = registry.NETS[name], losses.squared_error
        y = jnp.ones((1, net.sizes[-1]))
        if net.heads is not None:
            loss = losses.PerHead({head: losses.squared_error for head, _ in net.heads})
            y = {head: jnp.ones((1, size)) for head, size in net.heads}
        params, x = drawn(net), jnp.asarray(X[:1], float)
        flow = diagnostics.gradient_flow(net, params, (x, y), loss=loss)
        # Of a single row the slope by a layer's bias is the slope by its sums.
        gradient = jax.jit(jax.grad(lambda p: loss(net.apply(p, x), y)[0]))(params)
        np.testing.assert_allclose(flow.delta, [np.linalg.norm(layer.b) for layer in gradient], rtol=1e-4)
        outputs = np.concatenate([np.ravel(part) for part in jax.tree.leaves(net.apply(params, x))])
        np.testing.assert_allclose(flow.z_std[-1], outputs.std(), rtol=1e-4, atol=1e-6)
        assert np.isnan(flow.update_ratio).all()
        assert np.isnan(flow.loss_after)

    def test_names_the_layer_and_not_what_follows_from_it(self):
        params = RELU.init(KEY)
        params = (params[0], params[1]._replace(b=params[1].b - 30.0), params[2])
        flow = diagnostics.gradient_flow(RELU, params, rows_for(RELU), loss=losses.softmax_cross_entropy)
        assert flow.delta[0] == flow.delta[1] == 0
        assert flow.of_layers == ((), (Verdict.DEAD,), ())
        assert list(flow.dead[:2]) == [0, 1]
        text = repr(flow).split("\n")
        assert text[0].startswith("dead units: no row reaches half of a layer; ")
        assert text[1] == f"loss {flow.loss:.4g}"
        assert text[2].split() == [
            "layer",
            "verdict",
            "z",
            "mean",
            "std",
            "a",
            "mean",
            "std",
            "delta",
            "gradient",
            "rms",
            "update",
            "ratio",
            "dead",
            "saturated",
        ]
        assert text[4].startswith("[1]    dead units")
        assert text[4].endswith(" 100%       100%")
        assert len(text) == 6

    def test_says_which_numbers_are_not_finite(self):
        params = RELU.init(KEY)
        params = (params[0], params[1]._replace(w=params[1].w.at[0, 0].set(np.inf)), params[2])
        flow = diagnostics.gradient_flow(RELU, params, rows_for(RELU), loss=losses.softmax_cross_entropy)
        assert flow.verdicts == (Verdict.NOT_FINITE,)

    def test_blames_no_rate_for_a_layer_of_zeros(self):
        params = RELU.init(KEY)
        params = (*params[:2], Layer(0 * params[2].w, params[2].b))
        recipe = Recipe(RELU, ADAM, losses.softmax_cross_entropy)
        flow = diagnostics.gradient_flow(recipe, params, rows_for(RELU))
        assert np.isnan(flow.update_ratio[2])
        assert Verdict.RATE_TOO_HIGH not in flow.verdicts

    def test_blames_the_rate_where_a_step_raises_the_loss(self):
        wide = MLP((8, 400, 400, 4))
        recipe = Recipe(wide, optimizers.sgd(0.5), losses.softmax_cross_entropy)
        flow = diagnostics.gradient_flow(recipe, wide.init(KEY), rows_for(wide))
        assert flow.loss_after > 2 * flow.loss
        assert flow.verdicts == (Verdict.RATE_TOO_HIGH,)
        assert sum(Verdict.RATE_TOO_HIGH in of_layer for of_layer in flow.of_layers) >= 1

    def test_refuses_what_it_cannot_look_into(self, unchecked):
        params, rows = RELU.init(KEY), rows_for(RELU)
        with pytest.raises(TypeError, match="recipe is a net alone, and loss is None; give its loss"):
            diagnostics.gradient_flow(RELU, params, rows)
        recipe = Recipe(RELU, ADAM, losses.softmax_cross_entropy)
        with pytest.raises(TypeError, match="loss is given, but recipe has its own"):
            diagnostics.gradient_flow(recipe, params, rows, loss=losses.squared_error)
        with pytest.raises(TypeError, match=r"recipe is 3; give a training.Recipe"):
            diagnostics.gradient_flow(3, params, rows)

        class Other:
            def init(self, key):
                return jnp.ones(8)

            def apply(self, params, x, *, key=None):
                return x * params[None]

        with pytest.raises(TypeError, match="give an MLP, whose layers are known"):
            diagnostics.gradient_flow(Recipe(Other(), ADAM, losses.softmax_cross_entropy), jnp.ones(8), rows)


SMALL = MLP((3, 4, 2), "tanh")
OF_SMALL = Recipe(SMALL, optimizers.sgd(0.1), losses.squared_error)
Y = RNG.normal(size=(6, 2))


class TestLossSurface:
    def test_is_the_loss_at_every_point_of_the_plane(self, monkeypatch):
        params = drawn(SMALL)
        surface = diagnostics.loss_surface(OF_SMALL, params, (X, Y, WEIGHT), key=KEY, size=5, reach=0.5)
        np.testing.assert_allclose(surface.alpha, [-0.5, -0.25, 0, 0.25, 0.5])
        for (i, j), value in np.ndenumerate(surface.losses):
            steps = (surface.alpha[i], surface.beta[j])
            moved = jax.tree.map(lambda p, d, e, s=steps: p + s[0] * d + s[1] * e, params, *surface.directions)
            np.testing.assert_allclose(value, mean_loss(SMALL, moved, X, Y, losses.squared_error, WEIGHT), rtol=1e-5)
        monkeypatch.setattr(problem, "MEMORY", 4_000)  # some points at once
        sliced = diagnostics.loss_surface(OF_SMALL, params, (X, Y, WEIGHT), key=KEY, size=5, reach=0.5)
        np.testing.assert_allclose(sliced.losses, surface.losses, rtol=1e-6)
        assert repr(surface).startswith("Loss on a grid of 5 x 5: ")

    def test_has_directions_as_long_as_the_weights_of_each_unit(self):
        params = drawn(SMALL)
        surface = diagnostics.loss_surface(OF_SMALL, params, (X, Y), key=KEY, size=2)
        assert list(surface.alpha) == [-1, 1]
        first, second = surface.directions
        for direction in (first, second):
            for layer, own in zip(direction, params, strict=True):
                norms = [np.linalg.norm(w, axis=0) for w in (layer.w, own.w)]
                np.testing.assert_allclose(*norms, rtol=1e-5)
                np.testing.assert_array_equal(layer.b, 0)
        cosine = np.sum(first[0].w * second[0].w) / np.linalg.norm(first[0].w) / np.linalg.norm(second[0].w)
        assert abs(cosine) < 0.9

    def test_shows_most_of_a_path(self):
        path = [drawn(SMALL, seed) for seed in range(6)]
        surface = diagnostics.loss_surface(OF_SMALL, path[-1], (X, Y), path=path, size=4)
        points = np.array([ravel_pytree(point)[0] for point in path], np.float64)
        variances = np.linalg.eigvalsh(np.cov(points.T))[::-1]
        np.testing.assert_allclose(surface.shares, variances[:2] / variances.sum(), rtol=1e-4)
        flat = np.array([ravel_pytree(direction)[0] for direction in surface.directions])
        np.testing.assert_allclose(flat @ flat.T, np.eye(2), atol=1e-5)
        np.testing.assert_allclose(surface.path, (points - points[-1]) @ flat.T, atol=1e-5)
        np.testing.assert_allclose(surface.path[-1], 0, atol=1e-6)
        assert all(flat[i][np.abs(flat[i]).argmax()] > 0 for i in (0, 1))
        for grid, places in ((surface.alpha, surface.path[:, 0]), (surface.beta, surface.path[:, 1])):
            extent = np.ptp(places)
            np.testing.assert_allclose(
                grid[[0, -1]], [places.min() - 0.2 * extent, places.max() + 0.2 * extent], rtol=1e-5
            )
        assert f"the plane shows {variances[:2].sum() / variances.sum():.0%} of the variance" in repr(surface)

    def test_of_a_plane_path_has_its_losses(self):
        path = [drawn(SMALL, seed) for seed in range(3)]
        surface = diagnostics.loss_surface(OF_SMALL, path[0], (X, Y), path=path, size=2)
        np.testing.assert_allclose(surface.shares.sum(), 1, rtol=1e-6)
        for point, place in zip(path, surface.path, strict=True):
            moved = jax.tree.map(lambda p, d, e, s=place: p + s[0] * d + s[1] * e, path[0], *surface.directions)
            same(moved, point, rtol=1e-4, atol=1e-5)

    def test_makes_the_path_of_a_run_again(self):
        recipe = Recipe(SMALL, optax.chain(optimizers.adam(0.05), regularizers.ema(0.5)), losses.squared_error)
        run = training.fit(recipe, (X, Y), epochs=7, batch_size=2, key=KEY, progress=False)
        path = diagnostics.path_of(run, points=4)
        for epoch, params in zip((0, 2, 5, 7), path, strict=True):
            same(params, run.at(epoch).params, rtol=0)
        same(path[-1], run.params, rtol=0)
        assert len(diagnostics.path_of(run)) == 8
        short = training.fit(recipe, (X, Y), epochs=1, batch_size=2, key=KEY, progress=False)
        with pytest.raises(ValueError, match="run has 1 epochs, which make no plane; train for two at least"):
            diagnostics.path_of(short)

    def test_refuses_what_makes_no_plane(self, unchecked):
        params = drawn(SMALL)
        look = functools.partial(diagnostics.loss_surface, OF_SMALL, params, (X, Y))
        for given in ({}, {"key": KEY, "path": [params] * 3}):
            with pytest.raises(TypeError, match="key and path are both given, or neither; give key"):
                look(**given)
        with pytest.raises(ValueError, match="path has 2 points, and a plane needs 3"):
            look(path=[params, drawn(SMALL, 1)])
        line = [jax.tree.map(lambda p, s=s: s * p, params) for s in (1.0, 2.0, 4.0)]
        with pytest.raises(ValueError, match="path lies in a line"):
            look(path=line)
        with pytest.raises(ValueError, match="reach is 0; give a number in"):
            look(key=KEY, reach=0)
        with pytest.raises(ValueError, match="size is 1; give a whole number of at least 2"):
            look(key=KEY, size=1)
        with pytest.raises(TypeError, match=r"run is 3; give what training\.fit returned"):
            diagnostics.path_of(3)


EXTRA = {"value": 1.0, "grad_fn": lambda params: jax.tree.map(lambda p: 2 * p, params), "key": KEY}


class TestExplain:
    @pytest.mark.parametrize("name", registry.TRANSFORMS)
    def test_gives_what_the_whole_optimizer_gives(self, name):
        entry = registry.TRANSFORMS[name]
        optimizer = entry.make(**{argument: value for argument, (value, _) in entry.floats.items()})
        params, whole = entry.params(jnp.float32), optax.with_extra_args_support(optimizer)
        state, expected_state = optimizer.init(params), optimizer.init(params)
        for step in range(2):
            gradient = jax.tree.map(lambda p, step=step: jnp.cos(p + step), params)
            result = diagnostics.explain(optimizer, gradient, state, params, **EXTRA)
            expected, expected_state = whole.update(gradient, expected_state, params, **EXTRA)
            assert jax.tree.structure(result.state) == jax.tree.structure(expected_state)
            same(result.updates, expected, rtol=0)
            same(result.state, expected_state, rtol=0)
            state = result.state

    def test_measures_each_link_of_a_chain_within_a_chain(self):
        inner = optax.chain(optimizers.scale_by_adam(), optax.add_decayed_weights(0.1))
        optimizer = optax.chain(regularizers.clip_by_global_norm(0.5), inner, regularizers.l2(0.3), optax.scale(-2.0))
        params = MLP((3, 2, 1)).init(KEY)
        gradient = jax.tree.map(jnp.cos, params)
        result = diagnostics.explain(optimizer, gradient, optimizer.init(params), params)
        names = ["clip_by_global_norm", "scale_by_adam", "add_decayed_weights", "penalty", "scale"]
        assert [link.name for link in result.links] == names
        assert result.layers == ("0", "1")
        clipped = jax.tree.map(lambda g: g * 0.5 / jnp.linalg.norm(ravel_pytree(gradient)[0]), gradient)
        direction = jax.tree.map(jnp.sign, gradient)  # Adam's first
        decayed = jax.tree.map(lambda u, p: u + 0.1 * p, direction, params)
        penalized = tuple(u._replace(w=u.w + 0.3 * p.w) for u, p in zip(decayed, params, strict=True))
        last = jax.tree.map(lambda u: -2 * u, penalized)
        stages = [gradient, clipped, direction, decayed, penalized, last]
        for link, before, after in zip(result.links, stages[:-1], stages[1:], strict=True):
            for i in (0, 1):
                u, v, g = (np.asarray(ravel_pytree(tree[i])[0]) for tree in (before, after, gradient))
                np.testing.assert_allclose(link.before[i], np.linalg.norm(u), rtol=1e-4)
                np.testing.assert_allclose(link.after[i], np.linalg.norm(v), rtol=1e-4)
                np.testing.assert_allclose(link.cosine[i], v @ g / np.linalg.norm(v) / np.linalg.norm(g), rtol=1e-4)
        np.testing.assert_allclose(result.links[0].cosine, 1, rtol=1e-6)
        lines = repr(result).split("\n")
        assert lines[0].split() == ["link", "layer", "norm", "before", "after", "cosine", "to", "the", "gradient"]
        assert [line.split()[0] for line in lines[1::2]] == names
        assert lines[2].split()[0] == "1"

    def test_counts_what_hides_its_links_as_one(self):
        params = MLP((3, 2, 1)).init(KEY)
        for optimizer, name in (
            (optax.masked(optimizers.adam(0.1), True), "masked"),
            (optax.inject_hyperparams(optimizers.adam)(0.1), "inject_hyperparams"),
            (optax.apply_if_finite(optimizers.adam(0.1), 3), "apply_if_finite"),
        ):
            result = diagnostics.explain(optimizer, params, optimizer.init(params), params)
            assert [link.name for link in result.links] == [name]
            same(result.updates, optimizer.update(params, optimizer.init(params), params)[0], rtol=0)

    def test_has_one_part_where_the_parameters_are_one_array_and_no_angle_to_nothing(self):
        optimizer, theta = optimizers.sgd(0.5), jnp.array([3.0, 4.0])
        result = diagnostics.explain(optimizer, theta, optimizer.init(theta), theta)
        assert result.layers == ("",)
        np.testing.assert_allclose([*result.links[0][1:]], [[5], [2.5], [-1]])
        still = diagnostics.explain(optimizer, 0 * theta, optimizer.init(theta), theta)
        assert np.isnan(still.links[0].cosine[0])

    def test_refuses_what_does_not_belong_together(self, unchecked):
        params, optimizer = MLP((3, 2, 1)).init(KEY), optimizers.adam(0.1)
        with pytest.raises(ValueError, match="state is another optimizer's; give what"):
            diagnostics.explain(optimizer, params, optimizers.sgd(0.1).init(params), params)
        with pytest.raises(ValueError, match="give grads of the same structure as params"):
            diagnostics.explain(optimizer, params[:1], optimizer.init(params), params)
        with pytest.raises(TypeError, match="give a gradient transform, such as"):
            diagnostics.explain(optimizers.adam, params, (), params)


def hessian(recipe, params, x, y, weight=None):
    """The Hessian of the mean loss, in full."""
    flat, unravel = ravel_pytree(params)
    return jax.hessian(lambda theta: mean_loss(recipe.net, unravel(theta), x, jnp.asarray(y), recipe.loss, weight))(
        flat
    )


class TestConditionNumber:
    def test_is_that_of_the_hessian_of_linear_regression(self, x64):
        net = MLP((3, 1))
        recipe = Recipe(net, optimizers.sgd(0.1), losses.squared_error)
        x = X * np.array([1.0, 5.0, 0.1]) + np.array([0.0, 3.0, 1.0])
        values = np.linalg.eigvalsh(hessian(recipe, net.init(KEY), x, Y[:, :1]))
        np.testing.assert_allclose(diagnostics.condition_number(x), values[-1] / values[0], rtol=1e-7)

    def test_is_that_of_the_covariance(self):
        x = X @ np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.2]]) + 7.0
        values = np.linalg.eigvalsh(np.cov(x.T))
        np.testing.assert_allclose(diagnostics.condition_number(x, of="covariance"), values[-1] / values[0], rtol=1e-7)

    def test_is_infinite_where_an_input_tells_nothing_new(self):
        assert diagnostics.condition_number(np.ones((5, 1))) == np.inf
        assert diagnostics.condition_number(np.stack([X[:, 0], 3 * X[:, 0]], axis=1), of="covariance") == np.inf
        assert diagnostics.condition_number(X[:3]) == np.inf  # three rows for four numbers
        assert diagnostics.condition_number(X[:4]) < np.inf

    def test_refuses_what_is_no_matrix(self):
        with pytest.raises(ValueError, match=r"x has shape \(6,\); give an array of shape \(rows, inputs\)"):
            diagnostics.condition_number(X[:, 0])
        with pytest.raises(ValueError, match="of is 'regresion'; did you mean 'regression'"):
            diagnostics.condition_number(X, of="regresion")


class TestHessianExtremes:
    @pytest.mark.parametrize(("steps", "rtol"), [(50, 1e-8), (18, 0.05)])
    def test_are_the_ends_of_the_whole_spectrum(self, x64, steps, rtol):
        params = drawn(SMALL, 3)  # 26 of them
        values = np.linalg.eigvalsh(hessian(OF_SMALL, params, X, Y, WEIGHT))
        found = diagnostics.hessian_extremes(OF_SMALL, params, (X, Y, WEIGHT), steps=steps, key=KEY)
        assert values[0] < -1e-3  # a saddle, so that both ends are told apart
        np.testing.assert_allclose([found.largest, found.smallest], values[[-1, 0]], rtol=rtol)
        for value, error in ((found.largest, found.largest_error), (found.smallest, found.smallest_error)):
            assert np.abs(values - value).min() <= error
            assert error < 2 * rtol
        np.testing.assert_allclose(found.largest_rate, 2 / found.largest)
        assert f"gradient descent is stable up to a rate of {found.largest_rate:.4g}." in repr(found)

    def test_are_found_where_eigenvalues_are_many_times_the_same(self):
        net = MLP((3, 5))  # each of five outputs has the same Hessian of four by four
        recipe = Recipe(net, optimizers.sgd(0.1), losses.squared_error)
        y = RNG.normal(size=(6, 5))
        values = np.linalg.eigvalsh(hessian(recipe, net.init(KEY), X, y))
        found = diagnostics.hessian_extremes(recipe, net.init(KEY), (X, y), steps=20)
        np.testing.assert_allclose([found.largest, found.smallest], values[[-1, 0]], rtol=1e-4)
        assert found.largest_error < 1e-4

    @pytest.mark.parametrize(("share", "converges"), [(0.98, True), (1.02, False)])
    def test_say_up_to_which_rate_gradient_descent_converges(self, share, converges):
        net = MLP((3, 1))
        recipe = Recipe(net, optimizers.sgd(0.1), losses.squared_error)
        rate = share * diagnostics.hessian_extremes(recipe, drawn(net), (X, Y[:, :1])).largest_rate
        run = training.fit(
            Recipe(net, optimizers.sgd(rate), losses.squared_error), (X, Y[:, :1]),
            params=drawn(net), epochs=400, batch_size=None, key=KEY, progress=False,
        )  # fmt: skip
        first, last = run.history["train/loss"][[0, -1]]
        assert (last < first) == converges
        assert converges or last > 1e3 * first

    def test_say_that_any_rate_is_stable_where_nothing_curves_upwards(self):
        net = MLP((3, 1))
        recipe = Recipe(net, optimizers.sgd(0.1), lambda z, y: -jnp.mean(z**2, axis=1))
        found = diagnostics.hessian_extremes(recipe, net.init(KEY), (X, Y))
        assert found.largest < 0
        assert found.largest_rate == np.inf

    def test_refuse_what_is_not_finite(self):
        params = jax.tree.map(lambda p: p * np.inf, drawn(SMALL))
        with pytest.raises(ValueError, match="params give a Hessian that is not finite"):
            diagnostics.hessian_extremes(OF_SMALL, params, (X, Y))
        with pytest.raises(ValueError, match="steps is 0; give a whole number of at least 1"):
            diagnostics.hessian_extremes(OF_SMALL, drawn(SMALL), (X, Y), steps=0)


class TestFlops:
    def test_are_those_counted_by_hand(self):
        found = diagnostics.flops(MLP((3, 4, 2)), rows=10)
        forward = 2 * 3 * 4 + 4 + 2 * 4 * 2 + 2
        backward = (2 * 4 * 2 + 2) + 2 * 4 * 2 + (2 * 3 * 4 + 4)  # dW2, db2; delta1; dW1, db1
        assert found == (10 * forward, 10 * backward, 10 * (forward + backward))
        assert diagnostics.flops(MLP((3, 4, 2))).forward == sum(layer.flops for layer in MLP((3, 4, 2)).layers())

    @pytest.mark.parametrize("sizes", [(64, 64, 64), (100, 128, 64, 80)])
    def test_are_those_that_xla_counts(self, sizes):
        net = MLP(sizes)
        x, y, params = jnp.zeros((64, sizes[0])), jnp.zeros((64, sizes[-1])), net.init(KEY)

        def loss(params):
            return jnp.mean(losses.squared_error(net.apply(params, x), y))

        def counted(function):
            cost = jax.jit(function).lower(params).compile().cost_analysis()
            return (cost[0] if isinstance(cost, list) else cost)["flops"]

        found = diagnostics.flops(net, rows=64)
        assert found.forward == pytest.approx(counted(lambda params: net.apply(params, x)), rel=0.02)
        assert found.both == pytest.approx(counted(jax.grad(loss)), rel=0.02)

    def test_refuse_what_has_no_layers(self, unchecked):
        with pytest.raises(TypeError, match="net is 3; give an MLP, whose layers can be counted"):
            diagnostics.flops(3)
        with pytest.raises(ValueError, match="rows is 0; give a whole number of at least 1"):
            diagnostics.flops(SMALL, rows=0)


class TestPerRow:
    def test_is_what_a_loop_over_the_rows_gives(self, monkeypatch):
        params = drawn(SMALL)
        found = diagnostics.per_row(OF_SMALL, params, (X, Y, WEIGHT))
        value_and_grad = jax.jit(jax.value_and_grad(lambda p, x, y: jnp.mean((SMALL.apply(p, x) - y) ** 2)))
        for i in range(6):
            loss, gradient = value_and_grad(params, jnp.asarray(X[i : i + 1], float), jnp.asarray(Y[i : i + 1], float))
            np.testing.assert_allclose(found.loss[i], loss, rtol=1e-5)
            np.testing.assert_allclose(found.gradient_norm[i], np.linalg.norm(ravel_pytree(gradient)[0]), rtol=1e-5)
        monkeypatch.setattr(problem, "MEMORY", 1_000)  # four rows at once
        same(diagnostics.per_row(OF_SMALL, params, (X, Y)), found, rtol=1e-6)

    def test_finds_rows_that_are_mislabelled(self):
        rng = np.random.default_rng(1)
        x = rng.normal(size=(400, 5)).astype(np.float32)
        truth = (x[:, 0] + x[:, 1] ** 2 > 0.8).astype(int)
        flipped = rng.permutation(400)[:20]
        labels = truth.copy()
        labels[flipped] = 1 - labels[flipped]
        recipe = Recipe(MLP((5, 16, 2)), optimizers.adam(0.01), losses.softmax_cross_entropy)
        run = training.fit(recipe, (x, labels), epochs=15, batch_size=40, key=KEY, progress=False)
        found = diagnostics.per_row(recipe, run.params, (x, labels))
        for suspicion in found:
            worst = np.argsort(-suspicion)[:40]
            assert len(set(worst) & set(flipped)) >= 15
        lines = repr(found).split("\n")
        assert lines[0] == "The 10 largest losses of 400 rows"
        assert [int(line.split()[0]) for line in lines[2:]] == list(np.argsort(-found.loss)[:10])

    def test_knows_heads(self):
        net = MLP((3, 4, 3), heads={"a": 1, "b": 2})
        loss = losses.PerHead({"a": losses.squared_error, "b": losses.softmax_cross_entropy})
        y = {"a": Y[:, :1], "b": LABELS}
        params = drawn(net)
        found = diagnostics.per_row(Recipe(net, ADAM, loss), params, (X, y))
        outputs = net.apply(params, jnp.asarray(X, float))
        np.testing.assert_allclose(
            found.loss,
            loss(outputs, jax.tree.map(jnp.asarray, {"a": Y[:, :1].astype(np.float32), "b": LABELS})),
            rtol=1e-5,
        )

    def test_compiles_once_for_recipes_that_differ_in_their_optimizer(self, compilations):
        params = drawn(SMALL)
        diagnostics.per_row(OF_SMALL, params, (X, Y))
        before = compilations.count
        diagnostics.per_row(Recipe(MLP((3, 4, 2), "tanh"), ADAM, losses.squared_error), params, (X, Y))
        assert compilations.count == before
