"""The metric of one head of a net that has several."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.types import Metric


@dataclasses.dataclass(frozen=True)
class OfHead:
    """A metric of one head: ``metrics={"accuracy": OfHead("species", accuracy)}``.

        m(outputs_h, targets_h, weight)

    Attributes:
        head: the name of the head.
        metric: what is computed of it.

    Raises:
        TypeError: ``metric`` is no function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp.metrics import mean_absolute_error
        >>> outputs, targets = {"a": jnp.array([[5.0]]), "b": jnp.array([[0.0]])}, {"a": jnp.array([[3.0]])}
        >>> print(OfHead("a", mean_absolute_error)(outputs, targets))
        2.0
    """

    head: str
    metric: Metric

    def __post_init__(self) -> None:
        if not callable(self.metric):
            raise TypeError(f"metric is {self.metric!r}; give a function, such as metrics.accuracy")

    def __call__(
        self, outputs: Mapping[str, Array], targets: Mapping[str, Any], weight: Float[Array, "rows"] | None = None
    ) -> Float[Array, "..."]:
        """Compute the metric of the head.

        Args:
            outputs: of each head, an array of shape (rows, outputs), by its name.
            targets: of each head, as the metric wants them, by its name.
            weight: weights of at least 0, of shape (rows,); None is 1 for all.

        Returns:
            A scalar, or what else the metric returns.

        Raises:
            TypeError: the net has no heads.
            ValueError: it has no head of that name.

        Example:
            >>> import jax.numpy as jnp
            >>> from jaxmlp.metrics import accuracy
            >>> print(OfHead("kind", accuracy)({"kind": jnp.array([[0.0, 1.0]])}, {"kind": jnp.array([1])}))
            1.0
        """
        if not isinstance(outputs, Mapping):
            raise TypeError(f"head is {self.head!r}, but the net has one output without a name; give the metric alone")
        checks.one_of("head", self.head, outputs)
        checks.one_of("head", self.head, targets)
        return self.metric(outputs[self.head], targets[self.head], weight)
