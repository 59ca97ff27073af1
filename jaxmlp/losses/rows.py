"""From one number per output to one per row, and from those to one."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def weighted_mean(rows: Float[Array, "rows"], weight: Float[Array, "rows"] | None = None) -> Float[Array, ""]:
    """The mean of one number per row, each row counting as much as its weight says.

        mean = sum_i weight_i rows_i / sum_i weight_i        (0 where all weights are 0)

    A row of weight 0 does not count even if its number is NaN or infinite; its gradient does, so fill such rows.
    Sums are taken in float32 at least.

    Args:
        rows: numbers of shape (rows,).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        The mean, a scalar.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> weighted_mean(jnp.array([1.0, 2.0, 9.0]), jnp.array([1.0, 1.0, 0.0]))
        Array(1.5, dtype=float32)
    """
    rows = rows.astype(jnp.float32) if rows.dtype.itemsize < 4 else rows
    if weight is None:
        return jnp.mean(rows)
    if weight.shape != rows.shape:
        raise ValueError(
            f"weight has shape {weight.shape}, but there are {rows.shape[0]} rows; give one number per row"
        )
    weight = weight.astype(rows.dtype)
    total = jnp.sum(weight)
    return jnp.sum(jnp.where(weight > 0, weight * rows, 0)) / jnp.where(total > 0, total, 1)


def mean_over_outputs(values: Array) -> Float[Array, "rows"]:
    """Return the mean of each row."""
    return jnp.mean(values, axis=tuple(range(1, values.ndim)))


def refuse_other_shape(name: str, outputs: Array, targets: Array) -> None:
    """Refuse targets of another shape than the outputs, which would broadcast or fail somewhere deeper."""
    if outputs.shape != targets.shape:
        hint = ", such as y[:, None]" if targets.ndim == outputs.ndim - 1 else ""
        raise ValueError(
            f"{name} have shape {outputs.shape} and targets {targets.shape}; "
            f"give targets of the same shape as the net's outputs{hint}"
        )
