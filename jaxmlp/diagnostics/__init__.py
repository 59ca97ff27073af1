"""Diagnostics: looking inside a net and its training.

In reading order: ``backprop`` shows backpropagation step by step, as a textbook has it; ``flow`` measures signals and
gradients layer by layer and says in words what is wrong; ``links`` what each part of an optimizer did; ``surface``
is the loss around the parameters, or around a run's path; ``curvature`` how large a rate may be; ``rows`` which rows
are suspect; ``cost`` what a net takes. ``problem`` checks what they are given, ``table`` prints what they found.
"""

from jaxmlp.diagnostics.backprop import Backprop, BackpropLayer, backprop
from jaxmlp.diagnostics.cost import Flops, flops
from jaxmlp.diagnostics.curvature import HessianExtremes, condition_number, hessian_extremes
from jaxmlp.diagnostics.flow import GradientFlow, Verdict, gradient_flow
from jaxmlp.diagnostics.links import Explanation, Link, explain
from jaxmlp.diagnostics.rows import PerRow, per_row
from jaxmlp.diagnostics.surface import Surface, loss_surface, path_of

__all__ = [
    "Backprop",
    "BackpropLayer",
    "Explanation",
    "Flops",
    "GradientFlow",
    "HessianExtremes",
    "Link",
    "PerRow",
    "Surface",
    "Verdict",
    "backprop",
    "condition_number",
    "explain",
    "flops",
    "gradient_flow",
    "hessian_extremes",
    "loss_surface",
    "path_of",
    "per_row",
]
