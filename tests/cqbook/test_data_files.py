"""Data files in parameters: paths start at the user's folder, digests are of the content."""

from pathlib import Path

import pytest

from cqbook.runs import data_files
from cqbook.runs.parameters import ParameterError
from cqbook.runs.provenance import Snapshot, file_digest
from cqbook.sweeps import sweep
from tests.cqbook.test_notebook import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "x.svm").write_text("+1 1:1\n-1 1:2\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w8a.t").write_text("+1 1:1\n-1 1:3\n")
    return tmp_path


def test_paths_become_whole_and_all_else_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    given = {
        "dataset": "x.svm",
        "settings": [["sub/w8a.t", "raw", "n = N/d", 0.1], ["~/x.svm", "a9a", "n = d", 1]],
        "ranks": "shift",
        "rate": 0.5,
        "text": "1.5",
        "none": "sub/none.t",
        "folder": "./sub",
    }
    assert data_files.located(given, folder, given) == given | {
        "dataset": str(folder / "x.svm"),
        "settings": [
            [str(folder / "sub" / "w8a.t"), "raw", "n = N/d", 0.1],
            [str(folder / "x.svm"), "a9a", "n = d", 1],
        ],
    }


@pytest.mark.parametrize("name", ["y.svm", "sub/y.LIBSVM.bz2", "/none/y.txt.gz", "sub.svm.xz"])
def test_a_missing_file_is_told(folder: Path, name: str) -> None:
    (folder / "sub.svm.xz").mkdir()
    with pytest.raises(ParameterError) as caught:
        data_files.located({"sets": ["a9a", name]}, folder, {"sets": ["a9a"]})
    told = f"parameter 'sets' names the data file {folder / name}, which does not exist"
    assert str(caught.value) == told


def test_only_parameters_with_texts_name_files(folder: Path) -> None:
    """A file named 0.5 is no stepsize."""
    (folder / "0.5").touch()
    given = {"rate": "0.5", "rates": ["0.5"], "name": "0.5"}
    found = data_files.located(given, folder, {"rate": 0.1, "rates": [0.1], "name": "a9a"})
    assert found == given | {"name": str(folder / "0.5")}


def test_digests_are_of_content(folder: Path) -> None:
    path = folder / "x.svm"
    given = {"dataset": str(path), "more": [[str(folder / "sub" / "w8a.t"), "a9a"]], "n": 3}
    found = data_files.digests(given, file_digest)
    assert list(found) == [str(path), str(folder / "sub" / "w8a.t")]
    path.touch()
    assert data_files.digests(given, file_digest) == found
    path.write_text("+1 1:1\n-1 1:4\n")
    changed = data_files.digests(given, file_digest)
    assert changed[str(path)] != found[str(path)] and len(set(changed.values())) == 2


def test_a_changed_file_changes_what_a_run_was_made_from(folder: Path) -> None:
    source = write(folder / "a.ipynb", "print(name)")
    path = folder / "x.svm"
    given = {"name": str(path)}
    before, other = (Snapshot().fingerprint(source, each) for each in (given, {"name": "a9a"}))
    path.write_text("+1 1:1\n-1 1:4\n")
    assert Snapshot().fingerprint(source, given) != before
    assert Snapshot().fingerprint(source, {"name": "a9a"}) == other
    path.write_text("+1 1:1\n-1 1:2\n")
    assert Snapshot().fingerprint(source, given) == before


def test_paths_in_a_sweep_file_start_at_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "data_files_of_a_sweep.yml"
    file.write_text("notebook: quickstart\ngrid: {dataset: [x.svm, splice]}\n")
    monkeypatch.chdir("/")
    jobs = sweep.read(file).jobs.values()
    assert [job.parameters["dataset"] for job in jobs] == [str(folder / "x.svm"), "splice"]
    file.write_text("notebook: quickstart\ngrid: {dataset: [y.svm]}\n")
    with pytest.raises(sweep.SweepError, match="'dataset' names the data file .*y.svm, which does"):
        sweep.read(file)
