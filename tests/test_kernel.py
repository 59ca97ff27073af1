import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from jaxmlp import losses, optimizers
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, kernel, make_run

RNG = np.random.default_rng(0)
A = jnp.asarray(RNG.uniform(0.1, 0.9, (3, 4)), jnp.float32)
B = jnp.asarray(RNG.uniform(-0.9, 0.9, (3, 4)), jnp.float32)
N = jnp.asarray(RNG.integers(0, 4, (3, 4)), jnp.int32)
KEY = jax.random.key(5)
TESTED = jax.__version_info__[:3] >= kernel.OLDEST


def whether(numbers):
    return numbers.astype(A.dtype)


OPERATIONS = {
    "abs": lambda: jnp.abs(B),
    "add": lambda: A + B,
    "add_any": lambda: jax.grad(lambda a: jnp.sum(a * jnp.sin(a)))(A),
    "and": lambda: whether((A > 0.5) & (B > 0)),
    "bitcast_convert_type": lambda: lax.bitcast_convert_type(A, jnp.int32).astype(jnp.float32),
    "broadcast_in_dim": lambda: jnp.broadcast_to(A[:, :1], (3, 4)) * B,
    "ceil": lambda: jnp.ceil(4 * B),
    "clamp": lambda: lax.clamp(0.2, A, 0.4),
    "concatenate": lambda: jnp.concatenate([A, B]),
    "convert_element_type": lambda: N.astype(jnp.float32),
    "copy": lambda: lax.full_like(A, 2) * jnp.copy(A),
    "copy_p": lambda: jnp.array(A, copy=True) + 1,
    "cos": lambda: jnp.cos(A),
    "cosh": lambda: jnp.cosh(A),
    "div": lambda: A / B,
    "dynamic_slice": lambda: lax.dynamic_slice(A, (N[0, 0] % 2, 1), (2, 3)),
    "eq": lambda: whether(N == 2),
    "erf": lambda: lax.erf(B),
    "erf_inv": lambda: lax.erf_inv(B),
    "exp": lambda: jnp.exp(B),
    "exp2": lambda: jnp.exp2(B),
    "expm1": lambda: jnp.expm1(B),
    "floor": lambda: jnp.floor(4 * B),
    "gather": lambda: jnp.take(A, N[:, 0] % 3, axis=0, mode="clip"),
    "ge": lambda: whether(N >= 2),
    "gt": lambda: whether(N > 2),
    "integer_pow": lambda: B**3,
    "iota": lambda: jnp.arange(4.0)[None] * A,
    "is_finite": lambda: whether(jnp.isfinite(A / (N.astype(A.dtype) - 2))),
    "le": lambda: whether(N <= 2),
    "log": lambda: jnp.log(A),
    "log1p": lambda: jnp.log1p(B),
    "logistic": lambda: jax.nn.sigmoid(B),
    "lt": lambda: whether(N < 2),
    "max": lambda: jnp.maximum(A, B),
    "min": lambda: jnp.minimum(A, B),
    "mul": lambda: A * B,
    "ne": lambda: whether(N != 2),
    "neg": lambda: -A,
    "not": lambda: whether(~(A > 0.5)),
    "or": lambda: whether((A > 0.5) | (B > 0)),
    "pad": lambda: jnp.pad(A, ((1, 0), (0, 2))),
    "pow": lambda: A**B,
    "random_bits": lambda: jax.random.uniform(KEY, (3, 4)),
    "random_fold_in": lambda: jax.random.normal(jax.random.fold_in(KEY, N[0, 0]), (3, 4)),
    "random_seed": lambda: jax.random.uniform(jax.random.key(N[0, 0]), (3,)),
    "random_unwrap": lambda: jax.random.key_data(jax.random.fold_in(KEY, 3)).astype(jnp.float32),
    "random_wrap": lambda: jax.random.uniform(jax.random.wrap_key_data(N[0, :2].astype(jnp.uint32)), (3,)),
    "reduce_and": lambda: whether(jnp.all(A > 0.2, axis=0)),
    "reduce_max": lambda: jnp.max(A, axis=0),
    "reduce_min": lambda: jnp.min(A, axis=1),
    "reduce_or": lambda: whether(jnp.any(A > 0.8, axis=1)),
    "reduce_prod": lambda: jnp.prod(A, axis=0),
    "reduce_sum": lambda: jnp.sum(A, axis=0) + jnp.sum(A),
    "rem": lambda: lax.rem(A, 0.3 + 0 * A),
    "reshape": lambda: A.reshape(2, 6),
    "rev": lambda: A[::-1],
    "round": lambda: jnp.round(4 * B),
    "rsqrt": lambda: lax.rsqrt(A),
    "select_n": lambda: jnp.where(A > 0.5, A, B),
    "shift_left": lambda: (N << 3).astype(jnp.float32),
    "shift_right_arithmetic": lambda: ((N - 2) >> 1).astype(jnp.float32),
    "shift_right_logical": lambda: lax.shift_right_logical(N, 1).astype(jnp.float32),
    "sign": lambda: jnp.sign(B),
    "sin": lambda: jnp.sin(A),
    "sinh": lambda: jnp.sinh(A),
    "slice": lambda: A[1:, :2],
    "split": lambda: jnp.split(A, 2, axis=1)[1],
    "sqrt": lambda: jnp.sqrt(A),
    "square": lambda: jnp.square(B),
    "squeeze": lambda: jnp.squeeze(A[:, :1], 1),
    "stop_gradient": lambda: lax.stop_gradient(A) * 2,
    "sub": lambda: A - B,
    "tanh": lambda: jnp.tanh(B),
    "threefry2x32": lambda: jax.random.uniform(jax.random.PRNGKey(3), (3, 4)),
    "transpose": lambda: A.T,
    "xor": lambda: (N ^ 5).astype(jnp.float32),
}


