from __future__ import annotations

import json

import pytest
import torch

from tessera.backend.buffer_timeline import buffer_timeline
from tessera.backend.inductor import compile_program
from tessera.program import live_bytes
from tessera.torch_internals import CALL_NOTE
from tests.backend.hand_made import program


def wrapper(body: str, **sizes: int) -> str:
    note = CALL_NOTE + json.dumps({"buffers": sizes})
    return f"{note}\ndef call(args):\n" + "\n".join(f"    {line}" for line in body.strip().splitlines())


def lives(source: str) -> list[tuple[str, int, int]]:
    return [(life.name, life.begin, life.end) for life in buffer_timeline(source)]


def test_a_buffer_lives_until_its_last_name_is_dropped():
    body = """
buf0 = empty_strided_cpu((2, ), (1, ), torch.float32)
cpp_fused_0(a, buf0)
buf1 = reinterpret_tensor(buf0, (2, 1), (1, 1), 0); del buf0  # reuse
cpp_fused_1(buf1)
del buf1
cpp_fused_2(a)
"""
    assert lives(wrapper(body, buf0=8, buf1=8)) == [("buf0", 0, 2)]


def test_results_live_to_the_end_and_inputs_do_not_count():
    body = """
a, = args
buf0 = torch.ops.aten.sort.default(a)
buf1 = buf0[0]
buf2 = buf0[1]
del buf0
del a
del buf2
cpp_fused_0(buf1)
return (buf1, )
"""
    assert lives(wrapper(body, buf0=0, buf1=8, buf2=16)) == [("buf1", 1, 2), ("buf2", 1, 1)]


def test_there_may_be_none():
    assert buffer_timeline("") == []
    assert buffer_timeline("x = 1") == []


@pytest.mark.parametrize("size", [64, 256])
def test_a_chain_of_products_needs_three_buffers(size):
    a = torch.rand(size, size)

    def chain(a):
        for _ in range(4):
            a = torch.mm(torch.mm(a, a), a)
        return (a,)

    compilation = compile_program(program(chain, a)).compilation
    live = live_bytes(compilation.memory, len(compilation.calls))
    assert max(live) == 3 * 4 * size * size  # a product and its two operands
    assert live[0] == 4 * size * size
