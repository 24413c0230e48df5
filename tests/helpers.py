"""Helpers of several test files: another Philox, guards, statistics, verdicts of notebooks."""

import os
import random
import shutil
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from scipy.stats import norm

from cqbook.book import ledger
from cqbook.cells import claims
from cqbook.runs import provenance

# In every module with statistical tests the probability of a false alarm is below FAMILY_LEVEL, if
# it makes at most COMPARISONS comparisons (Bonferroni). Seeds are fixed, so that a test that passes
# once always passes; after a change of the code the level is the probability of a false failure.
FAMILY_LEVEL = 1e-6
COMPARISONS = 50_000
LEVEL = FAMILY_LEVEL / COMPARISONS  # of one comparison
Z = float(norm.isf(LEVEL / 2))  # 6.7 standard errors


def peak_memory(call: Callable[[], object]) -> int:
    """Return the smallest peak of traced memory of three calls, above that before it, in bytes.

    The first call may import or compile, and other threads may allocate memory.
    """
    peaks = []
    for _ in range(3):
        tracemalloc.start()  # does nothing if memory is traced already
        try:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            call()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    return min(peaks)


def bernstein_radius(samples: np.ndarray, spread: Any) -> np.ndarray:
    """Return a bound of the distance of the mean over axis 0 from its expectation, at LEVEL.

    This is the empirical Bernstein bound (Maurer, Pontil 2009). Unlike a z-test it is valid for few
    samples and for skewed ones, where rare values may be missing. ``spread`` is the length of the
    range of possible values.
    """
    k = len(samples)
    log = np.log(4 / LEVEL)
    variance = samples.var(axis=0, ddof=1)
    return np.sqrt(2 * variance * log / k) + 7 * spread * log / (3 * (k - 1))


def standard_error(samples: np.ndarray) -> np.ndarray:
    """Return the standard error of the mean over axis 0."""
    return samples.std(axis=0, ddof=1) / np.sqrt(len(samples))


def assert_mean(samples: np.ndarray, expected: Any) -> None:
    """Test means over axis 0 by z-tests, for moments of many bounded samples."""
    assert (np.abs(samples.mean(axis=0) - expected) < Z * standard_error(samples)).all()


def philox(counter: tuple[int, ...], key: tuple[int, int], rounds: int = 10) -> tuple[int, ...]:
    """Return Philox4x32 as in its paper: two 64-bit products per round, in Python integers."""
    x0, x1, x2, x3 = counter
    key0, key1 = key
    for r in range(rounds):
        high0, low0 = divmod(0xD2511F53 * x0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * x2, 2**32)
        round_key0 = (key0 + r * 0x9E3779B9) % 2**32
        round_key1 = (key1 + r * 0xBB67AE85) % 2**32
        x0, x1, x2, x3 = high1 ^ x1 ^ round_key0, low1, high0 ^ x3 ^ round_key1, low0
    return x0, x1, x2, x3


def stream_key(seed: int, round: int, stream: int, client: int = 0) -> tuple[int, int]:
    """Return the first two words of Philox(counter (round lo, round hi, stream, client), seed)."""
    counter = (round % 2**32, round // 2**32, stream, client)
    return philox(counter, (seed % 2**32, seed // 2**32))[:2]


# Before a command: run it as a user without name or rights, who may read every file.
AS_NOBODY = (
    *("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    "--bounding-set=-all,+dac_read_search",
)
needs_root = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="only root becomes another user"
)


def provenance_of(folder: Path, **more: Any) -> str:
    """Return the content of a ``provenance.json`` for the files of a folder."""
    facts: dict[str, Any] = {"notebook": "marina", "parameters": {}, "fingerprint": "0"}
    facts |= {"commit": "c0ffee", "cqlib": "0.1.9", "device": "one", "versions": {}}
    facts |= {"seconds": 1.5, "files": provenance.files(folder)}
    return provenance.text(facts | more)


@contextmanager
def global_generators_untouched() -> Iterator[None]:
    """Fail if the block uses the global generator of Python, NumPy or torch."""
    before = _generator_states()
    yield
    assert _generator_states() == before, "a global random number generator was used"


def _generator_states() -> tuple[Any, ...]:
    kind, words, *rest = np.random.get_state()
    return random.getstate(), kind, words.tobytes(), rest, torch.get_rng_state().numpy().tobytes()


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return True if two tensors agree in dtype, shape and every bit, also in the sign of zero."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_raw(a), _raw(b))


def _raw(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x.reshape(-1)]).view(torch.uint8)  # a contiguous copy


def stored_verdicts(nb: nbformat.NotebookNode) -> Iterator[claims.Evidence]:
    """Yield the verdicts in a notebook's stored outputs."""
    for id, verdict in ledger.stored(nb):
        yield claims.Evidence(id, verdict, "", "")


def heed_ctrl_c() -> None:
    """Let a command be interrupted, even if the tests run in the background of a script."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
