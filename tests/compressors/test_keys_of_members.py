"""A batch whose members have keys of their own: the bits of calls of their own."""

import numpy as np
import pytest
import torch

from cqlib import Key
from cqlib.compressors import average, make
from tests.cases import CASES, STATISTICS, affordable, normal
from tests.helpers import same_bits

KEYS = [Key(3, 2)] * 3 + [Key(5, 2), Key(2, 9), Key(3, 2), Key(3, 2**40)]
BLOCKS = [make("permk_cq", b=b) for b in (2, 3, 6)]


def batch(n, d, dtype=torch.float64):
    X = normal(len(KEYS), n, d, seed=d, dtype=dtype)
    X[2, 1] = 0
    X[3] *= 1e-20
    X[4] *= 1e10
    return X


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 7, 40, 1100])
@pytest.mark.parametrize("c", [*CASES, *BLOCKS], ids=repr)
def test_every_member_has_the_mean_of_its_own_key(c, d, dtype):
    X = batch(6, affordable(c, d), dtype)
    found = c.mean(X, key=KEYS)
    assert found.dtype == dtype and found.shape == (len(KEYS), X.shape[-1])
    for x, key, mean in zip(X, KEYS, found, strict=True):
        assert same_bits(mean, c.mean(x, key=key))


@pytest.mark.parametrize("d", [1, 40, 1100, 40_000])
@pytest.mark.parametrize("name", ["iq", "cq", "drive", "permk_cq", "perm_k"])
def test_these_means_are_those_of_the_decoded_vectors(name, d):
    options = {"b": 3} if name == "permk_cq" else {}
    c, X = make(name, **options), batch(6, d, torch.float32)
    for x, key, mean in zip(X, KEYS, c.mean(X, key=KEYS), strict=True):
        assert same_bits(mean, average(c.compress(x, key=key)).float())


def test_a_given_statistic_is_that_of_each_member():
    c, X = make("global_qsgd"), batch(4, 20, torch.float32)
    shared = [2 * c.statistic(x) for x in X]
    found = c.mean(X, key=KEYS, shared=np.array(shared, dtype=np.float32))
    for x, key, own, mean in zip(X, KEYS, shared, found, strict=True):
        assert same_bits(mean, c.mean(x, key=key, shared=own))
        assert not same_bits(mean, c.mean(x, key=key))


@pytest.mark.parametrize("c", [make("cq"), make("drive"), make("rand_k")], ids=repr)
def test_wrong_keys_are_refused(c):
    X = batch(4, 20)
    for keys in (KEYS[:-1], [*KEYS, Key(0)], []):
        with pytest.raises(ValueError, match=f"a key for each of 7 members, got {len(keys)}"):
            c.mean(X, key=keys)
    with pytest.raises(ValueError, match=r"X must have shape \(b, n, d\)"):
        c.mean(X[0], key=KEYS[:4])
    for key in (None, 7, "key", [*KEYS[1:], 7]):
        with pytest.raises(ValueError, match="key"):
            c.mean(X, key=key)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("c", STATISTICS, ids=repr)
def test_vectors_that_cannot_be_sent_are_refused_in_the_same_words(c, value):
    n = 4 if "probabilities=(0.1" in repr(c) else 8
    X = batch(n, affordable(c, 24))
    X[3, n - 3, 3] = value
    said = []
    for one in (lambda: c.mean(X, key=KEYS), lambda: c.mean(X[3], key=KEYS[3])):
        try:
            said.append(one())
        except ValueError as error:
            said.append(str(error))
    if isinstance(said[1], str):
        assert said[0] == said[1]
    else:  # the member's message does not hold that value
        assert same_bits(said[0][3], said[1])
