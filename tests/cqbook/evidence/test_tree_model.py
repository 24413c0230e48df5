"""The model of reductions around its break-even bandwidth."""

import pytest

from cqbook.evidence.tree_model import gather_beats_ring, tree_speedup
from cqlib import theory


def test_speedup_is_one_at_break_even():
    options = {"compression": 4, "slowdown": 79, "speed": 2e12}
    even = theory.break_even_bandwidth(compression=4, reduce_slowdown=79, reduce_speed=2e12)
    assert tree_speedup(even, **options) == pytest.approx(1)
    assert tree_speedup(0.5 * even, **options) > 1.1 > 0.9 > tree_speedup(2 * even, **options)
    assert tree_speedup(0.5 * even, **options, size=7.0) == pytest.approx(
        tree_speedup(0.5 * even, **options)
    )


def test_gathering_by_hand():
    # n - 1 messages of size 1/4 each way against 2 (n - 1)/n of whole ones: n < 8.
    assert gather_beats_ring(4) == list(range(2, 8)) and gather_beats_ring(1) == []
