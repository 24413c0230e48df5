"""Templates: the text of the pages that are made from results.

The template of ``book/made/NAME.md`` is ``book/made/NAME.md.j2``, a Jinja2 file. A paragraph is one
line in the template and in the page.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from cqbook import paths

ENDING = ".j2"


def render(template: str, **facts: Any) -> str:
    """Return the text of a template, with one newline at its end.

    Args:
        template: path below ``book/made/`` without ``.md.j2``.
        facts: values of all names in the template.

    Raises:
        jinja2.UndefinedError: if a name in the template has no value.
        jinja2.TemplateNotFound: if the template does not exist.
    """
    text = _environment(paths.root() / "book" / "made").get_template(f"{template}.md{ENDING}")
    return text.render(facts).rstrip("\n") + "\n"


def plain(text: str) -> str:
    r"""Escape text for Markdown, on one line; in templates this is the filter ``plain``.

    >>> plain("|x|_2 & <b>")
    '\\|x\\|\\_2 \\& \\<b\\>'
    """
    return re.sub(r"([\\`*_{}\[\]<>|$#&~!^])", r"\\\1", " ".join(text.split()))


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment
