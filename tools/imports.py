"""Draw which folder imports which, and find circles: ``python tools/imports.py``.

The map has the folders of the packages ``cqlib`` and ``cqbook``, and the files directly in them.
The layer of each is one above the highest layer that it imports.
Imports inside functions and for types count, too. Imports of ``cqlib/__init__.py`` itself do not
count: it loads modules on first use.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cqbook.runs.imports import PACKAGES, files, imported, package_of  # noqa: E402

MARKS = "<!-- map -->", "<!-- end of map -->"
Graph = dict[str, set[str]]


def by_file(root: Path = ROOT) -> Graph:
    """Return which modules each module imports."""
    modules = files(root)
    graph: Graph = {}
    for name, path in modules.items():
        code = ast.parse("" if name in PACKAGES else path.read_text(encoding="utf-8"))
        found = imported(code, modules, package_of(name, path))
        graph[name] = {module for module, _ in found} - {name}
    return graph


def by_folder(graph: Mapping[str, Iterable[str]], root: Path = ROOT) -> Graph:
    """Return the folders that each folder imports."""
    modules = files(root)
    folders: Graph = {}
    for name, below in graph.items():
        folder = _folder(name, modules, root)
        others = {_folder(other, modules, root) for other in below}
        folders.setdefault(folder, set()).update(others - {folder})
    return folders


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the sets of nodes that can reach each other, by Tarjan's algorithm.

    >>> circles({"a": ["b"], "b": ["c"], "c": ["b"]})
    [['b', 'c']]
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            at = stack.index(node)
            circle, stack[at:] = sorted(stack[at:]), []
            if len(circle) > 1:
                found.append(circle)

    for node in graph:
        if node not in index:
            visit(node)
    return sorted(found)


def layers(graph: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the layer of each folder of a graph without circles.

    >>> layers({"cli": ["runs"], "runs": []})
    {'runs': 0, 'cli': 1}
    """
    found: dict[str, int] = {}

    def layer(folder: str) -> int:
        if folder not in found:
            found[folder] = max((layer(other) + 1 for other in graph.get(folder, ())), default=0)
        return found[folder]

    for folder in graph:
        layer(folder)
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def drawn(graph: Graph) -> str:
    """Return the map as Markdown: folders by layer, with the folders that they import."""
    lines = ["| layer | folder | imports |", "|---|---|---|"]
    for folder, layer in layers(graph).items():
        below = ", ".join(f"`{other}`" for other in sorted(graph[folder]))
        lines.append(f"| {layer} | `{folder}` | {below} |")
    return "\n".join(lines) + "\n"


def with_map(page: str, folders: Graph) -> str:
    """Return a page with the map between its two marks.

    >>> print(with_map("<!-- map -->old<!-- end of map -->", {"hall": set()}))
    <!-- map -->
    <BLANKLINE>
    | layer | folder | imports |
    |---|---|---|
    | 0 | `hall` |  |
    <BLANKLINE>
    <!-- end of map -->
    """
    before, mark, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (mark and end):
        raise ValueError(f"the page must hold {MARKS[0]} and {MARKS[1]}")
    return f"{before}{mark}\n\n{drawn(folders)}\n{end}{after}"


def _folder(name: str, modules: Mapping[str, Path], root: Path) -> str:
    folder = modules[name].parent.relative_to(root)
    return folder.as_posix() if len(folder.parts) > 1 else name.replace(".", "/")


def main() -> None:
    """Print the map, or the circles if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--write", action="store_true", help="put the map into CONTRIBUTING.md")
    given = parser.parse_args()
    root = given.root.resolve()
    graph = by_file(root)
    folders = by_folder(graph, root)
    arrows = sum(map(len, folders.values()))
    found = circles(graph), circles(folders)
    print(f"{len(graph)} files, {len(folders)} folders, {arrows} arrows")
    for kind, several in zip(("files", "folders"), found, strict=True):
        print(f"{len(several)} circles of {kind}")
        for circle in several:
            print("  " + " <-> ".join(circle))
    if not found[1]:
        print(drawn(folders))
        if given.write:
            page = root / "CONTRIBUTING.md"
            page.write_text(with_map(page.read_text(encoding="utf-8"), folders), encoding="utf-8")
    sys.exit(any(found))


if __name__ == "__main__":
    main()
