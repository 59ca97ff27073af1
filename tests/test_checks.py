import fractions

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from jaxmlp import checks


@pytest.mark.parametrize(
    ("value", "interval"),
    [(0, "[0, 1)"), (0.999, "[0, 1)"), (1, "(0, 1]"), (np.float32(0.5), "(0, 1)"), (5, "[0, inf)")],
)
def test_numbers_in_range_pass(value, interval):
    checks.in_range("rate", value, interval)


@pytest.mark.parametrize(
    ("value", "interval"),
    [(-1e-9, "[0, 1)"), (1, "[0, 1)"), (0, "(0, 1]"), (np.float32(2), "(0, 1]"), (float("nan"), "[0, 1)"),
     (float("inf"), "[0, inf)"), (fractions.Fraction(3, 2), "[0, 1)")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(value, interval):
    with pytest.raises(ValueError, match=r"rate is .*; give a number in [\[\(]0, "):
        checks.in_range("rate", value, interval)


@pytest.mark.parametrize("value", [None, "0.1", True])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=r"rate is .*; give a number in"):
        checks.in_range("rate", value, "[0, 1)")


def test_traced_numbers_and_schedules_pass():
    jax.jit(lambda rate: checks.in_range("rate", rate, "[0, 1)"))(7.0)
    checks.in_range("rate", lambda step: 0.1, "[0, 1)")


@pytest.mark.parametrize("value", [2.0, True, "2", None, np.array([1, 2])])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(TypeError, match=r"epochs is .*; give a whole number of at least 1"):
        checks.whole_number("epochs", value, 1)


def test_a_name_far_from_all_known_ones_gets_the_list_alone():
    with pytest.raises(ValueError, match=r"^activation is 'zzz'; known are: relu, tanh$"):
        checks.one_of("activation", "zzz", ["relu", "tanh"])


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0),),
        np.ones((2, 2), np.float16),
        np.ones((2, 2), bool),
        np.ones((4, 4))[::2, ::2],
        pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}),
        pd.Series([1.0, 2.0]),
        pd.get_dummies(pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]})),
        pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": [0.5, 1.5]}),
        jnp.ones((2, 2), jnp.bfloat16),
        np.asarray(jnp.ones((2, 2), jnp.bfloat16)),
        np.ma.array([1.0, 2.0]),
    ],
)
def test_all_kinds_of_numbers_become_floats(values):
    floats = checks.to_floats("x", checks.array("x", values))
    assert isinstance(floats, jax.Array)
    assert floats.dtype == jnp.float32
    np.testing.assert_allclose(floats, np.asarray(values, np.float32))


def test_a_read_only_array_stays_as_it_is():
    x = np.arange(6.0).reshape(3, 2)
    before = x.copy()
    x.flags.writeable = False
    checks.to_floats("x", checks.array("x", x))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.ones(2, complex), r"x has dtype complex128; give real numbers"),
        (np.array([1, "a"], object), r"x has dtype object \(text such as 'a'\)"),
        (pd.DataFrame({"a": [1], "b": ["u"]}), r"x has dtype object \(text such as 'u'\)"),
        (np.array(["a"]), r"x has dtype <U1 \(text such as 'a'\); encode every column as numbers first"),
        (scipy.sparse.eye(3), r"x is a sparse matrix; give x.toarray\(\)"),
        (pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}), r"x has dtype object \(mixed or missing values"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"x has dtype datetime64\[D\] \(no numbers\)"),
        ([[1, 2], [3]], r"x cannot be made an array .*; give rows of equal length"),
        (None, r"x has dtype object"),
    ],
)
def test_what_is_not_real_numbers_is_refused(values, sentence):
    with pytest.raises(TypeError, match=sentence):
        checks.array("x", values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], r"x has shape \(0,\) and so holds nothing"),
        (np.ones((3, 0)), r"x has shape \(3, 0\) and so holds nothing"),
        (5.0, r"x is a single value, 5.0; give an array with one entry per row"),
        ([[1.0, np.nan], [np.inf, 0.0]], r"x holds NaN or infinity in 2 places, the first at index \(0, 1\)"),
        (jnp.array([1.0, -jnp.inf]), r"x holds NaN or infinity in 1 place, the first at index \(1,\)"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), r"x is a masked array with masked entries"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        checks.array("x", values)


def test_traced_arrays_are_sent_to_make_run():
    with pytest.raises(TypeError, match=r"x is traced, .*training.make_run"):
        jax.jit(lambda x: checks.array("x", x))(jnp.ones(3))


def test_numbers_too_large_for_float32_are_refused_and_kept_in_float64(x64):
    large = np.array([1.0, 1e300])
    assert checks.to_floats("x", large).dtype == jnp.float64
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(ValueError, match=r"x holds numbers too large for float32 in 1 place.*scale them first"):
        checks.to_floats("x", large)


def test_lengths_are_compared_by_name():
    with pytest.raises(ValueError, match=r"^x has 3 rows and y has 3 and weight has 2; give as many rows in each$"):
        checks.same_rows(x=np.ones(3), y=np.ones(3), weight=np.ones(2))
