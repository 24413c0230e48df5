"""Two packages, one direction, no circles."""

import pytest

from tools import imports

GRAPH = imports.by_file()


def test_the_library_never_imports_the_companion():
    wrong = {
        name: sorted(other for other in imported if other.startswith("cqbook"))
        for name, imported in GRAPH.items()
        if name.startswith("cqlib")
    }
    assert not {name: others for name, others in wrong.items() if others}


@pytest.mark.parametrize("graph", [GRAPH, imports.by_folder(GRAPH)], ids=["files", "folders"])
def test_there_is_no_circle(graph):
    assert imports.circles(graph) == []


def test_only_the_words_of_the_library_lie_flat():
    flat = {name for name in GRAPH if name.startswith("cqlib.") and name.count(".") == 1}
    files = {name for name in flat if imports.files(imports.ROOT)[name].name != "__init__.py"}
    assert files == {"cqlib.files", "cqlib.keys", "cqlib.payload", "cqlib.philox"}


def test_the_map_for_contributors_is_this_one():
    page = (imports.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = imports.by_folder(GRAPH)
    assert page == imports.with_map(page, folders), "python tools/imports.py --write"


def test_a_circle_and_a_wrong_direction_are_seen(tmp_path):
    for name, text in {
        "cqlib/__init__.py": "from cqlib import a",
        "cqlib/a.py": "def f():\n    from cqlib.b import c",
        "cqlib/b/__init__.py": "",
        "cqlib/b/c.py": "from cqlib import a\nimport cqbook.d",
        "cqbook/__init__.py": "",
        "cqbook/d.py": "",
        "cqbook/e.py": "from importlib import import_module\nimport_module('.d', 'cqbook')",
        "cqbook/f.py": "from . import d\nfrom .e import x",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = imports.by_file(tmp_path)
    assert graph["cqlib.b.c"] == {"cqlib.a", "cqbook.d"}
    assert graph["cqbook.e"] == {"cqbook.d"}
    assert graph["cqbook.f"] == {"cqbook.d", "cqbook.e"}
    assert imports.circles(graph) == [["cqlib.a", "cqlib.b.c"]]
    assert imports.circles(imports.by_folder(graph, tmp_path)) == [["cqlib/a", "cqlib/b"]]
