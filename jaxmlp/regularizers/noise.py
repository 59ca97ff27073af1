"""Noise: dropout and its kin, drawn anew at every step of training and absent afterwards.

``dropout`` and ``alpha_dropout`` act on activations, inside of the forward pass. ``input_noise`` and ``mixup`` act
on the rows of a batch: each returns a function of (key, batch), to be given to a ``training.Recipe`` as ``augment``.
``gradient_noise`` is a gradient transform.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxmlp import checks
from jaxmlp.types import Batch, Key, Params, Scalar, floats, like


def dropout(key: Key, a: Float[Array, "*shape"], rate: Scalar) -> Float[Array, "*shape"]:
    """Drop units at random and scale up the others, so that the expected signal stays.

        a_i <- a_i / (1 - rate) with probability 1 - rate, else 0        (Srivastava et al. 2014, section 10)

    Args:
        key: a random key.
        a: activations, any shape.
        rate: the probability that a unit is dropped, in [0, 1).

    Returns:
        Activations, same shape.

    Raises:
        ValueError: ``rate`` is a Python number outside [0, 1).

    Example:
        >>> a = dropout(jax.random.key(0), jnp.ones(10_000), 0.2)
        >>> print(sorted(set(a.tolist())), round(float((a == 0).mean()), 1))
        [0.0, 1.25] 0.2
    """
    checks.in_range("rate", rate, "[0, 1)")
    keep = 1 - rate  # in its own precision: in bfloat16 0.99 is 0.9883, and a random number has 7 bits
    return jnp.where(jax.random.bernoulli(key, keep, a.shape), a / like(keep, a), 0)


def alpha_dropout(key: Key, a: Float[Array, "*shape"], rate: Scalar) -> Float[Array, "*shape"]:
    """Dropout for SELU, which keeps mean 0 and variance 1 (Klambauer et al. 2017, equations 6 to 8).

        d   <- a_i with probability q = 1 - rate, else alpha'
        a_i <- s (d - rate alpha'),        s = (q + alpha'^2 q (1 - q))^(-1/2)

    alpha' = -1.7581 is the value that SELU takes far left of 0: a unit is not silenced, but saturated.

    Args:
        key: a random key.
        a: activations, any shape, of mean 0 and variance 1 as SELU's are.
        rate: the probability that a unit is saturated, in [0, 1).

    Returns:
        Activations, same shape.

    Raises:
        ValueError: ``rate`` is a Python number outside [0, 1).

    Example:
        >>> a = jax.random.normal(jax.random.key(0), (100_000,))
        >>> a = alpha_dropout(jax.random.key(1), a, 0.5)
        >>> print(abs(a.mean()).round(1), a.std().round(1))
        0.0 1.0
    """
    checks.in_range("rate", rate, "[0, 1)")
    keep = 1 - rate
    kept = jax.random.bernoulli(key, keep, a.shape)
    scale = (keep + SATURATED**2 * keep * (1 - keep)) ** -0.5
    return like(scale, a) * (jnp.where(kept, a, SATURATED) - like((1 - keep) * SATURATED, a))


SATURATED = -1.0507009873554805 * 1.6732632423543772
"""What SELU tends to far left of 0: -lambda alpha (Klambauer et al. 2017, equation 2 and below)."""


Augment = Callable[[Any, Batch], Batch]
"""What a recipe does to every batch it trains on: a function of a random key and a batch."""


def input_noise(scale: Scalar) -> Augment:
    """Add Gaussian noise to the inputs, which smooths the function that is learnt (Bishop 1995, equation 1).

        x <- x + scale * n,        n normal with mean 0 and variance 1

    Args:
        scale: standard deviation of the noise, at least 0, in units of the inputs.

    Returns:
        A function of (key, batch), the ``augment`` of a recipe.

    Raises:
        ValueError: ``scale`` is a Python number below 0 or infinite.

    Example:
        >>> batch = Batch(x=jnp.zeros((1000, 5)), y=jnp.zeros(1000))
        >>> print(f"{input_noise(0.1)(jax.random.key(0), batch).x.std():.2f}")
        0.10
    """
    checks.in_range("scale", scale, "[0, inf)")

    def augment(key: Key, batch: Batch) -> Batch:
        x = floats(batch.x)
        return batch._replace(x=x + like(scale, x) * jax.random.normal(key, x.shape, x.dtype))

    return augment


def mixup(alpha: Scalar) -> Augment:
    """Train on points between two rows, with targets between theirs (Zhang et al. 2018, section 2).

        lambda_i ~ Beta(alpha, alpha)
        x_i <- lambda_i x_i + (1 - lambda_i) x_j,        y_i <- lambda_i y_i + (1 - lambda_i) y_j

    The partner j of row i is drawn from the batch, as likely as its weight is large. The authors' own program draws
    one lambda for the whole batch.

    Args:
        alpha: above 0; small values keep near one of the two rows, 1 mixes evenly.

    Returns:
        A function of (key, batch), the ``augment`` of a recipe. Its targets must be floats, or it raises ValueError:
        classes go in as probabilities, ``jax.nn.one_hot``.

    Raises:
        ValueError: ``alpha`` is a Python number not above 0.

    Example:
        >>> batch = Batch(x=jnp.eye(2), y=jnp.eye(2))
        >>> mixed = mixup(0.4)(jax.random.key(0), batch)
        >>> bool(jnp.all(mixed.x == mixed.y)), mixed.x.sum(axis=1)
        (True, Array([1., 1.], dtype=float32))
    """
    checks.in_range("alpha", alpha, "(0, inf)")

    def augment(key: Key, batch: Batch) -> Batch:
        for part in jax.tree.leaves(batch.y):
            if not jnp.issubdtype(part.dtype, jnp.floating):
                raise ValueError(
                    f"mixup mixes targets, but y is {part.dtype}; "
                    "give classes as probabilities, jax.nn.one_hot(y, classes)"
                )
        rows = batch.x.shape[0]
        for_share, for_partner = jax.random.split(key)
        share = jax.random.beta(for_share, alpha, alpha, (rows,))
        partner = jax.random.choice(for_partner, rows, (rows,), p=batch.weight)

        def mixed(a: Array) -> Array:
            a = floats(a)
            s = share.astype(a.dtype).reshape(rows, *(1,) * (a.ndim - 1))
            return s * a + (1 - s) * a[partner]

        return batch._replace(x=mixed(batch.x), y=jax.tree.map(mixed, batch.y))

    return augment


class GradientNoiseState(NamedTuple):
    """The number of steps made, with which the noise fades."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count


