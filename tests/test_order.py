"""The order of an epoch's rows is a keyed bijection, and no statistic here tells it from a shuffle.

The keys are fixed, so a test passes always or never. A chi-square of plain counts is that of independent draws;
where many counts come of one order, their covariance under uniform permutations is worked out.
"""

import functools
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import stats
from sklearn.utils import murmurhash3_32

from jaxmlp import data
from jaxmlp.data.order import _hash, _sides, _walk

KEY = jax.random.key(0)
compiled = jax.jit(data.order, static_argnums=1)


def is_bijection(order):
    """Whether all numbers are there, which for as many of them means each once."""
    order = np.asarray(order)
    seen = np.zeros(len(order), bool)
    seen[order] = True
    return order.min() == 0 and order.max() == len(order) - 1 and bool(seen.all())


# -- a bijection --

MOST = 5000
SLICES = 50  # they divide 1 + 2 + ... + 5000


def test_every_row_comes_once_for_every_number_of_rows_up_to_five_thousand():
    """Their orders under one key, one after the other, in slices, so that one program walks them all."""
    rows = np.arange(1, MOST + 1, dtype=np.uint32)
    begins = np.cumsum(rows, dtype=np.uint32) - rows
    n, i = np.repeat(rows, rows), np.arange(rows.sum(), dtype=np.uint32) - np.repeat(begins, rows)
    a, b = (np.repeat(np.array(side, np.uint32), rows) for side in zip(*map(_sides, rows.tolist()), strict=True))
    round_keys = jax.random.bits(KEY, (12,), jnp.uint32)
    slices = [x.reshape(SLICES, -1) for x in (i, n, a, b)]
    walked = jax.jit(lambda slices: jax.lax.map(lambda s: _walk(*s, round_keys), slices))(slices)
    out = np.asarray(walked).ravel()
    assert (out < n).all()
    seen = np.zeros(len(out), bool)
    seen[begins[n - 1] + out] = True
    assert seen.all()
    # And that is what ``order`` returns: of a few, of primes, of squares and their neighbours, of the last.
    for n in (1, 2, 3, 48, 49, 50, 4973, MOST):
        np.testing.assert_array_equal(compiled(KEY, n), out[begins[n - 1] :][:n])


@pytest.mark.parametrize("n", [999_983, 1_000_000, 1_048_577])
def test_every_row_comes_once_of_a_million(n):
    assert is_bijection(compiled(jax.random.key(n), n))


def test_as_many_rows_as_int32_can_count_do_not_overflow():
    n = 2**31 - 1
    i = np.random.default_rng(0).integers(n, size=500_000, dtype=np.uint32)
    i[:2] = 0, n - 1
    out = np.asarray(jax.jit(_walk, static_argnums=(1, 2, 3))(i, n, *_sides(n), jax.random.bits(KEY, (12,))))
    assert out.max() < n
    assert len(np.unique(out)) == len(np.unique(i))  # of as many random numbers some 60 would be equal


# -- the equations --


def test_equals_the_network_in_whole_numbers():
    """Luby and Rackoff 1988 on a pair, with whole numbers as long as they like; Black and Rogaway 2002, section 4."""
    round_keys = jax.random.bits(KEY, (12,), jnp.uint32).tolist()

    def mixed(number, key):
        x = number ^ key
        x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
        x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
        return x ^ x >> 16

    def place(i, n, a, b):
        left, right = divmod(i, b)
        for into_left, into_right in zip(round_keys[::2], round_keys[1::2], strict=True):
            left = (left + mixed(right, into_left) % a) % a
            right = (right + mixed(left, into_right) % b) % b
        out = left * b + right
        return out if out < n else place(out, n, a, b)

    for n in (1, 7, 20, 25):
        assert [place(i, n, *_sides(n)) for i in range(n)] == compiled(KEY, n).tolist()


def test_the_hash_is_the_finaliser_of_murmur3():
    """scikit-learn's murmur3 of four bytes: its body, undone here but for the last, and its finaliser."""

    def body(k):  # Appleby 2011, MurmurHash3_x86_32 with the seed 0, up to the finaliser
        k = k * 0xCC9E2D51 % 2**32
        k = (k << 15 | k >> 17) % 2**32 * 0x1B873593 % 2**32
        return ((k << 13 | k >> 19) * 5 + 0xE6546B64) % 2**32 ^ 4

    numbers = np.random.default_rng(0).integers(2**31, size=200)
    theirs = [murmurhash3_32(int(k), positive=True) for k in numbers]
    ours = _hash(jnp.array([body(int(k)) ^ 99 for k in numbers], jnp.uint32), jnp.uint32(99))
    assert ours.tolist() == theirs


def test_the_sides_hold_all_rows_and_few_besides():
    for n in (*range(1, MOST), 999_983, 10**6, 2**31 - 1):
        a, b = _sides(n)
        assert a * b % 2 == 0  # two odd sides give even permutations only
        assert n <= a * b < max(n + a, 17)
        assert abs(a - b) <= 3


