"""Machine code is cached on disk until a source changes, if a folder is writable."""

import ast
import importlib.util
from pathlib import Path

import cqlib
from cqlib.kernels.cpu.compiled import compile

ROOT = Path(cqlib.__file__).parents[1]
LOOP = """from cqlib.kernels.cpu.compiled.compile import compiled


@compiled
def double(x):
    return 2 * x
"""


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


def test_machine_code_is_kept_until_a_source_changes(tmp_path, monkeypatch):
    path, inlined = tmp_path / "kept.py", tmp_path / "inlined.py"
    path.write_text(LOOP)
    inlined.write_text("ONE = 1\n")
    monkeypatch.setattr(compile, "STAMP", compile.digest([path, inlined]))
    assert not is_on_disk(path)
    assert is_on_disk(path)
    assert list((tmp_path / "__pycache__").glob("kept.double-*.nbi"))
    inlined.write_text("ONE = 2\n")
    monkeypatch.setattr(compile, "STAMP", compile.digest([path, inlined]))
    assert not is_on_disk(path)
    assert is_on_disk(path)


def test_without_a_folder_to_write_to_each_process_compiles_anew(tmp_path, monkeypatch):
    path = tmp_path / "kept.py"
    path.write_text(LOOP)
    (tmp_path / "__pycache__").write_text("a file, so that there can be no such folder")
    (tmp_path / "home").write_text("likewise")
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    assert not is_on_disk(path)
    assert not is_on_disk(path)


def test_the_user_has_a_folder_where_the_package_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "kept.py"
    path.write_text(LOOP)
    (tmp_path / "__pycache__").write_text("a file, so that there can be no such folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not is_on_disk(path)
    assert is_on_disk(path)
    assert list((tmp_path / "cache").rglob("kept.double-*.nbi"))


def test_every_file_that_loops_come_from_is_a_source():
    found = set()
    for path in Path(compile.__file__).parent.glob("*.py"):
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("cqlib."):
                found.add(ROOT / f"{node.module.replace('.', '/')}.py")
    assert set(compile.SOURCES) == found
    assert compile.digest(compile.SOURCES) == compile.STAMP
