"""The loss of a net with several heads."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.types import Loss, Scalar, like


@dataclasses.dataclass(frozen=True)
class PerHead:
    """A loss for each head of a net, and their sum (Caruana 1997, multitask learning).

        l = sum_h c_h l_h        heads h, coefficients c_h

    Losses have units: a squared error of 100 drowns a cross-entropy of 1, so bring targets to one scale, or weigh the
    losses. Equal ones share a compiled program.

    Attributes:
        losses: a loss by the name of each head.
        coefficients: c_h by name, at least 0, 1 for a head that is not named.

    Raises:
        TypeError: ``losses`` are no functions by name, or a coefficient is no number.
        ValueError: a coefficient for a head that is not there, or a Python number below 0.

    Example:
        >>> from jaxmlp.losses import softmax_cross_entropy, squared_error
        >>> loss = PerHead({"species": softmax_cross_entropy, "length": squared_error}, coefficients={"length": 0.5})
        >>> outputs = {"species": jnp.array([[0.0, 1000.0]]), "length": jnp.array([[5.0]])}
        >>> loss(outputs, {"species": jnp.array([1]), "length": jnp.array([[3.0]])})
        Array([2.], dtype=float32)
    """

    losses: Mapping[str, Loss] | tuple[tuple[str, Loss], ...]
    coefficients: Mapping[str, Scalar] | tuple[tuple[str, Scalar], ...] = ()

    def __post_init__(self) -> None:
        losses = checks.by_name("losses", self.losses, "{'species': softmax_cross_entropy}")
        coefficients = checks.by_name("coefficients", self.coefficients, "{'species': 0.5}")
        if not losses or not all(map(callable, losses.values())):
            raise TypeError(
                f"losses is {self.losses!r}; give functions by name, such as {{'species': softmax_cross_entropy}}"
            )
        for name, value in coefficients.items():
            checks.one_of("a name in coefficients", name, losses)
            coefficients[name] = checks.number(f"coefficients[{name!r}]", value, "[0, inf)")
        object.__setattr__(self, "losses", tuple(sorted(losses.items())))  # so that equal ones are hashed alike
        object.__setattr__(self, "coefficients", tuple(sorted(coefficients.items())))

    @property
    def by_head(self) -> dict[str, Loss]:
        """The loss of each head."""
        return dict(self.losses)

    def __call__(self, outputs: Mapping[str, Array], targets: Mapping[str, Any]) -> Float[Array, "rows"]:
        """Compute the sum of the heads' losses.

        Args:
            outputs: of each head, an array of shape (rows, outputs), by its name.
            targets: of each head, as its loss wants them, by its name.

        Returns:
            Losses of shape (rows,).

        Raises:
            ValueError: outputs or targets have other names, or a loss refuses its own.

        Example:
            >>> from jaxmlp.losses import squared_error
            >>> PerHead({"a": squared_error})({"a": jnp.array([[5.0]])}, {"a": jnp.array([[3.0]])})
            Array([4.], dtype=float32)
        """
        losses, coefficients = self.by_head, dict(self.coefficients)
        same_names(self, outputs=outputs, targets=targets)
        parts = {name: loss(outputs[name], targets[name]) for name, loss in losses.items()}
        for name, part in parts.items():
            if part.shape != outputs[name].shape[:1]:
                raise ValueError(
                    f"the loss of head {name!r} returned shape {part.shape} for {len(outputs[name])} rows; "
                    "return one number per row, and leave the mean to the library"
                )
        weighed = [like(coefficients.get(name, 1.0), part) * part for name, part in parts.items()]
        return functools.reduce(jnp.add, weighed)


def same_names(loss: PerHead, **given: Any) -> None:
    """Refuse outputs, or targets, that are not a mapping with just the names that the losses have."""
    names = list(loss.by_head)
    for what, parts in given.items():
        if not isinstance(parts, Mapping) or set(parts) != set(names):
            seen = (
                f"heads {', '.join(sorted(parts))} in {what}" if isinstance(parts, Mapping) else f"no heads in {what}"
            )
            raise ValueError(
                f"there are {seen}, but PerHead has losses for {', '.join(names)}; give the same names to all, "
                "as in MLP(..., heads=...), PerHead(...) and y"
            )
