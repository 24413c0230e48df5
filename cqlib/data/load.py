"""Data sets by name: looked for nearby, checked by content, never silently replaced.

The LibSVM sets a9a, madelon and splice are looked for in the folder that ``CQLIB_DATA`` names,
then in the user cache (``CQLIB_CACHE`` moves it), then at LibSVM's address. A file is used only
if the SHA-256 of its *parsed* content is the known one, however its text is laid out or packed;
another is refused, and deleted only if it lies in the cache. Where no place has the set, a seeded
stand-in of the same shape comes instead, with a warning and a label that says so.
"""

import bz2
import functools
import hashlib
import io
import os
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cqlib.data.stand_in import stand_in

with warnings.catch_warnings():  # tqdm, which pooch imports, asks notebooks for ipywidgets
    warnings.simplefilter("ignore")
    import pooch

Array = npt.NDArray[np.float64]

BASE_URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"
TIMEOUT = 10.0  # seconds without an answer, or without another byte

_SHAPES = {"a9a": (32561, 123), "madelon": (2000, 500), "splice": (1000, 60)}
_PACKAGED = {"breast_cancer": (569, 30), "digits": (1797, 64)}
_CONTENT = {  # content_sha256; no file hash is published for madelon and splice
    "a9a": "741af0a12cb942d63409f53cfa51fd1fe27c8b31f0227052723b43bc9f9e15fd",
    "madelon": "0353f1b6a0c589127c2b7555ef9a01ae8fe367ca7218602e3ee807b8d5837733",
    "splice": "2c00d62ea299c6439bdb962ab8ca705f5882e2bd9d3d6cc59f797c99e90257ea",
}


class DataError(RuntimeError):
    """A data file is refused, or ``CQLIB_DATA`` names no readable folder."""


class DataWarning(UserWarning):
    """A stand-in was given in place of real data."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A binary classification set; X and y are kept as read-only C-contiguous float64 copies.

    Attributes:
        X: shape (N, d), one row a sample, finite.
        y: shape (N,), labels -1 and +1.
        name: what `load` was asked for.
        real: False for a stand-in.
        source: where the numbers come from, in the same words on every machine.
        unit: whether `unit_rows` has scaled the rows.
    """

    X: Array = field(repr=False)
    y: Array = field(repr=False)
    name: str
    real: bool
    source: str
    unit: bool = False

    def __post_init__(self) -> None:
        """Copies, checks and freezes the arrays; a wrong shape or value is a ValueError."""
        X, y = (np.array(a, dtype=np.float64, order="C") for a in (self.X, self.y))
        if X.ndim != 2 or y.shape != X.shape[:1]:
            raise ValueError(f"{self.name}: shapes {X.shape} and {y.shape}, not (N, d) and (N,)")
        if not (np.isfinite(X).all() and np.isin(y, (-1, 1)).all()):
            raise ValueError(f"{self.name}: X must be finite and y hold only -1 and +1")
        if self.unit and not _unit_or_zero(X):
            raise ValueError(f"{self.name}: rows must have norm 1 or be zero, as unit says")
        for key, array in (("X", X), ("y", y)):
            array.setflags(write=False)
            object.__setattr__(self, key, array)

    @property
    def n_samples(self) -> int:
        """N, the number of rows."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """The number of features, which is that of a model's coordinates."""
        return int(self.X.shape[1])

    @property
    def label(self) -> str:
        """The name to print in every figure, table and claim."""
        rows = ", unit rows" if self.unit else ""
        return self.name + rows + ("" if self.real else " (stand-in)")

    def unit_rows(self) -> "Dataset":
        r"""The same samples with rows of Euclidean norm 1, $z/\|z\|$; a row of zeros stays so.

        A logistic loss then has curvature of at most 1/4 on each sample, whatever its units were.
        ``name``, ``real`` and ``source`` stay, and ``label`` says what was done.

        Returns:
            A new set of the same shape; of unit rows, this one.

        >>> data = load("digits").unit_rows()
        >>> data.label, data.name, float(np.linalg.norm(data.X, axis=1).max().round(12))
        ('digits, unit rows', 'digits', 1.0)
        """
        if self.unit:
            return self
        largest = np.abs(self.X).max(axis=1, keepdims=True, initial=0.0)
        X = self.X / np.where(largest > 0, largest, 1.0)  # or squares could over- or underflow
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        return replace(self, X=X / np.where(norms > 0, norms, 1.0), unit=True)


