"""Optimizers: gradient transforms, one published method per file.

Each file holds, in this order, the reference, the equation in the paper's symbols, the state and the code.
A transform is optax's pair ``init(params)`` and ``update(updates, state, params)``, and chains with optax's
own both ways. Updates are added to the parameters, so they carry the minus sign of descent.

In the equations theta are the parameters, g the gradient at theta, eta the learning rate and t = 1, 2, ...
the step; operations on vectors are element-wise. Every hyperparameter may be traced, and every learning
rate may be a schedule, a function of the number of steps already made.
"""

from jaxmlp.optimizers.adam import AdamState, adam, scale_by_adam
from jaxmlp.optimizers.sgd import SGDState, sgd

__all__ = ["AdamState", "SGDState", "adam", "scale_by_adam", "sgd"]
