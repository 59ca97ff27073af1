"""Neurons: single units and the rules by which they learn, from 1943 to 1999, one subject per file.

Drawn by hand: ``McCullochPitts``, the gates and a ``Circuit`` of two layers, ``ThresholdUnit``. Learned::

    learn_perceptron               Rosenblatt 1958    stops at the first epoch without a mistake
    learn_averaged_perceptron      Freund, Schapire 1999    answers with the average of its weights
    learn_multiclass_perceptron    Kesler; Crammer, Singer 2003    one unit per class
    learn_pocket                   Gallant 1990    keeps the best unit where no hyperplane separates
    learn_adaline                  Widrow, Hoff 1960    corrects by as much as the output is off

A unit is a tuple of arrays with ``apply(x)``, the forward pass; a rule is a pure function from rows and labels to what
its learning leaves behind, compiled as one program. Labels are 0 and 1, what a threshold unit answers. Bad numbers are
refused on the host; inside jit or vmap only shapes can be. ``separability`` tells whether a hyperplane separates two
classes, and how many mistakes the perceptron can make on the way to one.

In the equations x is a row, w are weights, b is the bias, eta the learning rate, t = 2 y - 1 the sign of a label, and
h(z) = 1 if z >= 0 else 0 the threshold.
"""

from jaxmlp.neurons.adaline import Adaline, AdalineRun, learn_adaline
from jaxmlp.neurons.averaged_perceptron import AveragedRun, learn_averaged_perceptron
from jaxmlp.neurons.epochs import MistakesRun
from jaxmlp.neurons.gates import and_gate, majority_gate, nand_gate, nor_gate, not_gate, or_gate, xor_gate
from jaxmlp.neurons.mcculloch_pitts import Circuit, McCullochPitts
from jaxmlp.neurons.multiclass_perceptron import MulticlassPerceptron, learn_multiclass_perceptron
from jaxmlp.neurons.perceptron import Perceptron, learn_perceptron
from jaxmlp.neurons.pocket import PocketRun, learn_pocket
from jaxmlp.neurons.separability import Separability, separability
from jaxmlp.neurons.threshold_unit import ThresholdUnit

__all__ = [
    "Adaline",
    "AdalineRun",
    "AveragedRun",
    "Circuit",
    "McCullochPitts",
    "MistakesRun",
    "MulticlassPerceptron",
    "Perceptron",
    "PocketRun",
    "Separability",
    "ThresholdUnit",
    "and_gate",
    "learn_adaline",
    "learn_averaged_perceptron",
    "learn_multiclass_perceptron",
    "learn_perceptron",
    "learn_pocket",
    "majority_gate",
    "nand_gate",
    "nor_gate",
    "not_gate",
    "or_gate",
    "separability",
    "xor_gate",
]
