import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import preprocessing
from sklearn.datasets import load_iris

from jaxmlp import data

KEY = jax.random.key(0)
X = load_iris().data


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(data.StandardScaler, preprocessing.StandardScaler), (data.MinMaxScaler, preprocessing.MinMaxScaler)],
)
class TestScalers:
    def test_equal_scikit_learn(self, ours, theirs):
        ours, theirs = ours.fit(X[:100]), theirs().fit(X[:100])
        np.testing.assert_allclose(ours.apply(X), theirs.transform(X), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.invert(ours.apply(X)), X, rtol=1e-12)

    def test_constant_columns_become_zero(self, ours, theirs):
        x = np.column_stack([np.full(50, 0.1), np.arange(50.0)])
        z = ours.fit(x).apply(x)
        np.testing.assert_allclose(z[:, 0], 0.0, atol=1e-15)
        assert np.isfinite(ours.fit(x).apply(x + 1)).all()

    def test_are_pytrees_that_work_inside_a_program(self, ours, theirs):
        scaler = ours.fit(X)
        x = jnp.asarray(X, jnp.float32)
        z = jax.jit(lambda s, x: s.apply(x))(scaler, x)
        assert z.dtype == jnp.float32
        np.testing.assert_allclose(z, theirs().fit_transform(X), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(scaler.invert(z), X, rtol=1e-5)
        assert scaler.apply(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
        assert scaler.apply(x.astype(jnp.int32)).dtype == jnp.float32

    def test_large_offsets_keep_their_digits(self, ours, theirs):
        x = 1e8 + X
        np.testing.assert_allclose(ours.fit(x).apply(x), ours.fit(X).apply(X), rtol=1e-5, atol=1e-6)

    def test_refuse_other_columns(self, ours, theirs):
        with pytest.raises(ValueError, match=r"x has shape \(150, 1\), but the scaler was fitted on"):
            ours.fit(X).apply(X[:, :1])
        assert ours.fit(X).apply(X[0]).shape == (4,)

    def test_refuse_nan(self, ours, theirs):
        with pytest.raises(ValueError, match="x holds NaN"):
            ours.fit([[1.0], [np.nan]])


class TestSplit:
    def test_every_row_goes_to_one_part_with_its_target(self):
        x, y = np.arange(101) * 10, np.arange(101)
        parts = data.split((x, y), (0.5, 0.3, 0.2), key=KEY)
        assert [len(part[0]) for part in parts] == [50, 31, 20]
        assert sorted(np.concatenate([part[1] for part in parts])) == list(range(101))
        assert all((part[0] == part[1] * 10).all() for part in parts)

    def test_the_key_decides(self):
        first, again, other = (data.split((np.arange(50),), (0.5, 0.5), key=jax.random.key(k))[0][0] for k in (1, 1, 2))
        assert first.tolist() == again.tolist()
        assert first.tolist() != other.tolist()

    @pytest.mark.parametrize("parts", [(0.7, 0.15, 0.15), (0.5, 0.5), (1 / 3, 2 / 3), (0.1,) * 10])
    def test_stratified_parts_hold_each_label_in_its_share_to_within_a_row(self, parts):
        labels = np.random.default_rng(0).choice(["a", "b", "c", "d"], 173, p=[0.6, 0.3, 0.08, 0.02])
        split = data.split((labels,), parts, key=KEY, stratify=labels)
        for label in "abcd":
            counts = np.array([(part[0] == label).sum() for part in split])
            assert counts.sum() == (labels == label).sum()
            assert (np.abs(counts - np.array(parts) * counts.sum()) < 1).all()

    def test_many_single_labels_are_shared_out_evenly(self):
        labels = np.arange(60)
        counts = [len(part[0]) for part in data.split((labels,), (0.5, 0.3, 0.2), key=KEY, stratify=labels)]
        assert counts == [30, 18, 12]

    def test_stratified_rows_are_shuffled(self):
        labels = np.repeat([0, 1], 50)
        (train, _) = data.split((np.arange(100), labels), (0.8, 0.2), key=KEY, stratify=labels)
        assert 20 < np.sum(np.abs(np.diff(train[1]))) < 60

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"parts": (0.5, 0.6)}, r"parts is \(0.5, 0.6\); give shares above 0 that sum to 1"),
            ({"parts": (0.5, 0.499)}, r"give shares above 0 that sum to 1"),
            ({"parts": (1.2, -0.2)}, r"give shares above 0"),
            ({"parts": (0.99, 0.01)}, r"parts \(0.99, 0.01\) of 6 rows would hold 6, 0 rows; give more rows"),
            ({"parts": (0.5, 0.5), "stratify": [0, 1]}, r"arrays\[0\] has 6 rows and stratify has 2"),
        ],
    )
    def test_wrong_parts_get_a_sentence(self, arguments, sentence):
        with pytest.raises(ValueError, match=sentence):
            data.split((np.arange(6),), key=KEY, **arguments)

    @pytest.mark.parametrize(
        ("arguments", "error", "sentence"),
        [
            ({"parts": 0.8}, TypeError, r"parts is 0.8; give the share of each part, such as \(0.8, 0.2\)"),
            ({"key": 42}, TypeError, "key is 42; give one random key"),
            ({"arrays": ()}, TypeError, "arrays is a tuple; give a tuple of arrays"),
            ({"arrays": np.arange(6)}, TypeError, "arrays is a ndarray; give a tuple of arrays"),
            ({"arrays": (np.arange(0),)}, ValueError, r"arrays\[0\] has no rows"),
            ({"arrays": (5,)}, ValueError, r"arrays\[0\] has no rows"),
            ({"stratify": np.ones((6, 1))}, ValueError, r"stratify has shape \(6, 1\); give one label per row"),
        ],
    )
    def test_wrong_kinds_get_a_sentence(self, arguments, error, sentence, unchecked):
        with pytest.raises(error, match=sentence):
            data.split(**({"arrays": (np.arange(6),), "parts": (0.5, 0.5), "key": KEY} | arguments))

    def test_unequal_arrays_get_a_sentence(self):
        with pytest.raises(ValueError, match=r"arrays\[0\] has 6 rows and arrays\[1\] has 5"):
            data.split((np.arange(6), np.arange(5)), (0.5, 0.5), key=KEY)
