"""What ``fit`` is given, checked on the host and brought to the device."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import checks, losses
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training.program import Inputs, Program, keys_of
from jaxmlp.training.recipe import AnyRecipe, Recipe, resolve
from jaxmlp.types import Batch, Metric, Params


def prepare(
    recipe: AnyRecipe,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    key: Any,
    validation: Any,
    hyper: Any,
    params: Params,
    early_stopping: EarlyStopping | None,
    metrics: Mapping[str, Metric] | None,
) -> tuple[Program, Inputs, Params]:
    """Check all that ``fit`` is given and sort it into structure (the program) and data (its inputs)."""
    hyper = _hyper(hyper)
    made = resolve(recipe, hyper)
    _refuse_other_types(key, early_stopping, metrics)
    if params is not None:
        _refuse_other_params(made, params)
        params = jax.tree.map(functools.partial(jnp.array, copy=True), params)
    train = _rows(made, params, "", data)
    held_out = None if validation is None else _rows(made, params, "validation ", validation)
    if held_out is not None and held_out.x.shape[1:] != train.x.shape[1:]:
        raise ValueError(
            f"validation x has rows of shape {held_out.x.shape[1:]}, x of shape {train.x.shape[1:]}; "
            "give both the same features"
        )
    program = Program(
        recipe=recipe,
        epochs=checks.whole_number("epochs", epochs, 1),
        batch_size=_batch_size(batch_size, len(train.x)),
        metrics=tuple((metrics or {}).items()),
    )
    return program, Inputs(_keys_of(key), train, held_out, hyper, early_stopping), params


_keys_of = jax.jit(keys_of)


def _rows(recipe: Recipe, params: Params, of: str, rows: Any) -> Batch:
    """Check one data set: (x, y) or (x, y, weight)."""
    if not isinstance(rows, tuple | list) or len(rows) not in (2, 3):
        what = f"{len(rows)} parts" if isinstance(rows, tuple | list) else f"a {type(rows).__name__}"
        raise TypeError(f"{of or 'training '}data is {what}; give a tuple (x, y) or (x, y, weight)")
    x = checks.array(f"{of}x", rows[0])
    sizes = recipe.net.sizes if isinstance(recipe.net, MLP) else None
    if sizes is not None and (x.ndim != 2 or x.shape[1] != sizes[0]):
        raise ValueError(
            f"{of}x has shape {x.shape}, but sizes[0] of the net is {sizes[0]}; "
            f"give x of shape (rows, {sizes[0]}), or a net with as many inputs as x has columns"
        )
    y = checks.array(f"{of}y", rows[1])
    checks.same_rows(**{f"{of}x": x, f"{of}y": y})
    weight = None if len(rows) == 2 or rows[2] is None else _weight(f"{of}weight", rows[2], x)
    x_floats = checks.to_floats(f"{of}x", x)
    outputs = sizes[-1] if sizes is not None else _outputs(recipe, params, x_floats)
    return Batch(x_floats, losses.targets_for(recipe.loss, f"{of}y", y, outputs), weight)


def _weight(name: str, values: Any, x: Any) -> jax.Array:
    weight = checks.array(name, values)
    checks.same_rows(x=x, **{name: weight})
    if weight.ndim != 1 or bool((weight < 0).any()) or not bool((weight > 0).any()):
        raise ValueError(
            f"{name} has shape {weight.shape} and sum {weight.sum()}; "
            "give one number of at least 0 per row, not all of them 0"
        )
    return checks.to_floats(name, weight)


def _outputs(recipe: Recipe, params: Params, x: jax.Array) -> int:
    """Return the number of the net's outputs, without computing any."""

    def forward(x: jax.Array) -> Any:
        drawn = recipe.net.init(jax.random.key(0)) if params is None else params
        return recipe.net.apply(drawn, x)

    shape = jax.eval_shape(forward, x[:1]).shape
    return int(shape[-1])


def _refuse_other_params(recipe: Recipe, params: Params) -> None:
    flatten = jax.tree_util.tree_flatten_with_path
    wanted, given = (
        {f"params{jax.tree_util.keystr(path)}": jnp.shape(leaf) for path, leaf in flatten(tree)[0]}
        for tree in (jax.eval_shape(recipe.net.init, jax.random.key(0)), params)
    )
    for path in sorted(wanted.keys() | given.keys()):
        if wanted.get(path) != given.get(path):
            seen = f"has shape {given[path]}" if path in given else "is missing"
            want = f"shape {wanted[path]}" if path in wanted else "nothing there"
            raise ValueError(f"{path} {seen}, but the net has {want}; give what init of this net returns")


def _hyper(hyper: Any) -> Any:
    if hyper is None:
        return None
    for path, leaf in jax.tree_util.tree_flatten_with_path(hyper, is_leaf=lambda leaf: leaf is None)[0]:
        number = not isinstance(leaf, bool | str) and np.ndim(leaf) == 0 and leaf is not None
        if not number or not np.issubdtype(np.asarray(leaf).dtype, np.number):
            raise TypeError(f"hyper{jax.tree_util.keystr(path)} is {leaf!r}; give a single number")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.zeros(()).dtype), hyper)


def _batch_size(batch_size: int, n: int) -> int:
    batch_size = checks.whole_number("batch_size", batch_size, 1)
    if batch_size > n:
        warnings.warn(
            f"batch_size is {batch_size}, but there are {n} rows; each step takes all of them",
            UserWarning,
            stacklevel=4,
        )
    return min(batch_size, n)


def _refuse_other_types(key: Any, early_stopping: Any, metrics: Any) -> None:
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    older = getattr(key, "dtype", None) == jnp.uint32 and key.shape == (2,)
    if not older and not (typed and key.ndim == 0):
        raise TypeError(f"key is {key!r}; give one random key, such as jax.random.key(0)")
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise TypeError(f"early_stopping is {early_stopping!r}; give an EarlyStopping(patience=...) or None")
    if metrics is not None and not (isinstance(metrics, Mapping) and all(map(callable, metrics.values()))):
        raise TypeError(f"metrics is {metrics!r}; give functions by name, such as {{'accuracy': accuracy}}")
    if metrics is not None and "loss" in metrics:
        raise ValueError("metrics has the name 'loss', which the history already holds; give it another name")
