"""The threshold logic unit: inputs of different weight, and a threshold that decides.

y = h(w . x - theta),        h(z) = 1 if z >= 0 else 0

theta is the threshold. What McCulloch and Pitts did with counted endings and a veto, weights do: an input may count
more than another, or speak against.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmlp.activations import threshold as heaviside
from jaxmlp.neurons.rows import inputs_of
from jaxmlp.types import Scalar, floats


class ThresholdUnit(NamedTuple):
    """A unit that fires if the weighted sum of its inputs reaches the threshold.

        y = 1 if w . x >= threshold else 0

    Shall I go to the concert tonight? Three things speak for it, and they count differently: good weather 2, a friend
    who comes along 3, a tram stop near the hall 2. Five points are enough to leave the house. The evenings below:
    all three hold; no friend; no tram; bad weather; nothing but the friend.

        >>> weather_friend_tram = jnp.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0]])
        >>> ThresholdUnit(w=jnp.array([2.0, 3.0, 2.0]), threshold=5.0).apply(weather_friend_tram)
        Array([1., 0., 1., 1., 0.], dtype=float32)

    The friend and one thing more it must be: 5 points just do. Whoever is keener on music has a lower threshold, and
    goes for the friend alone or for weather and tram; whoever is tired asks for all three. What speaks for going is
    the same to them, the decision is not.

        >>> ThresholdUnit(w=jnp.array([2.0, 3.0, 2.0]), threshold=3.0).apply(weather_friend_tram)
        Array([1., 1., 1., 1., 1.], dtype=float32)
        >>> ThresholdUnit(w=jnp.array([2.0, 3.0, 2.0]), threshold=6.0).apply(weather_friend_tram)
        Array([1., 0., 0., 0., 0.], dtype=float32)

    Attributes:
        w: the weights, of shape (inputs,).
        threshold: theta, what the weighted sum must reach, a scalar in units of the sum.
    """

    w: Float[Array, "inputs"]
    threshold: Scalar

    def apply(self, x: Shaped[Array, "*rows inputs"]) -> Float[Array, "*rows"]:
        """Tell for each row whether the unit fires.

        Args:
            x: inputs of shape (..., inputs), any numbers.

        Returns:
            Zeros and ones of shape (...).

        Raises:
            ValueError: ``x`` has another number of inputs than ``w`` has weights.

        Example:
            >>> ThresholdUnit(w=jnp.array([1.0, -1.0]), threshold=0.0).apply(jnp.array([[0.3, 0.3], [0.3, 0.4]]))
            Array([1., 0.], dtype=float32)
        """
        sums = inputs_of(x, self.w) @ floats(self.w)
        return heaviside(sums - jnp.asarray(self.threshold, sums.dtype))
