from __future__ import annotations

import pytest
import torch

from tessera.backend.inductor import compile_program
from tessera.backend.wrapper_calls import notes_in, records_of
from tessera.torch_internals import CALL_NOTE
from tests.backend.hand_made import aten, program

A, B = torch.rand(64, 32), torch.rand(32, 48)


def layer(a, b):
    return (torch.relu(torch.mm(a, b)) + 1,)


def test_every_call_knows_its_nodes_bytes_and_flops():
    made = program(layer, A, B)
    for node in made.graph.nodes:
        line = 5 if node.target is aten.mm.default else 6
        node.meta["stack_trace"] = f'  File "/home/me/net.py", line {line}, in forward\n'
    executable = compile_program(made)
    mm, fused = executable.compilation.calls
    assert (mm.name, mm.kind, fused.kind) == ("extern_kernels.mm", "library", "kernel")
    assert (mm.flops, mm.dtype) == (2 * 64 * 32 * 48, "float32")
    assert mm.num_bytes == 4 * (64 * 32 + 32 * 48 + 64 * 48)
    assert fused.num_bytes >= 4 * 64 * 48
    assert fused.flops >= 2 * 64 * 48
    assert [part.where.line for part in mm.parts] == [5]
    assert [part.where.line for part in fused.parts] == [6]
    assert sum(part.share for part in fused.parts) == pytest.approx(1)
    assert fused.operations == ["aten.relu", "aten.add"]


def test_a_wrapper_from_the_cache_has_its_notes():
    first = compile_program(program(layer, A, B))
    second = compile_program(program(layer, A, B))
    assert notes_in(first.wrapper.source) == notes_in(second.wrapper.source)
    assert first.compilation.calls == second.compilation.calls
    assert {life.num_bytes for life in first.compilation.memory} == {4 * 64 * 48}


def test_without_notes_there_are_still_calls():
    made = program(layer, A, B)
    source = compile_program(made).wrapper.source
    plain = "\n".join(line for line in source.splitlines() if not line.strip().startswith(CALL_NOTE))
    records, _ = records_of(plain, made)
    assert [call.kind for call in records] == ["library", "kernel"]
    assert all((call.parts, call.flops) == ([], 0) for call in records)
    assert records_of("", made) == ([], [])
