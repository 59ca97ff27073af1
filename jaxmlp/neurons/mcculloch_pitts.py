"""The McCulloch-Pitts unit (1943): all or nothing, with no weights, and with a veto.

y = 1 if no inhibitory input fires and at least theta of the excitatory ones do, else 0

The inputs are numbered 0, 1, ...; theta is the threshold. Each unit takes one unit of time to answer, so the layers
of a net answer one after the other. Nothing is learned: the net is drawn by hand.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxmlp import checks
from jaxmlp.neurons.rows import bits


@dataclasses.dataclass(frozen=True)
class McCullochPitts:
    """A unit that fires if enough of its excitatory inputs do, and no inhibitory one.

        y = 1 if sum_(i in excitatory) x_i >= threshold and sum_(j in inhibitory) x_j = 0, else 0

    McCulloch and Pitts 1943, assumptions 1, 2 and 4: inhibition is absolute, a single inhibitory input outvotes any
    number of others. An input named twice has two endings on the unit and counts twice.

    Attributes:
        excitatory: numbers of the inputs that excite.
        inhibitory: numbers of the inputs that inhibit.
        threshold: theta, how many must excite, a whole number of at least 0; at 0 the unit fires unless inhibited,
            which spares it an input that always fires.

    Raises:
        TypeError: a number that is no whole number.
        ValueError: a number below 0, or an input that both excites and inhibits.

    Example:
        >>> unit = McCullochPitts(excitatory=(0, 1), inhibitory=(2,), threshold=2)
        >>> unit.apply(jnp.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]]))  # both; one; both, but vetoed
        Array([1, 0, 0], dtype=int32)
    """

    excitatory: tuple[int, ...]
    inhibitory: tuple[int, ...]
    threshold: int

    def __post_init__(self) -> None:
        for name in ("excitatory", "inhibitory"):
            inputs = tuple(checks.whole_number(f"{name}[{i}]", n, 0) for i, n in enumerate(getattr(self, name)))
            object.__setattr__(self, name, inputs)
        object.__setattr__(self, "threshold", checks.whole_number("threshold", self.threshold, 0))
        both = sorted(set(self.excitatory) & set(self.inhibitory))
        if both:
            raise ValueError(f"input {both[0]} is both excitatory and inhibitory; name it in one of the two")

    def apply(self, x: Shaped[Array, "*rows inputs"]) -> Shaped[Array, "*rows"]:
        """Tell for each row whether the unit fires.

        Args:
            x: zeros and ones of shape (..., inputs), of any dtype.

        Returns:
            Zeros and ones of shape (...), of the dtype of ``x``.

        Raises:
            ValueError: ``x`` has fewer inputs than the unit names, or holds other numbers than 0 and 1.

        Example:
            >>> McCullochPitts(excitatory=(0, 1, 1), inhibitory=(), threshold=2).apply(jnp.array([0, 1]))
            Array(1, dtype=int32)
        """
        wanted = max((*self.excitatory, *self.inhibitory), default=-1) + 1
        x = jnp.asarray(x)
        fires = bits(x, wanted)
        excitation = jnp.sum(fires[..., np.array(self.excitatory, int)], axis=-1)
        inhibited = jnp.any(fires[..., np.array(self.inhibitory, int)], axis=-1)
        return ((excitation >= self.threshold) & ~inhibited).astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class Circuit:
    """A net of two layers: one unit that reads what other units made of the inputs.

    Attributes:
        hidden: the units that read the inputs.
        output: the unit that reads the hidden ones; its input number j is ``hidden[j]``.

    Raises:
        ValueError: ``output`` names more inputs than there are hidden units.

    Example:
        >>> neither = McCullochPitts(excitatory=(), inhibitory=(0, 1), threshold=0)
        >>> both = McCullochPitts(excitatory=(0, 1), inhibitory=(), threshold=2)
        >>> same = Circuit(hidden=(neither, both), output=McCullochPitts((0, 1), (), threshold=1))
        >>> same.apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([1, 0, 0, 1], dtype=int32)
    """

    hidden: tuple[McCullochPitts, ...]
    output: McCullochPitts

    def __post_init__(self) -> None:
        last = max((*self.output.excitatory, *self.output.inhibitory), default=-1)
        if last >= len(self.hidden):
            raise ValueError(
                f"output reads input {last}, but there are {len(self.hidden)} hidden units, numbered from 0; "
                "name one of them, or give more"
            )

    def apply(self, x: Shaped[Array, "*rows inputs"]) -> Shaped[Array, "*rows"]:
        """Tell for each row whether the output unit fires.

        Args:
            x: zeros and ones of shape (..., inputs), of any dtype.

        Returns:
            Zeros and ones of shape (...), of the dtype of ``x``.

        Raises:
            ValueError: ``x`` has fewer inputs than a unit names, or holds other numbers than 0 and 1.

        Example:
            >>> always = McCullochPitts(excitatory=(), inhibitory=(), threshold=0)
            >>> Circuit(hidden=(always,), output=McCullochPitts((), (0,), threshold=0)).apply(jnp.array([1, 1]))
            Array(0, dtype=int32)
        """
        return self.output.apply(jnp.stack([unit.apply(x) for unit in self.hidden], axis=-1))
