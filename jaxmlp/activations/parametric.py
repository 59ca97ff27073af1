"""Activations that are learned: what they begin with, ``init(units, dtype)``, and what they do, ``apply(params, z)``.

``MLP`` keeps their parameters beside the weights, in ``params[l].activation``. They are vectors, so penalties leave
them alone unless a mask says otherwise. An object of your own with these two verbs serves as well.
"""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.types import Scalar, floats, like


class PReLUParams(NamedTuple):
    """The slope of each unit below zero."""

    slope: Float[Array, "units"]


@dataclasses.dataclass(frozen=True)
class PReLU:
    """The parametric ReLU: a leaky one whose slope is learned, one for each unit (He et al. 2015, equation 1).

        prelu(z_i) = z_i if z_i >= 0 else slope_i z_i

    Range: all numbers. Derivative by z: 1 from zero on, the slope below; by the slope: z below zero, else 0. Where
    the slopes go tells what a layer wants: near 1 it is linear, near 0 a ReLU. The authors put no penalty on them,
    which would draw them to ReLU.

    Attributes:
        slope: at which every unit begins, a scalar; He et al. take 0.25, as PyTorch does, Keras takes 0.

    Raises:
        TypeError: ``slope`` is no number.
        ValueError: ``slope`` is a Python number that is not finite.

    Example:
        >>> prelu = PReLU()
        >>> prelu.apply(prelu.init(3), jnp.array([-2.0, 0.0, 3.0]))
        Array([-0.5,  0. ,  3. ], dtype=float32)
    """

    slope: Scalar = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", checks.number("slope", self.slope, "(-inf, inf)"))

    def init(self, units: int, dtype: Any = float) -> PReLUParams:
        """Return the slope of each unit to begin with.

        Args:
            units: of the layer.
            dtype: of the slopes.

        Returns:
            Slopes of shape (units,).

        Example:
            >>> PReLU(0.5).init(2).slope
            Array([0.5, 0.5], dtype=float32)
        """
        slopes = jnp.ones(units, dtype)
        return PReLUParams(slope=slopes * like(self.slope, slopes))

    def apply(self, params: PReLUParams, z: Float[Array, "*rows units"]) -> Float[Array, "*rows units"]:
        """Compute the activations.

        Args:
            params: what ``init`` returns.
            z: weighted sums of shape (..., units).

        Returns:
            Numbers of shape (..., units).

        Example:
            >>> PReLU().apply(PReLUParams(slope=jnp.array([0.5, 2.0])), jnp.array([[-1.0, -1.0]]))
            Array([[-0.5, -2. ]], dtype=float32)
        """
        z = floats(z)
        slope = jnp.broadcast_to(jnp.asarray(params.slope).astype(z.dtype), z.shape)
        return jnp.where(z >= 0, z, slope * z)
