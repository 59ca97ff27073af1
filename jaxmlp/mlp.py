"""The multilayer perceptron: a description, its parameters, and the forward pass between them.

For layers l = 1 ... L, with a_0 = x::

    z_l = a_(l-1) @ w_l + b_l        the weighted sums
    a_l = activation(z_l)            hidden layers; dropout follows
    outputs = z_L                    the last layer is linear: squashing belongs to the loss
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp import checks
from jaxmlp.activations import ACTIVATIONS, identity, selu, softmax
from jaxmlp.initializers import INITIALIZERS, initializer_for
from jaxmlp.regularizers import alpha_dropout, dropout
from jaxmlp.types import Activation, Initializer, Key, Layer, Scalar


@dataclasses.dataclass(frozen=True)
class MLP:
    """A multilayer perceptron, described; its parameters live outside of it.

    Attributes:
        sizes: units of each layer, (inputs, hidden ..., outputs); two sizes make a linear model.
        activation: of the hidden layers, a name from ``activations.ACTIVATIONS`` or an element-wise function.
        initializer: a name from ``initializers.INITIALIZERS`` or a function for all weights; None takes what
            suits each layer's activation. Biases start at 0.
        dropout: share of the units that is dropped in each hidden layer while training, in [0, 1). Zero as a
            Python number leaves the masks out of the program; a traced rate may be swept. Units of SELU are
            not dropped but saturated (``regularizers.alpha_dropout``).

    Raises:
        TypeError: ``sizes`` are not whole numbers.
        ValueError: fewer than two sizes, an empty layer, an unknown name, a rate outside [0, 1).

    Example:
        >>> net = MLP(sizes=(64, 128, 10), activation="tanh", dropout=0.2)
        >>> params = net.init(jax.random.key(0))
        >>> [tuple(layer.w.shape) for layer in params]
        [(64, 128), (128, 10)]
        >>> net.apply(params, jnp.zeros((5, 64))).shape
        (5, 10)
    """

    sizes: tuple[int, ...]
    activation: str | Activation = "relu"
    initializer: str | Initializer | None = None
    dropout: Scalar = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, tuple | list) or len(self.sizes) < 2:
            raise ValueError(f"sizes is {self.sizes!r}; give at least two, such as (inputs, hidden, outputs)")
        sizes = tuple(checks.whole_number(f"sizes[{i}]", size, 1) for i, size in enumerate(self.sizes))
        object.__setattr__(self, "sizes", sizes)
        if self.activation in ("softmax", softmax):
            raise ValueError(
                "activation is softmax, which mixes the units of a layer and belongs to the output; "
                "use losses.softmax_cross_entropy, and activations.softmax to read probabilities"
            )
        if not callable(self.activation):
            checks.one_of("activation", self.activation, ACTIVATIONS)
        if self.initializer is not None and not callable(self.initializer):
            checks.one_of("initializer", self.initializer, INITIALIZERS)
        checks.in_range("dropout", self.dropout, "[0, 1)")

    def init(self, key: Key, dtype: Any = float) -> tuple[Layer, ...]:
        """Draw the parameters: one ``Layer(w, b)`` per layer, w of shape (inputs, outputs).

        Args:
            key: a random key; layer l draws from ``fold_in(key, l)``, so a net that only grows longer keeps
                its first hidden layers.
            dtype: of the parameters; JAX's default float unless given.

        Returns:
            A tuple of layers, from the input to the output.

        Example:
            >>> params = MLP(sizes=(3, 2)).init(jax.random.key(0))
            >>> params[0].b
            Array([0., 0.], dtype=float32)
        """
        layers = []
        keys = _key_per_layer(key, len(self.sizes) - 1)
        for i, (inputs, outputs) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            activation = self.activation if i < len(self.sizes) - 2 else identity
            w = self._initializer(activation)(keys[i], (inputs, outputs), dtype)
            layers.append(Layer(w=w, b=jnp.zeros((outputs,), w.dtype)))
        return tuple(layers)

    def apply(
        self, params: tuple[Layer, ...], x: Float[Array, "*rows inputs"], *, key: Key | None = None
    ) -> Float[Array, "*rows outputs"]:
        """Compute the raw outputs (logits) of ``x``: the forward pass.

        Args:
            params: what ``init`` returns.
            x: inputs of shape (..., inputs).
            key: switches dropout on; None, the default, computes what the trained net answers.

        Returns:
            Outputs of shape (..., outputs).

        Raises:
            ValueError: ``x`` has another number of features, or ``params`` another number of layers.

        Example:
            >>> params = (Layer(w=jnp.array([[2.0], [3.0]]), b=jnp.array([1.0])),)
            >>> MLP(sizes=(2, 1)).apply(params, jnp.array([[1.0, 1.0], [0.0, -1.0]]))
            Array([[ 6.],
                   [-2.]], dtype=float32)
        """
        self._check(params, x)
        activation = ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation
        keys = None if key is None or not self._drops else _key_per_layer(key, len(params))
        drop = alpha_dropout if activation is selu else dropout
        a = x
        for i, (w, b) in enumerate(params[:-1]):
            a = activation(_weighted_sums(a, w, b))
            if keys is not None:
                a = drop(keys[i], a, self.dropout)
        return _weighted_sums(a, *params[-1])

    @property
    def _drops(self) -> bool:
        return not (isinstance(self.dropout, float | int) and self.dropout == 0)

    def _initializer(self, activation: str | Activation) -> Initializer:
        if self.initializer is None:
            return initializer_for(activation)
        return INITIALIZERS[self.initializer] if isinstance(self.initializer, str) else self.initializer

    def _check(self, params: tuple[Layer, ...], x: Array) -> None:
        if x.ndim == 0 or x.shape[-1] != self.sizes[0]:
            raise ValueError(
                f"x has shape {x.shape}, but sizes[0] is {self.sizes[0]}; "
                f"give x of shape (..., {self.sizes[0]}) or a net with that many inputs"
            )
        if len(params) != len(self.sizes) - 1:
            raise ValueError(
                f"params has {len(params)} layers, but sizes {self.sizes} has {len(self.sizes) - 1}; "
                "give the parameters that init of this net returned"
            )


def _key_per_layer(key: Key, layers: int) -> Any:
    """Return fold_in(key, l) for every layer l, in one call: the generator is slow to compile."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(layers))


def _weighted_sums(a: Array, w: Array, b: Array) -> Array:
    return a.astype(w.dtype) @ w + jnp.broadcast_to(b, (*a.shape[:-1], *b.shape))
