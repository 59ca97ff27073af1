"""Optimizers: gradient transforms, one published method per file.

Each is a function of numbers that returns optax's ``GradientTransformation``, a pair of pure functions
``init(params)`` and ``update(updates, state, params)``, and chains with optax's own both ways. Updates are
added to the parameters, so they carry the minus sign of descent. A method is a direction and a rate in one:
``adam(1e-3)`` is ``optax.chain(scale_by_adam(), sgd(1e-3))``; what goes between them, before them and behind them
stands in ``regularizers``.

In the equations theta are the parameters, g the gradient at theta, eta the learning rate and t = 1, 2, ...
the step; operations on vectors are element-wise. Every number may be traced, and every learning rate may be a
schedule, a function of the number of steps already made. How the numbers of other libraries and of the textbook
translate into these stands in ``DIALECTS.md`` beside this file.
"""

from jaxmlp.optimizers.adadelta import AdaDeltaState, adadelta, scale_by_adadelta
from jaxmlp.optimizers.adagrad import AdaGradState, adagrad, scale_by_adagrad
from jaxmlp.optimizers.adam import AdamState, adam, scale_by_adam
from jaxmlp.optimizers.adamax import AdaMaxState, adamax, scale_by_adamax
from jaxmlp.optimizers.adamw import adamw
from jaxmlp.optimizers.amsgrad import AMSGradState, amsgrad, scale_by_amsgrad
from jaxmlp.optimizers.lion import LionState, lion, scale_by_lion
from jaxmlp.optimizers.momentum import MomentumState, momentum, scale_by_momentum
from jaxmlp.optimizers.muon import OrthogonalizeState, muon, newton_schulz, orthogonalize
from jaxmlp.optimizers.nadam import NAdamState, nadam, scale_by_nadam
from jaxmlp.optimizers.nesterov import NesterovState, nesterov, scale_by_nesterov
from jaxmlp.optimizers.rmsprop import RMSPropState, rmsprop, scale_by_rmsprop
from jaxmlp.optimizers.sam import SAMState, sam, scale_by_sam
from jaxmlp.optimizers.schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_adamw,
    schedule_free_sgd,
)
from jaxmlp.optimizers.sgd import SGDState, sgd

__all__ = [
    "AMSGradState",
    "AdaDeltaState",
    "AdaGradState",
    "AdaMaxState",
    "AdamState",
    "LionState",
    "MomentumState",
    "NAdamState",
    "NesterovState",
    "OrthogonalizeState",
    "RMSPropState",
    "SAMState",
    "SGDState",
    "ScheduleFreeState",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "lion",
    "momentum",
    "muon",
    "nadam",
    "nesterov",
    "newton_schulz",
    "orthogonalize",
    "rmsprop",
    "sam",
    "scale_by_adadelta",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_amsgrad",
    "scale_by_lion",
    "scale_by_momentum",
    "scale_by_nadam",
    "scale_by_nesterov",
    "scale_by_rmsprop",
    "scale_by_sam",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
]
