"""How weights are drawn: in 32 bits at least, and rounded once."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.types import Key, Scalar, like, wide


def drawn(
    initializer: Any, key: Key, shape: tuple[int, int], dtype: Any, scale: Scalar
) -> Float[Array, "inputs outputs"]:
    """Draw in 32 bits at least, where a random number has enough of them, scale, and round once."""
    w = initializer(key, shape, wide(jnp.zeros((), dtype)).dtype)
    return (like(scale, w) * w).astype(dtype)
