"""Plots: one function, one picture.

Each draws on the matplotlib axes it is given, or on new ones that need no display, and returns them; the one picture
with several axes takes and returns a figure. Lines differ by their dashes, points by their markers and areas by their
lightness, so pictures survive black and white. They take arrays and plain results. What is not drawn, because it
would not fit or is not finite, is said in the picture.

``curves`` is learning over time, ``hyperparameters`` what settings come to, ``answers`` what a net says and what is
true, ``plane`` two inputs and the boundary between classes, ``surface`` the loss over two weights, ``functions`` the
activations, ``diagram`` a net's units and weights, ``weights`` weights and gradients in numbers; ``animations`` are
GIFs.
"""

from jaxmlp.plots.animations import decision_boundary_gif, race_gif
from jaxmlp.plots.answers import calibration, confusion_matrix, predicted_against_true
from jaxmlp.plots.curves import learning_curves
from jaxmlp.plots.diagram import network
from jaxmlp.plots.functions import activation_gallery
from jaxmlp.plots.hyperparameters import heat_map, ladder, settings
from jaxmlp.plots.plane import decision_boundary, moving_line
from jaxmlp.plots.surface import loss_surface
from jaxmlp.plots.weights import gradient_flow, regularization_paths, weight_histograms

__all__ = [
    "activation_gallery",
    "calibration",
    "confusion_matrix",
    "decision_boundary",
    "decision_boundary_gif",
    "gradient_flow",
    "heat_map",
    "ladder",
    "learning_curves",
    "loss_surface",
    "moving_line",
    "network",
    "predicted_against_true",
    "race_gif",
    "regularization_paths",
    "settings",
    "weight_histograms",
]
