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
    """What the rule remembers from one evaluated epoch to the next."""

    reference: Float[Array, ""]  # the value to be beaten; with its sign changed where larger is better
    waited: Int[Array, ""]  # values in a row that did not beat it
    seen: Int[Array, ""]  # epochs in all


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stop after ``patience`` evaluations in a row without an improvement: one after each epoch, unless told otherwise.

        value < reference - min_delta   ->   reference = value, waited = 0
        otherwise                       ->   waited = waited + 1; stop when waited = patience

    With ``mode="max"`` larger is better, and signs are changed. NaN is no improvement. Keras counts alike; for
    scikit-learn's count see ``from_scikit_learn``.

    Attributes:
        patience: evaluations to wait, at least 1: epochs, unless ``fit`` is told to evaluate every so many of them.
        min_delta: how much better a value must be to count, at least 0, in units of the value.
        metric: what is watched: "loss", or the name of one of the metrics. It also decides which epoch is the best.
        mode: "min" where smaller is better, "max" where larger is.
        ignore: the first epochs, at least 0, which are not waited through; they may still be the best. Unlike
            patience they are epochs, however few of them are evaluated.
        target: stop as soon as the value is as good as this; None for no such thing.
        creeping: whether improvements smaller than ``min_delta`` move the reference, though they do not count.

    Raises:
        TypeError: ``patience`` or ``ignore`` is no whole number.
        ValueError: a number out of its range, or an unknown mode.

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
    metric: str = dataclasses.field(default="loss", metadata={"static": True})
    mode: str = dataclasses.field(default="min", metadata={"static": True})
    ignore: int | np.integer[Any] | Int[Array, ""] = 0
    target: Scalar | None = None
    creeping: bool = dataclasses.field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        for name, least in (("patience", 1), ("ignore", 0)):
            if isinstance(getattr(self, name), float | int | str | np.generic):
                checks.whole_number(name, getattr(self, name), least)
        checks.in_range("min_delta", self.min_delta, "[0, inf)")
        if self.target is not None:
            checks.in_range("target", self.target, "(-inf, inf)")
        checks.one_of("mode", self.mode, ("min", "max"))

    @classmethod
    def from_scikit_learn(
        cls, n_iter_no_change: int = 10, tol: Scalar = 1e-4, *, on_scores: bool = False
    ) -> "EarlyStopping":
        """Return the rule of scikit-learn's MLPClassifier and MLPRegressor, in its own terms.

            value > best - tol   ->   count = count + 1, else 0; stop when count > n_iter_no_change
            best = min(best, value)

        It waits for one epoch more than Keras, and small improvements move its reference without counting. Without
        validation data it watches the training loss (``early_stopping=False`` there). With them, it watches a score.

        Args:
            n_iter_no_change: epochs without an improvement of ``tol`` that are still borne, at least 1.
            tol: the improvement that counts, a scalar of at least 0.
            on_scores: watch the metric "accuracy", of which more is better, as scikit-learn's ``early_stopping=True``.

        Returns:
            The rule.

        Example:
            >>> EarlyStopping.from_scikit_learn(10, 1e-4).patience
            11
        """
        patience = checks.whole_number("n_iter_no_change", n_iter_no_change, 1) + 1
        metric, mode = ("accuracy", "max") if on_scores else ("loss", "min")
        return cls(patience=patience, min_delta=tol, creeping=True, metric=metric, mode=mode)

    def init(self) -> EarlyStoppingState:
        """Return the state before the first epoch, which any number beats.

        Example:
            >>> print(EarlyStopping().init().reference)
            inf
        """
        zero = jnp.zeros((), jnp.int32)
        return EarlyStoppingState(reference=jnp.full((), jnp.inf, float), waited=zero, seen=zero)

    def update(
        self, value: Float[Array, ""], state: EarlyStoppingState, epochs: int = 1
    ) -> tuple[EarlyStoppingState, Bool[Array, ""]]:
        """Take in the value of one more evaluation.

        Args:
            value: what is watched, such as the validation loss; a scalar.
            state: from ``init`` or the evaluation before.
            epochs: how many have passed since then, a whole number of at least 1.

        Returns:
            The new state, and whether to stop now for want of improvement.

        Example:
            >>> rule = EarlyStopping(patience=1, mode="max")
            >>> state, stop = rule.update(jnp.float32(0.5), rule.init())
            >>> print(state.reference, state.waited, stop)
            -0.5 0 False
        """
        seen = state.seen + epochs
        cost = self.cost(value.astype(state.reference.dtype))
        better = cost < state.reference - like(self.min_delta, cost)
        kept = jnp.fmin(cost, state.reference) if self.creeping else state.reference
        reference = jnp.where(better, cost, kept)
        waited = jnp.where(better | (seen <= self.ignore), 0, state.waited + 1)
        return EarlyStoppingState(reference, waited, seen), waited >= self.patience

    def reached(self, value: Float[Array, ""]) -> Bool[Array, ""]:
        """Return whether a value is as good as the target.

        Args:
            value: what is watched, a scalar.

        Returns:
            False where there is no target, or the value is NaN.

        Example:
            >>> rule = EarlyStopping(metric="accuracy", mode="max", target=0.9)
            >>> print(rule.reached(jnp.float32(0.95)), EarlyStopping().reached(jnp.float32(0.0)))
            True False
        """
        if self.target is None:
            return jnp.zeros((), bool)
        return self.cost(value) <= self.cost(jnp.asarray(like(self.target, value), value.dtype))

    def cost(self, value: Float[Array, ""]) -> Float[Array, ""]:
        """Return what is watched as something that shall become small.

        Args:
            value: what is watched, a scalar.

        Returns:
            The value, or minus the value where larger is better.

        Example:
            >>> print(EarlyStopping(mode="max").cost(jnp.float32(0.75)))
            -0.75
        """
        return -value if self.mode == "max" else value
