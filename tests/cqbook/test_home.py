"""Users without a home folder or a name get both."""

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from cqbook import home
from tests.helpers import AS_NOBODY, needs_root

ROOT = Path(home.__file__).parents[1]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # is restored
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()


def test_a_good_home_stays(tmp_path, capsys):
    home.ensure()
    assert os.environ["HOME"] == str(tmp_path)
    assert os.environ["USER"] == "somebody"
    assert capsys.readouterr().err == ""


def nameless(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def test_an_id_without_a_name_gets_a_name_and_a_home(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("USER")
    monkeypatch.setattr(pwd, "getpwuid", nameless)
    home.ensure()
    private = tmp_path / "tmp" / f"cqlib-{os.getuid()}" / "home"
    assert os.environ["HOME"] == str(private)
    assert private.is_dir() and private.parent.stat().st_mode & 0o777 == 0o700
    assert os.environ["USER"] == str(os.getuid())
    assert capsys.readouterr().err == f"cqlib: there is no home folder; {private} is used\n"
    home.ensure()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("wrong", ["~", "", "/nonexistent", "a/relative/folder"])
def test_a_home_that_cannot_be_written_is_replaced(tmp_path, monkeypatch, capsys, wrong):
    monkeypatch.setenv("HOME", wrong)
    monkeypatch.chdir(tmp_path)
    home.ensure()
    assert os.environ["HOME"] == str(tmp_path / "tmp" / f"cqlib-{os.getuid()}" / "home")
    assert "is used" in capsys.readouterr().err
    assert not (tmp_path / "~").exists()


def test_without_a_private_folder_nothing_changes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    home.ensure()
    assert os.environ["HOME"] == "/nonexistent"
    assert "set HOME to a folder of yours, or TMPDIR" in capsys.readouterr().err


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("home", ["/nonexistent", None])
def test_a_user_without_home_or_name_runs_notebooks(tmp_path, home):
    own = tmp_path / "own"
    own.mkdir()
    cells = [nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})]
    cells.append(nbformat.v4.new_code_cell("import getpass, matplotlib.pyplot\ngetpass.getuser()"))
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=about), own / "plain.ipynb")
    for path in (own, own / "plain.ipynb"):
        os.chown(path, 12345, 12345)
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(own)}
    done = subprocess.run(
        [
            *AS_NOBODY,
            sys.executable,
            "-c",
            "import cqbook.cli; cqbook.cli.main()",
            "run",
            "plain.ipynb",
            "-o",
            "out",
        ],
        env=kept | ({} if home is None else {"HOME": home}),
        cwd=own,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("home folder") == 1
    assert "12345" in (own / "out" / "plain.ipynb").read_text()
    assert not (own / "~").exists()
