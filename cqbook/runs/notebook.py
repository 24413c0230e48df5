"""Execute a notebook, and write all of its output or none, with the provenance.

A run is a folder: the executed notebook, its claims (``claims.jsonl``), its figures and data
(``results/``), and ``provenance.json``. The folder appears when all of it is complete.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from cqbook.cells import claims
from cqbook.runs import provenance
from cqbook.runs.job import Job
from cqbook.runs.locks import locked
from cqbook.runs.parameters import defaults
from cqlib.files import write_atomic

_KEPT_CELL_METADATA = ("tags", "mystnb")


class NotebookError(RuntimeError):
    """A notebook failed; the message names the cell's error and the file to look at."""


class _Failed(Exception):
    """A cell raised, or the claims are wrong; the message names the cell or line, and the error."""


def run(job: Job) -> dict[str, Any]:
    """Execute a job and put its folder in place; return the provenance.

    Raises:
        NotebookError: if a cell fails, or if the claims are not what ``claims.check`` writes. The
            executed notebook is kept next to the folder, and an earlier run is not changed.
    """
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(job.folder):
        for stale in _work_folders(job.folder):
            shutil.rmtree(stale, ignore_errors=True)  # left by a run that was killed
        return _run(job)


def _work_folders(folder: Path) -> list[Path]:
    """Return the folders in which runs of this folder are made, not those of its neighbours."""
    prefix = _prefix(folder)
    found = [path for path in folder.parent.iterdir() if path.name.startswith(prefix)]
    return [path for path in found if "." not in path.name.removeprefix(prefix)]


def _prefix(folder: Path) -> str:
    return f".{folder.name}.work-"  # mkdtemp appends letters, digits and underscores


def _run(job: Job) -> dict[str, Any]:
    work = Path(tempfile.mkdtemp(dir=job.folder.parent, prefix=_prefix(job.folder)))
    output = work / f"{job.source.stem}.ipynb"
    failed = job.folder.parent / f"{job.folder.name}.failed.ipynb"
    snapshot, started = provenance.Snapshot(), time.time()
    fingerprint = snapshot.fingerprint(job.source, job.parameters)  # before the code can change
    try:
        (work / "results").mkdir()
        places = {"CQLIB_CLAIMS": work / "claims.jsonl", "CQLIB_RESULTS": work / "results"}
        with _environment({name: str(place) for name, place in places.items()}):
            _execute(job.source, output, parameters=job.parameters)
        _check_claims(work)
        nb = nbformat.read(output, as_version=4)
        write_atomic(output, nbformat.writes(clean(nb)) + "\n")
        facts = {
            "notebook": job.name,
            "parameters": {**defaults(job.source), **job.parameters},
            "fingerprint": fingerprint,
            "files": provenance.files(work),
            "seconds": round(time.time() - started, 2),
            **provenance.machine(),
        }
        write_atomic(work / "provenance.json", provenance.text(facts))
        work.chmod(0o755)
        _swap(work, job.folder)
        failed.unlink(missing_ok=True)
        return facts
    except _Failed as failure:
        if output.is_file():
            os.replace(output, failed)
        told = f"{job.name}: {failure} (executed notebook: {failed})"
        raise NotebookError(told) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_claims(work: Path) -> None:
    """Raise if the claims could not be read later, when the run would count as damaged."""
    try:
        claims.read(work / "claims.jsonl")
    except claims.RecordError as error:
        told = str(error).removeprefix(f"{work}{os.sep}")
        raise _Failed(f"{told}; it is written by cqbook.cells.claims.check alone") from None


def store(source: Path) -> None:
    """Execute a notebook with its own parameters, and write its cleaned outputs into it."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / source.name
        try:
            _execute(source, output, cwd=str(source.parent))
        except _Failed as failure:
            raise NotebookError(f"{source.stem}: {failure}") from None
        nb = clean(nbformat.read(output, as_version=4))
    write_atomic(source, nbformat.writes(nb) + "\n")


def clean(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove parts that differ from run to run: times, ids, language details, cuts in streams."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nb.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for number, cell in enumerate(nb.cells):
        kept = {k: v for k, v in cell.metadata.items() if k in _KEPT_CELL_METADATA}
        cell.metadata = nbformat.from_dict(kept)
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return nb


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return outputs with each text in one piece; a busy kernel sends it in several."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = found[-1] if found else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def _execute(source: Path, output: Path, **options: Any) -> None:
    try:
        papermill.execute_notebook(
            source,
            output,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=120,
            extra_arguments=["--IPKernelApp.log_level=50"],  # no notices on start and stop
            **options,
        )
    except PapermillExecutionError as error:
        told = f"cell {error.cell_index} failed with {error.ename}: {error.evalue}"
        raise _Failed(told) from None
    except DeadKernelError:
        told = f"the kernel was killed in {_last_started(output)}, perhaps for memory"
        raise _Failed(told) from None


def _last_started(output: Path) -> str:
    """Return the name of the last cell that papermill started."""
    cells = nbformat.read(output, as_version=4).cells if output.is_file() else []
    started = [bool(cell.metadata.get("papermill", {}).get("start_time")) for cell in cells]
    return f"cell {len(started) - 1 - started[::-1].index(True)}" if any(started) else "its start"


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the kernel, which inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _swap(new: Path, place: Path) -> None:
    """Replace a run's folder by a new one; the caller holds the lock."""
    if place.exists():
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=_prefix(place)))
        os.replace(place, old / "run")
        os.replace(new, place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, place)
