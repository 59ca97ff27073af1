"""One kernel: on a CPU, a loop over small steps as a single piece of machine code.

XLA compiles a step of a small net into some forty kernels, and starting a kernel takes about as long as a small layer
takes to compute. XLA can also emit a whole call as one kernel; it does so by itself for the smallest of loops, and for
any call that is marked ``MARKS``, which GPUs and TPUs do not know. Two things are then up to us. A matrix product
would be emitted naively, so it is written as what its definition says, a sum of outer products, whose inner loop runs
along rows and fills the vector registers::

    a @ b = sum_k a[:, k] b[k, :]

And a call that holds what cannot be emitted in this way would fail, so only what is known to work is let in: the
operations in ``KNOWN``, on CPUs, in versions of JAX that the tests have seen. Everything else runs as it always did.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Int

MARKS = {"xla_cpu_small_call": "true", "inlineable": "false"}
"""What tells XLA to emit a call as one kernel, and not to dissolve it before it has got there."""

OLDEST, NEWEST = (0, 10, 0), (0, 12, 0)
"""Between which versions of JAX this has been tested; in others, where XLA may abort, the loop is left as it is."""

MOST_FLOPS = 2_500_000
"""Multiplications and additions of a step's matrix products, above which two cores and XLA's products are faster."""

MOST_NUMBERS = 200_000
"""The size of the largest array that a step makes, for the same reason."""

MOST_REDUCED = 3_000
"""The size of the largest array that is summed up, or whose maximum is taken; XLA hands larger ones to a library."""

NARROW = 17
"""Rows shorter than this do not go through the vector registers; where the columns do, a product is computed turned."""

OUTER_PRODUCTS = 4
"""How many outer products are added up at once, before the sum is written back."""

INLINED = frozenset({"closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "remat2"})
"""Calls of functions within the step, which are looked into."""

NAMES = """
abs add add_any and bitcast_convert_type broadcast_in_dim ceil clamp concatenate convert_element_type copy copy_p cos
cosh div dynamic_slice eq erf erf_inv exp exp2 expm1 floor gather ge gt integer_pow iota is_finite le log log1p
logistic lt max min mul ne neg not or pad pow random_bits random_fold_in random_seed random_unwrap random_wrap
reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum rem reshape rev round rsqrt select_n shift_left
shift_right_arithmetic shift_right_logical sign sin sinh slice split sqrt square squeeze stop_gradient sub tanh
threefry2x32 transpose xor
"""
KNOWN = frozenset(NAMES.split())
"""Operations that a kernel may hold; ``tests/test_kernel.py`` tries each. Products of matrices are dealt with here."""

Carry = Any
Body = Callable[..., Carry]


def loop(begin: Int[Array, ""] | int, end: Int[Array, ""] | int, body: Body, carry: Carry, *operands: Any) -> Carry:
    """Run ``carry = body(i, carry, *operands)`` for i in [begin, end): ``lax.fori_loop``, on a CPU as one kernel.

    Args:
        begin: the first i, a scalar.
        end: one more than the last i, a scalar.
        body: a pure function, which returns what its carry looks like.
        carry: a pytree of arrays.
        *operands: pytrees of arrays that stay the same.

    Returns:
        The carry after the last turn.

    Example:
        >>> w = jnp.eye(3)[::-1]
        >>> print(loop(0, 3, lambda i, x, w: 2 * x @ w, jnp.array([[1.0, 2.0, 3.0]]), w))
        [[24. 16.  8.]]
    """
    from jax.extend import core  # here, since it registers a setting of JAX's when it is imported

    begin, end = jnp.asarray(begin, jnp.int32), jnp.asarray(end, jnp.int32)
    closed, shape = jax.make_jaxpr(body, return_shape=True)(begin, carry, *operands)
    tree = jax.tree.structure(shape)

    def plain(consts: Any, begin: Any, end: Any, carry: Carry, operands: Any) -> Carry:
        step = functools.partial(_run, core.jaxpr_as_fun(core.ClosedJaxpr(closed.jaxpr, consts)), tree, operands)
        return lax.fori_loop(begin, end, step, carry)

    def with_products(consts: Any, begin: Any, end: Any, carry: Carry, operands: Any) -> tuple[Carry, Array]:
        step = functools.partial(_run, functools.partial(_evaluate, closed.jaxpr, consts), tree, operands)
        return lax.fori_loop(begin, end, step, carry), _touch((consts, begin, end, carry, operands))

    def as_one_kernel(*arguments: Any) -> Carry:
        with set_xla_metadata(**MARKS):  # type: ignore[no-untyped-call]  # JAX's own lack
            after, touched = jax.jit(with_products)(*arguments)
        # What is used cannot be dropped; an argument that is dropped from a kernel would abort XLA.
        both: tuple[Carry, Array] = lax.optimization_barrier((after, touched))  # type: ignore[no-untyped-call]  # as above
        return both[0]

    arguments = (closed.consts, begin, end, carry, operands)
    if not OLDEST <= jax.__version_info__[:3] <= NEWEST or not fits(closed.jaxpr):
        return plain(*arguments)

    @jax.custom_batching.custom_vmap
    def alone(*arguments: Any) -> Carry:
        return lax.platform_dependent(*arguments, cpu=as_one_kernel, default=plain)

    @alone.def_vmap
    def together(size: int, batched: Sequence[Any], *arguments: Any) -> tuple[Carry, Any]:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        after = jax.vmap(plain, axes, axis_size=size)(*arguments)
        return after, jax.tree.map(lambda leaf: True, after)

    return alone(*arguments)


def plain_loop(
    begin: Int[Array, ""] | int, end: Int[Array, ""] | int, body: Body, carry: Carry, *operands: Any
) -> Carry:
    """Run the same loop as JAX runs any: for a body whose arrays are spread over devices, which no kernel sees."""
    return lax.fori_loop(jnp.asarray(begin, jnp.int32), end, lambda i, carry: body(i, carry, *operands), carry)


def fits(jaxpr: Any) -> bool:
    """Return whether a step is small enough for one kernel, and holds only what one can hold.

    Args:
        jaxpr: the step, as ``jax.make_jaxpr`` writes it down.

    Returns:
        True or False.

    Example:
        >>> small, large = jnp.ones((8, 8)), jnp.ones((512, 512))
        >>> [fits(jax.make_jaxpr(lambda x: x @ x)(x).jaxpr) for x in (small, large)]
        [True, False]
        >>> fits(jax.make_jaxpr(jnp.sort)(small).jaxpr)
        False
    """
    flops = 0
    for equation in _equations(jaxpr):
        shapes = [v.aval for v in (*equation.invars, *equation.outvars)]
        if any(_is_foreign_key(shape.dtype) for shape in shapes):
            return False
        if any(made.aval.size > MOST_NUMBERS for made in equation.outvars):
            return False
        if equation.primitive.name.startswith("reduce_") and shapes[0].size > MOST_REDUCED:
            return False
        if equation.primitive.name == "dot_general":
            if not _is_plain_product(equation):
                return False
            flops += 2 * shapes[0].size * shapes[2].size // max(1, shapes[2].shape[0])
        elif equation.primitive.name not in KNOWN:
            return False
    return flops <= MOST_FLOPS


def product(a: Array, b: Array, of_a: int = 1, of_b: int = 0) -> Array:
    """Multiply two matrices as a sum of outer products.

        c_ij = sum_k a_ik b_kj

    Args:
        a: a matrix of shape (i, k).
        b: a matrix of shape (k, j).
        of_a: the axis of ``a`` that is summed over: 0 for shape (k, i).
        of_b: the axis of ``b`` that is summed over: 1 for shape (j, k).

    Returns:
        The product, of shape (i, j).

    Example:
        >>> a, b = jnp.arange(6.0).reshape(2, 3), jnp.ones((3, 2))
        >>> print(product(a, b))
        [[ 3.  3.]
         [12. 12.]]
    """
    if b.shape[1 - of_b] < NARROW <= a.shape[1 - of_a]:
        return product(b, a, of_b, of_a).T
    b = b.T if of_b == 1 else b
    terms, shape = b.shape[0], (a.shape[1 - of_a], b.shape[1])
    at_once = min(OUTER_PRODUCTS, terms)

    def outer_products(begin: Any, count: int, total: Array) -> Array:
        columns = lax.dynamic_slice_in_dim(a, begin, count, of_a)
        rows = lax.dynamic_slice_in_dim(b, begin, count, 0)
        for k in range(count):
            column = lax.index_in_dim(columns, k, of_a, keepdims=False)
            total = total + jnp.broadcast_to(column[:, None], shape) * jnp.broadcast_to(rows[k][None], shape)
        return total

    total = jnp.zeros(shape, a.dtype)
    rounds, rest = divmod(terms, max(1, at_once))
    if rounds > 1:
        total = lax.fori_loop(0, rounds, lambda i, total: outer_products(i * at_once, at_once, total), total)
    elif rounds == 1:
        total = outer_products(0, at_once, total)
    return outer_products(terms - rest, rest, total) if rest else total


def _run(function: Callable[..., Any], tree: Any, operands: Any, i: Array, carry: Carry) -> Carry:
    return jax.tree.unflatten(tree, function(*jax.tree.leaves((i, carry, *operands))))


def _evaluate(jaxpr: Any, consts: Sequence[Any], *arguments: Any) -> list[Any]:
    """Evaluate a jaxpr with our products in place of XLA's, its calls dissolved."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))
    turned = _turned_products(jaxpr)

    def value_of(variable: Any) -> Any:
        return variable.val if _is_literal(variable) else values[variable]

    for equation in jaxpr.eqns:
        operands = [value_of(variable) for variable in equation.invars]
        name, inner = equation.primitive.name, _called(equation)
        if inner is not None:
            results = _evaluate(*inner, *operands)
        elif name == "dot_general":
            ((of_a,), (of_b,)), _ = equation.params["dimension_numbers"]
            turn = equation.outvars[0] in turned
            a, b = operands
            results = [product(b, a, of_b, of_a) if turn else product(a, b, of_a, of_b)]
        elif name == "transpose" and equation.invars[0] in turned:
            results = operands
        else:
            results = equation.primitive.bind(*operands, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
        values.update(zip(equation.outvars, results, strict=True))
    return [value_of(variable) for variable in jaxpr.outvars]


def _turned_products(jaxpr: Any) -> set[Any]:
    """Return products that are only used transposed, as gradients of weights are: (a b)' is b' a', and no copy."""
    used: dict[Any, list[str]] = {}
    for equation in jaxpr.eqns:
        for variable in equation.invars:
            if not _is_literal(variable):
                used.setdefault(variable, []).append(equation.primitive.name)
    products = (equation.outvars[0] for equation in jaxpr.eqns if equation.primitive.name == "dot_general")
    results = {variable for variable in jaxpr.outvars if not _is_literal(variable)}
    return {variable for variable in products if used.get(variable) == ["transpose"] and variable not in results}


def _called(equation: Any) -> tuple[Any, Sequence[Any]] | None:
    """Return the jaxpr that an equation calls, and its constants."""
    if equation.primitive.name not in INLINED:
        return None
    inner = next(equation.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in equation.params)
    return (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Yield the equations of a jaxpr, those of its calls in place of the calls."""
    for equation in jaxpr.eqns:
        inner = _called(equation)
        if inner is None:
            yield equation
        else:
            yield from _equations(inner[0])


def _is_plain_product(equation: Any) -> bool:
    """Whether a product is one of two matrices of the same 32 or 64-bit floats."""
    a, b, c = (variable.aval for variable in (*equation.invars, *equation.outvars))
    (of_a, of_b), batch = equation.params["dimension_numbers"]
    matrices = a.ndim == b.ndim == c.ndim == 2 and len(of_a) == len(of_b) == 1 and batch == ((), ())
    return matrices and a.dtype == b.dtype == c.dtype and a.dtype in (jnp.float32, jnp.float64)


def _is_foreign_key(dtype: Any) -> bool:
    """Whether a dtype is that of keys other than JAX's own, whose numbers a kernel cannot draw."""
    return jnp.issubdtype(dtype, jax.dtypes.prng_key) and str(dtype) != "key<fry>"


def _is_literal(variable: Any) -> bool:
    return hasattr(variable, "val")


def _touch(tree: Any) -> Array:
    """Return a number that depends on every array in a pytree."""
    leaves = (jax.random.key_data(leaf) if is_key(leaf) else leaf for leaf in jax.tree.leaves(tree))
    firsts = (jnp.ravel(leaf)[0].astype(jnp.float32) for leaf in leaves if leaf.size)
    return sum(firsts, jnp.zeros((), jnp.float32))


def is_key(leaf: Any) -> bool:
    """Return whether a leaf is an array of random keys, which is no plain array."""
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))