def gradient_noise(variance: Scalar, *, decay: Scalar = 0.55) -> optax.GradientTransformationExtraArgs:
    """Add Gaussian noise to the gradient that fades with time (Neelakantan et al. 2015, equation 1).

        g <- g + n,        n normal with mean 0 and variance sigma_t^2 = variance / (1 + t)^decay,    t = 0, 1, ...

    Every step needs a random key. ``training.fit`` hands one over; elsewhere call ``update(..., key=key)`` with a
    new key each time. optax's ``add_noise`` instead holds one key, which all members of a sweep share.

    Args:
        variance: the paper's eta, at least 0, in squared units of the gradient; it has 0.01, 0.3 and 1.
        decay: the paper's gamma, at least 0.

    Returns:
        A gradient transform, to stand before the optimizer.

    Raises:
        ValueError: a Python number below 0 or infinite; in ``update``, no key.

    Example:
        >>> transform = gradient_noise(0.01)
        >>> updates, state = transform.update(jnp.zeros(10_000), transform.init(None), key=jax.random.key(0))
        >>> print(f"{updates.std():.2f}")
        0.10
    """
    checks.in_range("variance", variance, "[0, inf)")
    checks.in_range("decay", decay, "[0, inf)")

    def init(params: Params) -> GradientNoiseState:
        del params
        return GradientNoiseState(count=jnp.zeros((), jnp.int32))

    def update(
        updates: Params, state: GradientNoiseState, params: Params = None, *, key: Key | None = None, **others: Any
    ) -> tuple[Params, GradientNoiseState]:
        del params, others
        if key is None:
            raise ValueError(
                "gradient_noise has no key; training.fit hands one over, elsewhere call update(..., key=key)"
            )
        sigma = jnp.sqrt(variance / (1 + state.count.astype(float)) ** decay)
        leaves, structure = jax.tree.flatten(updates)

        def noisy(i: int, g: Array) -> Array:
            noise = jax.random.normal(jax.random.fold_in(key, i), g.shape, g.dtype)
            return g + like(sigma, g) * noise

        leaves = [noisy(i, floats(g)) for i, g in enumerate(leaves)]
        return jax.tree.unflatten(structure, leaves), GradientNoiseState(count=optax.safe_increment(state.count))

    return optax.GradientTransformationExtraArgs(init, update)
