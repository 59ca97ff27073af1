"""The two forms that targets of classification have, and the weights of rows."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmlp.types import wide


def are_labels(outputs: Array, targets: Array) -> bool:
    """Whether targets are labels of classes; else they are yes or no for each output. Refuse what is neither."""
    if outputs.ndim == 2 and targets.shape == outputs.shape:
        return False
    if outputs.ndim != 2 or targets.shape != outputs.shape[:1] or outputs.shape[1] < 2:
        raise ValueError(
            f"outputs have shape {outputs.shape} and targets {targets.shape}; "
            "give labels of shape (rows,) for two outputs or more, or zeros and ones of the outputs' shape"
        )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise ValueError(f"targets have dtype {targets.dtype}; give whole numbers 0 ... classes - 1 as labels")
    return True


def yes_or_no(outputs: Array, targets: Array) -> tuple[Bool[Array, "rows outputs"], Bool[Array, "rows outputs"]]:
    """Return what was answered and what is true, as yes or no for each output or class."""
    if are_labels(outputs, targets):
        answers = jnp.argmax(outputs, axis=1)
        return _one_hot(answers, outputs.shape[1]), _one_hot(targets, outputs.shape[1])
    return outputs > 0, _is_yes(targets)


def no_below_zero(targets: Array) -> Array:
    """Return targets in which -1, the no of ``losses.hinge``, is the 0 that it is for probabilities."""
    return jnp.maximum(targets, 0)


def two_classes(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Turn yes or no of a single output into the classes 0 (no) and 1 (yes) with outputs (0, z); leave all else.

    The difference of the two outputs is z, so probabilities and answers stay as they were.
    """
    if outputs.shape[-1] == 1 and not are_labels(outputs, targets):
        return jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=1), _is_yes(targets)[:, 0].astype(jnp.int32)
    return outputs, targets


def weights(outputs: Array, weight: Array | None) -> Float[Array, "rows"]:
    """Return one weight per row as floats of 32 bits at least."""
    dtype = wide(outputs).dtype
    if weight is None:
        return jnp.ones(outputs.shape[:1], dtype)
    weight = jnp.asarray(weight)
    if weight.shape != outputs.shape[:1]:
        raise ValueError(
            f"weight has shape {weight.shape}, but there are {outputs.shape[0]} rows; give one number per row"
        )
    return weight.astype(dtype)


def _one_hot(labels: Array, classes: int) -> Bool[Array, "rows classes"]:
    return labels[:, None].astype(int) == jnp.arange(classes)[None, :]


def _is_yes(targets: Array) -> Bool[Array, "rows outputs"]:
    return targets.astype(float) > 0.5