def accumulating(operation):
    """A loop whose every turn adds what an operation makes, on arrays that XLA cannot know beforehand."""
    globals_of_operation = operation.__globals__

    def body(i, total, a, b, n):
        del i
        function = type(operation)(operation.__code__, {**globals_of_operation, "A": a, "B": b, "N": n})
        return total + function()

    return body, jnp.zeros_like(operation())


def is_one_kernel(function, *arguments):
    """Whether the program holds a call that is emitted as one kernel, besides those that XLA makes of itself."""
    lowered = jax.jit(function).lower(*arguments).as_text()
    return bool(re.search(r'call @\w+\(.*\) \{mhlo.frontend_attributes = \{inlineable = "false"', lowered))


class TestTheLoop:
    @pytest.mark.parametrize("name", OPERATIONS)
    def test_computes_each_operation_as_it_is_outside(self, name):
        body, zero = accumulating(OPERATIONS[name])
        compiled = jax.jit(lambda a, b, n: kernel.loop(0, 3, body, zero, a, b, n))
        expected = 3 * np.asarray(OPERATIONS[name](), np.float64)
        np.testing.assert_allclose(compiled(A, B, N), expected, rtol=2e-6, atol=1e-6)
        assert is_one_kernel(lambda a, b, n: kernel.loop(0, 3, body, zero, a, b, n), A, B, N) is TESTED

    def test_every_known_operation_is_tried(self):
        assert set(OPERATIONS) == kernel.KNOWN

    def test_begins_and_ends_where_it_is_told(self):
        def place(i, at):
            return jnp.where(jnp.arange(6) == i, at + i.astype(float) + 1, at)

        run = jax.jit(lambda begin, end: kernel.loop(begin, end, place, jnp.zeros(6)))
        assert run(2, 5).tolist() == [0, 0, 3, 4, 5, 0]
        assert run(4, 4).tolist() == [0] * 6

    @pytest.mark.parametrize("unused", ["operand", "carry"])
    def test_what_is_not_used_does_no_harm(self, unused):
        """XLA aborts the process where a kernel's argument is used nowhere."""

        def body(i, carry, x, y):
            left = jnp.where(jnp.zeros((), bool), y[0], 0.0) if unused == "operand" else 0.0
            return carry[0] + x + left, carry[1]

        run = jax.jit(lambda x, y: lax.fori_loop(0, 2, lambda i, c: kernel.loop(0, 3, body, c, x, y), (x, y)))
        first, second = run(jnp.ones(3), jnp.full(2, 7.0))
        assert first.tolist() == [7.0] * 3
        assert second.tolist() == [7.0] * 2

    def test_mapped_it_is_the_usual_loop(self):
        def body(i, x, w):
            return jnp.tanh(x @ w) + i.astype(float)

        x, w = jnp.asarray(RNG.normal(size=(5, 2, 3))), jnp.asarray(RNG.normal(size=(3, 3)))
        mapped = jax.jit(jax.vmap(lambda x: kernel.loop(0, 4, body, x, w)))
        expected = jnp.stack([lax.fori_loop(0, 4, lambda i, x: body(i, x, w), one) for one in x])
        np.testing.assert_allclose(mapped(x), expected, rtol=1e-5)
        assert not is_one_kernel(jax.vmap(lambda x: kernel.loop(0, 4, body, x, w)), x)

    def test_may_close_over_what_is_traced_and_mapped(self):
        rates = jnp.array([0.5, 0.25])
        run = jax.jit(jax.vmap(lambda rate: kernel.loop(0, 2, lambda i, x: x * rate, jnp.ones(2))))
        assert run(rates).tolist() == [[0.25] * 2, [0.0625] * 2]

    def test_rows_spread_over_devices_give_the_same(self):
        mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
        x = jnp.asarray(RNG.normal(size=(64, 4)), jnp.float32)
        spread = jax.device_put(x, jax.NamedSharding(mesh, jax.P("rows")))
        recipe = Recipe(MLP((4, 8, 4)), optimizers.adam(0.01), losses.squared_error)
        run = jax.jit(make_run(recipe, epochs=2, batch_size=16))
        one, eight = (run(KEY, (rows, rows)).history["train/loss"] for rows in (x, spread))
        np.testing.assert_allclose(one, eight, rtol=1e-5)

    def test_other_platforms_get_the_usual_loop(self):
        run = jax.jit(lambda x: kernel.loop(0, 3, lambda i, x: x @ x, x))
        for platform, marked in (("cpu", True), ("cuda", False), ("tpu", False)):
            text = str(export.export(run, platforms=[platform])(A[:3, :3]).mlir_module())
            assert ("xla_cpu_small_call" in text) is (marked and TESTED)


