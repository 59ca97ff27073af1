"""The vocabulary: the few names in which all other modules speak.

Shapes stand in the annotations: ``Float[Array, "rows outputs"]`` is a matrix of floats with one line
for each row of the data. ``n`` rows are the data; ``batch`` rows are what one step of training sees.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped, UInt32

Key: TypeAlias = PRNGKeyArray | UInt32[Array, "2"]
"""A random key: ``jax.random.key(0)``, or the older ``jax.random.PRNGKey(0)``."""

Scalar: TypeAlias = float | int | Float[Array, ""]
"""A hyperparameter: a Python number, or a traced one that is changed without compiling."""

Schedule: TypeAlias = Callable[[Array], Any]
"""From the number of steps already made (0 at the first) to a scalar; optax's schedules are such."""

Params: TypeAlias = Any
"""Any pytree of arrays; for an ``MLP`` a tuple of ``Layer``."""

Outputs: TypeAlias = Array | Mapping[str, Array]
"""The outputs of a net, or the targets they shall meet: an array, or one for each head by the head's name."""


class Layer(NamedTuple):
    """The parameters of one dense layer, which computes ``x @ w + b``."""

    w: Float[Array, "inputs outputs"]
    b: Float[Array, "outputs"]


class HiddenLayer(NamedTuple):
    """The parameters of a hidden layer that is normalized, or whose activation is learned."""

    w: Float[Array, "inputs outputs"]
    b: Float[Array, "outputs"]
    normalization: Params = None
    activation: Params = None


class Batch(NamedTuple):
    """Rows to learn from. ``weight`` says how much each row counts; None is 1 for all."""

    x: Shaped[Array, "rows ..."]
    y: Outputs
    weight: Float[Array, "rows"] | None = None


@runtime_checkable
class Activation(Protocol):
    """A function of each number of an array by itself."""

    def __call__(self, z: Array, /) -> Array: ...


@runtime_checkable
class Parametric(Protocol):
    """A function of a layer's weighted sums with parameters of its own, which are learned: a model's two verbs."""

    def init(self, units: int, dtype: Any = float, /) -> Params:
        """Return the parameters to begin with, for a layer of so many units."""

    def apply(self, params: Params, z: Array, /) -> Array:
        """Compute a new value for each of the weighted sums, of shape (..., units)."""


@runtime_checkable
class Initializer(Protocol):
    """Draws the weights of one layer: a key, a shape (inputs, outputs) and a dtype give an array."""

    def __call__(self, key: Any, shape: tuple[int, int], dtype: Any, /) -> Array: ...


@runtime_checkable
class Model(Protocol):
    """What can be trained: ``MLP``, or anything with the same two verbs."""

    def init(self, key: Any, /) -> Params:
        """Draw the parameters."""

    def apply(self, params: Params, x: Array, /, *, key: Any = None) -> Any:
        """Compute the raw outputs of ``x``; a key switches randomness such as dropout on."""


@runtime_checkable
class Loss(Protocol):
    """From outputs and targets to one number per row."""

    def __call__(self, outputs: Any, targets: Any, /) -> Float[Array, "rows"]: ...


@runtime_checkable
class Metric(Protocol):
    """From the outputs and targets of a whole data set, and its rows' weights, to one number."""

    def __call__(self, outputs: Any, targets: Any, weight: Array | None, /) -> Float[Array, ""]: ...


def base(function: Any) -> Any:
    """Return the function itself, without the numbers that ``functools.partial`` has filled in.

    Args:
        function: a function, a partial of one, or anything else.

    Returns:
        The function; anything else as it is.

    Example:
        >>> base(functools.partial(jnp.clip, max=1.0)) is jnp.clip
        True
    """
    while isinstance(function, functools.partial):
        function = function.func
    return function


def like(hyperparameter: Scalar, array: Array) -> Any:
    """Give a hyperparameter the dtype of the array that it is about to meet.

    A Python number already takes on any array's dtype and is returned as it is. A traced one has a dtype
    of its own, which strict promotion refuses to mix and lax promotion lets widen the array.

    Args:
        hyperparameter: a scalar.
        array: an array of any shape.

    Returns:
        The scalar, which ``array`` can be multiplied with and keep its dtype.

    Example:
        >>> like(0.9, jnp.ones(3, jnp.bfloat16))
        0.9
        >>> like(jnp.float32(0.9), jnp.ones(3, jnp.bfloat16)).dtype.name
        'bfloat16'
    """
    if type(hyperparameter) in (float, int):  # not NumPy's float64, which JAX takes for a wide array
        return hyperparameter
    return jnp.asarray(hyperparameter).astype(array.dtype)


def value_at(value: Scalar | Schedule, count: Array) -> Scalar:
    """Return a scalar as it is, or what a schedule gives.

    Args:
        value: a scalar, or a schedule.
        count: the number of steps already made, a scalar.

    Returns:
        A scalar.

    Example:
        >>> value_at(0.1, jnp.array(3)), value_at(lambda count: 0.5**count, jnp.array(3))
        (0.1, Array(0.125, dtype=float32, weak_type=True))
    """
    return value(count) if callable(value) else value


def floats(leaf: Any) -> Array:
    """Return a leaf as an array of floats: floats stay as they are, whole numbers become JAX's default float.

    Args:
        leaf: an array of any shape.

    Returns:
        The array.

    Example:
        >>> floats(jnp.array([1, 2]))
        Array([1., 2.], dtype=float32)
    """
    array = jnp.asarray(leaf)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(float)


def wide(leaf: Any) -> Array:
    """Return a leaf as an array of floats of 32 bits at least.

    Squares need it: in float16 those of numbers above 256 are infinite, those below 0.0002 are 0.

    Args:
        leaf: an array of any shape.

    Returns:
        The array.

    Example:
        >>> jnp.square(wide(jnp.float16(300)))
        Array(90000., dtype=float32)
    """
    array = floats(leaf)
    return array.astype(jnp.float32) if array.dtype.itemsize < 4 else array


def sum_of_squares(tree: Any) -> Float[Array, ""]:
    """Return the sum of the squares of all numbers in a pytree: its squared length.

    Squares are summed, not lengths, whose gradient is NaN at 0.

    Args:
        tree: a pytree of arrays.

    Returns:
        A scalar of JAX's default float.

    Example:
        >>> sum_of_squares({"w": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)})
        Array(25., dtype=float32)
    """
    of_leaves = (jnp.sum(jnp.square(wide(leaf))).astype(float) for leaf in jax.tree.leaves(tree))
    return sum(of_leaves, jnp.zeros(()))


def accumulator(leaf: Any, value: Scalar = 0.0) -> Array:
    """Return an array, filled with one number, in which small things that concern a leaf may be summed up.

    It has 32 bits at least: in bfloat16 0.999 v rounds back to v, and in float16 1e-8 is 0.

    Args:
        leaf: an array of any shape.
        value: a scalar.

    Returns:
        An array of the leaf's shape.

    Example:
        >>> accumulator(jnp.ones(2, jnp.bfloat16))
        Array([0., 0.], dtype=float32)
    """
    like_leaf = wide(leaf)
    return jnp.full_like(like_leaf, like(value, like_leaf))
