"""Gradient flow: what becomes of the signal on its way forward, and of the gradient on its way back.

Over the rows i of a batch, each counting as much as its weight, and the units j of layer l::

    z, a          weighted sums and activations: their mean and their spread over rows and units
    delta_il      dl_i / dz_il                              how a row's own loss depends on the layer's sums
    delta         sqrt(mean_i ||delta_il||^2)
    gradient      ||dL / dtheta_l||, Euclidean              W, b and all else that the layer learns
    gradient_rms  the same, divided by the root of the number of the layer's parameters
    update_ratio  ||update_l|| / ||theta_l||                where there is an optimizer
    dead, saturated                                         as ``training.fit(watch=...)`` has them

Weights drawn with the variance gain / inputs keep the norm of delta from layer to layer, whatever the widths (He et al.
2015, section 2.2); its growth or decay is what is judged.
"""

import enum
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from numpy.typing import NDArray

from jaxmlp import checks, training
from jaxmlp.diagnostics import problem, table
from jaxmlp.losses import weighted_mean
from jaxmlp.mlp import MLP
from jaxmlp.training import Program, Recipe
from jaxmlp.types import Batch, Key, Loss, Parametric, Params, sum_of_squares

VANISHED = 0.01
"""The share of the outputs' delta below which a layer's has vanished: at one rate for all it learns a hundred times
more slowly. Nets of up to ten hidden layers, with the initializer that suits their activation, were seen to keep 0.17
or more; sigmoid nets have 0.016 with three hidden layers, 0.004 with four and 0.0002 with six."""

EXPLODED = 100.0
"""The multiple of the outputs' delta, or for unbounded activations of the inputs' size, above which a layer's has
exploded: the reverse of ``VANISHED``. The same nets, fresh and trained, were seen to stay below 10."""

DEAD = 0.5
"""The share of a layer's units that no row of the batch can change, from which on the layer is called dead: half of it
does nothing. ReLU nets 64 wide were seen to begin with up to 0.02, deep or narrow ones with up to 0.4."""

SATURATED = 0.5
"""The share of a layer's activations on the flat ends of a bounded function, from which on it is saturated: half of
what the rows could teach is lost. Half of ReLU's are 0 in good nets, which is no fault, so only functions that are flat
at both ends are judged."""

TOO_LONG = 0.5
"""The length of an update, as a share of the layer's own, above which the rate is too high: little of the layer is
left. The rule of thumb for good rates is 0.001. A 20-64-64-10 net had 0.06 at Adam's best rate, and 0.6 at the first
that failed. SGD's first step is its longest: its best rates had 0.5 to 1.1, the first that failed 1.4."""

RAISED = 2.0
"""By how much a step may raise the loss of the very batch that it is made for; beyond, the rate is too high."""

FAR = (30.0, 60.0)
"""Two sums far out, between which a function that is flat there does not change by a thousandth."""


class Verdict(enum.Enum):
    """What may be wrong with a net, and what to do about it."""

    NOT_FINITE = "not finite: some numbers are NaN or infinite; see Run.replay, scale the data, lower the rate"
    RATE_TOO_HIGH = (
        "rate too high: one step changes a layer by half of itself, or doubles the loss; lower the learning rate"
    )
    DEAD = "dead units: no row reaches half of a layer; start the biases at 0, lower the rate, or take leaky_relu"
    SATURATED = "saturated: most sums lie where the activation is flat; draw smaller weights, or scale the inputs"
    EXPLODING = "exploding: signal or gradient grows a hundredfold; take the activation's own initializer, or normalize"
    VANISHING = "vanishing: the gradient shrinks a hundredfold on its way back; take relu and he_normal, or normalize"
    HEALTHY = "healthy: signals and gradients keep their size through the net"

    @property
    def word(self) -> str:
        """The verdict without its reasons."""
        return self.value.partition(":")[0]


