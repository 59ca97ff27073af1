"""The multilayer perceptron: a description, its parameters, and the forward pass between them.

With x the inputs, for hidden layers l = 0 ... H - 1::

    z_0     = x @ w_0 + b_0                                    the weighted sums
    a_l     = dropout(activation(normalization(z_l)))          what hidden layer l makes of them
    z_(l+1) = a_l @ w_(l+1) + b_(l+1)                          the next ones
            + z_l                                              residual: where hidden layers l, l + 1 are equally wide
    outputs = z_H                                              the last layer is linear: squashing belongs to the loss

Normalization and residual blocks are off unless asked for. ``net`` is the description and the forward pass,
``table`` what ``net.summary()`` says.
"""

from jaxmlp.mlp.net import MLP
from jaxmlp.mlp.table import LayerSummary

__all__ = ["MLP", "LayerSummary"]
