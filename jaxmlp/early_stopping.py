"""Early stopping: end a run when it has stopped getting better (Prechelt 1998).

The rule is a pair of pure functions, so it runs inside the compiled program and differs from member to
member of a sweep. Its numbers are data: another patience compiles nothing.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmlp import checks
from jaxmlp.types import Scalar, like


class EarlyStoppingState(NamedTuple):
    """What the rule remembers from epoch to epoch."""

    reference: Float[Array, ""]  # the value to be beaten
    waited: Int[Array, ""]  # epochs in a row that did not beat it


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stop after ``patience`` epochs in a row without an improvement.

        value < reference - min_delta   ->   reference = value, waited = 0
        otherwise                       ->   waited = waited + 1; stop when waited = patience

    NaN is no improvement. Keras counts alike; scikit-learn waits for one epoch more, and lets small
    improvements move its reference without counting them.

    Attributes:
        patience: epochs to wait, at least 1.
        min_delta: how much better a value must be to count, at least 0, in units of the value.

    Raises:
        TypeError: ``patience`` is no whole number.
        ValueError: a number out of its range.

    Example:
        >>> rule = EarlyStopping(patience=2)
        >>> state = rule.init()
        >>> for value in (1.0, 0.5, 0.7, 0.6):
        ...     state, stop = rule.update(jnp.float32(value), state)
        ...     print(value, bool(stop))
        1.0 False
        0.5 False
        0.7 False
        0.6 True
    """

    patience: int | np.integer[Any] | Int[Array, ""] = 10
    min_delta: Scalar = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.patience, float | int | str | np.generic):
            checks.whole_number("patience", self.patience, 1)
        checks.in_range("min_delta", self.min_delta, "[0, inf)")

    def init(self) -> EarlyStoppingState:
        """Return the state before the first epoch, which any number beats.

        Example:
            >>> print(EarlyStopping().init().reference)
            inf
        """
        return EarlyStoppingState(reference=jnp.full((), jnp.inf), waited=jnp.zeros((), jnp.int32))

    def update(self, value: Float[Array, ""], state: EarlyStoppingState) -> tuple[EarlyStoppingState, Bool[Array, ""]]:
        """Take in the value of one more epoch.

        Args:
            value: what shall become small, such as the validation loss; a scalar.
            state: from ``init`` or the epoch before.

        Returns:
            The new state, and whether to stop now.

        Example:
            >>> rule = EarlyStopping(patience=1)
            >>> state, stop = rule.update(jnp.float32(0.5), rule.init())
            >>> print(state.reference, state.waited, stop)
            0.5 0 False
        """
        value = value.astype(state.reference.dtype)
        better = value < state.reference - like(self.min_delta, value)
        reference = jnp.where(better, value, state.reference)
        waited = jnp.where(better, 0, state.waited + 1)
        return EarlyStoppingState(reference, waited), waited >= self.patience
