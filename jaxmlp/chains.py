"""Chains: what the state of a chain of gradient transforms tells about it.

optax's ``chain`` hides its links, but its state is a tuple of theirs, in order, and every state here has a type of
its own. From that it can be known before training whether a chain stands in an order that is known to be wrong,
and where a run is to be evaluated.
"""

import enum
import itertools
from typing import Any

import jax

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
    SCALE = 7
    CONSTRAINT = 8
    AVERAGE = 9


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
    optimizers.ScheduleFreeState: (Stage.RATE, "schedule_free"),
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
    if earlier is Stage.AVERAGE and later is not Stage.AVERAGE:
        return "ema averages the parameters after the step, so let it come last"
    if earlier is Stage.CONSTRAINT and later.value < Stage.CONSTRAINT.value:
        return "what follows a constraint can leave it again, so let constraints come last, with only ema behind"
    if later is Stage.SHARPNESS:
        return "sam takes the gradient anew, which loses what came before, so let it come first"
    if later is Stage.PENALTY and earlier in (Stage.DIRECTION, Stage.RATE):
        return "a penalty joins the loss's gradient, so let it stand before the optimizer"
    if (earlier, later) == (Stage.DECAY, Stage.DIRECTION):
        return "decay that a direction scales is not decoupled, so let it stand between direction and rate, or take l2"
    if (earlier, later) == (Stage.RATE, Stage.DECAY):
        return "decay behind the rate makes weights grow, so let it stand between direction and rate"
    if (earlier, later) == (Stage.RATE, Stage.RATE):
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
        ValueError: the chain keeps more than one average.

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
    if len(averages) > 1:
        names = " and ".join(type(average).__name__ for average in averages)
        raise ValueError(f"the optimizer keeps {len(averages)} averages, {names}; keep one, where the run is evaluated")
    return averages[0].evaluation_params(params) if averages else params


def _links(state: Any) -> list[tuple[Stage, str]]:
    """Return the stages of a chain in order, having checked them; a wrapper's are those of what it wraps."""
    if type(state) in STAGES:
        return [STAGES[type(state)]]
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(state)):
        return []
    of_parts = [_links(part) for part in jax.tree.leaves(state, is_leaf=lambda node: node is not state)]
    if type(state) is not tuple:  # side by side, as in optax.partition: only of a single one is the place known
        known = [links for links in of_parts if links]
        return known[0] if len(known) == 1 else []
    links = list(itertools.chain.from_iterable(of_parts))
    for (earlier, earlier_name), (later, later_name) in itertools.combinations(links, 2):
        wrong = why_wrong(earlier, later)
        if wrong is not None:
            raise ValueError(f"{later_name} stands behind {earlier_name}: {wrong}")
    return links
