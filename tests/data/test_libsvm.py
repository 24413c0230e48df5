"""LibSVM files: reading, errors and their messages, in bounded memory."""

import bz2
import gzip
import io
import lzma
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cqlib import data
from cqlib.data import libsvm, lines
from tests.helpers import peak_memory

TEXT = b"+1 1:1 3:2.5\n-1 2:-4 7:1\n+1 5:3\n"
X = np.array([[1, 0, 2.5, 0, 0, 0, 0], [0, -4, 0, 0, 0, 0, 1], [0, 0, 0, 0, 3, 0, 0]])
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".bz2": bz2.compress,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(content: bytes, name: str = "x.svm") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return put


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", ["mine.svm", "mine.libsvm", "mine.txt", "mine", "MINE.SVM"])
def test_a_file_of_any_compression(write: Callable[..., Path], name: str, ending: str) -> None:
    path = write(COMPRESS[ending](TEXT), name + ending)
    loaded = data.load(str(path))
    np.testing.assert_array_equal(loaded.X, X)
    np.testing.assert_array_equal(loaded.y, [1, -1, 1])
    assert loaded.name == loaded.label == path.name.split(".")[0]
    assert loaded.source == f"{path.name}, content {data.content_sha256(X, loaded.y)[:12]}"
    assert data.load(path).name == loaded.name


def test_a_name_has_no_meaning_in_pages_and_figures(write: Callable[..., Path]) -> None:
    for name in ("<script>.svm", "a$b$c.svm", "`x`|y.svm", "a\nb.svm", "{{x}}.svm"):
        assert re.fullmatch(r"[\w ]+", data.load(write(TEXT, name)).label)
    assert data.load(write(TEXT, "données-1, α=2 (x).svm")).label == "données-1, α=2 (x)"


def test_only_the_ending_of_the_format_leaves_the_name(write: Callable[..., Path]) -> None:
    assert data.load(write(TEXT, "w8a.t")).name == "w8a.t"
    assert data.load(write(bz2.compress(TEXT), "w8a.t.svm.BZ2")).name == "w8a.t"


def test_home_and_working_folder(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(TEXT).parent
    write(TEXT, "a9a")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    for name in ("~/x.svm", "x.svm", "./a9a"):
        np.testing.assert_array_equal(data.load(name).X, X)
    assert data.load("a9a").n_samples == 32561, "a name is a name, whatever files there are"


def test_a_changed_file_is_read_anew(write: Callable[..., Path]) -> None:
    path = write(TEXT)
    assert data.load(path).X[0, 2] == 2.5
    write(TEXT.replace(b"2.5", b"2.6"))
    assert data.load(path).X[0, 2] == 2.6


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(b"\n", b"\r\n"),
        TEXT[:-1],
        b"\n\n" + TEXT.replace(b"\n", b"\n  \t\n") + b"\n",
        b"# about\n" + TEXT.replace(b"\n", b"  # 2:x\n"),
        TEXT.replace(b" ", b" \t ").replace(b"2.5", b"+.25e+1"),
        TEXT.replace(b"3:2.5", b"003:2.5 6:0"),
    ],
)
def test_layout_does_not_matter(write: Callable[..., Path], text: bytes) -> None:
    loaded = data.load(write(text))
    np.testing.assert_array_equal(loaded.X, X)
    np.testing.assert_array_equal(loaded.y, [1, -1, 1])


@pytest.mark.parametrize(
    ("lower", "upper"),
    [("-1", "+1"), ("0", "1"), ("1", "2"), ("2", "4"), ("-1.0", "1e0"), ("-3", "-2.5")],
)
def test_the_smaller_label_is_minus_one(write: Callable[..., Path], lower: str, upper: str) -> None:
    path = write(f"{upper} 1:1\n{lower} 1:2\n{upper} 1:3\n".encode())
    np.testing.assert_array_equal(data.load(path).y, [1, -1, 1])


