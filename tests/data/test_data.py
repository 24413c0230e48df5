"""Data sets: what is real, what is refused, what stands in. Nothing here leaves this machine."""

import bz2
import hashlib
import http.server
import logging.handlers
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from cqbook.cells import claims
from cqlib import data
from cqlib.data.stand_in import stand_in as draw

GIVEN = os.environ.get("CQLIB_DATA", "")  # as it was before `alone` takes it away
REAL = {  # rows, features, +1, -1, stored entries, SHA-256 of the content
    "a9a": (32561, 123, 7841, 24720, 451592, "741af0a12cb942d6"),
    "madelon": (2000, 500, 1000, 1000, 999999, "0353f1b6a0c58912"),
    "splice": (1000, 60, 517, 483, 60000, "2c00d62ea299c643"),
}
STAND_INS = {
    "a9a": "a1527062d40f0af8608aadbb6d75150d38003ac75da101412770fd95157e5e61",
    "madelon": "91ff5747e25edeac440ed4732bb638e12c287a34ec458fb6243785db0a839177",
    "splice": "58a4badb787dd7f7a60bd9a9a38125ac13c0e3804a13fe19b9e7881906218bb3",
}
TINY = b"+1 1:1 3:2.5\n-1 2:-4 7:1\n+1 1:0 5:3\n"  # stands for splice in most tests
ALTERED = TINY.replace(b"2.5", b"2.6")
HASH = re.compile(r"\b[0-9a-f]{64}\b")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No CQLIB_DATA, an empty cache, an address where nobody answers. Gives the cache."""
    monkeypatch.delenv("CQLIB_DATA", raising=False)
    monkeypatch.setenv("CQLIB_CACHE", str(tmp_path / "cache"))
    for key in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(key, "127.0.0.1")
    monkeypatch.setattr(data, "BASE_URL", "http://127.0.0.1:9/")
    return tmp_path / "cache"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes TINY the content that splice must have; gives its SHA-256, reckoned by hand."""
    parts = [
        np.array([1, -1, 1], "i1"),
        np.array([0, 2, 4, 5], "<i4"),
        np.array([0, 2, 1, 6, 4], "<i4"),
        np.array([1, 2.5, -4, 1, 3], "<f8"),
    ]
    sha = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    monkeypatch.setitem(data._CONTENT, "splice", sha)
    monkeypatch.setitem(data._SHAPES, "splice", (3, 7))
    return sha


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that CQLIB_DATA names."""
    path = tmp_path / "given"
    path.mkdir()
    monkeypatch.setenv("CQLIB_DATA", str(path))
    return path


Serve = Callable[..., list[str]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """serve(body, status=200, length=None) answers every request so; gives the paths asked."""
    servers = []

    def start(body: bytes, status: int = 200, length: int | None = None) -> list[str]:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        monkeypatch.setattr(data, "BASE_URL", f"http://127.0.0.1:{server.server_port}/")
        return asked

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def stand_in(name: str) -> data.Dataset:
    with pytest.warns(data.DataWarning) as caught:
        loaded = data.load(name)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert not loaded.real
    return loaded


def tree(path: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(path)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in sorted(path.rglob("*"))
        if p.is_file()
    }


# The real sets


@pytest.mark.parametrize("name", REAL)
def test_real_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(os.path.exists(os.path.join(GIVEN, f)) for f in (name, f"{name}.bz2") if GIVEN):
        pytest.skip(f"CQLIB_DATA holds no {name}")
    monkeypatch.setenv("CQLIB_DATA", GIVEN)
    loaded = data.load(name)
    n, d, plus, minus, nnz, sha = REAL[name]
    assert loaded.real and loaded.label == name and "stand-in" not in loaded.source
    assert (loaded.n_samples, loaded.d) == loaded.X.shape == (n, d)
    assert ((loaded.y == 1).sum(), (loaded.y == -1).sum()) == (plus, minus)
    assert np.count_nonzero(loaded.X) == nnz
    assert data.content_sha256(sparse.csr_matrix(loaded.X), loaded.y).startswith(sha)
    assert data.load(name) is loaded


@pytest.mark.parametrize("name, plus", [("breast_cancer", 357), ("digits", 891)])
def test_packaged_set(name: str, plus: int) -> None:
    loaded = data.load(name)
    assert loaded.real and loaded.label == name and loaded.source.startswith("scikit-learn")
    assert (loaded.y == 1).sum() == plus
    assert data.load(name) is loaded


def test_packaged_columns() -> None:
    import sklearn.datasets as shipped

    X = data.load("breast_cancer").X
    np.testing.assert_allclose(X.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(X.var(0), 1, rtol=1e-12)
    pixels, digit = shipped.load_digits(return_X_y=True)
    np.testing.assert_array_equal(data.load("digits").X * 16, pixels)
    np.testing.assert_array_equal(data.load("digits").y == 1, digit % 2 == 0)


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "splice"])
def test_arrays_are_fixed(name: str) -> None:
    loaded = stand_in(name) if name == "splice" else data.load(name)
    for array in (loaded.X, loaded.y):
        assert array.dtype == np.float64 and array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert set(loaded.y) == {-1.0, 1.0}
    with pytest.raises(AttributeError):
        setattr(loaded, "real", True)  # noqa: B010


def test_dataset_checks_and_copies() -> None:
    X: Any = np.asfortranarray(np.ones((2, 3), np.float32))
    y: Any = np.array([1, -1])
    mine = data.Dataset(X, y, "mine", True, "here")
    X[0, 0] = 7
    assert mine.X[0, 0] == 1 and mine.X.flags.c_contiguous and "array" not in repr(mine)
    for bad_X, bad_y in [(X, y[:1]), (X[0], y), (X, y * 0), (X * np.nan, y)]:
        with pytest.raises(ValueError, match="mine"):
            data.Dataset(bad_X, bad_y, "mine", True, "here")


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_unit_rows(name: str) -> None:
    loaded = data.load(name)
    unit = loaded.unit_rows()
    np.testing.assert_allclose((unit.X**2).sum(axis=1), 1, rtol=1e-14)
    norms = np.sqrt((loaded.X**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(unit.X * norms, loaded.X, rtol=1e-14)
    np.testing.assert_array_equal(unit.y, loaded.y)
    assert (unit.name, unit.real, unit.source) == (name, True, loaded.source)
    assert unit.label == f"{name}, unit rows" and unit.unit_rows() is unit
    assert loaded.label == name and data.load(name) is loaded


def test_unit_rows_of_zeros_and_of_extreme_rows() -> None:
    X = np.array([[0, 0], [3, -4], [1e300, 1e300], [5e-324, 0], [0, -1e-200]])
    made = data.Dataset(X, np.ones(5), "mine", False, "here").unit_rows()
    half = np.sqrt(0.5)
    wanted = [[0, 0], [0.6, -0.8], [half, half], [1, 0], [0, -1]]
    np.testing.assert_allclose(made.X, wanted, rtol=1e-15)
    assert made.label == "mine, unit rows (stand-in)" and not made.X.flags.writeable
    assert data.Dataset(np.ones((2, 0)), np.ones(2), "none", True, "").unit_rows().X.shape == (2, 0)


def test_rows_said_to_be_unit_must_be() -> None:
    with pytest.raises(ValueError, match="mine: rows must have norm 1 or be zero"):
        data.Dataset(
            np.array([[0.6, 0.8], [1e300, 1]]), np.ones(2), "mine", True, "here", unit=True
        )


def test_claims_know_which_set_of_unit_rows_they_rest_on() -> None:
    made = stand_in("splice").unit_rows()
    words = {"holds": True, "stated": "", "measured": ""}
    found = claims.check("table-3", "reproduced", **words, datasets=[made])
    assert found.verdict == claims.STAND_IN and found.note == "Data: splice, unit rows (stand-in)."


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="'a10a'.*a9a, madelon, splice, breast_cancer, digits"):
        data.load("a10a")


# The content hash


def test_content_hash_ignores_layout_only(tiny: str) -> None:
    X = sparse.csr_matrix(
        ([2.5, 1, -4, 1, 3, 0], [2, 0, 1, 6, 4, 0], [0, 2, 4, 6]), shape=(3, 7)
    )  # unsorted, with an explicit zero
    before = X.data.copy(), X.indices.copy()
    assert data.content_sha256(X, [1, -1, 1]) == tiny
    np.testing.assert_array_equal(X.data, before[0])
    np.testing.assert_array_equal(X.indices, before[1])
    assert data.content_sha256(X, [1, -1, -1]) != tiny
    assert data.content_sha256(X * 2, [1, -1, 1]) != tiny
    with pytest.raises(ValueError, match="labels"):
        data.content_sha256(X, [1, -1.5, 1])


@pytest.mark.parametrize("file", ["splice", "splice.bz2"])
def test_folder_takes_any_layout(tiny: str, folder: Path, file: str) -> None:
    text = TINY.replace(b" 1:0", b"").replace(b"\n", b" \r\n").replace(b"1:1 ", b"1:1.000000  ")
    (folder / file).write_bytes(bz2.compress(text) if file.endswith("bz2") else text)
    loaded = data.load("splice")
    assert loaded.real and loaded.X[0, 2] == 2.5
    assert data.load("splice") is loaded


# Bad files

TRUNCATED = [
    ("splice", TINY[:-12]),
    ("splice", b""),
    ("splice.bz2", bz2.compress(TINY)[:-9]),
    ("splice.bz2", b""),
]
BAD = [
    ("splice", ALTERED),
    ("splice", TINY.replace(b"-1", b"0")),
    ("splice", b"<html>Please log in</html>"),
    ("splice", b"+1 8:1\n"),
    ("splice", b"+1 99999999999:1\n"),
    ("splice", bz2.compress(TINY)),
    ("splice.bz2", TINY),
    ("splice.bz2", bz2.compress(ALTERED)),
    *TRUNCATED,
]


@pytest.mark.parametrize("file, raw", BAD)
def test_bad_file_in_folder(tiny: str, folder: Path, serve: Serve, file: str, raw: bytes) -> None:
    (folder / file).write_bytes(raw)
    before, asked = tree(folder), serve(TINY)
    for _ in range(2):
        with pytest.raises(data.DataError) as caught:
            data.load("splice")
        message = str(caught.value)
        assert str(folder / file) in message and "take it out" in message
        expected, found = HASH.findall(message)
        assert expected == tiny and found != tiny
    assert tree(folder) == before and asked == []


def test_plain_file_comes_before_packed(tiny: str, folder: Path) -> None:
    (folder / "splice").write_bytes(ALTERED)
    (folder / "splice.bz2").write_bytes(bz2.compress(TINY))
    with pytest.raises(data.DataError, match="splice is refused"):
        data.load("splice")
    (folder / "splice").unlink()
    assert data.load("splice").real


def test_file_altered_after_loading(tiny: str, folder: Path) -> None:
    (folder / "splice").write_bytes(TINY)
    assert data.load("splice").real
    (folder / "splice").write_bytes(TINY + b"\n+1 1:1")
    with pytest.raises(data.DataError, match="refused"):
        data.load("splice")


@pytest.mark.parametrize("raw", [raw for file, raw in BAD if file == "splice"])
def test_bad_file_in_cache(tiny: str, alone: Path, serve: Serve, raw: bytes) -> None:
    alone.mkdir()
    (alone / "splice").write_bytes(raw)
    (alone / "neighbour").write_bytes(b"kept")
    asked = serve(TINY)
    with pytest.raises(data.DataError, match="was deleted from the cache; running again") as caught:
        data.load("splice")
    assert str(alone / "splice") in str(caught.value)
    assert HASH.findall(str(caught.value))[0] == tiny
    assert list(tree(alone)) == ["neighbour"] and asked == []
    assert data.load("splice").real and asked == ["/splice"]


def test_unreadable_file_in_cache_is_kept(tiny: str, alone: Path) -> None:
    (alone / "splice").mkdir(parents=True)  # opening it fails; nothing is known against it
    with pytest.raises(data.DataError, match="found unreadable.*take it out"):
        data.load("splice")
    assert (alone / "splice").is_dir()


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_bytes(TINY)])
def test_folder_that_is_none(
    make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "thing")
    monkeypatch.setenv("CQLIB_DATA", str(tmp_path / "thing"))
    with pytest.raises(data.DataError, match="thing.*not a readable folder"):
        data.load("a9a")
    assert data.load("digits").real
    assert data.status()[0].where == "CQLIB_DATA"
    assert data.status()[0].state.startswith("refused: CQLIB_DATA is set to")


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=60) | st.text("+-1 :0239.eqid#\n", max_size=60).map(str.encode))
def test_any_bytes_are_refused(raw: bytes) -> None:
    for packed in (raw, bz2.compress(raw)):
        with pytest.raises(data.DataError, match="expected SHA-256"):
            data._checked("splice", packed, packed=packed is not raw)


# Downloads


def test_download_then_cache(
    tiny: str, alone: Path, folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, said = serve(TINY), logging.handlers.BufferingHandler(99)
    monkeypatch.setattr(pooch.get_logger(), "handlers", [said])
    loaded = data.load("splice")  # the folder lacks it, which is no error
    assert loaded.real and asked == ["/splice"]
    assert list(tree(alone)) == ["splice"] and (alone / "splice").read_bytes() == TINY
    data._read_once.cache_clear()
    again = data.load("splice")
    assert again is not loaded and asked == ["/splice"]
    np.testing.assert_array_equal(again.X, loaded.X)
    assert again.source == loaded.source
    assert said.buffer == []  # pooch's messages would land in notebooks


@pytest.mark.parametrize("body", [ALTERED, b"<html>Please log in</html>", b"", TINY[:-12]])
def test_altered_download(tiny: str, alone: Path, serve: Serve, body: bytes) -> None:
    asked = serve(body)
    for _ in range(2):
        with pytest.raises(data.DataError, match="/splice is refused.*nothing was kept") as caught:
            data.load("splice")
        assert HASH.findall(str(caught.value))[0] == tiny
        assert tree(alone) == {}
    assert asked == ["/splice"] * 2


# Stand-ins


@pytest.mark.parametrize("name", REAL)
def test_stand_in(name: str, alone: Path) -> None:
    loaded = stand_in(name)
    n, d, plus, minus, _, _ = REAL[name]
    assert loaded.X.shape == (n, d) and loaded.label == f"{name} (stand-in)"
    assert loaded.source == "stand-in (seeded random numbers of the same shape)"
    assert ((loaded.y == 1).sum(), (loaded.y == -1).sum()) == (plus, minus)
    assert data.content_sha256(sparse.csr_matrix(loaded.X), loaded.y) == STAND_INS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load(name) is loaded  # the one warning has been given
    assert tree(alone) == {}


def test_stand_in_values() -> None:
    a9a, madelon, splice = (draw(name, *REAL[name][:2])[0] for name in REAL)
    assert set(np.unique(a9a)) == {0, 1} and (a9a.sum(1) == 14).all() and a9a.any(0).all()
    assert (madelon == madelon.round()).all()
    assert 470 < madelon.mean() < 490 and 20 < madelon.std() < 28
    assert set(np.unique(splice)) == {1, 2, 3, 4}


@pytest.mark.parametrize("name", REAL)
def test_stand_in_can_be_learnt(name: str) -> None:
    """Least squares does better than the larger class, and less than perfectly."""
    features, y = draw(name, *REAL[name][:2])
    X = np.column_stack([features, np.ones(len(y))])
    guess = X @ np.linalg.lstsq(X, y)[0]
    right = np.mean(np.sign(guess) == y)
    assert max(np.mean(y == 1), np.mean(y == -1)) + 0.05 < right < 1


def test_stand_in_in_another_process() -> None:
    code = (
        "from scipy import sparse; from cqlib import data\n"
        f"data.BASE_URL = {data.BASE_URL!r}; x = data.load('splice')\n"
        "print(data.content_sha256(sparse.csr_matrix(x.X), x.y))"
    )
    root = str(Path(data.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == STAND_INS["splice"]
    assert done.stderr.count("DataWarning") == 1


def test_real_file_ends_the_stand_in(tiny: str, alone: Path) -> None:
    stand_in("splice")
    alone.mkdir(exist_ok=True)
    (alone / "splice").write_bytes(TINY)
    assert data.load("splice").real


@pytest.mark.parametrize("status, length", [(404, None), (503, None), (200, 1000)])
def test_server_that_fails(alone: Path, serve: Serve, status: int, length: int | None) -> None:
    asked = serve(TINY, status, length)
    stand_in("splice")
    assert asked == ["/splice"] and tree(alone) == {}


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n+1 1:1"])
def test_server_that_hangs(answer: bytes, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "TIMEOUT", 0.3)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(data, "BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}/")
        held = []

        def hold() -> None:
            held.append(server.accept()[0])
            held[0].sendall(answer)

        thread = threading.Thread(target=hold)
        thread.start()
        stand_in("splice")
        assert time.monotonic() - begun < data.TIMEOUT + 5  # well under pooch's own 30 s
        thread.join()
        held[0].close()
    assert tree(alone) == {}


def test_cache_that_cannot_be_written(alone: Path, serve: Serve) -> None:
    asked = serve(TINY)
    alone.write_bytes(b"a file where the folder should be")
    stand_in("splice")
    assert asked == [] and alone.is_file()


# Status, and the rest of the process


def test_status_changes_nothing(
    tiny: str, alone: Path, folder: Path, serve: Serve, tmp_path: Path
) -> None:
    asked = serve(TINY)
    assert [s.name for s in data.status()] == list(data.names())
    assert not alone.exists()
    assert data.status()[2] == data.DataStatus("splice", 3, 7, "absent", None, "absent")
    alone.mkdir()
    (alone / "splice").write_bytes(ALTERED)
    (folder / "madelon.bz2").write_bytes(b"BZh9")
    before = tree(tmp_path)
    a9a, madelon, splice, cancer, digits = data.status()
    assert (a9a.N, a9a.d, a9a.where, a9a.state) == (32561, 123, "absent", "absent")
    assert (madelon.where, madelon.path) == ("CQLIB_DATA", folder / "madelon.bz2")
    assert madelon.state.startswith("refused: expected") and "unreadable" in madelon.state
    assert (splice.where, splice.path) == ("cache", alone / "splice")
    assert HASH.findall(splice.state)[0] == tiny
    for packaged in (cancer, digits):
        assert (packaged.where, packaged.path, packaged.state) == ("package", None, "ok")
        assert (packaged.N, packaged.d) == data.load(packaged.name).X.shape
    (folder / "splice").write_bytes(TINY)
    assert (data.status()[2].where, data.status()[2].state) == ("CQLIB_DATA", "ok")
    (folder / "splice").unlink()
    assert tree(tmp_path) == before and asked == []


def test_global_randomness_is_left_alone() -> None:
    before = random.getstate(), np.random.get_state(legacy=False)
    data._packaged.cache_clear()
    stand_in("madelon")
    data.load("digits")
    after = random.getstate(), np.random.get_state(legacy=False)
    assert before[0] == after[0]
    np.testing.assert_equal(before[1], after[1])


def test_whereabouts_change_with_the_file(tiny: str, alone: Path) -> None:
    assert set(data.whereabouts().values()) == {"absent"}
    put = alone / "splice"
    alone.mkdir()
    put.write_bytes(TINY)
    first = data.whereabouts()["splice"]
    assert str(put) in first
    os.utime(put, (1, 1))
    assert data.whereabouts()["splice"] != first