class TestWhatFits:
    @staticmethod
    def fits(function, *arguments):
        return kernel.fits(jax.make_jaxpr(function)(*arguments).jaxpr)

    @pytest.mark.parametrize(
        ("function", "wanted"),
        [
            (lambda a: a @ a.T, True),
            (lambda a: jax.jit(jnp.sort)(a), False),
            (lambda a: a.at[jnp.array([0, 0])].add(1.0), False),
            (lambda a: jnp.linalg.cholesky(a @ a.T), False),
            (lambda a: a[0] @ a.T, False),
            (lambda a: jnp.einsum("ij,kj->ki", a, a), True),
            (lambda a: jnp.einsum("ij,ij->i", a, a), False),
            (lambda a: jax.lax.cond(a[0, 0] > 0, jnp.sin, jnp.cos, a), False),
            (lambda a: a.astype(jnp.bfloat16) @ a.astype(jnp.bfloat16).T, False),
            (lambda a: jax.random.normal(jax.random.key(0, impl="rbg"), (3,)), False),
            (lambda a: jax.random.normal(jax.random.key(0), (3,)) + jax.nn.softplus(a[0, 0]), True),
        ],
    )
    def test_only_what_is_known(self, function, wanted):
        assert self.fits(function, A) is wanted

    def test_only_what_is_small(self):
        side = 100
        most = kernel.MOST_FLOPS // (2 * side * side)
        for width, wanted in ((most, True), (most + 1, False)):
            assert self.fits(lambda a: a @ a.T, jnp.ones((side, width))) is wanted
        for size, wanted in ((kernel.MOST_NUMBERS, True), (kernel.MOST_NUMBERS + 1, False)):
            assert self.fits(jnp.sin, jnp.ones(size)) is wanted

        for size, wanted in ((kernel.MOST_REDUCED, True), (kernel.MOST_REDUCED + 1, False)):
            assert self.fits(jnp.max, jnp.ones(size)) is wanted

    @pytest.mark.parametrize(
        "reduce", [jnp.sum, jnp.max, jnp.min, lambda x: jnp.sum(x**2), lambda x: jnp.sum(jnp.exp(x))]
    )
    def test_the_largest_that_fits_compiles(self, reduce):
        for shape in ((50, 60), (60, 50), (3000,), (3, 1000), (1000, 3)):
            x = jnp.full(shape, 0.5)
            run = jax.jit(lambda x: kernel.loop(0, 2, lambda i, total, x: total + reduce(x), jnp.zeros(()), x))
            np.testing.assert_allclose(run(x), 2 * reduce(x), rtol=1e-4)

    def test_a_version_not_tested_yet_is_left_alone(self, monkeypatch):
        def program(x):
            return kernel.loop(0, 3, lambda i, x: x + 1, x)

        assert is_one_kernel(program, A) is TESTED
        monkeypatch.setattr(jax, "__version_info__", (*kernel.NEWEST[:2], kernel.NEWEST[2] + 1))
        assert not is_one_kernel(lambda x: program(x), A)

    def test_the_installed_version_is_tested(self):
        """When this fails, run the tests, then move ``kernel.NEWEST``."""
        assert jax.__version_info__[:3] <= kernel.NEWEST

    @pytest.mark.parametrize("dropout", [0.0, 0.3])
    def test_the_run_of_a_small_net_fits(self, dropout):
        recipe = Recipe(
            MLP((9, 20, 12, 1), dropout=dropout), optimizers.adam(0.01), losses.sigmoid_binary_cross_entropy
        )
        run = make_run(recipe, epochs=2, batch_size=16)
        x, y = jnp.ones((50, 9)), jnp.ones((50, 1))
        assert is_one_kernel(run, KEY, (x, y)) is TESTED

    def test_labels_fit_too(self):
        recipe = Recipe(MLP((16, 64, 64, 3)), optimizers.adam(0.01), losses.softmax_cross_entropy)
        run = make_run(recipe, epochs=2, batch_size=32)
        assert is_one_kernel(run, KEY, (jnp.ones((64, 16)), jnp.zeros(64, jnp.int32))) is TESTED


