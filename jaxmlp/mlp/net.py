"""The net: what describes it, how its parameters begin, and the forward pass."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp import activations, checks
from jaxmlp.activations import identity, selu
from jaxmlp.initializers import INITIALIZERS, initializer_for
from jaxmlp.mlp import arguments, table
from jaxmlp.normalization import NORMALIZATIONS
from jaxmlp.regularizers import alpha_dropout, dropout
from jaxmlp.types import Activation, HiddenLayer, Initializer, Key, Layer, Outputs, Parametric, Params, Scalar, base

AnyActivation: TypeAlias = str | Activation | Parametric
"""A name from ``activations.ACTIVATIONS``, a function, or an object with parameters of its own."""


@dataclasses.dataclass(frozen=True)
class MLP:
    """A multilayer perceptron, described; its parameters live outside of it.

    Attributes:
        sizes: units of each layer, (inputs, hidden ..., outputs); two sizes make a linear model.
        activation: of the hidden layers: a name from ``activations.ACTIVATIONS``, an element-wise function, or an
            object with parameters of its own such as ``activations.PReLU()``; or a tuple of them, one for each
            hidden layer.
        initializer: a name from ``initializers.INITIALIZERS`` or a function for all weights; None takes what suits
            each layer's activation (``initializers.initializer_for``), and for k residual layers a 1 / sqrt(k)th of
            it, so that they add up to the scale of one (Radford et al. 2019, section 2.3). Biases start at 0.
        dropout: share of the units that is dropped in each hidden layer while training, in [0, 1). Zero as a
            Python number leaves the masks out of the program; a traced rate may be swept. Units of SELU are
            not dropped but saturated (``regularizers.alpha_dropout``).
        normalization: of the weighted sums of the hidden layers, before the activation: "layer", "rms", an object
            such as ``normalization.LayerNorm(eps=1e-5)``, or None.
        residual: whether a hidden layer as wide as the one before adds its weighted sums to that one's. Activation
            and normalization stand within the branch, and nothing on the way past it (He et al. 2016, "Identity
            mappings", figure 4e): signal and gradient have a free way through any number of layers.
        heads: names and sizes of several outputs, such as {"species": 3, "length": 1}, which together are the last
            of ``sizes``; ``apply`` then returns a mapping of them. ``losses.PerHead`` and ``metrics.OfHead`` go with
            it. None for one output without a name.
        parametrization: "standard", or "ntk": weights are drawn larger by sqrt(inputs), and the weighted sums divided
            by it (Jacot et al. 2018, section 2). The net begins as the same function, but a rate of plain gradient
            descent that suits one width suits all; Adam's must still fall with the width.
        compute_dtype: in which the forward pass computes, such as "bfloat16"; parameters and outputs keep their own,
            and normalization takes its statistics in float32. None computes in the dtype of the parameters.
        precision: of the matrix products, "default", "high" or "highest"; None leaves it to JAX's configuration. It
            decides how float32 is multiplied on TPUs and recent GPUs, where the default keeps few of its digits.

    Raises:
        TypeError: ``sizes`` are not whole numbers, or an argument of the wrong kind.
        ValueError: fewer than two sizes, an empty layer, an unknown name, a rate outside [0, 1), an activation that is
            not element-wise or not one for each hidden layer, heads that do not add up, residual blocks where no
            two hidden layers are equally wide.

    A net described by names and numbers alone is JSON: ``MLP(**json.loads(json.dumps(dataclasses.asdict(net))))``.

    Example:
        >>> net = MLP(sizes=(64, 128, 10), activation="tanh", dropout=0.2)
        >>> params = net.init(jax.random.key(0))
        >>> [tuple(layer.w.shape) for layer in params]
        [(64, 128), (128, 10)]
        >>> net.apply(params, jnp.zeros((5, 64))).shape
        (5, 10)
        >>> print(MLP((8, 64, 64, 64, 4), "gelu", normalization="layer", residual=True, heads={"kind": 3, "size": 1}))
        MLP 8-64-64-64-4, gelu, layer normalization, residual, heads kind 3 and size 1: 9,540 parameters
    """

    sizes: tuple[int, ...]
    activation: AnyActivation | tuple[AnyActivation, ...] = "relu"
    initializer: str | Initializer | None = None
    dropout: Scalar = 0.0
    normalization: str | Parametric | None = None
    residual: bool = False
    heads: Mapping[str, int] | tuple[tuple[str, int], ...] | None = None
    parametrization: str = "standard"
    compute_dtype: Any = None
    precision: str | None = None

    def __post_init__(self) -> None:
        put = functools.partial(object.__setattr__, self)  # the form that is equal and hashed alike, however written
        put("sizes", arguments.sizes(self.sizes))
        put("activation", arguments.activation(self.activation, len(self.sizes) - 2))
        if self.initializer is not None and not callable(self.initializer):
            checks.one_of("initializer", self.initializer, INITIALIZERS)
        put("dropout", checks.number("dropout", self.dropout, "[0, 1)"))
        arguments.normalization(self.normalization, self.sizes[1:-1])
        arguments.residual(self.residual, self.residual_layers, self.sizes)
        put("heads", arguments.heads(self.heads, self.sizes[-1]))
        checks.one_of("parametrization", self.parametrization, arguments.PARAMETRIZATIONS)
        put("compute_dtype", arguments.compute_dtype(self.compute_dtype))
        if self.precision is not None:
            checks.one_of("precision", self.precision, arguments.PRECISIONS)

    def init(self, key: Key, dtype: Any = float) -> tuple[Layer | HiddenLayer, ...]:
        """Draw the parameters: one ``Layer(w, b)`` per layer, w of shape (inputs, outputs).

        Hidden layers with normalization or a learned activation are a ``HiddenLayer(w, b, normalization,
        activation)``, which holds those parameters as well.

        Args:
            key: a random key; layer l draws from ``fold_in(key, l)``, so a net that only grows longer keeps
                its first hidden layers (to a factor, where it is residual).
            dtype: of the parameters; JAX's default float unless given.

        Returns:
            A tuple of layers, from the input to the output.

        Example:
            >>> params = MLP(sizes=(3, 2)).init(jax.random.key(0))
            >>> params[0].b
            Array([0., 0.], dtype=float32)
            >>> params = MLP(sizes=(3, 2, 1), activation="prelu", normalization="rms").init(jax.random.key(0))
            >>> params[0].normalization.scale, params[0].activation.slope
            (Array([1., 1.], dtype=float32), Array([0.25, 0.25], dtype=float32))
        """
        keys = _key_per_layer(key, len(self.sizes) - 1)
        return tuple(self._init_layer(i, keys[i], dtype) for i in range(len(self.sizes) - 1))

    def apply(self, params: Params, x: Float[Array, "*rows inputs"], *, key: Key | None = None) -> Outputs:
        """Compute the raw outputs (logits) of ``x``: the forward pass.

        Args:
            params: what ``init`` returns; plain tuples or lists of NumPy arrays in the same order do as well.
            x: inputs of shape (..., inputs).
            key: switches dropout on; None, the default, computes what the trained net answers.

        Returns:
            Outputs of shape (..., outputs) in the dtype of the parameters; a mapping of them for a net with heads.

        Raises:
            TypeError: ``x`` is no array of JAX or NumPy.
            ValueError: ``x`` has another number of features, or ``params`` are those of another net.

        Example:
            >>> params = (Layer(w=jnp.array([[2.0], [3.0]]), b=jnp.array([1.0])),)
            >>> MLP(sizes=(2, 1)).apply(params, jnp.array([[1.0, 1.0], [0.0, -1.0]]))
            Array([[ 6.],
                   [-2.]], dtype=float32)
        """
        ((_, _, outputs),) = collections.deque(self.stages(params, x, key=key), maxlen=1)  # holds one stage at a time
        return outputs

    def stages(
        self, params: Params, x: Float[Array, "*rows inputs"], *, key: Key | None = None
    ) -> Iterator[tuple[int, str, Outputs]]:
        """Compute the forward pass stage by stage, to look into a net: each layer's sums, and what it makes of them.

        Args:
            params: what ``init`` returns.
            x: inputs of shape (..., inputs).
            key: switches dropout on.

        Yields:
            The place of a layer in ``params``; "weighted sums", "normalized sums", "activations" or "activations
            after dropout" of a hidden layer, as far as it has them, "outputs" of the last; and their values, of shape
            (..., units).

        Raises:
            TypeError: ``x`` is no array of JAX or NumPy.
            ValueError: ``x`` has another number of features, or ``params`` are those of another net.

        Example:
            >>> net = MLP(sizes=(1, 2, 1))
            >>> params = (Layer(jnp.array([[1.0, -1.0]]), jnp.zeros(2)), Layer(jnp.ones((2, 1)), jnp.ones(1)))
            >>> for layer, stage, values in net.stages(params, jnp.array([3.0])):
            ...     print(layer, stage, values)
            0 weighted sums [ 3. -3.]
            0 activations [3. 0.]
            1 outputs [4.]
        """
        arguments.inputs(x, self.sizes[0])
        params = arguments.parameters(params, self._shapes())
        residual = self.residual_layers
        keys = None if key is None or not self.drops else _key_per_layer(key, len(params))
        z = self._weighted_sums(0, params[0], x)
        for i, layer in enumerate(params[:-1]):
            yield i, "weighted sums", z
            entering = z
            if self._normalization is not None:
                entering = self._normalization.apply(layer.normalization, z)
                yield i, "normalized sums", entering
            a = self._activate(i, layer, entering)
            yield i, "activations", a
            if keys is not None:
                drop = alpha_dropout if base(self.hidden_activations[i]) is selu else dropout
                a = drop(keys[i], a, self.dropout)
                yield i, "activations after dropout", a
            sums = self._weighted_sums(i + 1, params[i + 1], a)
            z = z + sums if i + 1 in residual else sums
        yield len(params) - 1, "outputs", self._by_head(z)

    def summary(self) -> str:
        """Lay the net out as a table: for each layer its shape, what follows, its parameters and FLOPs.

        FLOPs are the multiplications and additions of the weighted sums of one row on the way forward; the few
        per unit of activation and normalization are not counted. A step of training takes about three times as many.

        Returns:
            Lines of text; ``str(net)`` is the first of them.

        Example:
            >>> print(MLP(sizes=(64, 128, 128, 10), dropout=0.2, residual=True).summary())
            MLP 64-128-128-10, relu, dropout 0.2, residual: 26,122 parameters
            params  w          then                                 parameters  FLOPs a row
            [0]     64 x 128   relu, dropout 0.2                         8,320       16,512
            [1]     128 x 128  add those of [0], relu, dropout 0.2      16,512       32,896
            [2]     128 x 10                                             1,290        2,570
                                                                        26,122       51,978
        """
        return table.text(self)

    def layers(self) -> tuple[table.LayerSummary, ...]:
        """Return what ``summary`` shows, one record for each layer.

        Returns:
            For each layer its place in the parameters, its shape, what follows, how many parameters it has, and the
            FLOPs of one row.

        Example:
            >>> MLP(sizes=(3, 2)).layers()
            (LayerSummary(layer=0, shape=(3, 2), then='', parameters=8, flops=14),)
        """
        return table.layers(self)

    def __str__(self) -> str:
        """Say in a line what the net is."""
        return table.headline(self)

    @functools.cached_property
    def hidden_activations(self) -> tuple[Activation | Parametric, ...]:
        """The activation of each hidden layer."""
        each = self.activation if isinstance(self.activation, tuple) else (self.activation,) * (len(self.sizes) - 2)
        return tuple(activations.find(activation) for activation in each)

    @functools.cached_property
    def residual_layers(self) -> tuple[int, ...]:
        """The layers whose weighted sums are added to those of the layer before."""
        hidden = self.sizes[1:-1]
        return tuple(i for i in range(1, len(hidden)) if self.residual and hidden[i] == hidden[i - 1])

    @property
    def drops(self) -> bool:
        """Whether the program holds dropout: not where the rate is the Python number 0."""
        return not (isinstance(self.dropout, float | int) and self.dropout == 0)

    @property
    def _normalization(self) -> Parametric | None:
        return NORMALIZATIONS[self.normalization] if isinstance(self.normalization, str) else self.normalization

    def _shapes(self) -> tuple[Layer | HiddenLayer, ...]:
        """Return the shapes of what ``init`` returns."""
        pairs = list(enumerate(itertools.pairwise(self.sizes)))
        return jax.eval_shape(lambda: tuple(self._layer(i, jnp.zeros(pair), jnp.zeros(pair[1])) for i, pair in pairs))

    def _init_layer(self, i: int, key: Key, dtype: Any) -> Layer | HiddenLayer:
        inputs, outputs = self.sizes[i : i + 2]
        activation = (*self.hidden_activations, identity)[i]
        w = self._initializer(activation)(key, (inputs, outputs), dtype)
        if getattr(w, "shape", None) != (inputs, outputs):
            raise ValueError(
                f"initializer returned a {type(w).__name__} of shape {getattr(w, 'shape', None)} for weights of shape "
                f"{(inputs, outputs)}; give a function of (key, shape, dtype) that returns an array of that shape"
            )
        if self.initializer is None and i in self.residual_layers:
            w = w / len(self.residual_layers) ** 0.5
        if self.parametrization == "ntk":
            w = w * inputs**0.5
        return self._layer(i, w, jnp.zeros((outputs,), w.dtype))

    def _layer(self, i: int, w: Array, b: Array) -> Layer | HiddenLayer:
        """Add to weights and biases what else a layer learns, if it does."""
        if i == len(self.sizes) - 2:
            return Layer(w, b)
        parts = (self._normalization, self.hidden_activations[i])
        learned = [part.init(len(b), w.dtype) if isinstance(part, Parametric) else None for part in parts]
        return HiddenLayer(w, b, *learned) if any(isinstance(part, Parametric) for part in parts) else Layer(w, b)

    def _initializer(self, activation: Activation | Parametric) -> Initializer:
        if self.initializer is None:
            return initializer_for(activation)
        return INITIALIZERS[self.initializer] if isinstance(self.initializer, str) else self.initializer

    def _weighted_sums(self, i: int, layer: Layer | HiddenLayer, a: Array) -> Array:
        """Compute ``a @ w + b``; the outputs are summed up in the dtype of the parameters, whatever computes them."""
        dtype = layer.w.dtype if self.compute_dtype is None else jnp.dtype(self.compute_dtype)
        result = dtype if i < len(self.sizes) - 2 else layer.w.dtype
        w, b = layer.w.astype(dtype), layer.b.astype(result)
        z = jnp.matmul(a.astype(dtype), w, precision=self.precision, preferred_element_type=result)
        if self.parametrization == "ntk":
            z = z / self.sizes[i] ** 0.5
        return z + jnp.broadcast_to(b, z.shape)

    def _activate(self, i: int, layer: Any, z: Array) -> Array:
        """Compute the activations of hidden layer i."""
        activation = self.hidden_activations[i]
        return activation.apply(layer.activation, z) if isinstance(activation, Parametric) else activation(z)

    def _by_head(self, outputs: Array) -> Outputs:
        if self.heads is None:
            return outputs
        sizes = dict(self.heads)
        parts = jnp.split(outputs, list(itertools.accumulate(sizes.values()))[:-1], axis=-1)
        return dict(zip(sizes, parts, strict=True))


def _key_per_layer(key: Key, layers: int) -> Any:
    """Return fold_in(key, l) for every layer l, in one call: the generator is slow to compile."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(layers))
