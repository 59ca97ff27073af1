"""The forward pass and its gradients beside Flax, Keras and PyTorch, with shared parameters, in 64 bits."""

import importlib.util
import json

import jax
import numpy as np
import pytest
from forward import NETS, case, of_flax, of_keras, of_ours, of_torch
from torch_reference import STORED

WITHOUT_PRELU = [name for name in NETS if "prelu" not in str(NETS[name].activation)]


def compare(name, outputs, gradients, rtol=1e-9, atol=1e-12):
    ours, gradient = of_ours(name)
    np.testing.assert_allclose(ours, outputs, rtol=rtol, atol=atol)
    assert len(gradient) == len(gradients)
    for layer, theirs in zip(gradient, gradients, strict=True):
        leaves = jax.tree.leaves(layer)
        assert len(leaves) == len(theirs)
        for our_leaf, their_leaf in zip(leaves, theirs, strict=True):
            np.testing.assert_allclose(our_leaf, their_leaf, rtol=rtol, atol=atol)
            assert np.any(our_leaf != 0)


@pytest.mark.parametrize("name", WITHOUT_PRELU)
def test_forward_and_gradients_equal_flax(name, x64):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        outputs, gradients = of_flax(name)
    compare(name, outputs, gradients)


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))  # it writes its settings there
        yield pytest.importorskip("keras")


IN_32_BITS = ("tanh", "for each", "layer norm", "square", "where", "all")
"""Nets with tanh or root mean squares, which Keras on JAX computes in float32 whatever comes in."""


@pytest.mark.parametrize("name", NETS)
def test_forward_and_gradients_equal_keras(name, keras, x64):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        outputs, gradients = of_keras(name, keras)
    single = name != "hard_tanh" and any(word in name for word in IN_32_BITS)
    compare(name, outputs, gradients, **({"rtol": 1e-5, "atol": 1e-5} if single else {}))


@pytest.mark.parametrize("name", NETS)
def test_forward_and_gradients_equal_pytorch_or_what_it_computed(name, x64):
    if importlib.util.find_spec("torch"):
        outputs, gradients = of_torch(name)
    else:
        stored = json.loads(STORED.read_text(encoding="utf-8"))["forward"][name]
        outputs, gradients = stored["outputs"], stored["gradients"]
    compare(name, outputs, [[np.asarray(leaf) for leaf in layer] for layer in gradients])


def test_shared_parameters_make_every_part_show():
    for name in NETS:
        params, x, _ = case(name)
        assert all(leaf.std() > 0.03 for leaf in jax.tree.leaves(params))
        assert x.std() > 0.5