def _unit_or_zero(X: Array) -> bool:
    with np.errstate(over="ignore"):  # infinity is not 1 either
        norms = np.linalg.norm(X, axis=1)
    return bool(((norms == 0) | (abs(norms - 1) <= 1e-12)).all())


@dataclass(frozen=True)
class DataStatus:
    """Where `load` would find a set now; N and d are those of the real set.

    ``where`` is "package", "CQLIB_DATA", "cache" or "absent"; ``path`` is the file, if there is
    one; ``state`` is "ok", "absent" or "refused: " and the reason.
    """

    name: str
    N: int
    d: int
    where: str
    path: Path | None
    state: str


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return (*_SHAPES, *_PACKAGED)


def load(name: str) -> Dataset:
    """Gives a data set by name; each file is parsed once per process.

    - a9a, 32561 x 123: zeros and ones, 11 to 14 ones a row; +1 earns over 50,000 USD a year.
    - madelon, 2000 x 500: integers 0 to 999; two artificial classes.
    - splice, 1000 x 60: 1, 2, 3, 4 for the bases A, G, C, T; +1 is no junction.
    - breast_cancer, 569 x 30: columns of mean 0 and population variance 1; +1 is benign.
    - digits, 1797 x 64: pixels / 16, in [0, 1]; +1 is an even digit.

    The first three are LibSVM's training files, unscaled; the others ship inside scikit-learn.
    A download is tried once per process; `DataWarning` is given once, with the stand-in.

    Args:
        name: one of `names`.

    Raises:
        ValueError: the name is unknown.
        DataError: a file or download is not the set (the message has its name, both hashes and
            what to do), or ``CQLIB_DATA`` is set but is no readable folder.

    Source: https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html

    >>> data = load("breast_cancer")
    >>> data.X.shape, data.label, data.real
    ((569, 30), 'breast_cancer', True)
    """
    if name in _PACKAGED:
        return _packaged(name)
    if name not in _SHAPES:
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(names())}")
    if found := _locate(name):
        return _open(name, *found)
    return _download_or_stand_in(name, BASE_URL + name, _cache_folder())


def status() -> list[DataStatus]:
    """Where each known set is now, checked, with nothing fetched, written or deleted."""
    packaged = [DataStatus(n, *shape, "package", None, "ok") for n, shape in _PACKAGED.items()]
    return [_libsvm_status(name) for name in _SHAPES] + packaged


def whereabouts() -> dict[str, str]:
    """What `load` would read now for each LibSVM set, by path and time; nothing is opened.

    Two equal answers mean equal data, so a run made on a stand-in is known to be out of date once
    the real file has come.
    """
    found = {name: _locate(name) for name in _SHAPES}
    return {
        name: f"{place[1]} {_modified(place[1])}" if place else "absent"
        for name, place in found.items()
    }


def content_sha256(X: Any, y: npt.ArrayLike) -> str:
    """SHA-256, in hexadecimal, of a sparse matrix and its labels, whatever text they came from.

    Hashed in this order: labels as int8, CSR ``indptr`` and ``indices`` as little-endian int32,
    ``data`` as little-endian float64, without explicit zeros and with indices sorted.

    Args:
        X: shape (N, d), a SciPy CSR matrix; left as it is.
        y: shape (N,), labels -1 and +1.

    Raises:
        ValueError: a label other than -1 and +1, which int8 might hide.
    """
    labels = np.asarray(y)
    if not np.isin(labels, (-1, 1)).all():
        raise ValueError("labels other than -1 and +1")
    X = X.copy()
    X.eliminate_zeros()
    X.sort_indices()
    parts = ((labels, "i1"), (X.indptr, "<i4"), (X.indices, "<i4"), (X.data, "<f8"))
    return hashlib.sha256(b"".join(a.astype(t).tobytes() for a, t in parts)).hexdigest()


def _modified(path: Path) -> int:
    """Time of the file that a link leads to; of the link itself if it leads nowhere."""
    return (path if path.exists() else path.parent).stat().st_mtime_ns


class _Refused(DataError):
    """Bytes that are not the set; the text says what was expected and what was found."""


class _Unread(_Refused):
    """A file that could not be opened, so that nothing is known against its content."""


def _folder(path: str | Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def _cache_folder() -> Path:
    return _folder(os.environ.get("CQLIB_CACHE") or pooch.os_cache("cqlib"))


def _locate(name: str) -> tuple[str, Path] | None:
    """The first place that has a file for the set, good or bad."""
    places = [("cache", _cache_folder() / name)]
    if given := os.environ.get("CQLIB_DATA"):
        folder = _folder(given)
        if not (os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)):
            raise DataError(f"CQLIB_DATA is set to {given!r}, which is not a readable folder")
        places[:0] = [("CQLIB_DATA", folder / file) for file in (name, f"{name}.bz2")]
    return next((place for place in places if os.path.lexists(place[1])), None)


