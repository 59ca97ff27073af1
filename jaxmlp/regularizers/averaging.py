"""Averaging: a run is judged by the mean of its last parameters, not by the last (Polyak and Juditsky 1992).

m         <- decay m + (1 - decay) theta_t
theta_bar  = m / (1 - decay^t)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxmlp import checks, masks
from jaxmlp.types import Params, Scalar, accumulator, like


class EMAState(NamedTuple):
    """The sum of the weights, and of the parameters after each step times theirs, in float32 at least."""

    total: Float[Array, ""]
    m: Params

    def evaluation_params(self, params: Params) -> Params:
        """Return the average, where a run is evaluated; before the first step the parameters themselves.

        Args:
            params: the parameters where the run stands.

        Returns:
            Parameters of the same dtypes.

        Example:
            >>> transform = ema(0.5)
            >>> theta = jnp.array([1.0])
            >>> _, state = transform.update(jnp.array([1.0]), transform.init(theta), theta)  # to 2
            >>> _, state = transform.update(jnp.array([3.0]), state, jnp.array([2.0]))  # to 5
            >>> state.evaluation_params(jnp.array([5.0]))  # (0.25 * 2 + 0.5 * 5) / 0.75
            Array([4.], dtype=float32)
        """
        begun = self.total > 0
        total = jnp.where(begun, self.total, 1)

        def average(m: Array, p: Array) -> Array:
            return jnp.where(begun, (m / total.astype(m.dtype)).astype(p.dtype), p)

        return masks.in_place(average, self.m, params)


def ema(decay: Scalar) -> optax.GradientTransformation:
    """Exponential moving average of the parameters; ``training.fit`` evaluates, and returns, the average.

        m         <- decay m + (1 - decay) theta_t
        theta_bar  = m / (1 - decay^t)

    It changes no step: it stands at the very end of a chain and looks on. Thanks to the correction the point where
    the run began has no part in the average; Keras (``use_ema``) and PyTorch begin theirs there.

    Args:
        decay: memory, in [0, 1); about the last 1 / (1 - decay) steps count.

    Returns:
        A gradient transform, to stand at the end of a chain. ``state.evaluation_params(params)`` is the average.

    Raises:
        ValueError: ``decay`` is a Python number outside [0, 1).

    Example:
        >>> transform = ema(0.9)
        >>> theta = jnp.array([1.0])
        >>> updates, state = transform.update(jnp.array([0.5]), transform.init(theta), theta)
        >>> print(updates, f"{state.evaluation_params(theta)[0]:.4f}")  # the first average is where the step leads
        [0.5] 1.5000
    """
    checks.in_range("decay", decay, "[0, 1)")

    def init(params: Params) -> EMAState:
        return EMAState(total=jnp.zeros(()), m=jax.tree.map(accumulator, params))

    def update(updates: Params, state: EMAState, params: Params = None) -> tuple[Params, EMAState]:
        checks.same_structure(updates=updates, params=params)

        def average(m: Array, p: Array, u: Array) -> Array:
            theta = p.astype(m.dtype) + u.astype(m.dtype)
            return like(decay, m) * m + like(1 - decay, m) * theta

        m = jax.tree.map(average, state.m, params, updates)
        # Summed up as m is, and not 1 - decay^t, of which rounding leaves little in the first steps.
        total = like(decay, state.total) * state.total + like(1 - decay, state.total)
        return updates, EMAState(total=total, m=m)

    return optax.GradientTransformation(init, update)
