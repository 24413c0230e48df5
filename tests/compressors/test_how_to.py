"""The page on new compressors is complete: its code, as one file, passes the tests of all."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import cqlib.compressors
from cqbook import paths
from cqbook.book import compressors as tables
from cqbook.book import wire
from cqbook.cli.app import app
from cqbook.network.processes import on_ranks
from cqlib import Key
from cqlib.compressors import make, names
from cqlib.compressors.registry import LIBRARY, classes
from cqlib.distributed import exchange
from cqlib.distributed.costs import SHARD, predicted_seconds
from tests.cases import spread
from tests.helpers import same_bits

PAGE = paths.root() / "book" / "new_compressor.md"

SCALED_SIGN = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cqlib.compressors.checks import check_norms
from cqlib.compressors.contract import Compressor
from cqlib.compressors.types import Facts, Layout, Symbols


@dataclass(frozen=True)
class ScaledSign(Compressor):
    """Signs and the mean absolute value. Missing clients: as if only the others took part."""

    name: ClassVar[str] = "scaled_sign"
    facts = Facts(unbiased=False, deterministic=True)

    def layout(self, ctx):
        return Layout(alphabet=2, symbols=ctx.d, scales=1)

    def quantize(self, x, ctx):
        scales = np.abs(x).mean(axis=-1, keepdims=True, dtype=np.float64)
        return Symbols((x >= 0) & (scales > 0), scales.astype(np.float32))

    def dequantize(self, symbols, ctx):
        check_norms(symbols)
        return np.where(symbols.values, symbols.scales, -symbols.scales) + np.float32(0.0)

    def bits(self, d, n):
        return d + 32.0
'''

PLUGIN = """
import os
import cqlib.compressors

cqlib.compressors.__path__.append(os.environ["NEW_COMPRESSOR"])
"""


def block_of_the_page(language: str) -> str:
    """Return a block of the page, with another name: the page's may be in the library by now."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
    return block.replace("bucket_qsgd", "page_qsgd").replace("BucketQSGD", "PageQSGD")


def code_of_the_page() -> str:
    return block_of_the_page("python")