class TestTheProduct:
    @pytest.mark.parametrize("of_a", [0, 1])
    @pytest.mark.parametrize("of_b", [0, 1])
    @pytest.mark.parametrize(
        ("i", "k", "j"),
        [(1, 1, 1), (3, 4, 5), (20, 9, 20), (20, 20, 12), (5, 13, 2), (32, 1, 7), (2, 0, 3), (17, 8, 15)],
    )
    def test_equals_numpy_s(self, i, k, j, of_a, of_b, x64):
        a, b = RNG.normal(size=(i, k)), RNG.normal(size=(k, j))
        made = kernel.product(jnp.asarray(a if of_a else a.T), jnp.asarray(b.T if of_b else b), of_a, of_b)
        np.testing.assert_allclose(made, a @ b, rtol=1e-12, atol=1e-14)

    def test_the_loop_uses_it_on_every_side(self, x64):
        """A step's products contract rows, columns and both, and are used as they are and turned."""
        x, w = jnp.asarray(RNG.normal(size=(6, 4))), jnp.asarray(RNG.normal(size=(4, 5)))

        def body(i, carry, x):
            w, kept = carry
            gradient = jax.grad(lambda w: jnp.sum(jnp.tanh(jnp.tanh(x @ w) @ w.T) ** 2))(w)
            return w - 0.1 * gradient, kept + (x.T @ x)[:, :2].T @ w

        run = jax.jit(lambda w, x: kernel.loop(0, 5, body, (w, jnp.zeros((2, 5))), x))
        expected = lax.fori_loop(0, 5, lambda i, c: body(i, c, x), (w, jnp.zeros((2, 5))))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), run(w, x), expected)

    def test_a_product_that_is_used_twice_is_not_turned(self, x64):
        x = jnp.asarray(RNG.normal(size=(3, 3)))

        def body(i, c, x):
            made = c @ x
            return made.T + 2 * made

        run = jax.jit(lambda x: kernel.loop(0, 3, body, x, x))
        np.testing.assert_allclose(run(x), lax.fori_loop(0, 3, lambda i, c: body(i, c, x), x), rtol=1e-12)
