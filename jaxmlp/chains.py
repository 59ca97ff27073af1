"""Chains: what the state of a chain of gradient transforms tells about it.

optax's ``chain`` hides its links, but its state is a tuple of theirs, in order, and every state here has a type of
its own. From that it can be known before training whether a chain stands in an order that is known to be wrong,
and later where a run is to be evaluated, and how large its steps are.
"""

import enum
import itertools
import math
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxmlp import optimizers, regularizers, schedules
from jaxmlp.types import Params


class Stage(enum.Enum):
    """Where in a chain a transform belongs; the value is its place."""

    SHARPNESS = 1
    GRADIENT = 2
    PENALTY = 3
    DIRECTION = 4
    DECAY = 5
    RATE = 6
    AVERAGED_RATE = 7
    SCALE = 8
    CONSTRAINT = 9
    AVERAGE = 10


STAGES: dict[type, tuple[Stage, str]] = {
    optimizers.SAMState: (Stage.SHARPNESS, "sam"),
    regularizers.ClippingState: (Stage.GRADIENT, "clipping"),
    regularizers.GradientNoiseState: (Stage.GRADIENT, "gradient_noise"),
    regularizers.PenaltyState: (Stage.PENALTY, "a penalty (l1, l2, elastic_net)"),
    optimizers.MomentumState: (Stage.DIRECTION, "momentum"),
    optimizers.NesterovState: (Stage.DIRECTION, "nesterov"),
    optimizers.AdaGradState: (Stage.DIRECTION, "adagrad"),
    optimizers.AdaDeltaState: (Stage.DIRECTION, "adadelta"),
    optimizers.RMSPropState: (Stage.DIRECTION, "rmsprop"),
    optimizers.AdamState: (Stage.DIRECTION, "adam"),
    optimizers.AMSGradState: (Stage.DIRECTION, "amsgrad"),
    optimizers.AdaMaxState: (Stage.DIRECTION, "adamax"),
    optimizers.NAdamState: (Stage.DIRECTION, "nadam"),
    optimizers.LionState: (Stage.DIRECTION, "lion"),
    optimizers.OrthogonalizeState: (Stage.DIRECTION, "muon"),
    regularizers.WeightDecayState: (Stage.DECAY, "weight_decay"),
    optimizers.SGDState: (Stage.RATE, "sgd (the learning rate)"),
    optimizers.ScheduleFreeState: (Stage.AVERAGED_RATE, "schedule_free"),
    schedules.PlateauState: (Stage.SCALE, "reduce_on_plateau"),
    regularizers.ConstraintState: (Stage.CONSTRAINT, "a constraint (proximal_l1, max_norm, unit_norm, non_negative)"),
    regularizers.EMAState: (Stage.AVERAGE, "ema"),
}
"""The stage of a chain that each state belongs to, and what to call it."""


def why_wrong(earlier: Stage, later: Stage) -> str | None:
    """Return why a transform of one stage must not stand behind one of another; None if it may.

    Args:
        earlier: the stage of the transform that the gradient meets first.
        later: the stage of one behind it.

    Returns:
        A sentence, or None.

    Example:
        >>> why_wrong(Stage.PENALTY, Stage.DIRECTION) is None
        True
        >>> why_wrong(Stage.RATE, Stage.PENALTY)
        "a penalty joins the loss's gradient, so let it stand before the optimizer"
    """
    rates = (Stage.RATE, Stage.AVERAGED_RATE)
    if earlier is Stage.AVERAGE and later is not Stage.AVERAGE:
        return "ema averages the parameters after the step, so let it come last"
    if earlier is Stage.CONSTRAINT and later.value < Stage.CONSTRAINT.value:
        return "what follows a constraint can leave it again, so let constraints come last, with only ema behind"
    if earlier is Stage.AVERAGED_RATE and later is Stage.CONSTRAINT:
        return "a constraint does not reach its average, where the run is evaluated, so take another optimizer"
    if earlier is Stage.AVERAGED_RATE and later is Stage.SCALE:
        return "the points that it averages do not follow a scaled step, so take another optimizer"
    if (earlier, later) == (Stage.SCALE, Stage.DIRECTION):
        return "a direction with a memory of its own undoes the scale, so let reduce_on_plateau come behind it"
    if later is Stage.SHARPNESS:
        return "sam takes the gradient anew, which loses what came before, so let it come first"
    if later is Stage.PENALTY and earlier in (Stage.DIRECTION, *rates):
        return "a penalty joins the loss's gradient, so let it stand before the optimizer"
    if (earlier, later) == (Stage.DECAY, Stage.DIRECTION):
        return "decay that a direction scales is not decoupled, so let it stand between direction and rate, or take l2"
    if earlier in rates and later is Stage.DECAY:
        return "decay behind the rate makes weights grow, so let it stand between direction and rate"
    if earlier in rates and later in rates:
        return "two rates, each with the minus sign of descent, climb; keep one"
    return None


