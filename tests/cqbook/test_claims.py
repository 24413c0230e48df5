"""The ledger: complete, and no verdict without a computed condition."""

from pathlib import Path

import numpy as np
import pytest

from cqbook.cells import claims

NUMBERED = {
    **{kind: range(1, last + 1) for kind, last in (("definition", 7), ("assumption", 8))},
    **{kind: range(1, 5) for kind in ("proposition", "corollary", "lemma", "table")},
    **{kind: range(1, 7) for kind in ("algorithm", "figure")},
    "theorem": range(1, 4),
    "number": ("0.03", "0.23", "7.29"),
    "appendix": ("b.1", "c.1", "c.2", "d.2.1", "d.2.2"),
    "sentence": ("independent", "lower-error", "methods", "small-variance", "speedup", "tight"),
    "finding": range(1, 13),
}
GLOBAL = (
    "break-even class convergence exponential linear nonzeros overflow-exponential "
    "overflow-linear ratio reduction speedup training"
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CQLIB_CLAIMS", str(tmp_path / "claims.jsonl"))
    return tmp_path / "claims.jsonl"


def test_every_numbered_item_of_the_paper_is_listed() -> None:
    wanted = {f"{kind}-{number}" for kind, numbers in NUMBERED.items() for number in numbers}
    wanted |= {f"global-{name}" for name in GLOBAL.split()}
    assert set(claims.ledger()) == wanted


def test_a_repeated_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "claims.yml").write_text("- {id: theorem-1, id: theorem-2}\n")
    monkeypatch.setenv("CQLIB_ROOT", str(tmp_path))
    with pytest.raises(ValueError, match=r"claims.yml: the key 'id' is repeated"):
        claims.ledger.__wrapped__()


@pytest.mark.parametrize("item", claims.ledger().values(), ids=lambda item: item.id)
def test_items_are_stated(item: claims.Item) -> None:
    assert item.id.startswith(f"{item.kind}-")
    assert len(item.statement) > 60 and item.section and item.name and item.reading
    assert item.statement.count("$") % 2 == 0 and not item.reading.endswith(".")
    assert not item.corrected.endswith(".") and item.corrected.count("$") % 2 == 0
    assert (item.kind == "global") == (item.work == "Global-QSGD")
    if item.kind == "global":
        assert item.title.startswith("Global-QSGD, ")
    elif item.kind == "sentence":
        assert item.title.startswith(f"Section {item.section}, ")
    elif item.kind not in ("number", "appendix"):
        assert item.title == f"{item.kind} {item.id.split('-')[1]}".capitalize()


def test_a_verdict_is_recorded_and_read_back(file: Path) -> None:
    given = claims.check(
        "theorem-1", "holds", holds=np.bool_(True), stated="s", measured="m", note="n"
    )
    claims.check("definition-5", "implemented", holds=True, stated="s", measured="m")
    first, second = claims.read(file)
    assert first == given == claims.Evidence("theorem-1", "holds", "s", "m", "n")
    assert second.id == "definition-5"


def test_nothing_is_written_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQLIB_CLAIMS", raising=False)
    monkeypatch.chdir(tmp_path)
    claims.check("theorem-1", "holds", holds=True, stated="s", measured="m")
    assert not list(tmp_path.iterdir())
    assert claims.read(tmp_path / "none.jsonl") == []


def test_a_false_condition_fails_and_records_nothing(file: Path) -> None:
    with pytest.raises(claims.ClaimError, match=r"theorem-1.*false; measured 3"):
        claims.check("theorem-1", "holds", holds=False, stated="2", measured="3")
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "theorem-9"}, "unknown claim 'theorem-9'"),
        ({"verdict": "true"}, "unknown verdict 'true'; known: implemented, holds"),
        ({"verdict": "implemented"}, "theorem-1 is a claim"),
        ({"holds": 1}, "holds must be a boolean, got int"),
    ],
)
def test_wrong_use_is_refused(arguments: dict, message: str) -> None:
    given = {"id": "theorem-1", "verdict": "holds", "holds": True, **arguments}
    with pytest.raises(ValueError, match=message):
        claims.check(**given, stated="", measured="")


def test_what_a_notebook_shows_is_escaped_and_linked() -> None:
    evidence = claims.Evidence("theorem-1", "holds", "a < b", "c & d")
    bundle, metadata = evidence._repr_mimebundle_()
    assert bundle["text/plain"] == "Theorem 1: holds\n  stated: a < b\n  measured: c & d"
    assert "a &lt; b" in bundle["text/html"] and "c &amp; d" in bundle["text/html"]
    assert metadata == {"cqlib": {"claim": "theorem-1"}}


def test_one_verdict_for_all_evidence() -> None:
    holds = claims.Evidence("theorem-1", "holds", "", "")
    fails = claims.Evidence("theorem-1", "fails as stated", "", "")
    assert claims.verdict([]) == claims.OPEN
    assert claims.verdict([holds, holds]) == "holds"
    with pytest.raises(ValueError, match="theorem-1: notebooks disagree: fails as stated, holds"):
        claims.verdict([holds, fails])


def test_a_quoted_statement_fails_as_quoted_and_a_read_one_as_stated() -> None:
    words = {"holds": 1 < 2, "stated": "", "measured": ""}
    with pytest.raises(ValueError, match="theorem-1 is from the work itself"):
        claims.check("theorem-1", claims.AS_QUOTED, **words)
    with pytest.raises(ValueError, match="proposition-4 was only quoted"):
        claims.check("proposition-4", "fails as stated", **words)
