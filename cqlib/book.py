"""Make the book's source from executed notebooks, and build it.

The source of a book is a folder of its own, ``build/PROFILE/source``: the prose pages as they are,
the executed notebooks with links to their data and to the ledger, and the pages made here (the
ledger, the table of compressors, the versions used). Sphinx executes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

from cqlib import claims, compressors, paths
from cqlib.files import locked, write_atomic

_MARK = "made-from"


class BookError(RuntimeError):
    """The book could not be built."""


def chapters() -> list[str]:
    """Return the notebooks of the table of contents, as paths below ``notebooks/``."""
    toc = (paths.root() / "book" / "_toc.yml").read_text(encoding="utf-8")
    return [
        file.removeprefix("notebooks/")
        for file in _toc_files(yaml.safe_load(toc))
        if file.startswith("notebooks/")
    ]


def build(profile: str) -> tuple[Path, bool]:
    """Stage and build the book of a profile.

    Returns:
        The index page, and whether anything had to be built.

    Raises:
        BookError: if a run is missing, two notebooks disagree, or Sphinx warns.
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
    runs = {name: _run_folder(profile, name) for name in chapters()}
    evidence = {name: claims.read(folder / "claims.jsonl") for name, folder in runs.items()}
    for name, folder in runs.items():
        files.update(_chapter(name, folder, profile))
    pages = {
        "claims": ledger_page(evidence),
        "compressor_table": compressor_table(),
        "versions": versions_page(profile, runs),
    }
    files.update({f"book/made/{name}.md": page.encode() for name, page in pages.items()})
    return files


# --- notebooks -----------------------------------------------------------------------------------


def _run_folder(profile: str, name: str) -> Path:
    folder = paths.runs(profile) / name
    if not (folder / "provenance.json").is_file():
        raise BookError(f"{name} has no run of the {profile} profile; make one with cqlib book")
    return folder


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
            label = evidence_label(item.id, name)
            text = f"({label})=\n{{ref}}`Evidence on {item.title} <{claim_label(item.id)}>`:"
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


# --- pages made from records ---------------------------------------------------------------------


def claim_label(id: str) -> str:
    """Return the anchor of an item on the ledger page."""
    return f"claim-{id.replace('.', '-')}"


def evidence_label(id: str, notebook: str) -> str:
    """Return the anchor of the cell of a notebook that has evidence on an item."""
    return re.sub(r"[^a-z0-9]+", "-", f"evidence-{id}-{notebook}")  # what Sphinx makes of it too


def ledger_page(evidence: Mapping[str, Iterable[claims.Evidence]]) -> str:
    """Return the ledger as a page: every item, its verdict, and links to what shows it.

    Args:
        evidence: what each notebook recorded.

    Raises:
        BookError: if two notebooks disagree on an item.
    """
    found: dict[str, list[tuple[str, claims.Evidence]]] = {id: [] for id in claims.ledger()}
    for notebook, records in evidence.items():
        for record in records:
            found[record.id].append((notebook, record))
    verdicts = {id: _verdict(id, pairs) for id, pairs in found.items()}
    counts = {v: list(verdicts.values()).count(v) for v in (*claims.VERDICTS, claims.OPEN)}
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    head = [
        "# The claims ledger",
        "",
        "Every numbered item of the paper, restated in our words, with the verdict that the "
        "notebooks of this book reached when this page was made. An item that no notebook has "
        "looked at is open. Where a statement had to be reconstructed, its entry says from what.",
        "",
        f"{len(verdicts)} items: {tally}.",
        "",
        "| item | about | verdict |",
        "|---|---|---|",
        *(
            f"| {{ref}}`{item.title} <{claim_label(item.id)}>` | {item.name} "
            f"| {_badge(verdicts[item.id])} |"
            for item in claims.ledger().values()
        ),
        "",
    ]
    entries = [_entry(item, verdicts[item.id], found[item.id]) for item in claims.ledger().values()]
    return "\n".join([*head, *entries])


def _verdict(id: str, records: Iterable[tuple[str, claims.Evidence]]) -> str:
    pairs = list(records)
    try:
        return claims.verdict([evidence for _, evidence in pairs])
    except ValueError:
        said = "; ".join(f"{notebook}: {evidence.verdict}" for notebook, evidence in pairs)
        raise BookError(f"notebooks disagree on {id}: {said}") from None


