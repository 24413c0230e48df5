"""The Triton functions give the bits of the reference; without a GPU they are interpreted."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from packaging.version import Version

from benchmarks import gpu_report
from cqlib import Key, compressors
from cqlib.kernels import cpu, dispatch, reference
from cqlib.kernels.reference import packing
from tests.helpers import same_bits

pytest.importorskip("triton")
from cqlib.kernels import gpu
from cqlib.kernels.gpu import compiled
from cqlib.kernels.gpu.one_bit import places_of

pytestmark = pytest.mark.slow

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [1, 7, 123, 1024, 1500, 2050]
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def vector(d, dtype, seed=0):
    rng = np.random.default_rng(seed + d)
    x = rng.standard_normal(d) * 10.0 ** rng.integers(-3, 4, d)
    return torch.from_numpy(np.where(rng.random(d) < 0.1, 0.0, x)).to(dtype)


def on_gpu(*tensors):
    return [torch.as_tensor(t).to(DEVICE) for t in tensors]


@both_dtypes
@pytest.mark.parametrize("d", [*SIZES, 4097])
def test_norms(d, dtype):
    x = torch.stack([vector(d, dtype), torch.zeros(d, dtype=dtype), vector(d, dtype, 1) * 1e-30])
    for p in (2, np.inf, 1, 3.5):
        found = gpu.norm_scale(x.to(DEVICE), p).cpu().numpy()
        assert (found == reference.norm_scale(x.numpy(), p)).all()


@pytest.mark.parametrize("correlated", [False, True], ids=["iq", "cq"])
@pytest.mark.parametrize(
    ("d", "n", "dtype"),
    [
        (1, 1, torch.float32),
        (7, 2**31 + 5, torch.float32),
        (123, 1000, torch.float64),
        (1024, 5, torch.float32),
        (1500, 16, torch.float64),
        (2050, 2, torch.float32),
    ],
)
def test_encode(d, n, dtype, correlated):
    x = vector(d, dtype)
    scale = cpu.l2_scale(x.numpy())
    who = {"key": Key(d, n), "client": n // 2, "n_clients": n, "correlated": correlated}
    found = gpu.encode_one_bit(*on_gpu(x, scale), **who)
    assert (found.cpu().numpy() == cpu.encode_one_bit(x.numpy(), scale, **who)).all()


@pytest.mark.parametrize("n", [1, 129, 2**32 - 1])
def test_places(n):
    tiles = 100
    found = places_of(Key(2, 9), tiles, n - 1, n, torch.device(DEVICE)).cpu().numpy()
    expected = cpu.sigma(Key(2, 9), tiles=tiles, clients=np.array([n - 1]), n_clients=n)
    assert (found == expected[:, 0]).all()


def test_a_zero_vector():
    x, scale = on_gpu(torch.zeros(12), np.float32(0))
    who = {"key": Key(1), "client": 0, "n_clients": 2, "correlated": True}
    codes = gpu.encode_one_bit(x, scale, **who)
    assert codes.tolist() == [0, 0]
    assert same_bits(gpu.decode_one_bit(codes, scale, d=12).cpu(), torch.zeros(12))


@pytest.mark.parametrize("same_scale", [True, False])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 9), (5, 1100), (17, 1030)])
def test_decode_and_mean(n, d, same_scale):
    rng = np.random.default_rng(d)
    codes = np.stack([packing.pack_bits(rng.random(d) < 0.5) for _ in range(n)])
    scales = rng.uniform(0.1, 10, n).astype(np.float32)
    if same_scale:
        scales[:] = scales[0]
    for row, scale in zip(codes[:2], scales[:2], strict=True):
        found = gpu.decode_one_bit(*on_gpu(row, scale), d=d)
        assert (found.cpu().numpy() == reference.decode_one_bit(row, scale, d=d)).all()
    for dtype in (torch.float32, torch.float64):
        out = torch.empty(d, dtype=dtype, device=DEVICE)
        expected = np.empty(d, str(dtype).removeprefix("torch."))
        gpu.average_one_bit(*on_gpu(codes, scales), d=d, out=out)
        reference.average_one_bit(codes, scales, d=d, out=expected)
        assert (out.cpu().numpy() == expected).all()


@both_dtypes
@pytest.mark.parametrize(("d", "levels"), [(1, 1), (9, 7), (1281, 1), (1500, 3), (2050, 300)])
def test_levels(d, levels, dtype):
    x = vector(d, dtype)
    scale = reference.norm_scale(x.numpy(), np.inf)
    how = {"levels": levels, "key": Key(d, 5), "client": 3}
    signed = gpu.quantize_levels(*on_gpu(x, scale), **how).cpu().numpy()
    expected = reference.quantize_levels(x.numpy(), scale, **how)
    assert signed.dtype == expected.dtype and (signed == expected).all()
    codes = reference.encode_levels(x.numpy(), scale, **how)
    assert (gpu.encode_levels(*on_gpu(x, scale), **how).cpu().numpy() == codes).all()
    values = gpu.decode_levels(*on_gpu(codes, scale), d=d, levels=levels).cpu()
    expected = reference.decode_levels(codes, scale, d=d, levels=levels)
    assert same_bits(values, torch.from_numpy(expected))


def test_levels_that_nobody_sends_are_refused():
    (one,) = on_gpu(np.float32(1))
    for bad, levels, message in [
        ([255], 1, "at most 242, got 255"),
        ([16], 7, "padding"),
        ([15], 7, "symbols must be below 15, got 15"),
    ]:
        (codes,) = on_gpu(np.array(bad, np.uint8))
        with pytest.raises(ValueError, match=message):
            gpu.decode_levels(codes, one, d=1, levels=levels)
    with pytest.raises(ValueError, match=r"levels must be in \[1, 65536\], got 0"):
        gpu.quantize_levels(*on_gpu(torch.ones(3), np.float32(1)), levels=0, key=Key(1), client=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32], ids=str)
@pytest.mark.parametrize("D", [1, 2, 32, 2048, 4096])
def test_transform(D, dtype):
    x = (1000 * torch.from_numpy(np.random.default_rng(D).standard_normal((2, D)))).to(dtype)
    expected = torch.from_numpy(reference.transform(x.numpy()))
    (y,) = on_gpu(x.clone())
    assert same_bits(gpu.transform(y).cpu(), expected)
    assert gpu.transform(y, out=y) is y and same_bits(y.cpu(), expected)


def test_what_cannot_be_transformed_is_refused():
    with pytest.raises(ValueError, match="a power of two, got 12 coordinates"):
        gpu.transform(torch.ones(12, device=DEVICE))
    with pytest.raises(ValueError, match="float32, float64 or int32, got torch.int64"):
        gpu.transform(torch.ones(4, dtype=torch.int64, device=DEVICE))


@pytest.mark.parametrize(
    ("d", "dtype", "unbiased"),
    [
        (1, torch.float32, True),
        (3, torch.float64, False),
        (123, torch.float32, False),
        (1024, torch.float32, True),
        (2049, torch.float64, True),
        (6000, torch.float32, True),
    ],
)
def test_drive(d, dtype, unbiased):
    x = vector(d, dtype)
    squares = float(reference.sums_of_squares(x.numpy()))
    assert float(gpu.sums_of_squares(*on_gpu(x[None]))) == squares
    who = {"key": Key(d, 9), "client": 5}
    codes, S = reference.encode_drive(x.numpy(), squares, unbiased=unbiased, **who)
    found, scale = gpu.encode_drive(*on_gpu(x), squares, unbiased=unbiased, **who)
    assert scale == S and (found.cpu().numpy() == codes).all()
    values = torch.from_numpy(reference.decode_drive(codes, S, d=d, **who))
    assert same_bits(gpu.decode_drive(*on_gpu(codes), S, d=d, **who).cpu(), values)


def test_what_does_not_fit_is_refused():
    x, scale, codes = on_gpu(torch.ones(12), np.float32(4), np.zeros(2, np.uint8))
    who = {"key": Key(1), "client": 0, "n_clients": 2, "correlated": True}
    with pytest.raises(ValueError, match="out must be a contiguous tensor of shape"):
        gpu.encode_one_bit(x, scale, out=torch.empty(3, dtype=torch.uint8), **who)
    with pytest.raises(ValueError, match="out must be a contiguous tensor of shape"):
        gpu.decode_one_bit(codes, scale, d=12, out=torch.empty(24)[::2])
    with pytest.raises(ValueError, match="expected 2 code bytes, got 3"):
        gpu.decode_one_bit(torch.zeros(3, dtype=torch.uint8), scale, d=12)
    with pytest.raises(ValueError, match="padding bits"):
        gpu.average_one_bit(codes[None] + 255, scale[None], d=12)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("iq", torch.float64),
        ("cq", torch.float32),
        ("standard_dithering", torch.float32),
        ("terngrad", torch.float64),
        ("drive", torch.float32),
    ],
)
def test_a_compressor_from_end_to_end(name, dtype, monkeypatch):
    c, key = compressors.make(name), Key(3, 4)
    X = torch.stack([vector(1030, dtype, seed) for seed in range(2)]).to(DEVICE)
    expected = {}
    for backend in ("cpu", "gpu"):
        if DEVICE == "cpu" or backend == "cpu":
            monkeypatch.setenv(dispatch.VARIABLE, backend)
        tensors = X.cpu() if backend == "cpu" else X
        who = [{"client": i, "n_clients": 2, "key": key} for i in range(2)]
        sent = [c.encode(x, **w) for x, w in zip(tensors, who, strict=True)]
        received = torch.stack([c.decode(p, d=1030, **w) for p, w in zip(sent, who, strict=True)])
        results = [p.to_bytes() for p in sent], received.cpu(), c.mean(tensors, key=key).cpu()
        expected = expected or results
        assert results[0] == expected[0]
        assert same_bits(results[1], expected[1]) and same_bits(results[2], expected[2])
    with pytest.raises(ValueError, match="client 0: 1 of 1030 entries are NaN or infinite"):
        c.encode(X[0].index_fill(0, torch.tensor([5], device=DEVICE), np.inf), **who[0])


@pytest.mark.skipif(
    Version(version("triton")) < Version("3.3"), reason="ASTSource had other arguments before 3.3"
)
def test_programs_compile_for_gpus_without_spills_or_contractions():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks.gpu_report", "--json"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    kernels = {
        f"{group}.{name.removesuffix('_kernel')}"
        for group in ("hadamard", "levels", "one_bit", "sums")
        for name in vars(getattr(compiled, group))
        if name.endswith("_kernel")
    }
    assert {(r["kernel"], r["architecture"]) for r in rows} == {
        (kernel, architecture) for kernel in kernels for architecture in (80, 90, 100)
    }
    for r in rows:
        assert (r["spilled_bytes"], r["contractions"]) == (0, 0), r
        assert 0 < r["registers"] <= 136 and r["shared_bytes"] <= 48 * 1024, r
        assert 0 < r["occupancy"] <= 1


def test_what_is_interpreted_cannot_be_compiled(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(RuntimeError, match="unset TRITON_INTERPRET"):
        next(gpu_report.compile_all())