def check_order(opt_state: Params) -> None:
    """Refuse a chain in an order that is known to be wrong; transforms that are not this project's pass.

    Args:
        opt_state: what the chain's ``init`` returns.

    Raises:
        ValueError: a penalty behind the optimizer, weight decay before the direction or behind the rate, a constraint
            or an average that is not last, sam that is not first, or two optimizers in a row.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> chain = optax.chain(optimizers.adam(1e-3), regularizers.l2(1e-4))
        >>> check_order(chain.init(jnp.ones((2, 2))))
        Traceback (most recent call last):
        ValueError: a penalty (l1, l2, elastic_net) stands behind adam: a penalty joins the loss's gradient, ...
    """
    _links(opt_state)


def evaluation_params(opt_state: Params, params: Params) -> Params:
    """Return the parameters at which a run is to be evaluated: an average, if the chain keeps one.

    Args:
        opt_state: the state of the optimizer, such as ``ema``'s, Schedule-Free's, or of a chain with one of them.
        params: the parameters where the run stands; they are returned where there is no average.

    Returns:
        Parameters of the same structure, shapes and dtypes.

    Raises:
        ValueError: the chain keeps two averages of the same parameter.

    Example:
        >>> import jax.numpy as jnp
        >>> transform = optimizers.schedule_free_sgd(0.5)
        >>> theta = jnp.array([[1.0]])
        >>> _, state = transform.update(jnp.array([[1.0]]), transform.init(theta), theta)
        >>> evaluation_params(state, theta)
        Array([[0.5]], dtype=float32)
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: hasattr(node, "evaluation_params"))
    averages = [node for node in nodes if hasattr(node, "evaluation_params")]
    at, averaged = params, [False] * len(jax.tree.leaves(params))
    for average in averages:
        new = average.evaluation_params(at)
        changed = [a is not b for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(at), strict=True)]
        if any(map(operator.and_, changed, averaged)):
            names = " and ".join(type(a).__name__ for a in averages)
            raise ValueError(
                f"the optimizer keeps {len(averages)} averages, {names}; keep one, where the run is evaluated"
            )
        at, averaged = new, list(map(operator.or_, changed, averaged))
    return at


def learning_rates(opt_state: Params) -> tuple[Float[Array, "..."], ...]:
    """Return the learning rates that the last step was made with; before any step, those of the first.

    They stand in the states of ``sgd``, which ends most methods, of Schedule-Free, of ``optax.inject_hyperparams``
    and of optax's line searches. The scale of ``reduce_on_plateau``, ours or optax's, is multiplied in.

    Args:
        opt_state: the state of the optimizer, or of a chain with one in it.

    Returns:
        Scalars in the chain's order, those of ``optax.partition`` in the order of its labels; none for a method that
        keeps no rate in its state, such as ``optax.adam``.

    Example:
        >>> transform = optax.chain(optimizers.adam(optax.linear_schedule(0.1, 0.0, 10)), schedules.reduce_on_plateau())
        >>> theta = jnp.ones(2)
        >>> state = transform.init(theta)
        >>> for _ in range(6):
        ...     _, state = transform.update(theta, state, theta, value=1.0)
        >>> learning_rates(state)  # the sixth step was that of count 5
        (Array(0.05, dtype=float32),)
    """
    rates, scale = _rates(opt_state)
    return tuple(scale * rate for rate in rates)


def _rates(state: Any) -> tuple[list[Array], Array | int]:
    """Return the rates in a part of a state, and what it scales the updates of the whole chain by."""
    if isinstance(state, schedules.PlateauState | optax.contrib.ReduceLROnPlateauState):
        return [], jnp.asarray(state.scale, float)
    if _is_rate(getattr(state, "learning_rate", None)):
        return [jnp.asarray(state.learning_rate, float)], 1
    if isinstance(state, optax.MaskedState):  # what scales some of the parameters leaves the other rates as they are
        rates, scale = _rates(state.inner_state)
        return [scale * rate for rate in rates], 1
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(state)):
        return [], 1
    # As jit has them: a dict comes out of it with its keys in order.
    parts = list(map(_rates, jax.tree.leaves(state, is_leaf=lambda node: node is not state)))
    rates = [rate for of_part, _ in parts for rate in of_part]
    injected = getattr(state, "hyperparams", None)
    if not rates and isinstance(injected, Mapping) and _is_rate(injected.get("learning_rate")):
        rates = [jnp.asarray(injected["learning_rate"], float)]
    return rates, math.prod(scale for _, scale in parts)


def _is_rate(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | float)


class _Link(NamedTuple):
    """A transform in a chain; ``masked`` if it acts on a part of the parameters only."""

    stage: Stage
    name: str
    masked: bool = False


def _links(state: Any) -> list[_Link]:
    """Return the links of a chain in order, having checked them; a wrapper's are those of what it wraps."""
    if type(state) in STAGES:
        return [_Link(*STAGES[type(state)])]
    if isinstance(state, optax.MaskedState):
        return [link._replace(masked=True) for link in _links(state.inner_state)]
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(state)):
        return []
    parts = (
        state.values() if isinstance(state, dict) else jax.tree.leaves(state, is_leaf=lambda node: node is not state)
    )
    links = list(itertools.chain.from_iterable(map(_links, parts)))
    for earlier, later in itertools.combinations(links, 2):
        # Two with a mask each, as in optax.partition, may act side by side.
        wrong = None if earlier.masked and later.masked else why_wrong(earlier.stage, later.stage)
        if wrong is not None:
            raise ValueError(f"{later.name} stands behind {earlier.name}: {wrong}")
    return links
