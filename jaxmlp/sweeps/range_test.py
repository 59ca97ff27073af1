"""The learning-rate range test: growing rates, to see where the loss falls and where it breaks (Smith 2017)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxmlp import checks, training
from jaxmlp import data as order_of
from jaxmlp.sweeps.settings import Setting, checked, numbers_of
from jaxmlp.sweeps.sweep import read_by, with_structure
from jaxmlp.training import AnyRecipe, Program
from jaxmlp.types import Batch, Key, Scalar

SMOOTHING = 0.9
"""Memory of the average by which the losses of batches are smoothed."""

BROKEN = 4.0
"""How many times its lowest value so far the smoothed loss has to reach for a seed to count as diverged."""

WINDOW = 10
"""Slopes are those of straight lines through a tenth of the steps, as the losses of single batches are noise."""


class RangeTest(NamedTuple):
    """What comes of a range test.

    Attributes:
        learning_rates: the rate of each step, of shape (steps,).
        losses: for each seed the smoothed training loss before each step, of shape (seeds, steps); NaN behind the step
            at which it diverged.
        suggestion: the rate to begin with.
        reason: why, in a sentence.
    """

    learning_rates: NDArray[Any]
    losses: NDArray[Any]
    suggestion: float
    reason: str


def lr_range_test(
    recipe: AnyRecipe,
    data: Any,
    *,
    low: Scalar = 1e-6,
    high: Scalar = 10.0,
    steps: int = 200,
    seeds: int = 8,
    hyper: Setting | None = None,
    batch_size: int | None,
    key: Key,
) -> RangeTest:
    """Let the learning rate grow from step to step, over several seeds, and say which one to begin with.

        rate_t = low (high / low)^(t / (steps - 1))

    One such run is noisy: where its loss turns up is chance to a factor of ten. Of several seeds the median is taken.
    The suggestion is the rate where that median falls the fastest per step of the logarithm of the rate.

    Args:
        recipe: a function from a setting, with a "learning_rate" in it, to what is trained, and how.
        data: (x, y) or (x, y, weight), as for ``fit``.
        low: the first rate, above 0.
        high: the last rate, above ``low``.
        steps: how many, at least 10.
        seeds: runs, at least 1.
        hyper: the other hyperparameters.
        batch_size: rows of a step, as for ``fit``.
        key: a random key.

    Returns:
        Rates, losses, the suggestion and its reason.

    Raises:
        TypeError: ``recipe`` is no function.
        ValueError: a number out of its range; a recipe that never reads the rate; a loss that never falls.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> x = np.linspace(-1, 1, 64)[:, None]
        >>> def recipe(hyper):
        ...     return training.Recipe(MLP((1, 16, 1)), optimizers.adam(hyper["learning_rate"]), losses.squared_error)
        >>> tested = lr_range_test(recipe, (x, x**2), batch_size=16, key=jax.random.key(0))
        >>> tested.losses.shape, 1e-3 < tested.suggestion < 0.3
        ((8, 200), True)
    """
    checks.random_key("key", key)
    checks.in_range("low", low, "(0, inf)")
    checks.in_range("high", high, f"({low}, inf)")
    steps, seeds = checks.whole_number("steps", steps, 10), checks.whole_number("seeds", seeds, 1)
    if not callable(recipe):
        raise TypeError("recipe is fixed; give a function from a setting with a 'learning_rate' to a Recipe")
    setting = checked({**(hyper or {}), "learning_rate": float(low)})[0]
    structure = {name: value for name, value in setting.items() if name not in numbers_of([setting])}
    of_numbers = functools.partial(with_structure, recipe, structure)
    floats = {name: value for name, value in setting.items() if name not in structure}
    program, inputs, _ = training.prepare(of_numbers, data, epochs=1, batch_size=batch_size, key=key, hyper=floats)
    if "learning_rate" not in read_by(recipe, setting, inputs):
        raise ValueError("recipe never reads 'learning_rate'; give its optimizer hyper['learning_rate']")
    rates = np.geomspace(float(low), float(high), steps)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(seeds))
    raw = np.asarray(_losses(program, keys, inputs.train, inputs.hyper, jnp.asarray(rates, float)), float)
    smooth = np.stack([_smoothed(of_seed) for of_seed in raw])
    suggestion, reason = _suggested(rates, smooth)
    return RangeTest(rates, smooth, suggestion, reason)


@functools.partial(jax.jit, static_argnums=0)
def _losses(program: Program, keys: Any, rows: Batch, hyper: Any, rates: Any) -> Any:
    n = rows.x.shape[0]
    batch_size = min(program.batch_size, n)
    per_epoch = n // batch_size  # whole batches only: all losses are means over as many rows

    def of_seed(key: Key) -> Any:
        of = training.keys_of(key)
        first = training.resolve(program.recipe, {**hyper, "learning_rate": rates[0]})
        params = first.net.init(of.init)

        def step(carry: Any, t: Any) -> Any:
            params, opt_state, order = carry
            epoch, i = t // per_epoch, t % per_epoch
            order = lax.cond(i == 0, lambda: order_of.order(jax.random.fold_in(of.order, epoch), n), lambda: order)
            batch = training.gather(rows, order, i * batch_size, batch_size)[0]
            at_rate = training.resolve(program.recipe, {**hyper, "learning_rate": rates[t]})
            after = training.train_step(at_rate, params, opt_state, batch, jax.random.fold_in(of.dropout, t))
            return (after.params, after.opt_state, order), after.loss

        carry = (params, first.optimizer.init(params), jnp.zeros(n, jnp.int32))
        return lax.scan(step, carry, jnp.arange(len(rates)))[1]

    return lax.map(of_seed, keys)


def _smoothed(losses: NDArray[Any]) -> NDArray[Any]:
    """Return the exponential average, corrected for its beginning; NaN once it has diverged."""
    average, lowest, smooth = 0.0, np.inf, np.full(len(losses), np.nan)
    for t, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        value = average / (1 - SMOOTHING ** (t + 1))
        if not np.isfinite(value) or value > BROKEN * lowest:
            break
        smooth[t], lowest = value, min(lowest, value)
    return smooth


def _suggested(rates: NDArray[Any], losses: NDArray[Any]) -> tuple[float, str]:
    """Return the rate at which the median falls the fastest, while most seeds are there, and say so."""
    there = np.isfinite(losses).sum(axis=0) > len(losses) / 2
    end = len(rates) if there.all() else int(there.argmin())
    width = max(3, len(rates) // WINDOW)
    if end <= width:
        raise ValueError(f"most seeds diverge at once, at the rate {rates[0]:.2g}; give a smaller low")
    median = np.nanmedian(losses[:, :end], axis=0)
    lowest = int(median.argmin())
    begins = range(max(lowest - width + 2, 1))
    slopes = [np.polyfit(np.log(rates[i : i + width]), median[i : i + width], 1)[0] for i in begins]
    steepest = min(int(np.argmin(slopes)) + width // 2, lowest)
    if lowest < width or min(slopes) >= 0:
        raise ValueError(f"the loss falls at no rate from {rates[0]:.2g} to {rates[-1]:.2g}; give other rates")
    broke = f"most seeds diverge at {rates[end]:.2g}" if end < len(rates) else f"none is too high up to {rates[-1]:.2g}"
    return float(rates[steepest]), (
        f"at {rates[steepest]:.2g} the median loss over {len(losses)} seeds falls the fastest; it is lowest at "
        f"{rates[lowest]:.2g}, and {broke}"
    )
