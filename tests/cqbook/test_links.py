"""Emulated slow links, and times of means over them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cqbook.network.demo import SCHEMES as SHOWN
from cqbook.network.links import star, why_not
from cqbook.network.timing import time_mean
from cqlib.distributed.collectives import Group

pytestmark = pytest.mark.slow

REASON = why_not()
here = pytest.mark.skipif(bool(REASON), reason=f"no emulated links: {REASON}")
SCHEMES = (
    "float32",
    "float16",
    "cq/all_gather",
    "cq/two_shot/standard_dithering:s=15",
    "cq:range=linf:rotate=true/all_gather",
)


def namespaces():
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return {line.split()[0] for line in listed.stdout.splitlines() if line.startswith("cqlib")}


@here
def test_a_link_has_the_bandwidth_that_it_is_given():
    d, rate = 2**20, 1e8
    command = [sys.executable, "-m", "cqbook.network.timing", "--d", str(d), "--repeats", "2"]
    with star(2, rate) as hosts:
        assert {hosts.host(0), hosts.host(1)} <= namespaces()
        before = hosts.counted(0)
        said = hosts.run(
            [*command, "--scheme", "float32", "--scheme", "cq/all_gather"], seconds=120
        )
        on_the_interface = hosts.counted(0) - before
    assert not {hosts.host(0), hosts.host(1)} & namespaces()
    whole, compressed = map(json.loads, said[0].splitlines())
    assert said[1] == ""
    assert whole["sent_bytes"] == 4 * d and compressed["sent_bytes"] == d // 8 + 24
    rounds = 2 + 2  # warm-up and timed ones
    counted = rounds * (whole["sent_bytes"] + compressed["sent_bytes"])
    assert 1.0 < on_the_interface / counted < 1.1  # headers, acknowledgements, the rendezvous
    least = 8 * whole["sent_bytes"] / rate
    assert 0.9 * least < min(whole["seconds"]) < 3 * least
    assert 4 * min(compressed["seconds"]) < min(whole["seconds"])


@here
def test_hosts_are_removed_whatever_happens():
    before = namespaces()
    with pytest.raises(RuntimeError, match="rank 0 failed: no such thing"), star(2, None) as hosts:
        program = "import os; exit('no such thing' if os.environ['RANK'] == '0' else 0)"
        hosts.run([sys.executable, "-c", program], seconds=30)
    with pytest.raises(RuntimeError, match="took more than"), star(1, 1e9) as hosts:
        hosts.run(["sleep", "60"], seconds=0.3)
    assert namespaces() <= before


@pytest.mark.parametrize(("n", "rate"), [(0, 1e8), (201, 1e8), (2, 10.0), (2, 1e12)])
def test_wrong_numbers_are_refused(n, rate):
    with pytest.raises(ValueError, match=r"must be in \["), star(n, rate):
        pass


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_timed(scheme):
    found = time_mean(scheme, torch.randn(6000), repeats=3, group=Group())
    assert found["scheme"] == scheme and found["n"] == 1 and found["d"] == 6000
    assert found["mean"].shape == (6000,)
    assert len(found["seconds"]) == 3 and min(found["seconds"]) > 0 and found["sent_bytes"] == 0


@pytest.mark.parametrize(
    "scheme", ["float8", "cq", "cq/two_shot/iq/iq", "cp/all_gather", "cq/ring"]
)
def test_an_unknown_scheme_is_refused(scheme):
    with pytest.raises(ValueError, match="a scheme is|unknown"):
        time_mean(scheme, torch.ones(5), repeats=1, group=Group())


def test_the_demonstration_tells_bytes_error_and_time():
    program = str(Path(sys.executable).with_name("cqlib"))
    command = [program, "demo", "distributed", "--n", "2", "--d", "20480"]
    done = subprocess.run([*command, "--repeats", "1"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if "%" in line}
    assert len(rows) == len(SHOWN) and set(SHOWN[:5]) <= set(rows)
    assert rows["float32"][1:3] == ["81,920", "100.0%"]
    assert rows["cq/all_gather"][1:3] == ["2,584", "3.2%"]
    assert float(rows["float32"][3]) < 1e-12 < float(rows["drive/all_gather"][3]) < 1
