"""Normalization: the weighted sums of a layer brought to one scale, row by row.

Mean and spread are taken over the units of one row, never over the rows of a batch: nothing is remembered from batch
to batch, a row's output depends on that row alone, and training and use are the same function. ``MLP`` normalizes
between weighted sum and activation; what it learns stands in ``params[l].normalization``. An object of your own with
the same two verbs, ``init(units, dtype)`` and ``apply(params, z)``, serves as well.

z: weighted sums of a row        n: their number        scale, shift: learned, one number per unit
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.types import Parametric, Scalar, floats, like, wide


class LayerNormParams(NamedTuple):
    """What layer normalization learns."""

    scale: Float[Array, "units"]
    shift: Float[Array, "units"]


@dataclasses.dataclass(frozen=True)
class LayerNorm:
    """Layer normalization: mean 0 and variance 1 over the units of each row (Ba, Kiros and Hinton 2016, equation 3).

        mu      = mean_i z_i
        sigma^2 = mean_i (z_i - mu)^2
        z_i    <- scale_i (z_i - mu) / sqrt(sigma^2 + eps) + shift_i

    The outcome does not change when all of a row's sums are scaled or shifted alike, so signals neither vanish nor
    explode however deep the net. Statistics are taken in 32 bits at least.

    Attributes:
        eps: what keeps a row of equal sums from dividing by 0, in squared units of z; 0 only where no row can be so.
            Flax has 1e-6 too, PyTorch 1e-5, Keras 1e-3.

    Raises:
        TypeError: ``eps`` is no number.
        ValueError: ``eps`` is a Python number below 0 or infinite.

    Example:
        >>> norm = LayerNorm(eps=0.0)
        >>> norm.apply(norm.init(4), jnp.array([[5.0, 5.0, 7.0, 7.0], [-30.0, -30.0, 10.0, 10.0]]))
        Array([[-1., -1.,  1.,  1.],
               [-1., -1.,  1.,  1.]], dtype=float32)
    """

    eps: Scalar = 1e-6

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", checks.number("eps", self.eps, "[0, inf)"))

    def init(self, units: int, dtype: Any = float) -> LayerNormParams:
        """Return a scale of 1 and a shift of 0 for each unit.

        Args:
            units: of the layer.
            dtype: of the parameters.

        Returns:
            Parameters of shape (units,) each.

        Example:
            >>> LayerNorm().init(2)
            LayerNormParams(scale=Array([1., 1.], dtype=float32), shift=Array([0., 0.], dtype=float32))
        """
        return LayerNormParams(scale=jnp.ones(units, dtype), shift=jnp.zeros(units, dtype))

    def apply(self, params: LayerNormParams, z: Float[Array, "*rows units"]) -> Float[Array, "*rows units"]:
        """Normalize the weighted sums.

        Args:
            params: what ``init`` returns.
            z: weighted sums of shape (..., units).

        Returns:
            Numbers of shape (..., units).

        Example:
            >>> params = LayerNormParams(scale=jnp.array([3.0, 3.0]), shift=jnp.array([0.0, 1.0]))
            >>> LayerNorm(eps=0.0).apply(params, jnp.array([2.0, 6.0]))
            Array([-3.,  4.], dtype=float32)
        """
        z = floats(z)
        centered = wide(z) - jnp.mean(wide(z), axis=-1)[..., None]
        normalized = _to_unit_scale(centered, self.eps).astype(z.dtype)
        return _per_unit(params.scale, z) * normalized + _per_unit(params.shift, z)


class RMSNormParams(NamedTuple):
    """What root mean square normalization learns."""

    scale: Float[Array, "units"]


@dataclasses.dataclass(frozen=True)
class RMSNorm:
    """Root mean square normalization: a mean square of 1 over the units of each row (Zhang and Sennrich 2019, eq. 4).

        z_i <- scale_i z_i / sqrt(mean_j z_j^2 + eps)

    Layer normalization without the mean: cheaper, and as good where the mean carries no signal. The outcome does not
    change when all of a row's sums are scaled alike. The mean square is taken in 32 bits at least.

    Attributes:
        eps: what keeps a row of zeros from dividing by 0, in squared units of z; 0 only where no row can be so.
            Flax and Keras have 1e-6 too, PyTorch the smallest step from 1 of the dtype.

    Raises:
        TypeError: ``eps`` is no number.
        ValueError: ``eps`` is a Python number below 0 or infinite.

    Example:
        >>> norm = RMSNorm(eps=0.0)
        >>> norm.apply(norm.init(2), jnp.array([[2.0, -2.0], [0.5, 0.5]]))
        Array([[ 1., -1.],
               [ 1.,  1.]], dtype=float32)
    """

    eps: Scalar = 1e-6

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", checks.number("eps", self.eps, "[0, inf)"))

    def init(self, units: int, dtype: Any = float) -> RMSNormParams:
        """Return a scale of 1 for each unit.

        Args:
            units: of the layer.
            dtype: of the parameters.

        Returns:
            Parameters of shape (units,).

        Example:
            >>> RMSNorm().init(2).scale
            Array([1., 1.], dtype=float32)
        """
        return RMSNormParams(scale=jnp.ones(units, dtype))

    def apply(self, params: RMSNormParams, z: Float[Array, "*rows units"]) -> Float[Array, "*rows units"]:
        """Normalize the weighted sums.

        Args:
            params: what ``init`` returns.
            z: weighted sums of shape (..., units).

        Returns:
            Numbers of shape (..., units).

        Example:
            >>> RMSNorm(eps=0.0).apply(RMSNormParams(scale=jnp.array([5.0, 10.0])), jnp.array([1.0, 7.0]))
            Array([ 1., 14.], dtype=float32)
        """
        z = floats(z)
        return _per_unit(params.scale, z) * _to_unit_scale(wide(z), self.eps).astype(z.dtype)


NORMALIZATIONS: Mapping[str, Parametric] = MappingProxyType({"layer": LayerNorm(), "rms": RMSNorm()})
"""The normalizations that an ``MLP`` may have, by name."""


def _to_unit_scale(z: Array, eps: Scalar) -> Array:
    """Return z divided by the root of its mean square."""
    return z * lax.rsqrt(jnp.mean(jnp.square(z), axis=-1) + like(eps, z))[..., None]


def _per_unit(numbers: Any, z: Array) -> Array:
    """Return one number per unit in the shape and dtype of the weighted sums."""
    return jnp.broadcast_to(jnp.asarray(numbers).astype(z.dtype), z.shape)