WRONG = [  # text, line, message
    (b"+1 1:1\n-1 0:5\n", 2, "the index 0; indices of LibSVM files start at 1"),
    (b"+1 1:1\n\n# none\n-1 2:1 00:5\n", 4, "the index 0; indices of LibSVM files start at 1"),
    (b"+1 x:1\n", 1, "the index 'x' is not a whole number"),
    (b"+1 -3:1\n", 1, "the index '-3' is not a whole number"),
    (b"+1 1.5:1\n", 1, "the index '1.5' is not a whole number"),
    (b"+1 :1\n", 1, "the index '' is not a whole number"),
    (b"+1 qid:7 1:1\n", 1, "the index 'qid' is not a whole number"),
    (b"+1 1:1\n-1 3:1 2:1\n", 2, "the index 2 follows 3; indices must ascend"),
    (b"+1 1:1\n-1 3:1 3:1\n", 2, "the index 3 follows 3; indices must ascend"),
    (b"+1 1:1\n-1 2:nan\n", 2, "the value of index 2 is 'nan'; it must be finite"),
    (b"+1 1:1\n-1 2:-inf\n", 2, "the value of index 2 is '-inf'; it must be finite"),
    (b"+1 1:1e999\n", 1, "the value of index 1 is '1e999'; it must be finite"),
    (b"+1 1:\n", 1, "the value of index 1 is '', which is not a number"),
    (b"+1 1:1:2\n", 1, "the value of index 1 is '1:2', which is not a number"),
    (b"+1 1:1_0\n", 1, "the value of index 1 is '1_0', which is not a number"),
    (b"+1 1:0x3\n", 1, "the value of index 1 is '0x3', which is not a number"),
    (b"+1 7\n", 1, "'7' is not of the form index:value"),
    (b"+1 1 :2\n", 1, "'1' is not of the form index:value"),
    (b"+1,1,2\n", 1, "the label is '+1,1,2', which is not a number"),
    (b"1:1 2:1\n", 1, "the label is '1:1', which is not a number"),
    (b"nan 1:1\n", 1, "the label is 'nan'; it must be finite"),
    (b"\xff\xfe 1:1\n", 1, "the label is '\\\\xff\\\\xfe', which is not a number"),
    (b"1" * 99 + b"x", 1, f"the label is '{'1' * 40}...', which is not a number"),
    (b"+1 99999999999999999999:1\n", 1, "the index '99999999999999999999' is too large"),
]
COUNTED = [  # from the start of the file
    (
        b"0 1:1\n1 1:2\n\n0 1:3\n2.5 1:4\n",
        5,
        "a third label, 2.5, after 0 (line 1) and 1 (line 2); a set has two",
    ),
    (
        b"+1 1:1\n-1 99999999999:1\n",
        2,
        "a matrix of 2 x 99999999999 from a text with 2 entries takes 1600000000034 bytes; the "
        "limit is 2147483648",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG + COUNTED)
def test_a_wrong_line_is_named(
    write: Callable[..., Path], text: bytes, line: int, message: str
) -> None:
    path = write(text)
    with pytest.raises(data.DataError) as caught:
        data.load(path)
    assert str(caught.value) == f"{path}, line {line}: {message}"


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_a_wrong_line_of_a_later_block_is_named(
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    text: bytes,
    line: int,
    message: str,
) -> None:
    monkeypatch.setattr(lines, "BLOCK", 64)
    path = write(b"+1 1:1 2:1\n" * 50 + text)
    with pytest.raises(data.DataError) as caught:
        data.load(path)
    assert str(caught.value) == f"{path}, line {50 + line}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no samples"),
        (b"\n# nothing\n", "no samples"),
        (b"+1\n-1\n", "none of the 2 samples has a feature"),
        (b"3 1:1\n3 2:1\n", "all labels are 3; two different ones are needed"),
    ],
)
def test_a_set_needs_samples_features_and_two_labels(
    write: Callable[..., Path], text: bytes, message: str
) -> None:
    path = write(text)
    with pytest.raises(data.DataError) as caught:
        data.load(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("ending", [".bz2", ".gz", ".xz"])
def test_damaged_compression(write: Callable[..., Path], ending: str) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{1 - 2 * (i % 2)} 1:{x}" for i, x in enumerate(rng.random(80_000))]
    whole = COMPRESS[ending]("\n".join(rows).encode())
    path = write(whole[: len(whole) // 2], f"x.svm{ending}")
    with pytest.raises(data.DataError, match=r"x.svm.*, line \d+: the compressed file ends too"):
        data.load(path)
    write(whole[:5000] + bytes(200) + whole[5200:], path.name)
    with pytest.raises(data.DataError, match=r", line \d+: (not a valid compressed file|the)"):
        data.load(path)
    write(TEXT, path.name)
    with pytest.raises(data.DataError, match=", line 1: not a valid compressed file: "):
        data.load(path)
    write(whole, "x.svm")
    with pytest.raises(data.DataError, match=r"x.svm, line 1: the label is .*, which is not a"):
        data.load(path.with_name("x.svm"))


@pytest.mark.parametrize(
    ("name", "reason"), [("none.svm", "No such file"), ("folder.svm", "Is a directory")]
)
@pytest.mark.parametrize("ending", COMPRESS)
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str, reason: str, ending: str) -> None:
    (tmp_path / f"folder.svm{ending}").mkdir()
    path = tmp_path / f"{name}{ending}"
    with pytest.raises(data.DataError) as caught:
        data.load(path)
    assert str(caught.value).startswith(f"{path} cannot be read: {reason}")


@pytest.mark.parametrize("ending", [".bz2", ".gz", ".xz"])
@pytest.mark.parametrize("after", [b"g", b"garbage", bytes(99) + b"x", TEXT * 9999])
def test_data_after_the_compressed_text_are_refused(
    write: Callable[..., Path], ending: str, after: bytes
) -> None:
    path = write(COMPRESS[ending](TEXT + b"\n") + after, f"x.svm{ending}")
    with pytest.raises(data.DataError) as caught:
        data.load(path)
    assert str(caught.value) == f"{path}, line 1: other data follow the compressed text"


@pytest.mark.parametrize("ending", [".bz2", ".gz", ".xz"])
@pytest.mark.parametrize("zeros", [0, 4, lines._PACKED - 100, 3 * lines._PACKED])
@pytest.mark.parametrize("block", [1, 16, 2**18])
def test_several_streams_are_read_as_one(
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    zeros: int,
    block: int,
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    parts = [COMPRESS[ending](part) for part in (TEXT[:15], b"", TEXT[15:])]
    path = write(b"".join(part + bytes(zeros) for part in parts), f"x.svm{ending}")
    np.testing.assert_array_equal(data.load(path).X, X)
    for cut in (len(parts[0]) + zeros + 1, len(parts[0]) - 1):
        write(b"".join(part + bytes(zeros) for part in parts)[:cut], path.name)
        with pytest.raises(data.DataError):
            data.load(path)


@pytest.mark.parametrize("name", ["a\0.svm", "a\0.svm.xz", "\ud800.svm"])
def test_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(data.DataError) as caught:
        data.load(name)
    assert str(caught.value).startswith(f"{name!r} cannot be read: ")


@pytest.mark.parametrize("name", [5, None, ["a9a"], b"a9a", b"x.svm"])
def test_a_name_is_a_text_or_a_path(name: Any) -> None:
    with pytest.raises(TypeError) as caught:
        data.load(name)
    assert str(caught.value) == f"a data set is named by a text or a path, not by {name!r}"


# Memory


@pytest.mark.slow
def test_many_lines_are_read_in_blocks(write: Callable[..., Path]) -> None:
    """30 MB of text, mostly comments, compressed or not: it is never in memory as a whole."""
    line = b"+1 1:1 2:0.5  # " + b"x" * 1000 + b"\n"
    text = line * 15_000 + line.replace(b"+1", b"-1") * 15_000
    for path in (write(text), write(gzip.compress(text), "x.svm.gz")):
        read, y = libsvm.read(path)
        assert read.shape == (30_000, 2) and y.sum() == 0
        assert peak_memory(lambda path=path: libsvm.read(path)) < 12e6 < len(text) / 2


@pytest.mark.parametrize("index", [b"268435456", b"99999999999999", b"9" * 30])
def test_a_huge_index_is_refused_before_anything_is_allocated(
    write: Callable[..., Path], index: bytes
) -> None:
    path = write(b"+1 1:1 " + index + b":1\n-1 1:1\n")

    def refused() -> None:
        with pytest.raises(data.DataError, match="line 1: .*(takes .* bytes|too large)"):
            data.load(path)

    assert peak_memory(refused) < 10e6


def test_the_limit_is_exact(write: Callable[..., Path]) -> None:
    path = write(b"+1 10:1\n-1 1:1\n\n+1 1:1\n")
    least = 8 * 3 * 10 + 13 * 3 + 12 * 3
    assert libsvm.read(path, largest=least)[0].shape == (3, 10)
    told = f"line 4: a matrix of 3 x 10 .* 3 entries takes {least} bytes; .* is {least - 1}"
    with pytest.raises(data.DataError, match=told):
        libsvm.read(path, largest=least - 1)
    path = write(b"+1 1:1\n-1 1:1\n+1 11:1\n")
    with pytest.raises(data.DataError, match="line 3: a matrix of 3 x 11 .* takes 339 bytes"):
        libsvm.read(path, largest=least)


def test_samples_and_entries_count_even_if_x_is_small(write: Callable[..., Path]) -> None:
    """A sample without features takes 21 bytes, 8 of them for the least width of 1."""
    path = write(b"1\n" + b"-1\n" * 100)
    with pytest.raises(data.DataError, match="line 48: a matrix of 48 x 1 .* 0 entries takes 1008"):
        libsvm.read(path, largest=1000)
    with pytest.raises(data.DataError, match="none of the 101 samples has a feature"):
        libsvm.read(path, largest=21 * 101)


@pytest.mark.parametrize("line", [b"\n", b"-1\n", b" # x\n", b"#" * 999 + b"\n"])
@pytest.mark.slow
def test_text_without_features_is_bounded(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """A small compressed file cannot hold a reader up, nor make it keep much."""
    monkeypatch.setattr(libsvm, "_SPARE", 2**20)
    text = b"1 1:1\n-1 2:1\n" + line * (2**20 // (len(line) + 32))
    assert libsvm.read(write(text))[0].shape[1] == 2
    path = write(lzma.compress(text + line * (2**22 // (len(line) + 32))), "x.svm.xz")

    def refused() -> None:
        with pytest.raises(data.DataError, match=r"x.svm.xz, line \d+: too much text"):
            libsvm.read(path)

    assert peak_memory(refused) < 25 * 2**20
    more = b"1 1:1 2:1\n" * 10_000 + line * (2**21 // (len(line) + 32))
    assert libsvm.read(write(more + text))[0].shape[1] == 2, "each entry allows more text"


@pytest.mark.parametrize("filled", [1.0, 0.1])
@pytest.mark.slow
def test_memory_is_as_stated(write: Callable[..., Path], filled: float) -> None:
    """X, y and what is kept of the text, and no copy of X, neither to hash nor to freeze it."""
    N, d = 8000, 200
    given = np.random.default_rng(0).random((N, d)) < filled
    given[:, -1] = True
    rows = [" ".join(f"{j}:7" for j in np.flatnonzero(row) + 1) for row in given]
    path = write("".join(f"{1 - 2 * (i % 2)} {row}\n" for i, row in enumerate(rows)).encode())
    del rows
    loaded = data.load(path)
    assert loaded.X.nbytes == 8 * N * d and (loaded.X == 7 * given).all()
    assert peak_memory(lambda: data.load(path)) < 8 * N * d + 13 * N + 12 * given.sum() + 15 * 2**20


def test_a_line_without_end_is_refused(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST", 2**22)
    path = write(lzma.compress(TEXT + b"+1 1:1" + bytes(2**26)), "x.svm.xz")

    def refused() -> None:
        with pytest.raises(data.DataError, match="line 4: longer than 4194304 bytes"):
            data.load(path)

    assert peak_memory(refused) < 40e6


# Against another reader, and against a slow one

numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["0", "-0", "+1", "1.", ".5", "1E3", "0003", "5e-324"]),
)
entries = st.dictionaries(st.integers(1, 40), numbers, max_size=8).map(lambda e: sorted(e.items()))
gaps = st.sampled_from([" ", "  ", "\t"])
ends = st.sampled_from(["\n", " \n", "\r\n", " # 1:2 # x\n", "\n\n", "\n# x\n"])
rows = st.tuples(st.sampled_from(["-1", "+1", "1", "1.0"]), entries, gaps, ends)


def texts(found: list[tuple[str, list[tuple[int, str]], str, str]]) -> bytes:
    lines = (
        gap.join([label, *(f"{index}:{value}" for index, value in pairs)]) + end
        for label, pairs, gap, end in found
    )
    return ("-1 1:1\n1 1:1\n" + "".join(lines)).encode()


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(rows, max_size=12).map(texts))
def test_random_files_are_read_as_scikit_learn_reads_them(text: bytes) -> None:
    from sklearn.datasets import load_svmlight_file

    theirs, labels = load_svmlight_file(io.BytesIO(text), zero_based=False)
    places, samples = libsvm._samples(1, text.split(b"\n"))
    for found in (
        libsvm._all_at_once(samples),
        libsvm._one_by_one(Path("x"), places, samples),
    ):
        assert found is not None
        size = libsvm._Size(len(samples), int(found.columns.max()), len(found.values))
        dense, y = libsvm._filled(deque([libsvm._to_keep(found, -1.0)]), size, above=True)
        np.testing.assert_array_equal(dense, theirs.toarray())
        np.testing.assert_array_equal(found.labels, labels)
        np.testing.assert_array_equal(y, labels)


pieces = st.binary(max_size=40) | st.text("+-1 :0239.eqidn#_\n\t", max_size=60).map(str.encode)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(pieces)
@example(b"1 1:1 2")
@example(b"1 1:\xc2\xa01")
@example("1 1:٣".encode())
def test_both_ways_of_reading_agree_on_any_bytes(text: bytes) -> None:
    """Reading whole blocks gives the same as reading line by line, which names errors."""
    places, samples = libsvm._samples(1, text.split(b"\n"))
    quick = libsvm._all_at_once(samples) if samples else None
    try:
        slow = libsvm._one_by_one(Path("x"), places, samples)
    except data.DataError as error:
        assert quick is None and str(error).startswith("x, line ")
        return
    if samples:
        assert quick is not None
        for name in ("labels", "counts", "columns", "values"):
            np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(raw=pieces, ending=st.sampled_from(list(COMPRESS)), packed=st.booleans())
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, ending: str, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.svm{ending}"
    path.write_bytes(COMPRESS[ending](raw) if packed else raw)
    try:
        loaded = data.load(path)
    except data.DataError as error:
        assert str(path) in str(error)
    else:
        assert loaded.n_samples >= 2 and loaded.d >= 1


def test_an_announced_dictionary_is_not_allocated(write):
    """The header of a small file may ask for a dictionary of gigabytes."""
    huge = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30, "preset": 0}]
    path = write(lzma.compress(TEXT, filters=huge), "x.svm.xz")
    with pytest.raises(data.DataError, match=r"x\.svm\.xz, line 1: not a valid compressed file"):
        data.load(str(path))
    largest = [{"id": lzma.FILTER_LZMA2, "preset": 9}]  # as xz -9 makes it
    data.load(str(write(lzma.compress(TEXT, filters=largest), "y.svm.xz")))