def _entry(item: claims.Item, verdict: str, records: Iterable[tuple[str, claims.Evidence]]) -> str:
    lines = [
        f"({claim_label(item.id)})=",
        f"## {item.title}: {item.name}",
        "",
        f"{_badge(verdict)} Section {item.section} of the paper.",
        "",
        item.statement,
        "",
        f"*What this reading rests on:* {item.reading}.",
        "",
    ]
    for notebook, record in records:
        link = f"{{ref}}`{notebook} <{evidence_label(item.id, notebook)}>`"
        lines += [f"- Stated: {_plain(record.stated)}", f"- Measured: {_plain(record.measured)}"]
        lines += [f"- Note: {_plain(record.note)}"] if record.note else []
        lines += [f"- Shown in {link}", ""]
    return "\n".join(lines)


def _badge(verdict: str) -> str:
    kind = "muted" if verdict == claims.OPEN else "success"
    if verdict in ("fails as stated", claims.STAND_IN):
        kind = "danger" if verdict == "fails as stated" else "warning"
    elif "corrected" in verdict or "partly" in verdict:
        kind = "warning"
    return f"{{bdg-{kind}}}`{verdict}`"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|$#])", r"\\\1", text)


def compressor_table() -> str:
    """Return the table of compressors as Markdown: bits and constants for n = d = 64."""
    n = d = 64
    lines = [
        r"| name | options | joint | bits | $\omega$ | $A$ valid | $A$ equal | $A$ paper |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in compressor_rows(n, d):
        lines.append("| " + " | ".join(f"`{v}`" if i == 0 else v for i, v in enumerate(row)) + " |")
    return "\n".join([*lines, "", f"For n = {n} clients and d = {d} coordinates.", ""])


def compressor_rows(n: int, d: int) -> list[list[str]]:
    """Return, for each compressor: name, options, joint, bits, omega and its A constants.

    A dash stands where the compressor has no such constant, as biased ones do not.
    """
    rows = []
    for name in compressors.names():
        c = compressors.make(name)
        options = ", ".join(f"{k}={v!r}" for k, v in vars(c).items()) or "none"
        facts = [name, options, "yes" if c.joint else "no", f"{c.bits(d, n):.6g}"]
        rows.append([*facts, _omega(c, d), *(_A(c, n, d, kind) for kind in _KINDS)])
    return rows


_KINDS: tuple[compressors.Constants, ...] = ("valid", "homogeneous", "paper")


def _omega(c: compressors.Compressor, d: int) -> str:
    try:
        return f"{c.omega(d):.6g}"
    except ValueError:
        return "–"


def _A(c: compressors.Compressor, n: int, d: int, kind: compressors.Constants) -> str:
    try:
        return f"{c.ab(n, d, constants=kind).A:.4g}"
    except ValueError:
        return "–"


def versions_page(profile: str, runs: Mapping[str, Path]) -> str:
    """Return the page that says with what every notebook of this book was run."""
    lines = [
        "# Versions used",
        "",
        f"This book was made with the **{profile}** profile.",
        "",
        "| notebook | commit | Python | NumPy | PyTorch | processor | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, folder in runs.items():
        facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        v = facts["versions"]
        lines.append(
            f"| {{doc}}`/notebooks/{name}` | `{facts['commit']}` | {v['python']} | {v['numpy']} "
            f"| {v['torch']} | {facts['device']} | {facts['seconds']} |"
        )
    return "\n".join([*lines, ""])


# --- files ---------------------------------------------------------------------------------------


def _toc_files(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node[key] for key in ("root", "file") if key in node]
        rest = [v for v in node.values() if isinstance(v, (list, dict))]
        return own + [file for child in rest for file in _toc_files(child)]
    if isinstance(node, list):
        return [file for child in node for file in _toc_files(child)]
    return []


def _sync(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold just these files."""
    if folder.exists():
        for path in folder.rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in files:
                path.unlink()
    for name, content in files.items():
        write_atomic(folder / name, content)
