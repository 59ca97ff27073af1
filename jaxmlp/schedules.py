"""Schedules: the learning rate over time, and what to try it with.

A schedule is a function of the number of steps already made, and may stand wherever a learning rate does. Constant,
step, exponential, cosine, warm-up and one-cycle are ``optax.schedules``: ``constant_schedule``,
``piecewise_constant_schedule``, ``exponential_decay``, ``cosine_decay_schedule``,
``warmup_cosine_decay_schedule``, ``cosine_onecycle_schedule``. Here stands what optax has not, or has differently.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxmlp import checks
from jaxmlp.types import Params, Scalar, Schedule, floats, like


def ladder(low: float = 1e-3, high: float = 1.0) -> tuple[float, ...]:
    """Return the learning rates to try: 1, 3, 10, 30, ... times a power of ten, each about three times the last.

    The first to try is in the middle; then up the ladder until training diverges, and down until it crawls.

    Args:
        low: the smallest, above 0.
        high: the largest, at least ``low``.

    Returns:
        The steps of the ladder from ``low`` to ``high``, both included where they are such steps.

    Raises:
        ValueError: ``low`` not above 0, ``high`` below it, or no step between them.

    Example:
        >>> ladder()
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    """
    checks.in_range("low", low, "(0, inf)")
    checks.in_range("high", high, f"[{low}, inf)")
    exponents = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    steps = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 3)]
    between = tuple(step for step in steps if low <= step <= high)
    if not between:
        raise ValueError(f"low is {low!r} and high {high!r}, with no step 1, 3, 10, 30 ... between; widen them")
    return between


def flat_cosine(learning_rate: Scalar, steps: int, *, flat: Scalar = 0.5) -> Schedule:
    """Hold the rate, then let it fall to 0 along half a cosine.

        eta_t = eta                                           while t / steps < flat
        eta_t = eta (1 + cos(pi (t / steps - flat) / (1 - flat))) / 2        afterwards

    With flat = 1/2 it is ``flat_cos`` of RealMLP, which dropout and weight decay follow there (Holzmueller et al.
    2024, "Better by Default"); fastai's default is 0.75.

    Args:
        learning_rate: eta, at least 0.
        steps: of the whole run, a whole number of at least 1; afterwards the rate is 0.
        flat: the share of the run before the fall, in [0, 1).

    Returns:
        A schedule.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> schedule = flat_cosine(0.1, steps=100)
        >>> [f"{schedule(t):.3f}" for t in (0, 50, 75, 100)]
        ['0.100', '0.100', '0.050', '0.000']
    """
    checks.in_range("learning_rate", learning_rate, "[0, inf)")
    checks.whole_number("steps", steps, 1)
    checks.in_range("flat", flat, "[0, 1)")

    def schedule(count: Array | int | float) -> Array:
        share = jnp.asarray(count, float) / steps
        fallen = jnp.clip((share - flat) / (1 - flat), 0, 1)
        return learning_rate * (1 + jnp.cos(jnp.pi * fallen)) / 2

    return schedule


def coslog4(learning_rate: Scalar, steps: int) -> Schedule:
    """Four cosine cycles, each twice as long as the one before it (RealMLP; Holzmueller et al. 2024, section 3).

        eta_t = eta (1 - cos(2 pi log2(1 + 15 t / steps))) / 2

    The rate is 0 at the beginning, where it warms up, at three places between, and at the end.

    Args:
        learning_rate: eta, the largest rate, at least 0.
        steps: of the whole run, a whole number of at least 1; afterwards the rate is 0.

    Returns:
        A schedule.

    Raises:
        ValueError: a Python number out of its range.

    Example:
        >>> schedule = coslog4(0.1, steps=15)
        >>> [f"{abs(schedule(t)):.3f}" for t in (0, 1, 3, 7, 15)]  # where 1 + t is a power of 2
        ['0.000', '0.000', '0.000', '0.000', '0.000']
        >>> f"{schedule(15 * (2**0.5 - 1) / 15):.3f}"
        '0.100'
    """
    checks.in_range("learning_rate", learning_rate, "[0, inf)")
    checks.whole_number("steps", steps, 1)

    def schedule(count: Array | int | float) -> Array:
        share = jnp.clip(jnp.asarray(count, float) / steps, 0, 1)
        return learning_rate * (1 - jnp.cos(2 * jnp.pi * jnp.log2(1 + 15 * share))) / 2

    return schedule


class PlateauState(NamedTuple):
    """What the steps are multiplied by, the best mean loss, windows since then, windows to rest, and this window."""

    scale: Float[Array, ""]
    best: Float[Array, ""]
    waited: Int[Array, ""]
    resting: Int[Array, ""]
    total: Float[Array, ""]
    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, though tuples have a method count


def reduce_on_plateau(
    *,
    factor: Scalar = 0.1,
    patience: int = 10,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Take smaller steps once the loss no longer falls; stands behind the optimizer in a chain.

        better:   value < best - rtol |best| - atol
        scale <- max(factor * scale, min_scale)        after ``patience`` windows in a row that are no better

    The loss comes as optax's extra argument ``value``, which ``training.fit`` hands over: the training loss of the
    step. It is averaged over windows of ``accumulation_size`` steps, best an epoch's. optax's method of this name
    compares with (1 - rtol) best, which for a negative loss lies above the best: there a loss that grows slowly
    counts as better for ever.

    Args:
        factor: what the scale is multiplied by, in (0, 1).
        patience: windows without a better loss before the scale falls, a whole number of at least 1.
        rtol: by which share of its size the loss must fall to be better, in [0, 1).
        atol: by how much it must fall besides, at least 0.
        cooldown: windows after a fall that are not counted, a whole number of at least 0.
        accumulation_size: steps in a window, a whole number of at least 1.
        min_scale: what the scale never falls below, in [0, 1].

    Returns:
        A gradient transform.

    Raises:
        ValueError: a number out of its range; in ``update``, no ``value``.

    Example:
        >>> transform = reduce_on_plateau(factor=0.5, patience=2)
        >>> state = transform.init(None)
        >>> for value in (3.0, 2.0, 2.0, 2.0, 2.0):
        ...     updates, state = transform.update(jnp.ones(1), state, value=value)
        ...     print(updates, end=" ")
        [1.] [1.] [1.] [0.5] [0.5]
    """
    checks.in_range("factor", factor, "(0, 1)")
    checks.whole_number("patience", patience, 1)
    checks.in_range("rtol", rtol, "[0, 1)")
    checks.in_range("atol", atol, "[0, inf)")
    checks.whole_number("cooldown", cooldown, 0)
    checks.whole_number("accumulation_size", accumulation_size, 1)
    checks.in_range("min_scale", min_scale, "[0, 1]")

    def init(params: Params) -> PlateauState:
        del params
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        return PlateauState(zero + 1, zero + jnp.inf, waited=none, resting=none, total=zero, count=none)

    def end_window(state: PlateauState) -> PlateauState:
        mean = state.total / accumulation_size
        margin = rtol * jnp.abs(state.best) + atol
        better = mean < state.best - jnp.where(jnp.isfinite(margin), margin, 0)
        resting = jnp.maximum(state.resting - 1, 0)
        waited = jnp.where(better | (state.resting > 0), 0, state.waited + 1)
        falls = waited >= patience
        lower = jnp.maximum(like(factor, state.scale) * state.scale, like(min_scale, state.scale))
        return PlateauState(
            scale=jnp.where(falls, lower, state.scale),
            best=jnp.where(better, mean, state.best),
            waited=jnp.where(falls, 0, waited),
            resting=jnp.where(falls, cooldown, resting),
            total=jnp.zeros_like(state.total),
            count=jnp.zeros_like(state.count),
        )

    def update(
        updates: Params, state: PlateauState, params: Params = None, *, value: Any = None, **others: Any
    ) -> tuple[Params, PlateauState]:
        del params, others
        if value is None:
            raise ValueError(
                "reduce_on_plateau has no value; training.fit hands it over, elsewhere call update(..., value=loss)"
            )
        value = jnp.asarray(value).astype(state.total.dtype)
        state = state._replace(total=state.total + value, count=state.count + 1)
        ended = end_window(state)
        full = state.count == accumulation_size
        state = jax.tree.map(lambda new, old: jnp.where(full, new, old), ended, state)
        return jax.tree.map(lambda u: like(state.scale, floats(u)) * floats(u), updates), state

    return optax.GradientTransformationExtraArgs(init, update)
