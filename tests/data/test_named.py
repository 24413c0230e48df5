"""Named data sets: contents, requirements, and errors if these are missing."""

import hashlib
import lzma
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from cqlib import data
from cqlib.data.named import named

PACKAGED = {  # samples, features, +1, -1, nonzero entries, content
    "a9a": (32561, 123, 7841, 24720, 451592, "741af0a12cb9"),
    "madelon": (2000, 500, 1000, 1000, 999999, "0353f1b6a0c5"),
    "splice": (1000, 60, 517, 483, 60000, "2c00d62ea299"),
}
TEXTS = {  # SHA-256 of the text, which for a9a and splice is LIBSVM's own
    "a9a": "f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906",
    "madelon": "34f9d790481f42d468c4a59515e6c7bb1dcfa5b0c5339e584b998db13f2d6464",
    "splice": "eee33566cfe8988ec26122460cc712d66c5c5b79b966b259408e803addaa584d",
}
FOLDER = Path(data.__file__).parent


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_set(name: str) -> None:
    loaded = data.load(name)
    N, d, plus, minus, entries, sha = PACKAGED[name]
    assert loaded.name == loaded.label == name
    assert loaded.source == f"LibSVM {name}, content {sha}"
    assert (loaded.n_samples, loaded.d) == loaded.X.shape == (N, d)
    assert ((loaded.y == 1).sum(), (loaded.y == -1).sum()) == (plus, minus)
    assert np.count_nonzero(loaded.X) == entries
    assert data.content_sha256(loaded.X, loaded.y).startswith(sha)
    assert data.load(name) is loaded


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_text_is_read_as_scikit_learn_reads_it(name: str) -> None:
    from sklearn.datasets import load_svmlight_file

    packed = FOLDER / f"{name}.svm.xz"
    assert hashlib.sha256(lzma.decompress(packed.read_bytes())).hexdigest() == TEXTS[name]
    with lzma.open(packed) as text:
        X, y = load_svmlight_file(text, n_features=PACKAGED[name][1], zero_based=False)
    np.testing.assert_array_equal(data.load(name).X, X.toarray())
    np.testing.assert_array_equal(data.load(name).y, y)


def test_packaged_files_are_small_and_have_their_licence_beside_them() -> None:
    packed = list(FOLDER.glob("*.xz"))
    assert {path.name for path in packed} == {f"{name}.svm.xz" for name in PACKAGED}
    assert sum(path.stat().st_size for path in packed) < 2_000_000
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    for entry in data.ENTRIES[:3]:
        (doi,) = re.findall(r"https://doi.org/\S+?(?=;|$)", entry.source)
        assert doi in told and entry.content in told and entry.licence in told


@pytest.mark.parametrize(("name", "plus"), [("breast_cancer", 357), ("digits", 891)])
def test_scikit_learn_set(name: str, plus: int) -> None:
    loaded = data.load(name)
    assert loaded.label == name and loaded.source == f"scikit-learn load_{name}"
    assert (loaded.y == 1).sum() == plus
    assert data.load(name) is loaded


def test_scikit_learn_columns() -> None:
    import sklearn.datasets as shipped

    X = data.load("breast_cancer").X
    np.testing.assert_allclose(X.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(X.var(0), 1, rtol=1e-12)
    pixels, digit = shipped.load_digits(return_X_y=True)
    np.testing.assert_array_equal(data.load("digits").X * 16, pixels)
    np.testing.assert_array_equal(data.load("digits").y == 1, digit % 2 == 0)


@pytest.mark.parametrize("entry", data.ENTRIES, ids=lambda entry: entry.name)
def test_listed_sizes_and_licences(entry: data.Entry) -> None:
    assert data.load(entry.name).X.shape == (entry.N, entry.d)
    assert entry.licence == "CC BY 4.0" and "https://doi.org/10.24432/" in entry.source
    assert data.names().count(entry.name) == 1


@pytest.mark.parametrize("entry", data.ENTRIES, ids=lambda entry: entry.name)
def test_other_content_is_refused(entry: data.Entry) -> None:
    wrong = replace(entry, content="0" * 64)
    message = f"{entry.name} of {entry.package} is not the expected set: the SHA-256 of its "
    message += f"content is {entry.content}, not 0000"
    with pytest.raises(data.DataError, match=message):
        named.__wrapped__(wrong)


@pytest.mark.parametrize("name", ["a10a", "", "A9A", "a9a "])
def test_unknown_name(name: str) -> None:
    known = "a9a, madelon, splice, breast_cancer, digits"
    with pytest.raises(ValueError, match=f"data set '{name}'; known are {known}.*ending.*'/'"):
        data.load(name)


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in another process, from which scikit-learn cannot be imported."""
    hidden = "import sys; sys.modules['sklearn'] = None\n"
    root = str(FOLDER.parents[1])
    env = {**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", hidden + code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_packaged_sets_need_no_scikit_learn() -> None:
    done = run(
        "from cqlib import data\n"
        f"for name in {list(PACKAGED)}:\n"
        "    loaded = data.load(name)\n"
        "    print(data.content_sha256(loaded.X, loaded.y)[:12])\n"
        "assert not any(name.startswith('sklearn.') for name in sys.modules)\n"
    )
    assert done.stdout.split() == [facts[-1] for facts in PACKAGED.values()], done.stderr


def test_without_scikit_learn_one_sentence_says_what_to_install() -> None:
    done = run("from cqlib import data; data.load('digits')")
    last = done.stderr.splitlines()[-1]
    assert last == (
        "ImportError: the data set digits comes with scikit-learn: pip install cqlib[data]"
    )


def test_global_randomness_is_left_alone() -> None:
    before = random.getstate(), np.random.get_state(legacy=False)
    named.cache_clear()
    data.load("splice")
    data.load("digits")
    after = random.getstate(), np.random.get_state(legacy=False)
    assert before[0] == after[0]
    np.testing.assert_equal(before[1], after[1])


def test_content_hash_ignores_layout_only() -> None:
    parts = [
        np.array([1, -1, 1], "i1"),
        np.array([0, 2, 4, 5], "<i4"),
        np.array([0, 2, 1, 6, 4], "<i4"),
        np.array([1, 2.5, -4, 1, 3], "<f8"),
    ]
    sha = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    X = sparse.csr_matrix(
        ([2.5, 1, -4, 1, 3, 0], [2, 0, 1, 6, 4, 0], [0, 2, 4, 6]), shape=(3, 7)
    )  # unsorted, with an explicit zero
    before = X.data.copy(), X.indices.copy()
    assert data.content_sha256(X, [1, -1, 1]) == sha
    assert data.content_sha256(X.toarray(), [1, -1, 1]) == sha
    np.testing.assert_array_equal(X.data, before[0])
    np.testing.assert_array_equal(X.indices, before[1])
    assert data.content_sha256(X, [1, -1, -1]) != sha
    assert data.content_sha256(X * 2, [1, -1, 1]) != sha
    many = np.random.default_rng(0).integers(0, 3, (900, 400)).astype(float)  # several blocks
    y = np.resize([1, -1], 900)
    assert data.content_sha256(many, y) == data.content_sha256(sparse.csr_array(many), y)
    assert data.content_sha256(many, y) == data.content_sha256(sparse.coo_array(many), y)
    with pytest.raises(ValueError, match="labels"):
        data.content_sha256(X, [1, -1.5, 1])
