"""What ``fit`` is given, checked on the host and brought to the device."""

import dataclasses
import functools
import math
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmlp import checks, devices, losses
from jaxmlp.devices import Layout
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training import watch as watching
from jaxmlp.training.recipe import AnyRecipe, Recipe, resolve
from jaxmlp.training.state import Inputs, Program, evaluation_interval, keys_of, refuse_other_types
from jaxmlp.types import Batch, Metric, Params


def prepare(
    recipe: AnyRecipe,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None,
    key: Any,
    validation: Any = None,
    hyper: Any = None,
    params: Params = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    evaluate_every: int = 1,
    watch: bool | int = False,
    mesh: Mesh | None = None,
) -> tuple[Program, Inputs, Params]:
    """Check all that ``fit`` is given and sort it into structure (the program) and data (its inputs)."""
    checks.random_key("key", key)
    refuse_other_types(early_stopping, metrics)
    hyper = _hyper(hyper)
    made = resolve(recipe, hyper)  # from Python's numbers, which are checked
    if params is not None:
        params = _params(made, params)
    train = to_batch(made, params, "", data)
    if class_weight is not None:
        if class_weight == "balanced" and devices.shared_by_processes(mesh):
            raise ValueError("class_weight is 'balanced', but each process has its own rows; give numbers by class")
        train = train._replace(weight=_weight_by_class(train, class_weight))
    held_out = None
    if validation is not None:
        held_out = to_batch(made, params, "validation ", validation, features=train.x.shape[1:])
    epochs = checks.whole_number("epochs", epochs, 1)
    floats = jax.tree.map(lambda number: jnp.asarray(number, jnp.zeros(()).dtype), hyper)
    inputs = Inputs(_keys_of(key), train, held_out, floats, _rule(early_stopping))
    if mesh is not None:
        inputs = _on_mesh(mesh, inputs, made)
    program = Program(
        recipe=recipe,
        epochs=epochs,
        batch_size=_batch_size(batch_size, inputs.rows),
        metrics=tuple((metrics or {}).items()),
        evaluate_every=evaluation_interval(evaluate_every, epochs),
        watch=watching.checked(watch),
    )
    if inputs.layout is not None:
        params = inputs.layout.placed(params)
        _refuse_idle(inputs.layout, program.batch_size)
    return program, inputs, params


_keys_of = jax.jit(keys_of)


def _on_mesh(mesh: Mesh, inputs: Inputs, made: Recipe) -> Inputs:
    """Bring what the program is run on to a mesh: rows spread, all else on every device."""
    if not isinstance(mesh, Mesh) or mesh.axis_names != devices.AXES:
        raise TypeError(f"mesh is {mesh!r}; give what devices.mesh returns")
    parts, net = mesh.shape[devices.MODEL], made.net
    if parts > 1 and isinstance(net, MLP) and all(width % parts for width in net.sizes[1:]):
        raise ValueError(
            f"mesh has {devices.MODEL}={parts}, but no layer of {net.sizes} has a multiple of {parts} outputs; give "
            f"such a width, or {devices.MODEL}=1"
        )
    layout, train, held_out = devices.spread(mesh, inputs.train, inputs.validation)
    keys, hyper, rule = layout.placed((inputs.keys, inputs.hyper, inputs.early_stopping))
    return Inputs(keys, train, held_out, hyper, rule, layout=layout)


def _refuse_idle(layout: Layout, batch_size: int) -> None:
    """Refuse a mesh some of whose devices would have no row of a batch."""
    if batch_size < layout.shards:
        raise ValueError(
            f"batch_size is {batch_size}, but mesh spreads the rows of a batch over {layout.shards} devices; give at "
            "least one row for each, or a mesh of fewer"
        )


def to_batch(recipe: Recipe, params: Params, of: str, rows: Any, features: tuple[int, ...] | None = None) -> Batch:
    """Check one data set: (x, y) or (x, y, weight)."""
    given_x, given_y, given_weight = parts_of(of, rows)
    x = checks.array(f"{of}x", given_x)
    sizes = recipe.net.sizes if isinstance(recipe.net, MLP) else None
    if sizes is not None and (x.ndim != 2 or x.shape[1] != sizes[0]):
        raise ValueError(
            f"{of}x has shape {x.shape}, but sizes[0] of the net is {sizes[0]}; "
            f"give x of shape (rows, {sizes[0]}), or a net with as many inputs as x has columns"
        )
    if features is not None and x.shape[1:] != features:
        raise ValueError(f"{of}x has rows of shape {x.shape[1:]}, x of shape {features}; give both the same features")
    x_floats = checks.to_floats(f"{of}x", x)
    y = losses.targets_for(recipe.loss, f"{of}y", given_y, _outputs(recipe, params, x_floats))
    for head, part in y.items() if isinstance(y, Mapping) else [(None, y)]:
        checks.same_rows(**{f"{of}x": x, f"{of}y" if head is None else f"{of}y[{head!r}]": part})
    weight = None if given_weight is None else _weight(f"{of}weight", given_weight, len(x))
    return Batch(x_floats, y, weight)


def parts_of(of: str, rows: Any) -> tuple[Any, Any, Any]:
    """Return x, y and weight as they were given; None where there is no weight."""
    if not isinstance(rows, tuple | list) or len(rows) not in (2, 3):
        what = f"{len(rows)} parts" if isinstance(rows, tuple | list) else f"a {type(rows).__name__}"
        raise TypeError(f"{of or 'training '}data is {what}; give a tuple (x, y) or (x, y, weight)")
    return rows[0], rows[1], rows[2] if len(rows) == 3 else None