# -- as random as a shuffle --


@functools.cache
def orders(n):
    """Orders of n rows, some two million numbers if n is large."""
    keys = jax.random.split(jax.random.key(n), 2**16 if n < 16 else 2**21 // n)
    return np.asarray(jax.jit(jax.vmap(lambda key: data.order(key, n)))(keys))


def assert_plausible(chi2, freedom):
    """What is less likely than one in a thousand, to either side, is no chance under a fixed key."""
    assert 1e-3 < stats.chi2.sf(chi2, freedom) < 1 - 1e-3, (chi2, freedom)


def assert_uniform(draws, cells):
    """Independent draws from so many cells."""
    counts = np.bincount(draws, minlength=cells)
    assert_plausible(((counts - counts.mean()) ** 2 / counts.mean()).sum(), cells - 1)


def assert_places_are_uniform(orders):
    """Counts of (place, row): the sum of permutation matrices, of covariance (centring x centring) / (n - 1)."""
    number, n = orders.shape
    counts = np.bincount((np.arange(n) * n + orders).ravel(), minlength=n * n)
    assert_plausible((n - 1) * ((counts - number / n) ** 2).sum() / number, (n - 1) ** 2)


def assert_followers_are_uniform(orders):
    """Counts of (row, the row after it), of the covariance below; their sum is fixed."""
    number, n = orders.shape
    counts = np.bincount((orders[:, :-1] * n + orders[:, 1:]).ravel(), minlength=n * n).reshape(n, n)
    off = counts[~np.eye(n, dtype=bool)] - number / n
    covariance = covariance_of_followers(n) + 1.0  # can be inverted; ``off``, whose sum is 0, does not see the 1
    assert_plausible(off @ np.linalg.solve(covariance, off) / number, n * (n - 1) - 1)


def covariance_of_followers(n):
    """Covariance, in a uniform order, of "j comes right after i" and "l comes right after k"."""
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    same_first, same_second = i[:, None] == i, j[:, None] == j
    turned = (i[:, None] == j) & (j[:, None] == i)
    both = np.where(same_first | same_second | turned, 0.0, 1 / (n * (n - 1)))  # two links: (n - 2)! of n! orders
    both[same_first & same_second] = 1 / n  # one link: (n - 1)! of n!
    return both - 1 / n**2


def assert_differences_are_those_of_a_shuffle(orders):
    """One pair of each order, so that the draws are independent; a difference d stands for n - |d| pairs."""
    number, n = orders.shape
    each = np.arange(number)
    d = orders[each, each % (n - 1) + 1] - orders[each, each % (n - 1)]
    values = np.delete(np.arange(1 - n, n), n - 1)
    expected = number * (n - abs(values)) / (n * (n - 1))
    counts = np.array([(d == value).sum() for value in values])
    assert_plausible(((counts - expected) ** 2 / expected).sum(), len(values) - 1)


def assert_neighbours_are_parted(orders):
    """Of the n - 1 pairs of neighbours in the data, two in n are neighbours in an order, to three standard errors."""
    number, n = orders.shape
    near = (abs(np.diff(orders)) == 1).sum(axis=1)
    assert abs(near.mean() - 2 * (n - 1) / n) < 3 * near.std() / number**0.5


def assert_odd_and_even_are_equally_likely(orders):
    inversions = sum((orders[:, i + 1 :] < orders[:, i : i + 1]).sum(axis=1) for i in range(orders.shape[1]))
    assert_uniform(inversions % 2, 2)


def ranks(orders):
    """The number of each order in the list of all n! of them, by Lehmer's code."""
    n = orders.shape[1]
    rank = np.zeros(len(orders), int)
    for i in range(n):
        rank = rank * (n - i) + (orders[:, i + 1 :] < orders[:, i : i + 1]).sum(axis=1)
    return rank


@pytest.mark.parametrize("n", [3, 4, 5])
def test_all_orders_of_a_few_rows_are_equally_likely(n):
    assert_uniform(ranks(orders(n)), math.factorial(n))


@pytest.mark.parametrize("n", [5, 7, 16, 20, 100])
def test_places_and_neighbours_are_those_of_a_shuffle(n):
    some = orders(n)
    assert_places_are_uniform(some)
    assert_differences_are_those_of_a_shuffle(some)
    assert_neighbours_are_parted(some)
    if n <= 20:  # else the covariance is a matrix of ten thousand rows
        assert_followers_are_uniform(some)


@pytest.mark.parametrize("n", [7, 25])
def test_odd_and_even_orders_are_equally_likely(n):
    """Of 25 rows all orders would be even if a and b were 5: a round shifts cycles of odd length."""
    assert_odd_and_even_are_equally_likely(orders(n)[:20_000])


def test_what_is_expected_of_a_shuffle_holds_for_all_orders():
    everything = np.array(list(itertools.permutations(range(5))))
    assert ranks(everything).tolist() == list(range(120))
    follows = np.zeros((120, 5, 5))
    np.add.at(follows, (np.arange(120)[:, None], everything[:, :-1], everything[:, 1:]), 1)
    follows = follows[:, ~np.eye(5, dtype=bool)]
    np.testing.assert_allclose(np.cov(follows.T, bias=True), covariance_of_followers(5), atol=1e-12)


def two_epochs(n, number):
    """Orders of an epoch and of the next, as a run draws them."""
    keys = jax.random.split(jax.random.key(n), number)

    def of_run(key, epoch):
        return [data.order(jax.random.fold_in(key, epoch + later), n) for later in (0, 1)]

    return list(map(np.asarray, jax.jit(jax.vmap(of_run))(keys, jnp.arange(number) % 50)))


def test_all_pairs_of_orders_in_two_epochs_are_equally_likely():
    first, second = map(ranks, two_epochs(4, 2**16))
    assert_uniform(first * 24 + second, 24**2)


def test_a_row_s_place_in_the_next_epoch_does_not_depend_on_that_in_this():
    first, second = two_epochs(20, 2**14)
    assert_places_are_uniform(np.take_along_axis(second, np.argsort(first, axis=1), axis=1))


def test_other_keys_give_other_orders():
    assert len({tuple(order) for order in orders(20)[:1000].tolist()}) == 1000


# -- the same numbers wherever and however it is computed --


def of_eight_devices(name):
    assert jax.device_count() == 8
    return Mesh(np.array(jax.devices()), (name,))


def test_rows_spread_over_eight_devices_get_the_same_order():
    sharding = NamedSharding(of_eight_devices("rows"), PartitionSpec("rows"))
    spread = jax.jit(data.order, static_argnums=1, out_shardings=sharding)(KEY, 1000)
    assert len(spread.addressable_shards) == 8
    assert spread.addressable_shards[0].data.shape == (125,)
    np.testing.assert_array_equal(spread, compiled(KEY, 1000))
    assert is_bijection(spread)


def test_keys_spread_over_devices_mapped_or_scanned_give_the_same_orders():
    mesh, keys, spec = of_eight_devices("keys"), jax.random.split(KEY, 16), PartitionSpec("keys")
    alone = np.stack([compiled(key, 37) for key in keys])
    of_keys = jax.vmap(lambda key: data.order(key, 37))
    by_jit = jax.jit(of_keys)(jax.device_put(keys, NamedSharding(mesh, spec)))
    # The loop begins with numbers that are equal on all devices, which the check of what varies refuses.
    by_shard_map = jax.jit(jax.shard_map(of_keys, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))(keys)
    for spread in (by_jit, by_shard_map):
        assert len(spread.sharding.device_set) == 8
        np.testing.assert_array_equal(spread, alone)
    np.testing.assert_array_equal(jax.jit(of_keys)(keys), alone)
    np.testing.assert_array_equal(jax.jit(lambda keys: jax.lax.map(lambda key: data.order(key, 37), keys))(keys), alone)
    np.testing.assert_array_equal(compiled(jax.random.key_data(keys[0]), 37), alone[0])  # a key of the older kind


def test_neither_sixty_four_bits_nor_compiling_change_anything(x64):
    order = jax.jit(lambda key: data.order(key, 100))(KEY)
    assert order.dtype == jnp.int32
    jax.config.update("jax_enable_x64", False)
    np.testing.assert_array_equal(order, data.order(KEY, 100))


# -- what it is made of --


def test_sorts_nothing_and_needs_no_wide_numbers(x64):
    program = str(jax.make_jaxpr(lambda key: data.order(key, 100))(KEY))
    assert "sort" not in program
    assert "while" in program
    assert not re.search(r"[iuf]64\[\d", program)  # a Python number is a scalar i64 until it meets an array
    assert "sort" in str(jax.make_jaxpr(lambda key: jax.random.permutation(key, 100))(KEY))


def test_holds_int32_numbers_under_a_traced_key():
    order = jax.eval_shape(lambda key: data.order(key, 17), KEY)
    assert (order.shape, order.dtype) == ((17,), jnp.int32)


@pytest.mark.parametrize(
    ("n", "error", "sentence"),
    [
        (0, ValueError, "n is 0; give a whole number of at least 1"),
        (-3, ValueError, "n is -3; give a whole number of at least 1"),
        (2.5, TypeError, "n is 2.5; give a whole number of at least 1"),
        (True, TypeError, "n is True; give a whole number of at least 1"),
    ],
)
def test_a_wrong_number_of_rows_gets_a_sentence(n, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        data.order(KEY, n)


def test_a_traced_number_of_rows_gets_a_sentence(unchecked):
    with pytest.raises(TypeError, match=r"n is .*; give a whole number of at least 1"):
        jax.jit(data.order)(KEY, 5)
