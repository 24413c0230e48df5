"""The tolerance of nbval's comparison: it must accept rounding errors and no other change."""

import subprocess
import sys

import nbformat
import pytest

from cqbook import paths
from tests.stored_numbers import adopt, agree, tolerance

TABLE = "method   GD  CQ, b = 4\nn  d\n16 32  -9.4  win 3.3e-05\n"


def test_the_tag_states_the_tolerance() -> None:
    assert tolerance(["hide-input", "numbers-within-0.3"]) == 0.3
    assert tolerance(["hide-input", "numbers-within", "numbers-within-x"]) is None


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace("-9.4", "-9.5"),
        TABLE.replace("-9.4", "-9.1"),
        TABLE.replace("  -9.4", "-10.0").replace("-10.0", "   -9.65"),
        TABLE.replace("3.3e-05", "0.00037"),
    ],
)
def test_numbers_within_it_and_spaces_pass(text: str) -> None:
    assert agree(text, TABLE, 0.3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-9.4", "-9.0"),
        ("-9.4", "9.4"),
        ("-9.4", "nan"),
        ("16", "17"),
        ("win", "loss"),
        ("b = 4", "b = 5"),
        ("CQ", "IQ"),
        ("3.3e-05", "3.3e+05"),
        ("3.3e-05", "3.3e-05 1"),
        ("3.3e-05", ""),
    ],
)
def test_others_and_words_do_not(old: str, new: str) -> None:
    assert not agree(TABLE.replace(old, new), TABLE, 0.3)


def test_powers_and_names_are_words() -> None:
    assert not agree("2^1 at x0, Lemma4", "2^1 at x0, Lemma4.1", 0.9)
    assert not agree("2^1", "2^2", 5.0)


def test_only_texts_that_agree_are_adopted() -> None:
    def outputs(number: str, word: str) -> list[dict]:
        return [{"text": f"{number} GD"}, {"data": {"text/plain": f"{number} {word}"}}]

    new, old = outputs("1.1", "win"), outputs("1.0", "loss")
    assert adopt(new, old, 0.3) == [old[0], new[1]]
    assert new == outputs("1.1", "win")
    assert adopt(new[:1], old, 0.3) == old[:1]


@pytest.mark.parametrize(
    ("tags", "stored", "passes"),
    [
        ([], "1.5", False),
        (["numbers-within-0.3"], "1.5", True),
        (["numbers-within-0.3"], "2", False),
    ],
)
@pytest.mark.slow
def test_nbval_keeps_to_it(tmp_path, tags: list[str], stored: str, passes: bool) -> None:
    cell = nbformat.v4.new_code_cell("print('decades:', 1.25)", metadata={"tags": tags})
    text = f"decades: {stored}\n"
    cell.execution_count = 1
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    (tmp_path / "conftest.py").write_text((paths.notebooks() / "conftest.py").read_text())
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["--nbval-current-env", "--rootdir", str(tmp_path), str(tmp_path)]
    ran = subprocess.run(command, cwd=paths.root(), capture_output=True, text=True, check=False)
    assert ("Cell outputs differ" not in ran.stdout) == passes == (ran.returncode == 0), ran.stdout
