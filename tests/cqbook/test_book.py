"""The built book: complete, self-contained, and displayed by a browser without a network."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import matplotlib.image as mpimg
import nbformat
import pytest
from bs4 import BeautifulSoup

from cqbook import paths
from cqbook.book.labels import claim_label, evidence_label
from cqbook.cells import claims
from cqbook.runs import contents
from tests.built_book import PROFILE
from tests.helpers import stored_verdicts

HTML = paths.root() / "build" / PROFILE / "book" / "_build" / "html"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FETCHED = {  # elements that a browser loads automatically
    **dict.fromkeys(("script", "img", "iframe", "source", "embed", "video", "audio"), "src"),
    **{"link": "href", "use": "href", "object": "data"},
}

pytestmark = pytest.mark.usefixtures("book")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
TILE = 400  # height of a figure on the picture of all figures
INDEX = HTML / "index.html"
PAGES = sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts) or [INDEX]


@pytest.fixture(scope="module")
def book() -> None:
    """Require the built book: without it, skip the tests, or fail if CQLIB_REQUIRE_BOOK is set."""
    if INDEX.exists():
        return
    missing = f"no built book at {HTML}; run: cqlib book --profile {PROFILE}"
    if os.environ.get("CQLIB_REQUIRE_BOOK"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@functools.cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@functools.cache
def anchors(path: Path) -> set[str]:
    named = soup(path).find_all(attrs={"id": True})
    return {tag["id"] for tag in named} | {
        tag["name"] for tag in soup(path).find_all("a", {"name": True})
    }


def is_foreign(url: str) -> bool:
    """Return True if this address is outside the book."""
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


@pytest.fixture(params=PAGES, ids=[p.relative_to(HTML).as_posix() for p in PAGES])
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def chapter_pages() -> list[Path]:
    return [HTML / "notebooks" / f"{name}.html" for name in contents.chapters()]


# Self-contained


def test_loads_nothing_from_another_host(page: Path) -> None:
    for tag, attribute in FETCHED.items():
        for element in soup(page).find_all(tag):
            if tag == "link" and set(element.get("rel", [])) <= {
                "canonical",
                "next",
                "prev",
                "index",
                "search",
            }:
                continue
            url = element.get(attribute, "") or ""
            assert not is_foreign(url), element
            assert not any(
                is_foreign(part.split()[0])
                for part in element.get("srcset", "").split(",")
                if part.strip()
            )
    for inline in soup(page).find_all(["script", "style"]):
        text = inline.string or ""
        if inline.get("type") != "application/json":
            assert not re.search(r"(src|href|import|url|fetch)\W{0,4}https?://", text), text[:200]


def test_style_sheets_load_nothing_from_another_host() -> None:
    sheets = list(HTML.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        for url in re.findall(r"""(?:url\(|@import)\s*['"]?([^'")\s;]+)""", text):
            assert not is_foreign(url), (sheet, url)


def test_internal_links_lead_somewhere(page: Path) -> None:
    for element in soup(page).find_all(href=True):
        url, fragment = urldefrag(element["href"])
        if is_foreign(element["href"]) or element.name == "use":
            continue
        target = (
            (page.parent / unquote(urlsplit(url).path)).resolve() if urlsplit(url).path else page
        )
        assert target.is_relative_to(HTML), element
        assert target.exists(), f"{page.name}: {element['href']}"
        if fragment and target.suffix == ".html":
            assert unquote(fragment) in anchors(target), f"{page.name}: {element['href']}"


def test_files_that_pages_show_exist(page: Path) -> None:
    for element in soup(page).find_all(src=True):
        source = element["src"]
        if not source.startswith("data:"):
            assert (page.parent / unquote(urlsplit(source).path)).exists(), element


def test_mathjax_is_here_and_named_by_the_pages() -> None:
    for path in chapter_pages():
        (script,) = [
            s["src"] for s in soup(path).find_all("script", src=True) if "mathjax" in s["src"]
        ]
        assert (
            path.parent / script.split("?")[0]
        ).resolve() == HTML / "_static/mathjax/tex-svg-full.js"


# Complete


def test_every_chapter_is_there_with_outputs() -> None:
    for path in chapter_pages():
        assert len(soup(path).select(".cell_output")) > 3, path
        assert soup(path).select(".cell_output img[src$='.svg']"), path
        assert not soup(path).select(".stderr, .traceback"), path


def test_every_figure_comes_with_data_drawing_and_notebook() -> None:
    figures = 0
    for name, path in zip(contents.chapters(), chapter_pages(), strict=True):
        results = paths.runs(PROFILE) / name / "results"
        for drawing in results.glob("*.svg"):
            figures += 1
            links = {a["href"].rsplit("/", 1)[-1] for a in soup(path).select("a.download")}
            stem = Path(name).name
            assert {drawing.name, f"{drawing.stem}.csv", f"{stem}.ipynb"} <= links
    assert figures >= 2


def test_the_ledger_shows_every_item_and_links_to_its_evidence() -> None:
    page = HTML / "book" / "made" / "claims.html"
    found = [
        (name, evidence)
        for name in contents.chapters()
        for evidence in claims.read(paths.runs(PROFILE) / name / "claims.jsonl")
    ]
    first = "definition-5 definition-6 definition-7 algorithm-1 algorithm-2 theorem-1".split()
    assert {e.id for _, e in found} >= set(first)
    evident = {e.id: e.verdict for _, e in found}
    for item in claims.ledger().values():
        assert claim_label(item.id) in anchors(page)
        (row,) = [
            r for r in soup(page).select("tbody tr") if r.td.get_text(strip=True) == item.title
        ]
        shown, own = row.find_all("td")[-1].get_text(strip=True), evident.get(item.id, claims.OPEN)
        assert shown == own or shown.startswith(f"{PROFILE}:{own};")  # of other profiles, too
    for name in contents.chapters():  # as in stored outputs, but for experiments
        stored = nbformat.read(paths.notebooks() / f"{name}.ipynb", as_version=4)
        for evidence in stored_verdicts(stored):
            if claims.ledger()[evidence.id].kind == "figure":  # its verdict depends on the settings
                continue
            assert evident[evidence.id] == evidence.verdict, evidence.id
    links = {a["href"] for a in soup(page).find_all("a", href=True)}
    for name, evidence in found:
        label = evidence_label(evidence.id, name)
        assert f"../../notebooks/{name}.html#{label}" in links
        assert label in anchors(HTML / "notebooks" / f"{name}.html")


# Drawn


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the book over http on loopback, since some browsers restrict devtools for files."""
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def browse(url: str, folder: Path, *options: str) -> str:
    """Return the output of a browser that can resolve no name but 127.0.0.1."""
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --window-size=1000,700 "
        "--virtual-time-budget=20000"
    ).split()
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    command = [str(BROWSER), *flags, rules, f"--user-data-dir={folder / 'profile'}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def asked_by_page(log: Path) -> set[str]:
    """Return the addresses requested by the page itself, without those of the browser's start."""
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    requests = [event.get("params", {}) for event in events]
    return {r["url"] for r in requests if r.get("initiator", "not an origin") != "not an origin"}


@needs_browser
@pytest.mark.parametrize("scheme", ["file", "http"])
@pytest.mark.slow
def test_a_browser_draws_mathematics_and_figures(scheme: str, address: str, tmp_path: Path) -> None:
    name = "notebooks/experiments/logistic_regression.html"
    url = f"{address}/{name}" if scheme == "http" else (HTML / name).as_uri()
    log = tmp_path / "net.json"
    drawn = BeautifulSoup(
        browse(url, tmp_path, f"--log-net-log={log}", "--dump-dom"), "html.parser"
    )
    formulas = drawn.select("mjx-container svg")
    assert len(formulas) >= 10 and all(f.select("path, use, rect") for f in formulas)
    assert not drawn.select("mjx-merror, [data-mjx-error]"), "a formula with an error"
    assert not drawn.find_all(string=re.compile(r"\\\(|\\frac")), "mathematics left as source"
    assert drawn.select(".cell_output img[src$='.svg']")
    asked = asked_by_page(log)
    assert {u for u in asked if not u.startswith((address, "file:", "data:"))} == set()
    if scheme == "http":
        assert any("tex-svg-full.js" in u for u in asked), "the log shows what pages ask for"


@needs_browser
@pytest.mark.slow
def test_figures_are_drawn_in_the_picture(tmp_path: Path) -> None:
    """Every figure has coloured lines on a screenshot of all of them, one below the other."""
    drawings = sorted(paths.runs(PROFILE).rglob("results/*.svg"))
    assert drawings
    style = f"display: block; width: 800px; height: {TILE}px; object-fit: contain"
    images = [f'<img style="{style}" src="{drawing.as_uri()}">' for drawing in drawings]
    page, picture = tmp_path / "all.html", tmp_path / "all.png"
    page.write_text(f'<body style="margin: 0">{"".join(images)}')
    size = f"--window-size=800,{TILE * len(drawings)}"
    browse(page.as_uri(), tmp_path, f"--screenshot={picture}", size)
    pixels = mpimg.imread(picture)[..., :3]
    saturated = pixels.max(axis=2) - pixels.min(axis=2) > 0.4
    for row, drawing in enumerate(drawings):
        share = saturated[TILE * row : TILE * (row + 1)].mean()
        assert share > 0.0005, f"{drawing.name}: no coloured line was drawn"
