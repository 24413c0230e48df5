"""Machine code is cached on disk until a source changes, if a folder is writable and private."""

import ast
import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import cqlib
from cqlib import files
from cqlib.kernels.caches import compiled as cache
from cqlib.kernels.caches import triton
from cqlib.kernels.cpu.compiled import compile
from tests.helpers import AS_NOBODY, needs_root

ROOT = Path(cqlib.__file__).parents[1]
LOOP = """from cqlib.kernels.cpu.compiled.compile import compiled


@compiled
def double(x):
    return 2 * x
"""


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Choose folders again, and say again where code is kept, as new processes would."""
    monkeypatch.setattr(cache.config, "CACHE_DIR", "")
    monkeypatch.setattr(cache, "_said", set())
    for choice in (cache.writable, triton.give_triton_a_folder):
        choice.cache_clear()
    yield
    for choice in (cache.writable, triton.give_triton_a_folder):
        choice.cache_clear()


@pytest.fixture
def path(tmp_path):
    """A file with one compiled function."""
    path = tmp_path / "package" / "kept.py"
    path.parent.mkdir()
    path.write_text(LOOP)
    return path


@pytest.fixture
def locked(path, tmp_path, monkeypatch):
    """Neither the package nor the home folder can be written to, also not by root."""
    (path.parent / "__pycache__").write_text("a file, so that there can be no such folder")
    (tmp_path / "home").write_text("likewise")
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


def loaded(path):
    """Import a file again, as a new process would."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_on_disk(path):
    """Call the function of a file; return True if its machine code was cached."""
    double = loaded(path).double
    assert double(21) == 42
    return sum(double.stats.cache_hits.values()) == 1


def kept(folder):
    """Return the files of machine code below a folder."""
    return sorted(folder.rglob("kept.double-*"))


def test_machine_code_is_kept_until_a_source_changes(path, tmp_path, monkeypatch):
    inlined = tmp_path / "inlined.py"
    inlined.write_text("ONE = 1\n")
    monkeypatch.setattr(compile, "STAMP", compile.digest([path, inlined]))
    assert not is_on_disk(path)
    assert is_on_disk(path)
    (first,) = kept(path.parent / "__pycache__")
    inlined.write_text("ONE = 2\n")
    monkeypatch.setattr(compile, "STAMP", compile.digest([path, inlined]))
    assert not is_on_disk(path)
    assert is_on_disk(path)
    (second,) = kept(path.parent / "__pycache__")  # what nobody can use is removed
    assert first != second


def test_code_for_other_types_is_kept_beside_it(path):
    assert loaded(path).double(2.5) == 5.0
    assert not is_on_disk(path)
    assert is_on_disk(path)
    assert len(kept(path.parent)) == 2
    loaded(path).double._cache.flush()
    assert kept(path.parent) == []


def test_another_version_of_numba_compiles_again(path, monkeypatch):
    assert not is_on_disk(path)
    monkeypatch.setattr(cache.numba, "__version__", "0.0")
    assert not is_on_disk(path)


def test_the_folder_that_the_user_gives_comes_first(path, tmp_path, monkeypatch):
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path / "given"))
    assert not is_on_disk(path)
    assert is_on_disk(path)
    assert kept(tmp_path / "given") and not kept(path.parent)


def test_a_folder_that_others_could_fill_is_not_used(locked, path, monkeypatch):
    """In a shared folder another user may have made ours first, with code of their own."""
    shared = locked / "shared"
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(shared))
    assert not is_on_disk(path)
    (file,) = kept(shared)
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.parent.chmod(0o777)
    cache.writable.cache_clear()
    with pytest.warns(RuntimeWarning, match="is kept in .*tmp"):
        assert not is_on_disk(path)


def test_the_user_has_a_folder_where_the_package_cannot_be_written(locked, path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(locked / "cache"))
    assert not is_on_disk(path)
    assert is_on_disk(path)
    assert kept(locked / "cache")


def test_without_a_home_a_private_temporary_folder_is_used(locked, path):
    with pytest.warns(RuntimeWarning, match="cannot be written to.*is kept in .*NUMBA_CACHE_DIR"):
        assert not is_on_disk(path)
    with warnings.catch_warnings(action="error"):  # it is said once
        assert is_on_disk(path)
    (file,) = kept(locked / "tmp")
    private = file.parents[1]
    assert private == locked / "tmp" / f"cqlib-{os.getuid()}"
    assert private.stat().st_mode & 0o777 == 0o700


def test_without_any_folder_each_process_compiles_anew(locked, path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(locked / "home"))
    with pytest.warns(RuntimeWarning, match="is compiled again in every process"):
        assert not is_on_disk(path)
    assert not is_on_disk(path)
    assert loaded(path).double._cache.cache_path == ""
    loaded(path).double._cache.flush()


