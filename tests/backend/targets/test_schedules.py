from __future__ import annotations

import pytest

from tessera import torch_internals
from tessera.backend.targets.schedules import compile_kernel, compile_kernels
from tests.backend.targets.test_cubin import FRAME, REGISTERS, cubin


def binary(block: int, registers: int, frame: int) -> torch_internals.TritonBinary:
    return torch_internals.TritonBinary(
        {"XBLOCK": block}, 4, 1, 0, "ptx", cubin((REGISTERS, registers), (FRAME, frame))
    )


def compiler(name, source):
    if source == "wrong":
        raise RuntimeError("ptxas failed\nwith more")
    return [binary(1024, 255, 16), binary(512, 40, 0), binary(256, 32, 0)]


def test_what_does_not_spill_is_preferred_else_the_first(monkeypatch):
    monkeypatch.setattr(torch_internals, "compile_triton", compiler)
    found = compile_kernel("kernel", "right")
    assert [one.blocks["XBLOCK"] for one in found.binaries] == [512, 256, 1024]
    assert [one.local_bytes for one in found.resources] == [0, 0, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_kernel_that_fails_does_not_keep_the_others_from_it(monkeypatch, workers):
    monkeypatch.setattr(torch_internals, "compile_triton", compiler)
    found = compile_kernels({"a": "right", "b": "wrong", "c": "right"}, workers)
    assert list(found) == ["a", "b", "c"]
    assert found["b"].error == "RuntimeError: ptxas failed"
    assert not found["b"].binaries
    assert not found["a"].error
    assert len(found["c"].binaries) == 3


def test_no_kernels():
    assert compile_kernels({}, 2) == {}
