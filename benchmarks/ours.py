"""The measured operations of this library. To add one, add an entry to ``CASES``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.case import SIZES, Case, Operation
from benchmarks.inputs import KEY, codes, filled, rows, target, tensor, vector
from cqlib import compressors, problems
from cqlib.kernels import cpu
from cqlib.kernels.reference.packing import code_bytes
from cqlib.keys import Stream
from cqlib.methods.descend import average_norm_sq
from cqlib.methods.marina import marina_init, marina_step

Setup = Callable[[int, int], Operation]
CLIENTS = tuple(2**i for i in range(1, 11))


def _encode_kernel(*, correlated: bool) -> Setup:
    def setup(n: int, d: int) -> Operation:
        x, out = vector(d), filled(d // 8, np.uint8)
        scale = float(cpu.norm_scale(x[None], 2.0)[0])
        options: dict[str, Any] = {"client": n - 1, "n_clients": n, "correlated": correlated}
        return lambda: cpu.encode_one_bit(x, scale, key=KEY, out=out, **options)

    return setup


def _encode_call(name: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        x, compressor = tensor(d), compressors.make(name)
        return lambda: compressor.encode(x, client=n - 1, n_clients=n, key=KEY)

    return setup


def _decode_call(name: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        compressor = compressors.make(name)
        who: dict[str, Any] = {"client": n - 1, "n_clients": n, "key": KEY}
        payload = compressor.encode(tensor(d), **who)
        assert payload is not None
        return lambda: compressor.decode(payload, d=d, **who)

    return setup


def _mean_call(name: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        X, compressor = rows(n, d), compressors.make(name)
        return lambda: compressor.mean(X, key=KEY)

    return setup


def _marina_step(n: int, d: int) -> Operation:
    """A compressed round on given gradients, float64 and a batch of one, as in the simulator."""
    X, compressor, p = rows(n, d).double()[None], compressors.make("cq"), 0.01
    memory = marina_init(X, key=KEY).memory
    gradients = X.roll(1, dims=-1)
    assert KEY.uniform(Stream.COIN) >= p, "the coin of this key sends whole gradients"
    return lambda: marina_step(memory, gradients, key=KEY, compressor=compressor, p=p)


def _quadratic(n: int, d: int) -> tuple[problems.Quadratic, torch.Tensor]:
    task = problems.quadratic_hessian_variance(n=n, d=d, noise=0.5, reg=1e-3, seed=0)
    return task, tensor(d).double()[None]


def _gradients(n: int, d: int) -> Operation:
    task, x = _quadratic(n, d)
    return lambda: task.value_and_gradients(x)


def _squared_norm(n: int, d: int) -> Operation:
    gradients = rows(n, d).double()[None]
    return lambda: average_norm_sq(gradients)


def _whole_round(n: int, d: int) -> Operation:
    """The loop of a method from one iterate to the next."""
    task, x = _quadratic(n, d)
    options = {"key": KEY, "compressor": compressors.make("cq"), "p": 0.01}
    memory = marina_init(task.gradients(x), key=KEY).memory

    def run() -> object:
        _, gradients = task.value_and_gradients(x - 0.1 * memory.direction)
        return average_norm_sq(gradients), marina_step(memory, gradients, **options)

    return run


def _received_call(n: int, d: int) -> Operation:
    x, compressor = tensor(d), compressors.make("cq")
    who: dict[str, Any] = {"n_clients": n, "key": KEY}
    sent = {i: compressor.encode(x, client=i, **who) for i in range(n)}
    return lambda: compressor.mean_of_received(sent, d=d, **who)


def _decode_kernel(n: int, d: int) -> Operation:
    message, out = codes(1, d)[0], target(d)
    return lambda: cpu.decode_one_bit(message, 3.0, d=d, out=out)


def _mean_kernel(*, equal: bool) -> Setup:
    def setup(n: int, d: int) -> Operation:
        messages, out = codes(n, d), target(d)
        scales = np.full(n, 3.0, np.float32) if equal else np.arange(1, n + 1, dtype=np.float32)
        return lambda: cpu.average_one_bit(messages, scales, d=d, out=out)

    return setup


def _quantize_kernel(n: int, d: int) -> Operation:
    x, out = vector(d), filled(d, np.int8)
    largest = float(np.abs(x).max())
    return lambda: cpu.quantize_levels(x, largest, levels=127, key=KEY, client=n - 1, out=out)


def _levels_kernel(levels: int) -> Setup:
    def setup(n: int, d: int) -> Operation:
        x, out = vector(d), filled(code_bytes(d, 2 * levels + 1), np.uint8)
        scale = float(cpu.norm_scale(x[None], np.inf)[0])
        who: dict[str, Any] = {"levels": levels, "key": KEY, "client": n - 1}
        return lambda: cpu.encode_levels(x, scale, out=out, **who)

    return setup


def _read_levels_kernel(levels: int) -> Setup:
    def setup(n: int, d: int) -> Operation:
        out = target(d)
        message = cpu.encode_levels(vector(d), 9.0, levels=levels, key=KEY, client=n - 1)
        return lambda: cpu.decode_levels(message, 3.0, d=d, levels=levels, out=out)

    return setup


def _transform_kernel(n: int, d: int) -> Operation:
    zeros = filled((1, d), np.float32)
    zeros[:] = 0  # repeated transforms of other numbers would overflow
    return lambda: cpu.transform(zeros, out=zeros)


def _drive_kernel(n: int, d: int) -> Operation:
    x, out, scratch = vector(d), filled(d // 8, np.uint8), filled(d, np.float32)
    squares = float(cpu.sums_of_squares(x[None])[0])
    who: dict[str, Any] = {"key": KEY, "client": n - 1, "unbiased": True}
    return lambda: cpu.encode_drive(x, squares, out=out, scratch=scratch, **who)


def _read_drive_kernel(n: int, d: int) -> Operation:
    message, out = codes(1, d)[0], target(d)
    return lambda: cpu.decode_drive(message, 3.0, d=d, key=KEY, client=n - 1, out=out)


def _norm_kernel(n: int, d: int) -> Operation:
    x = vector(d)[None]
    return lambda: cpu.l2_scale(x)


def _sigma_kernel(n: int, d: int) -> Operation:
    who, tiles = np.array([n - 1]), -(-d // 1024)
    return lambda: cpu.sigma(KEY, tiles=tiles, clients=who, n_clients=n)


CASES = (
    Case("iq encode", "round and pack, into out=", _encode_kernel(correlated=False), 1),
    Case("cq encode", "round and pack, into out=", _encode_kernel(correlated=True), 1),
    Case("one-bit decode", "one message, into out=", _decode_kernel, 32),
    Case("mean, equal ranges", "of 16 messages, into out=", _mean_kernel(equal=True), 32),
    Case("mean, own ranges", "of 16 messages, into out=", _mean_kernel(equal=False), 32),
    Case("dithering encode", "15 values, 4 bits each, into out=", _levels_kernel(7), 4),
    Case("dithering decode", "15 values, into out=", _read_levels_kernel(7), 32),
    Case("trits encode", "3 values, five to a byte, into out=", _levels_kernel(1), 1.6),
    Case("trits decode", "3 values, into out=", _read_levels_kernel(1), 32),
    Case("linear quantize", "255 values as int8, into out=", _quantize_kernel, 8),
    Case("transform", "fast Walsh-Hadamard of float32, in place", _transform_kernel, 32),
    Case("drive encode", "rotate, pack signs; scratch= and out=", _drive_kernel, 1),
    Case("drive decode", "rotate back, into out=", _read_drive_kernel, 32),
    Case("norm", "the range of one vector", _norm_kernel, 0),
    Case("sigma", "a client's places, one per 1024 coordinates", _sigma_kernel, 1 / 16),
    Case("iq call", "encode: checks, norm, codes, payload", _encode_call("iq"), 1),
    Case("cq call", "encode: checks, norm, codes, payload", _encode_call("cq"), 1),
    Case("cq decode call", "decode: checks, vector", _decode_call("cq"), 32),
    Case("cq received call", "mean_of_received: checks, mean of 16 payloads", _received_call, 64),
    Case("terngrad call", "encode: checks, norm, codes, payload", _encode_call("terngrad"), 1.6),
    Case("dithering call", "encode: 15 values, 4 bits each", _encode_call("standard_dithering"), 4),
    Case("drive call", "encode: rotation, signs, scale", _encode_call("drive"), 1),
    Case("drive decode call", "decode: signs, rotation back", _decode_call("drive"), 32),
    Case("cq simulated mean", "compress and mean, 100 clients", _mean_call("cq"), 32, n=100,
         sizes=(1024,), joint=True),
    Case("marina step", "a compressed round with CQ, 100 clients, float64", _marina_step, 64,
         n=100, sizes=(1024,), joint=True),
    Case("round: gradients", "of 100 quadratics and the value, float64", _gradients, 64,
         n=100, sizes=(1024,), joint=True),
    Case("round: squared norm", "of the mean gradient, float64", _squared_norm, 64,
         n=100, sizes=(1024,), joint=True),
    Case("round: everything", "gradients, norm and the step with CQ, float64", _whole_round, 64,
         n=100, sizes=(1024,), joint=True),
    Case("cq simulated mean by n", "compress and mean", _mean_call("cq"), 32,
         sizes=(2**14,), counts=CLIENTS, joint=True),
    Case("mean by n", "of n messages, equal ranges", _mean_kernel(equal=True), 32,
         sizes=(2**18,), counts=CLIENTS),
)  # fmt: skip

# Timed in turn, because they are compared with each other.
FLAT = Case("cq encode by n", "round and pack, into out=", _encode_kernel(correlated=True), 1,
            sizes=(2**20,), counts=(2, 16, 128, 1024, 10**6))  # fmt: skip
FIRST_CALLS = ("iq call", "cq call", "dithering call", "drive call", "cq simulated mean")
MEMORY = (
    "iq encode",
    "cq encode",
    "one-bit decode",
    "mean, equal ranges",
    "mean, own ranges",
    "dithering encode",
    "dithering decode",
    "trits encode",
    "trits decode",
    "linear quantize",
    "transform",
    "drive encode",
    "drive decode",
    "norm",
    "iq call",
    "cq call",
    "cq decode call",
    "cq received call",
    "dithering call",
    "terngrad call",
    "drive call",
)
LARGEST = SIZES[-1]


def find(name: str) -> Case:
    """Return the case of that name."""
    (case,) = [case for case in CASES if case.name == name]
    return case