def _weight(name: str, values: Any, rows: int) -> jax.Array:
    weight = checks.array(name, values)
    if weight.shape != (rows,):
        raise ValueError(f"{name} has shape {weight.shape}; give one number for each of the {rows} rows")
    if bool((weight < 0).any()):
        at = int(np.argwhere(np.asarray(weight) < 0)[0][0])
        raise ValueError(f"{name} is {weight[at]} at row {at}; give numbers of at least 0")
    if not bool((weight > 0).any()):
        raise ValueError(f"{name} is 0 at every row; give some rows a weight above 0")
    return checks.to_floats(name, weight)


def _weight_by_class(rows: Batch, class_weight: Mapping[int, float] | str) -> jax.Array:
    """Multiply the weight of each row by that of its class."""
    if isinstance(rows.y, Mapping) or (rows.y.ndim == 2 and rows.y.shape[1] > 1):
        raise ValueError(
            "class_weight is for one label a row, but y holds several numbers; give weights of rows instead"
        )
    labels, places = np.unique(np.asarray(rows.y).reshape(-1), return_inverse=True)
    if class_weight == "balanced":
        of_labels = len(places) / (len(labels) * np.bincount(places))
    elif isinstance(class_weight, Mapping):
        for label, value in class_weight.items():
            if label not in labels:
                raise ValueError(f"class_weight has the class {label!r}, which is not in y; y has {labels.tolist()}")
            checks.in_range(f"class_weight[{label!r}]", value, "[0, inf)")
        of_labels = np.array([class_weight.get(label, 1.0) for label in labels.tolist()], float)
    else:
        raise TypeError(f"class_weight is {class_weight!r}; give 'balanced', or numbers by class such as {{1: 5.0}}")
    weight = np.ones(len(places)) if rows.weight is None else np.asarray(rows.weight)
    return _weight("class_weight times weight", of_labels[places] * weight, len(places))


def _rule(early_stopping: EarlyStopping | None) -> EarlyStopping | None:
    """Return the rule with numbers of fixed types, so that no other type of number compiles anew."""
    if early_stopping is None:
        return None
    floats, target = jnp.zeros(()).dtype, early_stopping.target
    return dataclasses.replace(
        early_stopping,
        patience=jnp.asarray(early_stopping.patience, jnp.int32),
        ignore=jnp.asarray(early_stopping.ignore, jnp.int32),
        min_delta=jnp.asarray(early_stopping.min_delta, floats),
        target=None if target is None else jnp.asarray(target, floats),
    )


def _outputs(recipe: Recipe, params: Params, x: jax.Array) -> int | dict[str, int]:
    """Return the number of the net's outputs, or of those of each head, without computing any."""
    if isinstance(recipe.net, MLP):
        return recipe.net.sizes[-1] if recipe.net.heads is None else dict(recipe.net.heads)

    def forward(x: jax.Array) -> Any:
        drawn = recipe.net.init(jax.random.key(0)) if params is None else params
        return recipe.net.apply(drawn, x)

    return jax.tree.map(lambda outputs: int(outputs.shape[-1]), jax.eval_shape(forward, x[:1]))


def _params(recipe: Recipe, params: Params) -> Params:
    """Return a copy of the parameters: jit may hand an argument on as its result, and the run donates those."""
    for leaf in jax.tree.leaves(params):
        checks.not_traced("params", leaf)
    if isinstance(recipe.net, MLP):
        wanted = jax.eval_shape(recipe.net.init, jax.random.key(0))
        given, count = jax.tree.leaves(params), len(jax.tree.leaves(wanted))
        if len(given) != count:
            raise ValueError(f"params have {len(given)} arrays, the net's own {count}; give what its init returns")
        params = jax.tree.unflatten(jax.tree.structure(wanted), given)  # plain tuples will do
        checks.same_structure(params=params, **{"the net's own": wanted})
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) or not bool(jnp.isfinite(leaf).all()):
            raise ValueError(f"params{jax.tree_util.keystr(path)} holds other than finite floats; convert or mend it")
    return jax.tree.map(functools.partial(jnp.array, copy=True), params)


def _hyper(hyper: Any) -> Any:
    """Return the hyperparameters as Python floats."""
    if hyper is None:
        return None
    for path, leaf in jax.tree_util.tree_flatten_with_path(hyper, is_leaf=lambda leaf: leaf is None)[0]:
        name = f"hyper{jax.tree_util.keystr(path)}"
        checks.not_traced(name, leaf)
        real = leaf is not None and not isinstance(leaf, bool | str) and np.ndim(leaf) == 0
        if not real or not jnp.issubdtype(jnp.result_type(leaf), jnp.number):
            raise TypeError(f"{name} is {leaf!r}; give a single number")
        if not math.isfinite(float(leaf)):
            raise ValueError(f"{name} is {leaf!r}; give a finite number")
    return jax.tree.map(float, hyper)


def _batch_size(batch_size: int | None, n: int) -> int:
    if batch_size is None:
        return n
    batch_size = checks.whole_number("batch_size", batch_size, 1)
    if batch_size > n:
        warnings.warn(
            f"batch_size is {batch_size}, but there are {n} rows; each step takes all of them",
            UserWarning,
            stacklevel=4,
        )
    return min(batch_size, n)