def _libsvm_status(name: str) -> DataStatus:
    where, path, state = "CQLIB_DATA", None, "ok"
    try:
        where, path = _locate(name) or ("absent", None)
        state = "ok" if path and _read(name, path) else "absent"
    except DataError as reason:
        state = f"refused: {reason}"
    return DataStatus(name, *_SHAPES[name], where, path, state)


def _open(name: str, where: str, path: Path) -> Dataset:
    """Reads the file; a bad one is reported with what to do, and deleted if in the cache."""
    try:
        return _read(name, path)
    except _Refused as reason:
        advice = f"replace it by {BASE_URL}{name} or take it out of that folder"
        if where == "cache" and not isinstance(reason, _Unread):
            try:
                path.unlink(missing_ok=True)
                advice = "it was deleted from the cache; running again fetches it anew"
            except OSError as error:
                advice = f"it could not be deleted from the cache ({error.strerror}); remove it"
        raise DataError(f"{path} is refused and not used: {reason}; {advice}") from reason


def _read(name: str, path: Path) -> Dataset:
    try:
        stat = path.stat()
        return _read_once(name, path, (stat.st_mtime_ns, stat.st_size, _CONTENT[name]))
    except OSError as error:
        raise _Unread(f"expected SHA-256 {_CONTENT[name]}, found unreadable: {error}") from error


@functools.cache
def _read_once(name: str, path: Path, stamp: object) -> Dataset:
    return _checked(name, path.read_bytes(), packed=path.suffix == ".bz2")


def _checked(name: str, raw: bytes, *, packed: bool = False) -> Dataset:
    """Parses LibSVM text, bzip2-packed or not, and compares its content with the known hash."""
    from sklearn.datasets import load_svmlight_file

    try:
        text = io.BytesIO(bz2.decompress(raw) if packed else raw)
        X, y = load_svmlight_file(text, n_features=_SHAPES[name][1], zero_based=False)
        found = content_sha256(X, y)
    except (ValueError, OverflowError, OSError) as error:
        file_hash = hashlib.sha256(raw).hexdigest()
        found = f"unreadable: {str(error)[:80]} (SHA-256 of the file itself {file_hash})"
    if found != _CONTENT[name]:
        raise _Refused(f"expected SHA-256 {_CONTENT[name]} of its content, found {found}")
    return Dataset(X.toarray(), y, name, True, f"LibSVM {name}, content {found[:12]}")


@functools.cache
def _packaged(name: str) -> Dataset:
    import sklearn.datasets as shipped

    X, t = getattr(shipped, f"load_{name}")(return_X_y=True)
    if name == "digits":
        X, y = X / 16, 1 - 2 * (t % 2)
    else:
        X, y = (X - X.mean(0)) / X.std(0), 2 * t - 1
    return Dataset(X, y, name, True, f"scikit-learn load_{name}")


@functools.cache
def _download_or_stand_in(name: str, url: str, folder: Path) -> Dataset:
    """Fetches once; only a download that has passed the check is moved into the cache."""

    def fetch(url: str, temporary: str, owner: object) -> None:
        pooch.HTTPDownloader(timeout=TIMEOUT)(url, temporary, owner)
        _checked(name, Path(temporary).read_bytes())

    log = pooch.get_logger()
    level = log.level
    log.setLevel("WARNING")
    try:
        pooch.retrieve(url, known_hash=None, fname=name, path=folder, downloader=fetch)
    except _Refused as reason:
        advice = "nothing was kept; fetch it by other means and set CQLIB_DATA to its folder"
        raise DataError(f"{url} is refused and not used: {reason}; {advice}") from reason
    except OSError as error:  # requests' own errors are OSErrors too
        answer = getattr(error, "response", None)
        why = type(error).__name__ if answer is None else f"HTTP status {answer.status_code}"
        message = (
            f"{name} is neither in CQLIB_DATA nor in the cache, and fetching {url} into {folder}"
            f" failed ({why}). A stand-in is used: seeded random numbers of the same shape."
            " Results on it say nothing about the real data."
        )
        warnings.warn(message, DataWarning, stacklevel=3)
        source = "stand-in (seeded random numbers of the same shape)"
        return Dataset(*stand_in(name, *_SHAPES[name]), name, False, source)
    finally:
        log.setLevel(level)
    return _open(name, "cache", folder / name)