def commands_of_the_page() -> list[list[str]]:
    return [shlex.split(line) for line in block_of_the_page("sh").splitlines()]


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Add files to the folder of compressors, as far as Python can tell."""
    folders = list(cqlib.compressors.__path__)
    added = []

    def add(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
            added.append(f"cqlib.compressors.{name}")
        monkeypatch.setattr(cqlib.compressors, "__path__", [*folders, str(tmp_path)])

    yield add
    for module in added:
        sys.modules.pop(module, None)
        vars(cqlib.compressors).pop(module.rpartition(".")[2], None)


def test_names_begin_with_those_of_the_library_in_the_order_of_its_tables():
    assert tuple(names())[: len(LIBRARY)] == LIBRARY


def test_a_file_is_found_by_its_place_and_listed(added):
    before = names()
    added(page_qsgd=code_of_the_page(), scaled_sign=SCALED_SIGN, helper="class Plain: ...\n")
    assert set(names()) - set(before) == {"page_qsgd", "scaled_sign"}
    assert make("page_qsgd", s=7).s == 7
    assert type(make("scaled_sign")).__module__ == "cqlib.compressors.scaled_sign"
    command, *words = commands_of_the_page()[0]
    listed = CliRunner().invoke(app, words)
    assert (command, listed.exit_code) == ("cqlib", 0)
    for name in ("page_qsgd", "scaled_sign"):
        assert name in listed.output
    assert "| `scaled_sign` | no | 96 | – | – | – | – | – |" in tables.compressor_table()
    assert "| `page_qsgd` | 1000 integers of 8 bits, below 255 | 1000 |" in wire.wire_page()


def test_two_of_the_same_name_are_refused(added):
    added(other=SCALED_SIGN, scaled_sign=SCALED_SIGN)
    with pytest.raises(ValueError, match="have the name 'scaled_sign'"):
        names()


def test_a_file_that_is_added_later_is_found(added):
    added(scaled_sign=SCALED_SIGN)
    before = names()
    added(later=SCALED_SIGN.replace("scaled_sign", "later_sign"))  # in the same folder
    assert set(names()) - set(before) == {"later_sign"}
    assert make("later_sign").name == "later_sign"


@pytest.mark.parametrize(
    ("line", "lacking"),
    [("facts = Facts(", "other = Facts("), ("name: ClassVar", "label: ClassVar")],
)
def test_a_file_with_an_incomplete_compressor_is_told(added, line, lacking):
    added(scaled_sign=SCALED_SIGN.replace(line, lacking))
    with pytest.raises(TypeError, match=rf"ScaledSign lacks {line.partition(' ')[0].strip(':')};"):
        make("cq")


def test_nothing_final_is_overridden():
    final = {
        name
        for name, member in vars(cqlib.compressors.Compressor).items()
        if getattr(member, "__final__", False)
        or getattr(getattr(member, "fget", None), "__final__", False)
    }
    assert {"encode", "decode", "compress", "mean", "unbiased", "tag"} <= final
    for cls in classes().values():
        below = cls.__mro__[: cls.__mro__.index(cqlib.compressors.Compressor)]
        assert not final & {name for base in below for name in vars(base)}, cls


def test_scales_of_blocks_are_sent_with_their_part(added):
    added(page_qsgd=code_of_the_page())
    c = make("page_qsgd", bucket=1024)
    x = torch.randn(5120 + 700, generator=torch.Generator().manual_seed(0))
    payload = c.encode(x, client=0, n_clients=1, key=Key(3))
    assert len(payload.scales) == 6
    assert payload.bits == c.bits(len(x), 1) == 8 * len(x) + 6 * 32


@pytest.mark.parametrize("bad", [{"bucket": 1000}, {"s": 0}, {"bucket": 1.5}])
def test_the_example_refuses_bad_options(added, bad):
    added(page_qsgd=code_of_the_page())
    with pytest.raises(ValueError, match=next(iter(bad))):
        make("page_qsgd", **bad)


@pytest.mark.slow
def test_the_compressor_of_the_page_passes_the_tests_of_all(tmp_path):
    """Run the page's command in another process, with the file in the folder of compressors."""
    new = tmp_path / "new"
    new.mkdir()
    (new / "page_qsgd.py").write_text(code_of_the_page())
    (tmp_path / "how_to_plugin.py").write_text(PLUGIN)
    tests = Path(__file__).parents[1]
    env = os.environ | {
        "NEW_COMPRESSOR": str(new),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(tests.parent), *sys.path]),
        "PYTEST_ADDOPTS": "-q -p how_to_plugin -p no:cacheprovider",
    }
    _, (program, *arguments), _, stored = commands_of_the_page()
    assert program == "pytest"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        env=env,
        cwd=tests.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 60
    assert shlex.join(stored) in done.stdout  # how its bytes are stored


def exchanged(rank, n, folder, d):
    """Exchange by each possible strategy; return the means."""
    cqlib.compressors.__path__.append(folder)
    c, x = make("page_qsgd", s=7), spread(n, d)[rank]
    strategies = predicted_seconds(c, d=d, n=n)
    return {s: exchange(x, compressor=c, key=Key(5), strategy=s).mean for s in strategies}


@pytest.mark.slow
def test_the_compressor_of_the_page_takes_two_shots(added, tmp_path):
    added(page_qsgd=code_of_the_page())
    n, d = 2, 3 * SHARD + 77
    wanted = make("page_qsgd", s=7).mean(spread(n, d), key=Key(5))
    for found in on_ranks(n, exchanged, str(tmp_path), d):
        assert set(found) == {"all_gather", "two_shot"}
        assert all(same_bits(mean, wanted) for mean in found.values())
