"""Make the book's source from executed notebooks, and build it.

The source of a book is a folder of its own, ``build/PROFILE/source``: the prose pages as they are,
the executed notebooks with links to their data and to the ledger, and the pages made here (the
ledger, the table of compressors, the versions used). Sphinx executes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from cqbook import paths
from cqbook.book import contents, ledger, pages
from cqbook.book.outcomes import outcomes_page
from cqbook.book.performance import FOLDER, performance_page, saved
from cqbook.book.wire import wire_page
from cqbook.cells import claims
from cqlib.files import locked, write_atomic

_MARK = "made-from"


class BookError(RuntimeError):
    """The book could not be built."""


def build(profile: str) -> tuple[Path, bool]:
    """Stage and build the book of a profile.

    Returns:
        The index page, and whether anything had to be built.

    Raises:
        BookError: if a run is missing or Sphinx warns.
        PageError: if two notebooks disagree.
    """
    out = paths.root() / "build" / profile
    with locked(out):
        return _build(profile, out)


def _build(profile: str, out: Path) -> tuple[Path, bool]:
    index = out / "book" / "_build" / "html" / "index.html"
    files = source(profile)
    digest = hashlib.sha256(b"\0".join(k.encode() + b"\0" + v for k, v in sorted(files.items())))
    mark = out / _MARK
    if index.exists() and mark.exists() and mark.read_text() == digest.hexdigest():
        return index, False
    mark.unlink(missing_ok=True)
    _sync(out / "source", files)
    command = [
        str(Path(sys.executable).parent / "jupyter-book"),
        *("build", str(out / "source"), "--toc", str(out / "source" / "book" / "_toc.yml")),
        *("--path-output", str(out / "book"), "-W", "-n", "--keep-going", "-q"),
    ]
    shutil.rmtree(out / "book", ignore_errors=True)  # pages that left the contents must go
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    log = result.stdout + result.stderr
    write_atomic(out / "sphinx.log", log)
    if result.returncode != 0 or not index.exists():
        problems = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
        raise BookError(
            "Sphinx did not accept the book (whole log: "
            f"{out / 'sphinx.log'}):\n" + "\n".join(problems or log.splitlines()[-15:])
        )
    write_atomic(mark, digest.hexdigest())
    return index, True


def source(profile: str) -> dict[str, bytes]:
    """Return the book's source, file by file."""
    root = paths.root()
    files = {"_config.yml": (root / "_config.yml").read_bytes()}
    for path in sorted((root / "book").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[path.relative_to(root).as_posix()] = path.read_bytes()
    runs = {name: _run_folder(profile, name) for name in contents.chapters()}
    evidence = {name: claims.read(folder / "claims.jsonl") for name, folder in runs.items()}
    for name, folder in runs.items():
        files.update(_chapter(name, folder, profile))
    speeds, speed_files = saved()
    files.update({f"book/made/{FOLDER}/{name}": data for name, data in speed_files.items()})
    made = {
        "claims": ledger.ledger_page(evidence, _stated(runs)),
        "errata": ledger.errata_page(evidence),
        "compressor_table": pages.compressor_table(),
        "wire": wire_page(),
        "performance": performance_page(speeds),
        "outcomes": outcomes_page(runs),
        "versions": pages.versions_page(profile, runs),
    }
    files.update({f"book/made/{name}.md": page.encode() for name, page in made.items()})
    return files


# --- notebooks -----------------------------------------------------------------------------------


def _run_folder(profile: str, name: str) -> Path:
    folder = paths.runs(profile) / name
    if not (folder / "provenance.json").is_file():
        raise BookError(f"{name} has no run of the {profile} profile; make one with cqlib book")
    return folder


def _stated(runs: Mapping[str, Path]) -> set[str]:
    """Items of the ledger that some chapter states in a box."""
    texts = [
        (folder / f"{Path(name).name}.ipynb").read_text("utf-8") for name, folder in runs.items()
    ]
    return {id for text in texts for id in ledger.stated_in(text)}


def _chapter(name: str, folder: Path, profile: str) -> dict[str, bytes]:
    """The executed notebook with its links, and the files that they lead to."""
    stem = Path(name).name
    executed = (folder / f"{stem}.ipynb").read_bytes()
    results = {path.name: path.read_bytes() for path in sorted((folder / "results").iterdir())}
    nb = nbformat.reads(executed.decode(), as_version=4)
    anchored: set[str] = set()
    nb.cells = [linked for cell in nb.cells for linked in _linked(cell, name, anchored)]
    nb.cells.append(nbformat.v4.new_markdown_cell(_made_how(name, folder, profile)))
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number}"
    home = f"notebooks/{name}"
    return {
        f"{home}.ipynb": nbformat.writes(nb).encode(),
        f"{home}-files/{stem}.ipynb": executed,
        **{f"{home}-files/{file}": content for file, content in results.items()},
    }


def _linked(cell: Any, name: str, anchored: set[str]) -> list[Any]:
    """A cell, after anchors for its claims and before links to its figures' data.

    A second cell on a claim gets no anchor of its own; ``anchored`` is what has one, and grows.
    """
    before, after = [], []
    for output in cell.get("outputs", []):
        about = output.get("metadata", {}).get("cqlib", {})
        item = claims.ledger().get(about.get("claim", ""))
        if item and item.id not in anchored:
            anchored.add(item.id)
            label = ledger.evidence_label(item.id, name)
            target = ledger.claim_label(item.id)
            text = f"({label})=\n{{ref}}`Evidence on {item.title} <{target}>`:"
            before.append(nbformat.v4.new_markdown_cell(text))
        if figure := about.get("figure"):
            files = f"{Path(name).name}-files"
            links = " · ".join(
                f"{{download}}`{text} <{files}/{file}>`"
                for text, file in (
                    ("data", f"{figure}.csv"),
                    ("drawing", f"{figure}.svg"),
                    ("notebook", f"{Path(name).name}.ipynb"),
                )
            )
            text = f"*{about['caption']}*\n\nBehind this figure: {links}"
            after.append(nbformat.v4.new_markdown_cell(text))
    return [*before, cell, *after]


def _made_how(name: str, folder: Path, profile: str) -> str:
    facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    return (
        "```{admonition} How this page was made\n:class: dropdown\n"
        f"`cqlib run {name} --profile {profile}` took {facts['seconds']:.0f} s at commit "
        f"`{facts['commit']}`, with Python {facts['versions']['python']} and "
        f"PyTorch {facts['versions']['torch']}. "
        f"The executed {{download}}`notebook <{Path(name).name}-files/{Path(name).name}.ipynb>` "
        "runs anywhere the package is installed; {doc}`/book/rerun` tells how.\n```\n"
    )


# --- files ---------------------------------------------------------------------------------------


def _sync(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold just these files."""
    if folder.exists():
        for path in folder.rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in files:
                path.unlink()
    for name, content in files.items():
        write_atomic(folder / name, content)
