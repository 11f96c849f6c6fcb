from __future__ import annotations

import ast
import json

import pytest
import torch

from tessera.backend.inductor import compile_program
from tessera.backend.wrapper_calls import notes_in
from tessera.backend.wrapper_walk import Walk, called, walk
from tessera.program import live_bytes
from tessera.torch_internals import CALL_NOTE
from tests.backend.hand_made import program


def wrapper(body: str, **sizes: int) -> str:
    note = CALL_NOTE + json.dumps({"buffers": sizes})
    return f"{note}\ndef call(args):\n" + "\n".join(f"    {line}" for line in body.strip().splitlines())


def walked(source: str) -> Walk:
    return walk(ast.parse(source), {name: size for note in notes_in(source) for name, size in note["buffers"].items()})


def lives(source: str) -> list[tuple[str, int, int]]:
    return [(life.name, life.begin, life.end) for life in walked(source).lives]


def test_memory_lives_until_its_last_name_is_dropped():
    body = """
buf0 = empty_strided_cpu((2, ), (1, ), torch.float32)
cpp_fused_0(a, buf0)
buf1 = reinterpret_tensor(buf0, (2, 1), (1, 1), 0); del buf0  # reuse
cpp_fused_1(buf1)
del buf1
cpp_fused_2(a)
"""
    assert lives(wrapper(body, buf0=8, buf1=8)) == [("buf0", 0, 1), ("buf1", 1, 2)]


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
    assert lives("") == []
    assert lives("x = 1") == []


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


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("extern_kernels.mm(a, b, out=buf0)", "extern_kernels.mm"),
        ("buf6 = torch.ops.aten.sort.default(a)", "torch.ops.aten.sort"),
        ("cpp_fused_add_0(a, buf0)", "cpp_fused_add_0"),
        ("triton_poi_fused_add_0.run(a, buf0, 64, stream=stream0)", "triton_poi_fused_add_0"),
        ("buf0 = empty_strided_cpu((2, ), (1, ), torch.float32)", None),
        ("buf1 = reinterpret_tensor(buf0, (2, ), (1, ), 0)", None),
        ("buf7 = buf6[0]", None),
        ("del buf0", None),
        ("args.clear()", None),
        ("assert_size_stride(a, (2, ), (1, ))", None),
    ],
)
def test_what_is_a_call(line, name):
    assert called(ast.parse(line).body[0]) == name


def test_a_function_is_walked_through_at_each_call():
    source = """
def block(args):
    x, w = args
    args.clear()
    t0 = empty_strided_cpu((2, ), (1, ), torch.float32)
    t1 = empty_strided_cpu((2, ), (1, ), torch.float32)
    cpp_fused_1(x, t0)
    extern_kernels.mm(t0, w, out=t1)
    del t0
    del x
    del w
    return (t1, )
def call(args):
    a, w = args
    buf0 = empty_strided_cpu((2, ), (1, ), torch.float32)
    cpp_fused_0(a, buf0)
    block_args = [buf0, w]
    del buf0
    buf1 = block(block_args)
    buf2 = buf1[0]
    del buf1
    block_args = [buf2, w]
    del buf2
    buf3 = block(block_args)
    buf4 = buf3[0]
    del buf3
    return (buf4, )
"""
    sizes = {"t0": 8, "t1": 4, "buf0": 8, "buf1": 0, "buf2": 4, "buf3": 0, "buf4": 4}
    found = walk(ast.parse(source), sizes)
    assert [call.name for call in found.calls] == ["cpp_fused_0", *("cpp_fused_1", "extern_kernels.mm") * 2]
    assert [(life.name, life.begin, life.end) for life in found.lives] == [
        ("buf0", 0, 3),
        ("t0", 1, 3),
        ("t1", 1, 5),
        ("t0", 3, 5),
        ("t1", 3, 5),
    ]
    first, second = found.calls[1].pieces, found.calls[3].pieces
    assert found.calls[0].pieces & first  # what was made outside goes in
    assert found.calls[2].pieces & second  # and what was made inside the first goes into the second
    assert not first & second


def test_one_that_calls_itself_ends():
    walk(ast.parse("def call(args):\n    call_args = [a]\n    b = call(call_args)\n    return (b, )\n"), {})