class GradientFlow(NamedTuple):
    """Statistics of each layer, arrays of shape (layers,), and what they mean; printed, a table.

    ``loss`` is that of the batch, ``loss_after`` what a step of the optimizer on that batch makes of it. NaN is what
    there is not: activations, dead and saturated units of the last layer, which is linear; the ratio where there is no
    optimizer, or of a layer of zeros. ``of_layers`` are the verdicts of each layer, empty where nothing is
    wrong, and ``verdicts`` those of the net, the likeliest cause first.
    """

    z_mean: NDArray[Any]
    z_std: NDArray[Any]
    a_mean: NDArray[Any]
    a_std: NDArray[Any]
    delta: NDArray[Any]
    gradient: NDArray[Any]
    gradient_rms: NDArray[Any]
    update_ratio: NDArray[Any]
    dead: NDArray[Any]
    saturated: NDArray[Any]
    loss: float
    loss_after: float
    of_layers: tuple[tuple[Verdict, ...], ...]
    verdicts: tuple[Verdict, ...]

    def __repr__(self) -> str:
        """Lay the layers out as a table below the verdicts."""
        head = ("layer", "verdict", "z mean", "std", "a mean", "std", "delta", "gradient", "rms", "update ratio")
        rows: list[tuple[str, ...]] = [(*head, "dead", "saturated")]
        for i, found in enumerate(self.of_layers):
            words = ", ".join(verdict.word for verdict in found)
            rows.append((f"[{i}]", words, *(table.number(v[i]) for v in self[:8]), *map(table.share, self._units(i))))
        after = "" if np.isnan(self.loss_after) else f", {self.loss_after:.4g} after a step on the same rows"
        lines = [f"{verdict.value}." for verdict in self.verdicts]
        return "\n".join([*lines, f"loss {self.loss:.4g}{after}", table.aligned(rows, words=2)])

    def _units(self, i: int) -> tuple[float, float]:
        return self.dead[i], self.saturated[i]


def gradient_flow(
    recipe: Recipe | MLP,
    params: Params,
    data: Any,
    *,
    loss: Loss | None = None,
    opt_state: Params = None,
    key: Key | None = None,
) -> GradientFlow:
    """Measure signals and gradients layer by layer, and say in words what is wrong.

        delta_l = sqrt(mean_i ||dl_i/dz_il||^2)        vanishing, exploding: delta_1 against that of the outputs

    A set-up is judged by one batch: at the beginning, to see whether a net can be trained at all, and later, to see
    why it is not. Verdicts follow from the constants of this module, each with its reason; a consequence is not named
    beside its cause. Any ``MLP`` is measured; signals and deltas without dropout.

    For a 20-64-64-2 net and 1,000 rows what is compiled has taken as long as 3 steps of training on the same rows, the
    whole call as 11; for 64 rows it was 9, and the checks on the host 70 more, ten milliseconds.

    Args:
        recipe: what is trained, and how; or a net alone, of which no step can be judged.
        params: the net's parameters.
        data: (x, y) or (x, y, weight), as for ``training.fit``: a batch, or all rows.
        loss: that of a net alone; a recipe has its own.
        opt_state: the optimizer's state, such as ``run.state.opt_state``; a new one unless given.
        key: a random key for what is random in a step, dropout and noise, when gradient and update are taken.

    Returns:
        Statistics of each layer, and verdicts.

    Raises:
        TypeError: neither a recipe nor a net with ``loss``; models other than ``MLP``, whose layers are not known.
        ValueError: parameters of another net, or data that the loss would misread.

    Example:
        >>> from jaxmlp import losses
        >>> net = MLP((4, *[16] * 8, 3), "sigmoid")
        >>> x = jax.random.normal(jax.random.key(0), (32, 4))
        >>> params, rows = net.init(jax.random.key(1)), (x, jnp.arange(32) % 3)
        >>> flow = gradient_flow(net, params, rows, loss=losses.softmax_cross_entropy)
        >>> flow.verdicts[0].word, bool(flow.delta[0] < 1e-4 * flow.delta[-1])
        ('vanishing', True)
    """
    recipe, has_optimizer = _recipe(recipe, loss)
    _, params, rows = problem.checked(recipe, params, data)
    if key is not None:
        checks.random_key("key", key)
    opt_state = recipe.optimizer.init(params) if opt_state is None else opt_state
    program = problem.program(recipe, with_optimizer=True)
    found: dict[str, Any] = jax.tree.map(np.float64, _measured(program, params, opt_state, rows, key))
    count, nothing = len(params), np.nan

    def column(name: str) -> NDArray[Any]:
        return np.array([found.get(f"{name}/{i}", nothing) for i in range(count)])

    sizes = np.array([sum(leaf.size for leaf in jax.tree.leaves(layer)) for layer in params])
    ratio = (
        np.where(column("length") > 0, column("update_ratio"), nothing) if has_optimizer else np.full(count, nothing)
    )
    statistics = {
        **{name: column(name) for name in ("z_mean", "z_std", "a_mean", "a_std", "delta")},
        "gradient": column("gradient_norm"),
        "gradient_rms": column("gradient_norm") / np.sqrt(sizes),
        "update_ratio": ratio,
        "dead": column("dead"),
        "saturated": column("saturated"),
    }
    before, after = float(found["loss"]), float(found["loss_after"]) if has_optimizer else nothing
    of_layers = _verdicts(statistics, column("size") / found["size"], column("bounded") > 0, after > RAISED * before)
    named = [verdict for verdict in Verdict if any(verdict in of_layer for of_layer in of_layers)]
    verdicts = tuple(named) or (Verdict.HEALTHY,)
    return GradientFlow(**statistics, loss=before, loss_after=after, of_layers=of_layers, verdicts=verdicts)


