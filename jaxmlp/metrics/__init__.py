"""Metrics: what a person reads.

Each takes the outputs and targets of a whole data set, and optionally a weight per row, and returns one
number. They are pure and run inside the compiled program; a row of weight 0 does not count, whatever it holds.
Some take an argument besides, by name, which is part of the program's structure; ``functools.partial`` fills it in::

    training.fit(..., metrics={"top 3": functools.partial(metrics.top_k_accuracy, k=3)})

``outputs`` are raw, of shape (rows, outputs). Targets of classification have one of two forms, which their shape tells:

    labels        0 ... classes - 1, of shape (rows,), for two outputs or more: classes that exclude each other,
                  as ``losses.softmax_cross_entropy`` learns them
    yes or no     of the outputs' own shape, yes above 1/2: one answer for each output, as
                  ``losses.sigmoid_binary_cross_entropy`` learns them; the answer is yes where the output is above 0

So where ``softmax_cross_entropy`` learns probabilities, give the metrics ``targets.argmax(axis=1)``; a run refuses what
they would misread. ``OfHead`` is the metric of one head of a net that has several. Sums are taken in
float32 at least. What scikit-learn has too equals it, sample weights included, on the rows whose weight is above 0.
"""

from jaxmlp.metrics.answers import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    top_k_accuracy,
)
from jaxmlp.metrics.errors import mean_absolute_error, mean_squared_error, r2, root_mean_squared_error
from jaxmlp.metrics.heads import OfHead
from jaxmlp.metrics.probabilities import brier, expected_calibration_error, log_loss
from jaxmlp.metrics.ranking import roc_auc

__all__ = [
    "OfHead",
    "accuracy",
    "balanced_accuracy",
    "brier",
    "confusion_matrix",
    "expected_calibration_error",
    "f1",
    "log_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "roc_auc",
    "root_mean_squared_error",
    "top_k_accuracy",
]
