"""The pages made from verdicts: the ledger and the errata."""

from pathlib import Path
from types import MappingProxyType

import nbformat
import pytest

from cqbook.book import ledger
from cqbook.book.labels import claim_label, evidence_label
from cqbook.cells import claims
from cqbook.runs.run import Run

HELD = claims.Evidence("theorem-1", "holds", "stated", "measured 1", "a note")
CORRECTED = claims.Evidence(
    "corollary-2", "holds with corrected constant", "1/4 |a|_2", "n = 2: exactly |a|^2"
)
BOX = "```{prf:theorem} x\n:label: theorem-1\n:label: our-thing\n```"
FAILED = claims.Evidence("proposition-4", claims.AS_QUOTED, "rates", "32,429 floats, quoted 2")


def runs(found: dict[str, list[claims.Evidence]], text: str = "") -> list[Run]:
    """Return runs with this evidence, whose notebooks contain this text."""
    return [
        Run(name, Path(name), text.encode(), {}, tuple(evidence), {})
        for name, evidence in found.items()
    ]


def ledger_page(found: list[Run], others: ledger.Verdicts = MappingProxyType({})) -> str:
    return ledger.ledger_page(found, "standard", others)


def errata_page(found: list[Run]) -> str:
    return ledger.errata_page(found, "standard")


def test_every_item_has_an_entry_and_open_ones_say_so() -> None:
    page = ledger_page([])
    for item in claims.ledger().values():
        assert f"({claim_label(item.id)})=" in page
        assert item.statement in page and item.reading in page
    assert f"{len(claims.ledger())} open." in page
    assert "Not as stated" not in page


def test_evidence_is_shown_with_its_notebook() -> None:
    page = ledger_page(runs({"theory/a": [HELD], "b": [HELD]}))
    assert page.count("- Measured: measured 1") == 2 and "- Note: a note" in page
    for notebook in ("theory/a", "b"):
        label = evidence_label("theorem-1", notebook)
        assert f"{{ref}}`{notebook} <{label}>`" in page
    assert "1 holds" in page


def test_what_is_not_as_stated_is_listed_with_a_line_of_evidence() -> None:
    page = ledger_page(runs({"a": [HELD, CORRECTED], "b": [FAILED]}))
    listed = page.split("## Not as stated")[1].split("(claim-")[0]
    assert "Corollary 2" in listed and r"n = 2: exactly \|a\|\^2" in listed
    assert "Proposition 4" in listed and f"*{claims.AS_QUOTED}*" in listed
    assert "Theorem 1" not in listed


BADGES = {
    "implemented": "success",
    "holds": "success",
    "reproduced": "success",
    "holds with corrected constant": "warning",
    "partly reproduced": "warning",
    "fails as stated": "danger",
    claims.AS_QUOTED: "danger-line",
    "not reproduced": "danger",
    "undecided": "muted",
    claims.OPEN: "muted",
}


@pytest.mark.parametrize("verdict", [*claims.VERDICTS, claims.OPEN])
def test_every_verdict_has_its_badge(verdict: str) -> None:
    found = claims.Evidence("table-3", verdict, "stated", "measured")
    page = ledger_page(runs({"a": [found] if verdict != claims.OPEN else []}))
    badge = f"{{bdg-{BADGES[verdict]}}}`{verdict}`"
    assert page.count(f"| {badge} |") == page.count(f"\n{badge} ") >= 1
    others = len(claims.ledger()) - page.count(f"| {badge} |")
    assert page.count("| {bdg-muted}`open` |") == (others or len(claims.ledger()))
    assert page.count("{bdg-") == 2 * len(claims.ledger())


def test_what_is_not_reproduced_is_listed() -> None:
    never = claims.Evidence("table-3", "not reproduced", "ahead", "behind")
    in_part = claims.Evidence("table-4", "partly reproduced", "ahead", "half")
    page = ledger_page(runs({"a": [HELD, never, in_part]}))
    counted = f"1 holds, 1 partly reproduced, 1 not reproduced, {len(claims.ledger()) - 3} open."
    assert counted in page
    listed = page.split("## Not as stated")[1].split("(claim-")[0]
    assert "*not reproduced*: behind." in listed and "*partly reproduced*: half." in listed


def test_a_statement_with_a_box_is_linked() -> None:
    assert ledger.stated_in(BOX) == {"theorem-1"}
    page = ledger_page(runs({"a": []}, BOX))
    assert page.count("{prf:ref}") == 1 and "In this book: {prf:ref}`theorem-1`" in page


def test_labels_with_dots_are_found() -> None:
    assert ledger.stated_in('":label: appendix-b.1\\n"') == {"appendix-b.1"}


def test_disagreeing_notebooks_make_no_page() -> None:
    other = claims.Evidence("theorem-1", "fails as stated", "", "")
    for page in (ledger_page, errata_page):
        with pytest.raises(ledger.PageError, match="theorem-1: a: holds; b: fails as stated"):
            page(runs({"a": [HELD], "b": [other]}))


def test_errata_hold_what_has_a_correction_with_its_evidence() -> None:
    page = errata_page(runs({"theory/a": [CORRECTED, HELD]}))
    for item in claims.ledger().values():
        assert (f"### {item.title}: {item.name}" in page) == bool(item.corrected)
        assert item.corrected in page
    label = evidence_label("corollary-2", "theory/a")
    assert rf"- n = 2: exactly \|a\|\^2 ({{ref}}`theory/a <{label}>`)" in page


def test_what_was_only_quoted_has_a_part_of_its_own() -> None:
    page = errata_page(runs({"a": [CORRECTED, FAILED]}))
    read, quoted = page.split("## Statements that were only quoted")
    quoted, findings = quoted.split("## Findings of ours")
    assert "### Corollary 2" in read and "### Proposition 4" not in read
    assert "*As quoted:* Let" in quoted and "### Global-QSGD, linear levels" in quoted
    assert "### Finding 3" in findings


def test_where_two_profiles_disagree_both_are_shown() -> None:
    others = {"quick": {"theorem-1": "holds", "corollary-2": "holds"}, "paper": {}}
    page = ledger_page(runs({"a": [HELD, CORRECTED]}), others)
    assert page.count("{bdg-success}`holds` (standard profile).") == 1
    both = "standard: {bdg-warning}`holds with corrected constant`; quick: {bdg-success}`holds`"
    assert page.count(both) == 2


def test_verdicts_are_read_from_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQLIB_CLAIMS", raising=False)
    text, facts = HELD._repr_mimebundle_()
    shown = nbformat.v4.new_output("execute_result", data=text, metadata=facts)
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[shown])])
    assert ledger.verdicts([nb, nb]) == {"theorem-1": "holds"}
    other = nbformat.from_dict(nb)
    other.cells[0].outputs[0].data["text/plain"] = "Theorem 1: open"
    with pytest.raises(ValueError, match="theorem-1: notebooks disagree: holds, open"):
        ledger.verdicts([nb, nbformat.v4.new_notebook(cells=other.cells)])
