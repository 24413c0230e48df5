"""The book's table of contents."""

from __future__ import annotations

from typing import Any

from cqbook import paths, strict_yaml


def chapters() -> list[str]:
    """Return the notebooks of the table of contents, as paths below ``notebooks/``."""
    toc = strict_yaml.read(paths.root() / "book" / "_toc.yml")
    return [
        file.removeprefix("notebooks/") for file in _toc_files(toc) if file.startswith("notebooks/")
    ]


def _toc_files(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node[key] for key in ("root", "file") if key in node]
        rest = [v for v in node.values() if isinstance(v, (list, dict))]
        return own + [file for child in rest for file in _toc_files(child)]
    if isinstance(node, list):
        return [file for child in node for file in _toc_files(child)]
    return []
