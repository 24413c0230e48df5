"""Every compressor sends the same bytes as in the stored golden files."""

import pytest
import torch

from cqlib.compressors.registry import LIBRARY
from cqlib.kernels import dispatch
from tests import golden

HOW = f"If the wire format was meant to change, write the files anew: {golden.WRITE_ANEW}"


def differences(expected, found):
    """Yield the first missing, superfluous or different entry of each case and shape."""
    for case in sorted(expected.keys() | found.keys()):
        if case not in found:
            yield f"{case}: in the file, but not among the cases"
            continue
        if case not in expected:
            yield f"{case}: among the cases, but not in the file"
            continue
        for shape in sorted(expected[case].keys() | found[case].keys()):
            old, new = expected[case].get(shape), found[case].get(shape)
            if old is None or new is None:
                yield f"{case}, {shape}: {'not in the file' if old is None else 'refused now'}"
            elif old != new:
                yield f"{case}, {shape}: {first_difference(old, new)}"


def first_difference(old, new):
    for kind in sorted(old.keys() | new.keys()):
        pairs = enumerate(zip(old.get(kind, []), new.get(kind, []), strict=False))
        for client, (was, now) in pairs:
            if was != now:
                return f"{kind} of client {client}\n    was {was}\n    is  {now}"
    return "another number of clients"


STORED = [name for name in golden.case_names() if golden.path(name).exists()]


@pytest.mark.parametrize("name", STORED)
def test_bytes_are_those_of_the_file(name, backend):
    found = list(differences(golden.load(name), golden.entries(name)))
    assert not found, "\n".join([f"{name}.json does not agree.", *found, HOW])


@pytest.mark.parametrize("name", sorted(set(golden.case_names()) - set(STORED)))
def test_bytes_of_a_new_compressor_are_the_same_again(name, monkeypatch):
    """Without a stored file: check that backends agree, and that there are messages."""
    found = golden.entries(name)
    check_content(found)
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
    assert not list(differences(found, golden.entries(name)))
    pytest.skip(f"store the bytes, so that they cannot change: {golden.WRITE_ANEW} {name}")


def test_there_is_a_file_for_each_compressor_of_the_library_and_no_other():
    files = {file.stem for file in golden.FOLDER.glob("*.json")}
    assert set(LIBRARY) <= files <= set(golden.case_names()), HOW


@pytest.mark.parametrize("name", STORED)
def test_every_case_and_shape_says_something(name):
    check_content(golden.load(name))


def check_content(kept):
    assert kept and all(kept.values())
    for entry in (entry for shapes in kept.values() for entry in shapes.values()):
        payloads, decoded = (
            [line for kind in entry if kind.endswith(what) for line in entry[kind] if line]
            for what in ("payloads", "decoded")
        )
        assert len(set(payloads)) == len(payloads) == len(decoded) > 0
        assert set("".join(decoded)) != {"0"}


@pytest.mark.parametrize("name", STORED)
def test_files_are_written_sorted_and_one_payload_a_line(name):
    lines = golden.path(name).read_text().splitlines(keepends=True)
    assert lines[-1] == "}\n"
    assert max(line.count('"') for line in lines) == 2


def test_a_superfluous_and_a_missing_entry_are_told():
    entry = {"payloads": ["00", None], "decoded": ["01", None]}
    other = {"payloads": ["02", None], "decoded": ["01", None]}
    told = list(differences({"A": {}, "B": {"n": entry}}, {"B": {"n": other, "m": entry}, "C": {}}))
    assert told == [
        "A: in the file, but not among the cases",
        "B, m: not in the file",
        "B, n: payloads of client 0\n    was 00\n    is  02",
        "C: among the cases, but not in the file",
    ]


def test_vectors_are_exact_and_cover_signs_and_zeros():
    for n, d in golden.SHAPES:
        X = golden.vectors(n, d)
        assert X.dtype == torch.float32
        assert torch.equal(X.double() * 128, (X.double() * 128).round())
        assert not X[-1].any()
        for row in X[:-1]:
            assert (row < 0).any() and (row > 0).any() and (row == 0).any()