@pytest.mark.parametrize("how", ["open to others", "a link", "another's"])
def test_a_temporary_folder_that_others_could_fill_is_not_trusted(locked, path, monkeypatch, how):
    private = locked / "tmp" / f"cqlib-{os.getuid()}"
    if how == "a link":
        (locked / "elsewhere").mkdir(mode=0o700)
        private.symlink_to(locked / "elsewhere")
    else:
        private.mkdir(mode=0o700)
    if how == "open to others":
        private.chmod(0o770)
    if how == "another's":
        uid = os.getuid()
        private.rename(locked / "tmp" / f"cqlib-{uid + 1}")
        monkeypatch.setattr(files.os, "getuid", lambda: uid + 1)
    with pytest.warns(RuntimeWarning, match="is compiled again in every process"):
        assert not is_on_disk(path)
    assert not is_on_disk(path)
    assert not kept(locked)


def test_code_beside_a_package_that_cannot_be_written_is_read(path, tmp_path, monkeypatch):
    assert not is_on_disk(path)
    beside = path.parent / "__pycache__"
    can_be_written = cache.can_be_written
    monkeypatch.setattr(
        cache, "can_be_written", lambda folder: folder != beside and can_be_written(folder)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache.writable.cache_clear()
    assert is_on_disk(path)
    assert not kept(tmp_path / "cache")


def test_no_folder_named_tilde_appears(locked, path, monkeypatch):
    monkeypatch.chdir(locked)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)  # an id without a name
    with pytest.warns(RuntimeWarning, match="is kept in"):
        is_on_disk(path)
    assert not (locked / "~").exists()


def test_triton_gets_a_private_folder_where_there_is_no_home(locked, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", "chosen")
    triton.give_triton_a_folder()
    assert os.environ["TRITON_CACHE_DIR"] == "chosen"
    monkeypatch.delenv("TRITON_CACHE_DIR")
    monkeypatch.delenv("TRITON_HOME", raising=False)
    for home, used in ((locked / "good", None), (locked / "home", "triton")):
        monkeypatch.setenv("HOME", str(home))
        triton.give_triton_a_folder.cache_clear()
        triton.give_triton_a_folder()
        found = os.environ.get("TRITON_CACHE_DIR")
        assert found == (used and str(locked / "tmp" / f"cqlib-{os.getuid()}" / used))
    monkeypatch.delenv("TRITON_CACHE_DIR")


def damages(data):
    """Return damaged contents of a file."""
    yield b""
    yield data[:10]
    yield data[:-1]
    yield data + b"\0"
    for at in range(0, len(data), max(len(data) // 40, 1)):
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def test_damaged_code_is_compiled_again(path):
    assert not is_on_disk(path)
    (file,) = kept(path.parent)
    whole = file.read_bytes()
    for number, data in enumerate(damages(whole)):
        file.write_bytes(data)
        assert not is_on_disk(path), number
    file.write_bytes(whole)
    assert is_on_disk(path)
    file.unlink()
    file.mkdir()  # a name that is taken
    with pytest.warns(RuntimeWarning, match="could not be kept in"):
        assert not is_on_disk(path)


def test_a_full_disk_is_said_once_and_nothing_is_lost(path, monkeypatch):
    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(RuntimeWarning, match="could not be kept in .*: No space left on device"):
        assert not is_on_disk(path)
    with warnings.catch_warnings(action="error"):
        assert not is_on_disk(path)
    assert not kept(path.parent)


WITHOUT_HOME = """
import torch
from cqlib import Key, compressors
x = torch.randn(4, 100)
assert compressors.make("cq").mean(x, key=Key(seed=7)).shape == (100,)
"""


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("home", ["/nonexistent", None])
def test_a_user_without_home_or_name_computes(tmp_path, home):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}
    env = kept | ({} if home is None else {"HOME": home})
    for _ in range(2):
        done = subprocess.run(
            [*AS_NOBODY, sys.executable, "-c", WITHOUT_HOME],
            env=env,
            cwd=tmp_path / "tmp",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("RuntimeWarning") == 1
        assert [p.name for p in (tmp_path / "tmp").iterdir()] == ["cqlib-12345"]


def test_every_file_that_loops_come_from_is_a_source():
    found = set()
    for path in Path(compile.__file__).parent.glob("*.py"):
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("cqlib."):
                found.add(ROOT / f"{node.module.replace('.', '/')}.py")
    found.remove(Path(cache.__file__))  # it keeps machine code, and is in none
    assert set(compile.SOURCES) == found
    assert compile.digest(compile.SOURCES) == compile.STAMP
