"""Templates: a name without a value is an error; all are used; none is part of the book."""

import re

import jinja2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml

from cqbook import paths
from cqbook.book import staging, tables, templates

FOLDER = paths.root() / "book" / "made"
FILES = sorted(FOLDER.rglob("*"))
NAMES = [f.relative_to(FOLDER).as_posix().removesuffix(".md.j2") for f in FILES if f.is_file()]


def test_facts_stand_where_the_template_names_them() -> None:
    assert templates.render("versions", profile="quick", table="| x |") == (
        "# Versions used\n\nThis book was made with the **quick** profile.\n\n| x |\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_name_is_an_error(name: str) -> None:
    with pytest.raises(jinja2.UndefinedError, match="is undefined"):
        templates.render(name)


def test_an_unknown_template_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateNotFound, match="no_such_page"):
        templates.render("no_such_page")


@pytest.mark.parametrize("name", NAMES)
def test_every_template_is_used(name: str) -> None:
    code = "".join(f.read_text() for f in (paths.root() / "cqbook" / "book").glob("*.py"))
    calls = re.findall(r'\b(render|_prose)\(\s*"(\w+)"', code)
    used = {name if call == "render" else f"chapter/{name}" for call, name in calls}
    assert name in used


def test_templates_and_caches_are_no_part_of_the_source() -> None:
    found = staging._prose()
    assert {"_config.yml", "book/_toc.yml", "book/intro.md"} <= set(found)
    assert not [name for name in found if name.endswith(".j2") or "__pycache__" in name]


def test_text_is_shown_as_it_is() -> None:
    assert templates.plain(r"|a|_2 <b> $x$ #1 \n") == r"\|a\|\_2 \<b\> \$x\$ \#1 \\n"


@settings(max_examples=300)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1))
@example("<script>alert(1)</script>")
@example("[a](http://b) ![c](d) &copy; <!-- {{x}} -->")
@example("a\n\n# b\n* c")
def test_text_keeps_its_characters_in_markdown(text: str) -> None:
    shown = " ".join(text.split())
    if shown:
        page = MarkdownIt("commonmark").render(f"*{templates.plain(text)}*")
        assert page == f"<p><em>{escapeHtml(shown)}</em></p>\n"


def test_cells_keep_their_text() -> None:
    lines = tables.table(["a", "10⁹"], [("1.50", None), ("  0x10", "–")]).splitlines()
    assert lines[0] == "| a | 10⁹ |" and lines[2] == "| 1.50 | None |"
    assert lines[3].split("|")[1].strip() == "0x10"
    assert len(tables.table(["a", "b"], []).splitlines()) == 2
