"""Every backend has the operations of its protocol, except those listed in ``limits``."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

from cqlib import Key, kernels
from cqlib.kernels import api, cpu, limits, reference
from cqlib.kernels.api import HostKernels, Kernels
from cqlib.kernels.api.on_tensors import OnTensors
from cqlib.kernels.reference import norms, one_bit, packing
from tests.helpers import same_bits

MODULES = {"reference": reference, "cpu": cpu}
try:
    from cqlib.kernels import gpu
except ImportError:
    pass
else:
    MODULES["gpu"] = gpu
backends = pytest.mark.parametrize("name", MODULES)
OFFERED = {"reference": HostKernels, "cpu": HostKernels, "gpu": Kernels}


def parameters(function):
    """Return names, kinds and defaults of a function's parameters."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


@backends
def test_a_backend_exports_the_operations_of_its_protocol(name):
    assert sorted(MODULES[name].__all__) == api.operations(OFFERED[name])


@backends
def test_arguments_are_those_of_the_protocol(name):
    for operation in api.operations(OFFERED[name]):
        expected = parameters(getattr(OFFERED[name], operation))
        found = parameters(getattr(MODULES[name], operation))
        if operation == "philox4x32":  # the reference has a parameter for the number of rounds
            found = found[: len(expected)]
        assert found == expected, operation


def test_tensors_are_taken_by_the_operations_of_all_backends():
    assert api.operations(OnTensors) == api.operations(Kernels)
    for operation in api.operations(Kernels):
        assert parameters(getattr(OnTensors, operation)) == parameters(getattr(Kernels, operation))


@backends
def test_what_a_backend_lacks_is_said(name):
    lacking = set(api.operations(HostKernels)) - set(MODULES[name].__all__)
    assert set(limits.LACKS[name]) == lacking
    assert set(limits.LEAVES[name]) <= set(MODULES[name].__all__)


FILES = [
    file
    for file in sorted(Path(kernels.__file__).parent.rglob("*.py"))
    if file.parent.name not in ("compiled", "caches")  # types that Numba and Triton infer or lack
]


def untyped(function):
    """Return True if a parameter or the result has the type Any."""
    a = function.args
    typed = [arg.annotation for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return any(isinstance(t, ast.Name) and t.id == "Any" for t in (*typed, function.returns))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_parameters_and_results_have_types(file):
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "returns")]
    assert not [function.name for function in functions if untyped(function)]


@pytest.mark.parametrize("unbiased", [False, True])
def test_the_scale_of_drive_is_an_array(unbiased):
    for squares, steps in ((1.0, 2**30), (np.ones(3), np.full(3, 2**30))):
        S = reference.hadamard.drive_scale(squares, steps, 4, unbiased=unbiased)
        assert isinstance(S, np.ndarray)
        assert S.dtype == np.float32 and S.shape == np.shape(squares)


def test_every_backend_has_its_limits_said():
    assert set(limits.LACKS) == set(limits.LEAVES) == {"reference", "cpu", "gpu"}


def test_every_operation_is_described():
    for operation in api.operations(HostKernels):
        assert len(inspect.getdoc(getattr(HostKernels, operation))) > 40, operation


@pytest.fixture
def left(monkeypatch):
    """Record the operations that call the reference."""
    asked = []

    def spied(function):
        def spy(*arguments, **options):
            asked.append(function.__name__)
            return function(*arguments, **options)

        return spy

    for module, name in (
        (norms, "norm_scale"),
        (one_bit, "encode_one_bit"),
        (packing, "pack"),
        (packing, "unpack"),
    ):
        monkeypatch.setattr(module, name, spied(getattr(module, name)))
    return asked


def test_the_cpu_leaves_to_the_reference_what_is_said(left):
    x, who = np.ones(3), {"key": Key(1), "client": 0, "correlated": False}
    codes = cpu.encode_one_bit(x, 2.0, n_clients=2**31 - 1, **who)
    cpu.norm_scale(x, 2)
    cpu.pack(np.arange(3), 2**32)
    assert not left
    assert (cpu.encode_one_bit(x, 2.0, n_clients=2**31, **who) == codes).all()
    cpu.norm_scale(x, 3)
    cpu.unpack(cpu.pack(np.arange(3), 2**32 + 1), 3, 2**32 + 1)
    assert cpu.permutation_ranks is reference.permutation_ranks
    assert {*left, "permutation_ranks"} == set(limits.LEAVES["cpu"])


@pytest.mark.skipif("gpu" not in MODULES, reason="Triton is not installed")
def test_the_gpu_leaves_to_others_what_is_said(left):
    import torch

    x = torch.ones(1, 3)
    for p in (2, np.inf):
        gpu.norm_scale(x, p)
    assert not left
    gpu.norm_scale(x, 3)
    assert set(left) == {"norm_scale"}
    how = {"lowest": -3, "levels": 4}
    codes = gpu.encode_powers(x[0], 2.0, key=Key(1), client=0, **how)
    expected = cpu.encode_powers(x[0].numpy(), 2.0, key=Key(1), client=0, **how)
    assert same_bits(codes, torch.from_numpy(expected))
    values = gpu.decode_powers(codes, 2.0, d=3, **how)
    assert same_bits(values, torch.from_numpy(cpu.decode_powers(expected, 2.0, d=3, **how)))
    assert {*left, "encode_powers", "decode_powers"} == set(limits.LEAVES["gpu"])
