"""At both ends of the range of floats, simulation and wire agree on every number and error."""

import zlib

import numpy as np
import pytest
import torch

from cqlib import Key
from cqlib.compressors import make
from tests.cases import STATISTICS
from tests.helpers import same_bits

LARGEST = float(np.finfo(np.float32).max)
ALL = list(dict.fromkeys([*STATISTICS, make("iscc", tau=4)]))
SHAPES = [(2, 1), (4, 8), (8, 9)]


def sizes(rng):
    """Yield sizes of entries at the ends of float32 and float64."""
    yield from (LARGEST, LARGEST / 3, LARGEST**0.9)
    for part in (1, 0.5**0.5, 0.5, 1 / 3):  # next to the end, or to that of a sum or a rotation
        yield LARGEST * part * (1 - rng.uniform(-1, 1) * 2.0 ** -rng.integers(10, 26))
    yield from (1.5 * LARGEST, 1e308)
    yield from (3e-38, 1.2e-38, 1e-41, 1e-45, 5e-324)


def rows_of(n, d, size, rng):
    """Return vectors with signs, entries up to the size, zeros, or a single entry."""
    X = rng.choice([-1.0, 1.0], (n, d)) * size
    kind = rng.integers(5)
    if kind == 1:
        X *= rng.uniform(0, 1, (n, d))
    elif kind == 2:
        X *= rng.uniform(0, 1, (n, d)) < 0.4
    elif kind == 3:
        X = np.abs(X)
    elif kind == 4:
        X *= np.arange(d) == rng.integers(d)
    return X


def outcome(call):
    """Return the result of a call, or the text of its ValueError."""
    try:
        return call()
    except ValueError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("c", ALL, ids=repr)
def test_simulation_and_wire_agree(c, dtype):
    rng = np.random.default_rng(zlib.crc32(repr((c, dtype)).encode()))
    found = set()
    for n, d in SHAPES:
        if isinstance(outcome(lambda n=n, d=d: c.bits(d, n)), str):
            continue  # not with these numbers of clients
        for size in sizes(rng):
            with np.errstate(over="ignore"):
                X = torch.from_numpy(rows_of(n, d, size, rng)).to(dtype)
            if X.isfinite().all():
                found.add(agrees(c, X, Key(int(rng.integers(2**60)))))
    assert "numbers" in found
    if dtype == torch.float64:
        assert "error" in found


def agrees(c, X, key):
    """Check one set of vectors; return the kind of the outcome."""
    n, d = X.shape
    shared = outcome(lambda: c.statistic(X))
    compressed = outcome(lambda: c.compress(X, key=key))
    mean = outcome(lambda: c.mean(X, key=key))
    if isinstance(shared, str):  # no client can send
        assert compressed == mean == shared
        return "error"
    sent, errors = {}, []
    for client, x in enumerate(X):
        who = {"client": client, "n_clients": n, "key": key, "shared": shared}
        payload = outcome(lambda x=x, who=who: c.encode(x, **who))
        if isinstance(payload, str):
            errors.append(payload)
        else:
            sent[client] = payload
            if payload is not None:  # what can be sent can be read
                read = c.decode(payload, d=d, **who)
                assert read.isfinite().all()
                if not isinstance(compressed, str):
                    assert same_bits(read.to(X.dtype), compressed[client])
    if errors:
        assert compressed in errors and mean in errors
        return "error"
    assert not isinstance(compressed, str) and compressed.isfinite().all()
    received = outcome(lambda: c.mean_of_received(sent, d=d, n_clients=n, key=key, shared=shared))
    if isinstance(mean, str):
        assert received == mean == "the mean exceeds the largest float32"
        return "error"
    assert mean.isfinite().all() and same_bits(received.to(X.dtype), mean)
    return "numbers"


def test_a_sum_of_powers_beyond_float32_is_refused():
    # Three clients' sum is rounded up to four: 4/3 of the largest float32.
    for reduction in ("tree", "fold"):
        c = make("global_qsgd", levels="exponential", reduction=reduction)
        X, refused = torch.full((3, 1), LARGEST), 0
        for r in range(40):
            found = outcome(lambda c=c, X=X, r=r: c.mean(X, key=Key(0, r)))
            wide = outcome(lambda c=c, X=X, r=r: c.mean(X.double(), key=Key(0, r)))
            assert isinstance(found, str) == isinstance(wide, str)
            refused += isinstance(found, str) and found == wide
        assert 0 < refused < 40
