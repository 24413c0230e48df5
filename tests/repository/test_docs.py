"""Commands and code in the pages work."""

import inspect
import json
import re
import shlex
import sys
from pathlib import Path

import click
import nbformat
import pytest
import torch
from click.testing import CliRunner

from cqbook import paths
from cqbook.book.wire import wire_page
from cqbook.cli.app import app
from cqbook.runs import runner
from cqbook.sweeps import collect, driver
from cqlib import compressors
from cqlib.compressors.registry import LIBRARY
from cqlib.keys import Stream

PAGES = [paths.root() / "README.md", *sorted((paths.root() / "book").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_examples_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in (alone | {"MASTER_PORT": "0"}).items():
        monkeypatch.setenv(name, value)  # as torchrun sets them
    for number, block in enumerate(blocks(page, "python")):
        module = type(sys)(f"example_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses need it
        try:
            exec(compile(block, str(page), "exec"), module.__dict__)
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def commands() -> list[str]:
    """Return every `cqlib ...` line of the pages, without comments."""
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                words = line.split("#")[0].strip().removeprefix(".venv/bin/")
                found += [words] if words.startswith("cqlib ") else []
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check names and parameters without executing the notebook."""
    planned = []
    monkeypatch.setattr(runner, "complete", lambda jobs, **_: planned.extend(jobs))
    monkeypatch.setattr(driver, "run", lambda *_: None)
    nothing = collect.Collected(Path(), {}, {}, 0)
    monkeypatch.setattr(collect, "collect", lambda *_: nothing)
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, (result.output, result.exception)
    assert planned or " run " not in command


def test_make_targets_that_pages_name_exist() -> None:
    makefile = (paths.root() / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.M))
    named = {t for p in PAGES for t in re.findall(r"(?:`|^)make ([a-z]+)\b", p.read_text(), re.M)}
    assert {"book", "test"} <= named <= targets


def test_every_command_is_documented() -> None:
    text = " ".join(page.read_text() for page in PAGES)
    assert isinstance(app, click.Group)
    for name in app.commands:
        assert f"cqlib {name}" in text


def test_the_wire_page_shows_every_compressor_and_stream() -> None:
    page = wire_page()
    example = page.partition("## An example of each")[2].partition("```text")[2]
    for name in compressors.names():
        assert f"| `{name}` |" in page
        assert f"\n{name}, client " in example
    for stream in Stream:
        assert f"| `{stream.name}` | {stream.use} |" in page


def test_each_compressor_says_what_missing_clients_cost() -> None:
    page = (paths.root() / "book" / "library.md").read_text(encoding="utf-8")
    section = page.partition("## When clients are missing")[2].partition("\n## ")[0]
    for name in LIBRARY:
        assert f"`{name}`" in section
    for name in compressors.names():
        text = inspect.getdoc(type(compressors.make(name))) or ""
        assert "Missing clients:" in " ".join(text.split())


def test_the_findings_of_the_readme_are_those_of_the_notebooks() -> None:
    readme = (paths.root() / "README.md").read_text(encoding="utf-8")
    (error,) = re.findall(r"\*\*An error ([\d.]+) times smaller", readme)
    (factor,) = re.findall(r"\*\*([\d.]+), not 7\.29", readme)
    assert f"CQ's error is {error} times smaller than IQ's" in _printed("quickstart")
    assert re.search(rf"\b{re.escape(factor)}\b", _printed("theory/communication_complexity"))


def _printed(name: str) -> str:
    """Return the stored outputs of a notebook as JSON: its printed text, tables and claims."""
    nb = nbformat.read(paths.notebooks() / f"{name}.ipynb", as_version=4)
    return json.dumps([cell.get("outputs", []) for cell in nb.cells])
