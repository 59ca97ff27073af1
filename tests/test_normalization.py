import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.normalization import NORMALIZATIONS, LayerNorm, RMSNorm

RNG = np.random.default_rng(0)
Z = 3 * RNG.normal(size=(4, 5, 7)) + 2
SCALE, SHIFT = RNG.normal(size=7), RNG.normal(size=7)
BOTH = [LayerNorm, RMSNorm]


def layer_norm(z, scale, shift, eps):
    """Ba, Kiros and Hinton 2016, equation 3."""
    mu = z.mean(axis=-1, keepdims=True)
    sigma = np.sqrt(((z - mu) ** 2).mean(axis=-1, keepdims=True) + eps)
    return scale * (z - mu) / sigma + shift


def rms_norm(z, scale, eps):
    """Zhang and Sennrich 2019, equation 4."""
    return scale * z / np.sqrt((z**2).mean(axis=-1, keepdims=True) + eps)


def params_of(norm, dtype=float):
    scale, shift = jnp.asarray(SCALE, dtype), jnp.asarray(SHIFT, dtype)
    return norm.init(7, dtype)._replace(
        **({"scale": scale, "shift": shift} if type(norm) is LayerNorm else {"scale": scale})
    )


@pytest.mark.parametrize("eps", [0.0, 1e-6, 0.5])
def test_values_equal_the_equations_in_numpy(eps, x64):
    of_layer, of_rms = LayerNorm(eps=eps), RMSNorm(eps=eps)
    z = jnp.asarray(Z)
    np.testing.assert_allclose(of_layer.apply(params_of(of_layer), z), layer_norm(Z, SCALE, SHIFT, eps), rtol=1e-12)
    np.testing.assert_allclose(of_rms.apply(params_of(of_rms), z), rms_norm(Z, SCALE, eps), rtol=1e-12)


def test_they_begin_with_mean_zero_and_mean_square_one_of_every_row():
    z = jnp.asarray(Z, jnp.float32)
    for name, norm in NORMALIZATIONS.items():
        a = norm.apply(norm.init(7), z)
        np.testing.assert_allclose(jnp.mean(a**2, axis=-1), 1, rtol=1e-5)
        assert (float(jnp.max(jnp.abs(jnp.mean(a, axis=-1)))) < 1e-6) == (name == "layer")


@pytest.mark.parametrize("make", BOTH)
def test_a_row_depends_on_itself_alone_and_not_on_its_scale(make):
    norm, z = make(), jnp.asarray(Z[0], jnp.float32)
    whole = norm.apply(params_of(norm), z)
    np.testing.assert_allclose(norm.apply(params_of(norm), z[2]), whole[2], rtol=1e-5)
    np.testing.assert_allclose(norm.apply(params_of(norm), 1000 * z), whole, rtol=1e-5, atol=1e-5)
    moved = norm.apply(params_of(norm), z + 10)
    assert np.allclose(moved, whole, atol=1e-4) == (make is LayerNorm)


@pytest.mark.parametrize("make", BOTH)
def test_equal_sums_have_finite_values_and_gradients(make):
    norm = make()
    for z in (jnp.zeros((2, 7)), jnp.full((2, 7), 3.0)):
        value, gradient = jax.value_and_grad(lambda z: norm.apply(params_of(norm), z).sum())(z)
        assert bool(jnp.isfinite(value))
        assert bool(jnp.isfinite(gradient).all())
    np.testing.assert_array_equal(norm.apply(norm.init(7), jnp.zeros((2, 7))), 0.0)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_the_dtype_is_kept_and_statistics_are_taken_in_32_bits(make, dtype, x64):
    norm = make()
    z = jnp.asarray(300 * Z, dtype)  # whose squares are infinite in float16
    a = norm.apply(params_of(norm, dtype), z)
    assert a.dtype == dtype
    params = params_of(norm, "float64")
    rounded = jax.tree.map(lambda p: p.astype(dtype).astype(float), params)
    tolerance = {"bfloat16": 3e-2, "float16": 4e-3, "float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(
        np.asarray(a, float), norm.apply(rounded, z.astype(float)), rtol=tolerance, atol=tolerance
    )
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(norm.init(7, dtype)))


def test_whole_numbers_are_normalized_as_floats(unchecked):
    for make, expected in ((LayerNorm, [[-1.0, 1.0]]), (RMSNorm, [[0.2, 1.4]])):
        norm = make(eps=0.0)
        np.testing.assert_allclose(norm.apply(norm.init(2), jnp.array([[1, 7]])), expected, rtol=1e-6)


@pytest.mark.parametrize("make", BOTH)
def test_numbers_out_of_range_get_a_sentence(make):
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"eps is {wrong}; give a number in \[0, inf\)"):
            make(eps=wrong)