def _recipe(recipe: Any, loss: Loss | None) -> tuple[Recipe, bool]:
    """Return a recipe, and whether it has an optimizer."""
    if isinstance(recipe, MLP):
        if loss is None:
            raise TypeError("recipe is a net alone, and loss is None; give its loss, or a training.Recipe")
        return Recipe(recipe, optax.identity(), loss), False
    if loss is not None:
        raise TypeError("loss is given, but recipe has its own; leave loss out, or give a net alone")
    net = getattr(recipe, "net", None)
    if isinstance(recipe, Recipe) and not isinstance(net, MLP):
        raise TypeError(f"recipe.net is {net!r}; give an MLP, whose layers are known")
    return recipe, True


def _verdicts(
    found: dict[str, NDArray[Any]], sizes: NDArray[Any], bounded: NDArray[Any], raised: bool
) -> tuple[tuple[Verdict, ...], ...]:
    """Return what is wrong with each layer.

    Args:
        found: the statistics by name.
        sizes: of each layer's sums, as multiples of the inputs'.
        bounded: whether a layer's activation is.
        raised: whether a step raised the loss; the layer that it changed most is blamed.
    """
    delta, ratio = found["delta"], found["update_ratio"]
    finite = np.isfinite([found["z_std"], delta, found["gradient"]]).all(axis=0)
    too_long = (ratio > TOO_LONG) | (raised & (ratio == np.max(ratio, initial=0, where=~np.isnan(ratio))))
    dead = found["dead"] >= DEAD
    saturated = (found["saturated"] >= SATURATED) & bounded & ~dead
    # A layer of dead or saturated units keeps the gradient from those before it: it is named, not they.
    spoiled = np.cumsum((dead | saturated)[::-1])[::-1] > 0
    # The sums of a bounded activation may be large and its answers are not, so they are judged as saturated.
    exploded = ~saturated & ((delta > EXPLODED * delta[-1]) | ((sizes > EXPLODED) & ~bounded))
    vanished = ~spoiled & (delta < VANISHED * delta[-1])
    faults = {
        Verdict.NOT_FINITE: ~finite,
        Verdict.RATE_TOO_HIGH: finite & too_long,
        Verdict.DEAD: finite & dead,
        Verdict.SATURATED: finite & saturated,
        Verdict.EXPLODING: finite & exploded,
        Verdict.VANISHING: finite & vanished,
    }
    return tuple(tuple(verdict for verdict, where in faults.items() if where[i]) for i in range(len(delta)))


