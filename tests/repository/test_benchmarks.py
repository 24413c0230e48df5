"""The benchmarks run and save results, and the book's page shows them; times do not matter."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import (
    bars,
    child,
    first_call,
    gpu,
    measure,
    memory,
    ours,
    peers,
    row,
    save,
    selection,
)
from benchmarks.__main__ import main
from benchmarks.case import D_BAR, Case
from cqbook import paths
from cqbook.book.performance import performance_page, saved, verdict

COLUMNS = list(row.Row.__dataclass_fields__)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a quick run, and its output."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "NAMES", ("torch",))  # JAX would compile for half a minute
        done = CliRunner().invoke(main, ["--quick", "--out", str(folder), "--threads", "1"])
    assert done.exit_code == 0, (done.output, done.exception)
    return folder, done.output


@pytest.fixture
def results(quick: tuple[Path, str]) -> dict:
    return json.loads((quick[0] / "results.json").read_text())


def sample(**changes: object) -> row.Row:
    """Return a made-up row of a run."""
    case = Case("cq encode", "a case", lambda n, d: list, 1)
    own, copy = measure.Timing((2e-3, 4e-3), 1.0), measure.Timing((1e-3, 1e-3), 1.0)
    made = row.measured("cqlib", case, 16, D_BAR, threads=1, timing=own, copy=copy)
    return row.Row(**{**vars(made), **changes})


# A quick run


def test_a_run_saves_everything(quick: tuple[Path, str], results: dict) -> None:
    folder, printed = quick
    assert sorted(path.name for path in folder.iterdir()) == sorted(save.FILES)
    for name in ("throughput.svg", "clients.svg"):
        assert (folder / name).read_text().rstrip().endswith("</svg>")
    assert results["schema"] == save.SCHEMA
    assert {"machine", "bars", "first_calls", "memory", "gpu_compiled", "quick"} <= set(results)
    with (folder / "results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == COLUMNS
    assert len(table) == len(results["rows"])
    assert "x memcpy best" in printed


def test_every_case_of_ours_is_measured(results: dict) -> None:
    rows = [r for r in results["rows"] if r["who"] == "cqlib"]
    assert {r["name"] for r in rows} == {case.name for case in (*ours.CASES, ours.FLAT)}
    for r in rows:
        assert list(r) == COLUMNS
        assert r["status"] == row.MEASURED, r
        assert 0 < r["best"] <= r["median"] and r["quartile1"] <= r["median"] <= r["quartile3"]
        assert r["ratio_best"] == pytest.approx(r["memcpy_best"] / r["best"], rel=1e-4)


def test_the_machine_is_recorded(results: dict) -> None:
    facts = results["machine"]
    assert {"commit", "cores", "caches", "memory_gib", "governor", "date", "load"} <= set(facts)
    assert facts["versions"]["torch"] == torch.__version__
    assert {"numba", "minifl", "fedjax", "jax"} <= set(facts["versions"])


def test_the_page_of_a_run_shows_every_library_and_case(results: dict) -> None:
    page = performance_page(results)
    for r in results["rows"]:
        assert r["name"].removesuffix(" by n") in page
    assert "A quick run" in page and "make bench" in page


# Other libraries


def test_a_missing_library_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MiniFL", None)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.minifl", raising=False)
    peer = peers.load("minifl")
    assert peer.cases == () and "MiniFL" in peer.why
    monkeypatch.setattr(peers, "NAMES", ("minifl",))
    empty = selection.Selection((), ours.FLAT, measure.Effort(), measure.Effort(), ())
    monkeypatch.setattr(selection, "flat_rows", lambda *_: [])
    (missing,) = selection.rows(empty, [1])
    assert missing.status == row.MISSING
    page = performance_page(about([missing]))
    assert "minifl: not installed" in page


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", peers.NAMES)
def test_libraries_that_are_installed_run_beside_what_does_the_same(name: str) -> None:
    peer = peers.load(name)
    if peer.why:
        pytest.skip(peer.why)
    for case in peer.cases:
        assert case.against in {own.name for own in ours.CASES}
        case.setup(4, 1024)()


def test_a_case_that_fails_or_is_slow_has_a_row_that_says_so() -> None:
    broken = Case("broken", "", lambda n, d: 1 / 0, 1, sizes=(8,))
    slow = Case("slow", "", lambda n, d: list, 1, sizes=(8,))
    effort = measure.Effort(rounds=1, sample=0)
    assert selection._row("cqlib", broken, 2, 8, 1, effort, 0.0).status == row.FAILED
    refused = selection._row("cqlib", slow, 2, 8, 1, effort, 1.0)
    assert refused.status == row.NOT_RUN and "8 s" in refused.why


# Child processes


def test_first_call_and_memory_print_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "cq call"])
    first_call.main()
    assert set(json.loads(capsys.readouterr().out)) == {"import_s", "first_s", "second_s"}
    if memory._RESET.exists():
        monkeypatch.setattr(sys, "argv", ["", "cq encode", str(2**16)])
        memory.main()
        sizes = json.loads(capsys.readouterr().out)
        assert sizes["input"] == 2**18 and sizes["result"] == 2**13
        assert {"resident_growth", "traced_peak"} < set(sizes)


def test_a_process_that_fails_is_told() -> None:
    assert "no_such_module" in child.run("no_such_module")["error"]


# GPUs


@pytest.mark.skipif(torch.cuda.is_available(), reason="checked on the device then")
@pytest.mark.slow
def test_gpu_cases_run_interpreted() -> None:
    pytest.importorskip("triton")
    for case in gpu.cases("cpu"):
        case.setup(2, 8)()
    gpu.copy(8, "cpu")()
    assert list(selection.gpu_rows(selection.quick())) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_cases_run() -> None:
    assert {r.status for r in selection.gpu_rows(selection.quick())} == {row.MEASURED}


# Bars and the page


def about(rows: list[row.Row]) -> dict:
    """Return a small stored run."""
    return {
        "quick": False,
        "seconds": 1.0,
        "load_after": [1.0],
        "machine": {
            **{"date": "today", "commit": "c0ffee", "cqlib": "0", "device": "a processor"},
            **{"cores": 1, "caches": {"L1": "1K"}, "memory_gib": 1.0, "system": "a system"},
            **{"governor": "unknown", "load": [0.0], "versions": {"numba": None}, "gpu": None},
        },
        "bars": bars.bars(rows),
        "first_calls": [
            {"name": "cq call", "cache": "empty", "import_s": 1, "first_s": 2.0, "second_s": 0.1},
            {"name": "iq call", "cache": "empty", "error": "no compiler"},
        ],
        "memory": [
            {"name": "cq call", "d": 2**26, "input": 2**28, "result": 2**23,
             "resident_growth": 2**24, "traced_peak": 2**23},
        ],
        "gpu_compiled": {"rows": [], "why": "no Triton"},
        "rows": row.records(rows),
    }  # fmt: skip


@pytest.mark.parametrize(("best", "says"), [(0.26, "met"), (0.24, "missed")])
def test_the_page_says_whether_a_bar_is_met(best: float, says: str) -> None:
    page = performance_page(about([sample(ratio_best=best)]))
    assert f"| cq encode | speed over memcpy | at least 0.25 | {best} | {says} |" in page
    assert "| drive encode | speed over memcpy | at least 0.2 | – | not measured |" in page
    assert f"{int(says == 'met')} of 10 are met in this run." in page
    assert "no compiler" in page and "no Triton" in page
    assert "| cq call | 2^26 | 256.0 | 8.0 | 16.0 | 8.0 |" in page


@pytest.mark.parametrize(("slower", "met"), [(0.2, 2), (0.1, 1)])
def test_a_step_is_judged_by_the_clock_and_by_the_other_library(slower: float, met: int) -> None:
    ours_and_theirs = [
        sample(name="marina step", n=100, d=1024, best=4e-4, median=5e-4),
        sample(who="minifl", name="MiniFL CQ mean", n=100, d=1024, best=slower, median=slower),
    ]
    page = performance_page(about(ours_and_theirs))
    assert "| marina step | milliseconds, n = 100, d = 1024 | at most 0.5 | 0.4 | met |" in page
    says = f"at least 500 | {slower / 4e-4:.3g} | {'met' if met == 2 else 'missed'} |"
    assert f"| marina step | times as fast as MiniFL CQ mean, n = 100, d = 1024 | {says}" in page
    assert f"{met} of 10 are met in this run." in page
    assert "| marina step | a case | 100 | 2^10 | 0.4 | 0.5 |" in page
    alone = bars.bars(ours_and_theirs[:1])
    assert [bar["measured"] for bar in alone if bar["name"] == "marina step"] == [0.4, None]


def test_rows_with_a_bar_get_more_rounds() -> None:
    assert bars.has_bar("cq encode", D_BAR) and not bars.has_bar("cq encode", 2**20)
    assert bars.has_bar("marina step", 1024) and not bars.has_bar("norm", D_BAR)


def test_the_measured_step_of_marina_is_a_compressed_one() -> None:
    step = ours.find("marina step").setup(4, 64)()
    assert step.bits < 32 * 64 and step.direction.shape == (1, 64)
    assert step.direction.dtype == torch.float64


def test_flatness_is_the_slowest_over_the_fastest() -> None:
    rows = [sample(name=ours.FLAT.name, n=n, best=t) for n, t in ((2, 1.0), (16, 1.25), (9, 1.1))]
    (flat,) = [bar for bar in bars.bars(rows) if bar["name"] == ours.FLAT.name]
    assert flat["measured"] == 1.25 and verdict(flat) == "missed"


def test_only_one_thread_counts_for_bars() -> None:
    assert all(bar["measured"] is None for bar in bars.bars([sample(threads=2)]))


def test_a_factor_says_how_much_faster_we_are() -> None:
    other = sample(who="minifl", name="MiniFL CQ", against="cq encode", best=2.0, median=8.0)
    page = performance_page(about([sample(best=0.5, median=1.0), other]))
    assert "| 4 (8) |" in page


def test_without_results_the_page_tells_how_to_get_some() -> None:
    assert "make bench" in performance_page(None)


def test_the_saved_results_make_a_page_with_files_beside_it() -> None:
    results, files = saved()
    if results is None:
        pytest.skip("nothing has been measured in this checkout")
    assert set(save.FILES) <= set(files)
    page = performance_page(results)
    for name in save.FILES:
        assert f"performance-files/{name}" in page
    assert not results["quick"], "the saved run should be a whole one"
    assert (paths.root() / "benchmarks" / "results").is_dir()
