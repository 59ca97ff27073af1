"""Nets, and the same nets written with Flax, Keras and PyTorch: outputs and gradients from shared parameters.

``forward_reference`` computes with a library what ``test_forward.py`` compares with ``MLP.apply``. Parameters, inputs
and the gradient that comes back through the outputs are drawn by NumPy, so that they are the same everywhere.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.mlp import MLP
from jaxmlp.normalization import LayerNorm, RMSNorm

EPS = 0.1  # large enough to show
THREE = (4, 6, 6, 6, 3)

NETS = {
    name: MLP((4, 6, 5, 3), name) for name in ("sigmoid", "tanh", "relu", "elu", "selu", "gelu", "silu", "softplus")
}
NETS |= {
    "leaky_relu": MLP((4, 6, 5, 3), "leaky_relu"),
    "mish": MLP((4, 6, 5, 3), "mish"),
    "hard_tanh": MLP((4, 6, 5, 3), "hard_tanh"),
    "prelu": MLP((4, 6, 5, 3), "prelu"),
    "linear": MLP((4, 3)),
    "an activation for each layer": MLP(THREE, ("tanh", "relu", "gelu")),
    "layer normalization": MLP(THREE, "tanh", normalization=LayerNorm(eps=EPS)),
    "root mean square normalization": MLP(THREE, "gelu", normalization=RMSNorm(eps=EPS)),
    "residual": MLP(THREE, "relu", residual=True),
    "residual where the widths allow": MLP((4, 6, 6, 5, 5, 3), "tanh", residual=True),
    "all together": MLP(THREE, ("prelu", "silu", "tanh"), normalization=LayerNorm(eps=EPS), residual=True),
}


class Case(NamedTuple):
    """What a net is run on."""

    params: Any
    x: np.ndarray
    cotangent: np.ndarray  # the gradient by the outputs


def case(name: str) -> Case:
    """Draw parameters, inputs and what comes back, in float64."""
    rng, net = np.random.default_rng(sum(name.encode())), NETS[name]
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0.7, 1, leaf.shape) / np.sqrt(len(leaf)), shapes)
    return Case(params, rng.normal(size=(7, net.sizes[0])), rng.normal(size=(7, net.sizes[-1])))


def of_ours(name: str) -> tuple[Any, Any]:
    """Return outputs and gradients of ``MLP.apply``."""
    params, x, cotangent = jax.tree.map(jnp.asarray, case(name))
    outputs, back = jax.vjp(lambda params: NETS[name].apply(params, x), params)
    return outputs, back(cotangent)[0]


def of_flax(name: str) -> tuple[Any, Any]:
    """Return the same of a Flax NNX model. Its PReLU has one slope for a whole layer, so it is left to the others."""
    from flax import nnx

    functions = {"hard_tanh": nnx.hard_tanh, "gelu": lambda z: nnx.gelu(z, approximate=False), "mish": jax.nn.mish}
    net, (params, x, cotangent) = NETS[name], case(name)
    rngs, layers, norms = nnx.Rngs(0), [], []
    for layer in params:
        linear = nnx.Linear(*layer.w.shape, rngs=rngs, param_dtype=jnp.float64)
        linear.kernel, linear.bias = nnx.Param(jnp.asarray(layer.w)), nnx.Param(jnp.asarray(layer.b))
        layers.append(linear)
        if isinstance(net.normalization, LayerNorm) and layer is not params[-1]:
            norm = nnx.LayerNorm(layer.b.size, epsilon=EPS, rngs=rngs, param_dtype=jnp.float64, use_fast_variance=False)
            norm.scale = nnx.Param(jnp.asarray(layer.normalization.scale))
            norm.bias = nnx.Param(jnp.asarray(layer.normalization.shift))
            norms.append(norm)
        elif isinstance(net.normalization, RMSNorm) and layer is not params[-1]:
            norm = nnx.RMSNorm(layer.b.size, epsilon=EPS, rngs=rngs, param_dtype=jnp.float64)
            norm.scale = nnx.Param(jnp.asarray(layer.normalization.scale))
            norms.append(norm)

    class Model(nnx.Module):
        def __init__(self):
            for i, layer in enumerate(layers):
                setattr(self, f"linear_{i}", layer)
            for i, norm in enumerate(norms):
                setattr(self, f"norm_{i}", norm)

        def __call__(self, x):
            z = self.linear_0(x)
            for i in range(len(layers) - 1):
                a = getattr(self, f"norm_{i}")(z) if net.normalization else z
                activation = net.activation if isinstance(net.activation, str) else net.activation[i]
                a = (functions.get(activation) or getattr(nnx, activation))(a)
                following = getattr(self, f"linear_{i + 1}")(a)
                skips = net.residual and i < len(layers) - 2 and following.shape == z.shape
                z = z + following if skips else following
            return z

    model = Model()
    gradient = nnx.grad(lambda model: jnp.sum(cotangent * model(jnp.asarray(x))))(model)
    found = []
    for i, layer in enumerate(params):
        linear = getattr(gradient, f"linear_{i}")
        leaves = [linear.kernel[...], linear.bias[...]]
        if net.normalization and layer is not params[-1]:
            norm = getattr(gradient, f"norm_{i}")
            leaves += [norm.scale[...], *([norm.bias[...]] if isinstance(net.normalization, LayerNorm) else [])]
        found.append(leaves)
    return model(jnp.asarray(x)), found


def of_keras(name: str, keras: Any) -> tuple[Any, Any]:
    """Return the same of a Keras functional model on JAX."""
    functions = {"hard_tanh": lambda z: keras.ops.clip(z, -1, 1), "gelu": "gelu", "mish": "mish"}
    net, (params, x, cotangent) = NETS[name], case(name)
    layers = keras.layers

    def dense(layer):
        made = layers.Dense(layer.b.size, dtype="float64")
        made.build((None, len(layer.w)))
        made.set_weights([layer.w, layer.b])
        return made

    def normalizer(layer):
        if isinstance(net.normalization, LayerNorm):
            made = layers.LayerNormalization(epsilon=EPS, dtype="float64")
        else:
            made = layers.RMSNormalization(epsilon=EPS, dtype="float64")
        made.build((None, layer.b.size))
        made.set_weights(list(layer.normalization))
        return made

    inputs = keras.Input((net.sizes[0],), dtype="float64")
    used = [[dense(params[0])]]
    z = used[0][0](inputs)
    for i, layer in enumerate(params[:-1]):
        a = z
        if net.normalization:
            used[i].append(normalizer(layer))
            a = used[i][-1](a)
        activation = net.activation if isinstance(net.activation, str) else net.activation[i]
        if activation == "prelu":
            made = layers.PReLU(dtype="float64")
            made.build((None, layer.b.size))
            made.set_weights([layer.activation.slope])
            used[i].append(made)
            a = made(a)
        elif activation == "leaky_relu":
            a = layers.LeakyReLU(negative_slope=0.01, dtype="float64")(a)
        else:
            a = layers.Activation(functions.get(activation, activation), dtype="float64")(a)
        used.append([dense(params[i + 1])])
        following = used[i + 1][0](a)
        skips = net.residual and i < len(params) - 2 and following.shape == z.shape
        z = layers.Add(dtype="float64")([z, following]) if skips else following
    model = keras.Model(inputs, z)
    variables = [[v for layer in group for v in layer.trainable_variables] for group in used]
    order = {id(v): k for k, v in enumerate(model.trainable_variables)}

    def outputs_of(values):
        return model.stateless_call(values, [v.value for v in model.non_trainable_variables], x)[0]

    values = [v.value for v in model.trainable_variables]
    outputs, back = jax.vjp(outputs_of, values)
    (gradient,) = back(jnp.asarray(cotangent))
    return outputs, [[gradient[order[id(v)]] for v in group] for group in variables]


def of_torch(name: str) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Return the same of PyTorch's functions."""
    import torch
    from torch.nn import functional

    names = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "hard_tanh": functional.hardtanh}
    net, (params, x, cotangent) = NETS[name], case(name)
    layers = [[torch.tensor(leaf, requires_grad=True) for leaf in jax.tree.leaves(layer)] for layer in params]
    z = functional.linear(torch.tensor(x), layers[0][0].T, layers[0][1])
    for i, layer in enumerate(params[:-1]):
        a, learned = z, layers[i][2:]
        if isinstance(net.normalization, LayerNorm):
            a = functional.layer_norm(a, (layer.b.size,), learned.pop(0), learned.pop(0), EPS)
        elif isinstance(net.normalization, RMSNorm):
            a = functional.rms_norm(a, (layer.b.size,), learned.pop(0), EPS)
        activation = net.activation if isinstance(net.activation, str) else net.activation[i]
        if activation == "prelu":
            a = functional.prelu(a, learned.pop(0))
        else:
            a = (names.get(activation) or getattr(functional, activation))(a)
        following = functional.linear(a, layers[i + 1][0].T, layers[i + 1][1])
        skips = net.residual and i < len(params) - 2 and following.shape == z.shape
        z = z + following if skips else following
    z.backward(torch.tensor(cotangent))
    return z.detach().numpy(), [[leaf.grad.numpy() for leaf in layer] for layer in layers]
