"""Losses: how wrong the outputs are, one number per row.

The library takes one weighted mean over the rows (``weighted_mean``); sample weights, class weights, folds
and the padding of the last batch are that one mechanism. ``outputs`` are raw: each loss holds the squashing
that it needs, which keeps it exact where a probability would round to 0 or 1.

Every loss is a function of (outputs, targets) and may be used as it stands. Some take numbers besides, by name;
``functools.partial`` fills them in, and every one may be traced::

    training.Recipe(net, optimizer, losses.huber)
    training.Recipe(net, optimizer, functools.partial(losses.huber, delta=hyper["delta"]))

Of a row's outputs the mean is taken, never the sum, so a loss does not grow with their number. Shapes must match
exactly: what NumPy would broadcast is refused, inside of a compiled program as well. ``PerHead`` sums up the losses of
a net with several heads, and ``predictions`` are what the outputs mean to a loss.
"""

from jaxmlp.losses.classification import sigmoid_binary_cross_entropy, sigmoid_focal, softmax_cross_entropy
from jaxmlp.losses.heads import PerHead
from jaxmlp.losses.margins import hinge, perceptron
from jaxmlp.losses.predictions import predictions
from jaxmlp.losses.regression import absolute_error, huber, poisson, quantile, squared_error
from jaxmlp.losses.rows import weighted_mean
from jaxmlp.losses.targets import targets_for

__all__ = [
    "PerHead",
    "absolute_error",
    "hinge",
    "huber",
    "perceptron",
    "poisson",
    "predictions",
    "quantile",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal",
    "softmax_cross_entropy",
    "squared_error",
    "targets_for",
    "weighted_mean",
]
