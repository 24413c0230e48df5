"""Exact verdicts in fractions: they follow, they can fail, and the file can be audited."""

import ast
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cqbook import verify
from cqbook.cells import claims
from cqbook.cli.app import app
from cqlib import theory
from cqlib.compressors import make


@pytest.mark.parametrize("id", verify.CHECKS)
def test_the_verdict_follows(id: str) -> None:
    assert len(verify.CHECKS[id]()) > 20 and id in claims.ledger()
    assert (verify.CHECKS[id].__doc__ or "").endswith(".")


@pytest.mark.parametrize("id", verify.CHECKS)
def test_each_check_has_a_condition_that_can_fail(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = []
    monkeypatch.setattr(verify, "need", lambda holds, about: conditions.append(holds))
    verify.CHECKS[id]()
    assert conditions and all(holds is True for holds in conditions)


WRONG = {
    "coordinate": (lambda *_: Fraction(0), ["theorem-1", "corollary-1", "corollary-2"]),
    "steps": (lambda q: Fraction(1, 4), ["theorem-1", "corollary-2"]),
    "quartic": (lambda u, root, c: u - 30, ["number-0.23", "number-7.29"]),
    "cq_error": (lambda X: Fraction(1, 8), ["corollary-2", "corollary-3"]),
    "squared": (lambda a: Fraction(9), ["lemma-4", "proposition-1"]),
    "added": (lambda one, other: {Fraction(2): Fraction(1)}, ["global-reduction"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_law_is_refuted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    law, ids = WRONG[name]
    monkeypatch.setattr(verify, name, law)
    for id in ids:
        with pytest.raises(verify.Refuted):
            verify.CHECKS[id]()


def test_the_file_can_be_audited() -> None:
    text = Path(verify.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 400
    nodes = list(ast.walk(ast.parse(text)))
    imported = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    imported |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_the_laws_are_those_of_the_library() -> None:
    for X in verify.CASES:
        rows = np.array(X, dtype=float)
        for name, error in (("iq", verify.iq_error), ("cq", verify.cq_error)):
            assert make(name).mse(rows) == pytest.approx(float(error(X)), rel=1e-12)
    assert theory.improvement_factor(0.25, 10**9).factor == pytest.approx(
        float(verify.least_factor(Fraction(1, 2), Fraction(1, 32))), rel=1e-6
    )


def test_the_command_prints_statement_and_finding() -> None:
    told = CliRunner().invoke(app, ["verify", "corollary-1"])
    assert told.exit_code == 0
    assert "Corollary 1 (corollary-1): Error of IQ" in told.output
    assert "found: n = 2, a = (1, 1, 1, 1): error 6, stated at most 2" in told.output
    everything = CliRunner().invoke(app, ["verify"]).output
    assert everything.count("  found: ") == len(verify.CHECKS)


def test_a_refuted_verdict_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "steps", lambda q: Fraction(0))
    told = CliRunner().invoke(app, ["verify", "theorem-1"])
    assert told.exit_code == 1 and "the ledger's verdict does not follow" in told.output


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("theorem-9", "unknown claim 'theorem-9'"),
        ("theorem-2", "has no derivation in fractions here"),
    ],
)
def test_other_claims_are_one_sentence(id: str, message: str) -> None:
    told = CliRunner().invoke(app, ["verify", id])
    assert told.exit_code == 2 and message in told.output
