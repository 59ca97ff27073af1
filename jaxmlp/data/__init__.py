"""Data: scaling, the order of batches, and splits.

Read ``scaling`` first, then ``order``, then ``splits``, which draws on the order. Fit a scaler on the training part
only, or the test set leaks into the model. Random order is a keyed bijection of the row numbers: nothing is sorted,
and nothing is stored.
"""

from jaxmlp.data.order import order
from jaxmlp.data.scaling import MinMaxScaler, StandardScaler
from jaxmlp.data.splits import split

__all__ = ["MinMaxScaler", "StandardScaler", "order", "split"]
