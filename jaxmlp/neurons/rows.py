"""Rows: what the units and their learning rules take, refused by a sentence where it does not fit.

Shapes are checked wherever they are known, inside jit and vmap as well; numbers only on the host, where they can be.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num
from numpy.typing import NDArray

from jaxmlp import checks
from jaxmlp.types import Scalar, floats, wide


def bits(x: Any, wanted: int) -> Bool[Array, "*rows inputs"]:
    """Return which inputs of a McCulloch-Pitts unit fire, refusing what is neither 0 nor 1."""
    if x.ndim == 0 or x.shape[-1] < wanted:
        raise ValueError(
            f"x has shape {x.shape}, but the unit reads inputs 0 to {wanted - 1}; give x of shape (..., {wanted})"
        )
    if not isinstance(x, jax.core.Tracer):
        _refuse_other("x", np.asarray(x), 2, "give zeros and ones only, such as x > 0")
    return x.astype(bool)


def inputs_of(x: Any, w: Float[Array, "inputs ..."]) -> Float[Array, "*rows inputs"]:
    """Return the inputs of a unit in the dtype of its sums, refusing another number of them than it has weights."""
    x, w = jnp.asarray(x), jnp.asarray(w)
    if x.ndim == 0 or x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"x has shape {x.shape}, but w has shape {w.shape}; give x of shape (..., {w.shape[0]}), one per weight"
        )
    return x.astype(floats(w).dtype)


def rows_and_signs(x: Any, y: Any) -> tuple[Float[Array, "rows inputs"], Float[Array, "rows"]]:
    """Return rows, and -1 for the label 0 and +1 for the label 1."""
    x, labels = _rows_and_labels(x, y)
    x = _floats(x)
    return x, jnp.where(jnp.asarray(labels).astype(x.dtype) > 0, 1, -1).astype(x.dtype)


def rows_and_signs_on_host(x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same in NumPy's float64, refusing what is traced."""
    for name, values in (("x", x), ("y", y)):
        checks.not_traced(name, values, "call it outside of jit and vmap")
    x, labels = _rows_and_labels(x, y)
    return np.asarray(x).astype(np.float64), np.where(np.asarray(labels) > 0, 1.0, -1.0)


def rows_and_classes(
    x: Any, y: Any, classes: int | None
) -> tuple[Float[Array, "rows inputs"], Int[Array, "rows"], int]:
    """Return rows, their labels 0 ... classes - 1, and the number of classes: the largest label's unless given."""
    x, labels = _rows(x, y, "label")
    if classes is not None:
        classes = checks.whole_number("classes", classes, 2)
    elif isinstance(labels, jax.core.Tracer):
        raise TypeError("classes is None and y is traced; give the number of classes")
    else:
        classes = max(2, int(labels.max()) + 1)
    _refuse_other("y", labels, classes, f"give whole numbers from 0 to {classes - 1}, one for each of the classes")
    return _floats(x), jnp.asarray(labels).astype(jnp.int32), classes


def rows_and_targets(x: Any, y: Any) -> tuple[Float[Array, "rows inputs"], Float[Array, "rows"]]:
    """Return rows, and the number that each shall be answered with."""
    x, targets = _rows(x, y, "number")
    x = _floats(x)
    return x, (targets if isinstance(targets, jax.Array) else checks.to_floats("y", targets)).astype(x.dtype)


def learning_rate_of(learning_rate: Any) -> Scalar:
    """Return a learning rate, refusing one that is not above 0 or not single."""
    checks.in_range("learning_rate", learning_rate, "(0, inf)")
    if jnp.ndim(learning_rate) != 0:
        raise ValueError(
            f"learning_rate has shape {jnp.shape(learning_rate)}; give a single number, and vmap over several"
        )
    return learning_rate


def in_order(
    x: Num[Array, "rows inputs"], y: Num[Array, "rows"], key: Any, epoch: Int[Array, ""]
) -> tuple[Num[Array, "rows inputs"], Num[Array, "rows"]]:
    """Return the rows as one epoch reads them: as given, or in a random order of its own if there is a key.

    ``data.order``, which sorts nothing, comes later in the reading order; what one unit learns from is short.
    """
    if key is None:
        return x, y
    order = jax.random.permutation(jax.random.fold_in(key, epoch), len(x))
    return x[order], y[order]


def key_of(key: Any) -> None:
    """Refuse on the host what is no random key; None and traced ones pass."""
    if key is not None and not isinstance(key, jax.core.Tracer):
        checks.random_key("key", key)


def _rows(x: Any, y: Any, one: str) -> tuple[Any, Any]:
    """Return rows and what belongs to each of them, traced or as arrays of finite numbers of matching shape."""
    x, y = (
        values if isinstance(values, jax.core.Tracer) else checks.array(name, values)
        for name, values in (("x", x), ("y", y))
    )
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}; give x of shape (rows, inputs), such as x[:, None] for one input")
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; give y of shape (rows,), one {one} per row, such as y.ravel()")
    checks.same_rows(x=x, y=y)
    return x, y


def _rows_and_labels(x: Any, y: Any) -> tuple[Any, Any]:
    """Return rows and their labels, refusing other labels than 0 and 1 on the host."""
    x, labels = _rows(x, y, "label")
    _refuse_other("y", labels, 2, "give labels 0 and 1, such as (y > 0).astype(int)")
    return x, labels


def _floats(x: Any) -> Float[Array, "rows inputs"]:
    """Return rows as floats of 32 bits at least: a JAX array of floats stays as it is."""
    return wide(x) if isinstance(x, jax.Array) else checks.to_floats("x", x)


def _refuse_other(name: str, values: Any, count: int, advice: str) -> None:
    """Refuse on the host other numbers than 0 ... count - 1; traced values pass."""
    if isinstance(values, jax.core.Tracer):
        return
    seen = np.asarray(values)
    other = ~np.isin(seen.astype(np.float64), np.arange(count))
    if other.any():
        index = tuple(int(i) for i in np.argwhere(other)[0])
        raise ValueError(f"{name} holds {seen[index]} at index {index}; {advice}")
