"""Scores of rounding: small for the right probabilities, large for wrong ones."""

import numpy as np
import pandas as pd
import pytest

from cqbook.evidence import rounding_scores
from cqbook.evidence.figures.clients import error_against_clients
from cqlib import Key, theory

HALF = np.array([2**30])  # the position 1/2


def largest(bits, variance):
    n, draws = bits.shape
    return rounding_scores.largest_score(lambda _: bits, variance, HALF, n=n, draws=draws)


def test_scores_by_hand():
    # Two clients, four coordinates; at each coordinate exactly one client rounds up.
    bits = np.array([[1, 0, 1, 1], [0, 1, 0, 0]], dtype=bool)
    assert largest(bits, lambda y: 0.0) == 1  # shares 3/4 and 1/4, error 1/4
    # Squares of the counts less 1 are 0; a variance of 1/2 is 2 / 1e-6 standard errors off.
    assert largest(bits, lambda y: 0.5) == pytest.approx(2e6)


def test_all_kinds_of_rounding_pass():
    positions = np.round(np.array([0.1, 0.5]) * 2**31).astype(np.int64)
    found = rounding_scores.scores(positions, n=5, draws=2048, key=Key(1))
    assert list(found) == ["independent", "correlated, shift", "correlated, permutation"]
    assert 0.1 < min(found.values()) and max(found.values()) < 5


def test_independent_bits_are_not_correlated_ones():
    bits = np.random.default_rng(0).random((5, 2048)) < 0.5
    assert largest(bits, theory.iq_variance) < 5 < largest(bits, theory.cq_variance)


@pytest.mark.parametrize("name", rounding_scores.RANKS)
def test_ranks_hit_every_cell_once(name):
    drawn = rounding_scores.ranks(name, n=6, draws=1500, key=Key(2))
    assert drawn.shape == (6, 1500) and rounding_scores.one_in_each_cell(drawn)
    assert not rounding_scores.one_in_each_cell(np.minimum(drawn, 4))


def test_the_figure_draws_its_data():
    columns = "compressor clients exact sampled two_standard_errors equal_clients".split()
    rows = [(c, n, 1 / n, 1.1 / n, 0.1, 0.5 / n) for c in ("iq", "cq") for n in (2, 4, 9)]
    (ax,) = error_against_clients(pd.DataFrame(rows, columns=columns), "title").axes
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["IQ, exact"] == [1 / 2, 1 / 4, 1 / 9] and ax.get_title() == "title"
    assert lines["CQ, equal clients"] == [0.5 / 2, 0.5 / 4, 0.5 / 9]
    assert ax.get_xticks().tolist() == [2, 4, 8]