@functools.partial(jax.jit, static_argnums=0)
def _measured(
    program: Program, params: Params, opt_state: Params, rows: Batch, key: Key | None
) -> dict[str, Float[Array, ""]]:
    """Return all that is measured, by its name and the layer's."""
    recipe: Any = program.recipe
    net, weight = recipe.net, rows.weight
    plan = training.plan_step(recipe, params, opt_state, rows, key)
    values = dict(training.measure_plan(recipe, params, plan, rows))
    after = plan.carried_out(params).params
    values["loss"], values["loss_after"] = (training.evaluate(recipe, p, rows)["loss"] for p in (params, after))
    values["size"] = jnp.sqrt(_mean(jnp.square(rows.x), weight))
    for i, stage, numbers in net.stages(params, rows.x):
        name = {"weighted sums": "z", "activations": "a", "outputs": "z"}.get(stage)
        if name is not None:
            whole = numbers if net.heads is None or stage != "outputs" else jnp.concatenate(list(numbers.values()), -1)
            mean = _mean(whole, weight)
            values[f"{name}_mean/{i}"] = mean
            values[f"{name}_std/{i}"] = jnp.sqrt(_mean(jnp.square(whole - mean), weight))
            values |= {f"size/{i}": jnp.sqrt(_mean(jnp.square(whole), weight))} if name == "z" else {}
    for i, delta in enumerate(_deltas(recipe, params, rows)):
        values[f"delta/{i}"] = _size(delta, weight)
        values[f"length/{i}"] = sum_of_squares(params[i])
    for i, activation in enumerate(net.hidden_activations):
        values[f"bounded/{i}"] = _is_bounded(activation, params[i])
    return values


def _size(delta: Array, weight: Array | None) -> Array:
    """Return sqrt(mean_i ||delta_i||^2), whose squares would be 0 for a gradient that has all but vanished."""
    largest = jnp.max(jnp.abs(delta))
    scale = jnp.where(largest > 0, largest, 1)
    return scale * jnp.sqrt(weighted_mean(jnp.sum(jnp.square(delta / scale), axis=1), weight))


def _mean(numbers: Array, weight: Array | None) -> Array:
    """Return the mean over units and rows, each row counting as much as its weight says."""
    return weighted_mean(jnp.mean(numbers, axis=1), weight)


def _deltas(recipe: Recipe, params: Params, rows: Batch) -> tuple[Float[Array, "rows units"], ...]:
    """Return dl_i/dz for the weighted sums of each layer.

    A bias is added to its sum alone, so a row's slope by the bias is that by the sum; whatever else the net has.
    """
    biases = tuple(layer.b for layer in params)

    def of_row(biases: Any, x: Array, y: Any) -> Array:
        moved = tuple(layer._replace(b=b) for layer, b in zip(params, biases, strict=True))
        row = Batch(x[None], jax.tree.map(lambda part: part[None], y))
        return training.evaluate(recipe, moved, row)["loss"]

    return jax.vmap(jax.grad(of_row), in_axes=(None, 0, 0))(biases, rows.x, rows.y)


def _is_bounded(activation: Any, layer: Any) -> Array:
    """Return whether a hidden layer's activation is flat at both ends."""
    near, far = (jnp.array([[-distance], [distance]], layer.w.dtype) for distance in FAR)
    if isinstance(activation, Parametric):
        activation = functools.partial(activation.apply, layer.activation)
        near, far = (jnp.broadcast_to(ends, (2, len(layer.b))) for ends in (near, far))
    return jnp.all(jnp.abs(activation(far) - activation(near)) < 1e-3).astype(float)
