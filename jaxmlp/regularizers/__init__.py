"""Regularizers: what keeps a net from learning its rows by heart, and its steps from exploding.

What goes where, in a chain from the gradient to the step::

    optax.chain(
        sharpness,       optimizers.scale_by_sam: takes the gradient elsewhere, so nothing may stand before it
        clipping, noise  clip_by_value, clip_by_norm, clip_by_global_norm, clip_adaptive; gradient_noise
        penalties        l1, l2, elastic_net: their gradients join the loss's
        direction        optimizers.scale_by_adam, ...
        weight decay     weight_decay
        rate             optimizers.sgd; whole optimizers such as adam are direction and rate in one
        plateau          schedules.reduce_on_plateau
        constraints      proximal_l1, max_norm, unit_norm, non_negative
        average          ema
    )

``training.fit`` refuses the orders that are known to be wrong (see ``chains``). ``dropout`` and ``alpha_dropout``
work inside of the net, ``input_noise`` and ``mixup`` on the batch (``Recipe(augment=...)``), and stopping early is
a rule of its own (``early_stopping``).

In the equations w are weights, theta all parameters, g the gradient, u what has become of it on its way through
the chain, eta the learning rate. Every number may be traced.
"""

from jaxmlp.regularizers.averaging import EMAState, ema
from jaxmlp.regularizers.clipping import (
    ClippingState,
    clip_adaptive,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from jaxmlp.regularizers.constraints import ConstraintState, max_norm, non_negative, proximal_l1, unit_norm
from jaxmlp.regularizers.noise import (
    Augment,
    GradientNoiseState,
    alpha_dropout,
    dropout,
    gradient_noise,
    input_noise,
    mixup,
)
from jaxmlp.regularizers.penalties import (
    PenaltyState,
    WeightDecayState,
    elastic_net,
    l1,
    l2,
    weight_decay,
)

__all__ = [
    "Augment",
    "ClippingState",
    "ConstraintState",
    "EMAState",
    "GradientNoiseState",
    "PenaltyState",
    "WeightDecayState",
    "alpha_dropout",
    "clip_adaptive",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "dropout",
    "elastic_net",
    "ema",
    "gradient_noise",
    "input_noise",
    "l1",
    "l2",
    "max_norm",
    "mixup",
    "non_negative",
    "proximal_l1",
    "unit_norm",
    "weight_decay",
]
