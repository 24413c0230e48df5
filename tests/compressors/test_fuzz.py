"""Attacks of every kind on the messages of every compressor.

The attacks are in ``fuzzing.py``; ``tools/fuzz_payload.py`` makes millions of them.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.cases import CASES
from tests.fuzzing import KINDS, attack, sent_by
from tests.helpers import peak_memory

pytestmark = pytest.mark.slow

every = pytest.mark.parametrize("c", CASES, ids=str)
FOREIGN, DAMAGED, FORGED, SEALED = (bytes([KINDS.index(kind)]) for kind in KINDS)

which = st.integers(0, 2**16 - 1).map(lambda i: i.to_bytes(2, "little"))
operations = st.lists(st.binary(min_size=4, max_size=12), max_size=4).map(b"".join)
changes = st.tuples(st.one_of(st.just(255), st.integers(0, 90)), st.integers(0, 255)).map(bytes)


@settings(max_examples=20)
@given(which, st.binary(max_size=120))
@every
def test_foreign_bytes(c, which, data):
    attack(FOREIGN + which + data, sent_by(c))
    attack(SEALED + which + data, sent_by(c))


@settings(max_examples=40)
@given(which, operations)
@every
def test_damaged_messages(c, which, operations):
    attack(DAMAGED + which + operations, sent_by(c))


@settings(max_examples=200)
@given(which, operations)
def test_spliced_messages_of_all_compressors(which, operations):
    attack(DAMAGED + which + operations)


@settings(max_examples=30)
@given(which, changes, st.binary(min_size=40, max_size=200))
@example(b"\0\0", b"\xff\0", b"")
@every
def test_forged_messages(c, which, changes, data):
    forged = FORGED + which + changes + data
    assert peak_memory(lambda: attack(forged, sent_by(c))) < 1_000_000
