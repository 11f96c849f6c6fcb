"""Inductor's wrapper, cut down to what its ``call`` does."""

from __future__ import annotations

import pytest

from tessera.backend.portable_wrapper import CannotSave, library_calls, portable

WRAPPER = """
from torch._inductor.async_compile import AsyncCompile
async_compile = AsyncCompile()
cpp_fused_0 = async_compile.cpp_pybinding([], '''int main''')
class Runner:
    def __init__(self, partitions):
        self.partitions = partitions
    def call(self, args):
        a, b = args
        args.clear()
        buf0 = empty_strided_cpu((2,), (1,), torch.float32)
        cpp_fused_0(a, b, buf0)
        {}
        return (buf0,)
runner = Runner(partitions=[])
call = runner.call
def block(args):
    x, = args
    return (twice(x),)
def twice(x):
    return x * math.inf
def benchmark():
    forget()
"""


def wrapper(line="pass"):
    return WRAPPER.format(line)


def test_only_the_call_is_left():
    source, names, operators = portable(wrapper("extern_kernels.mm(a, b, out=buf0)"))
    assert source.startswith("def call(args):")
    assert "AsyncCompile" not in source
    assert "Runner" not in source
    assert names == {"empty_strided_cpu", "torch", "cpp_fused_0", "extern_kernels"}
    assert operators == {}
    assert library_calls(source) == {"mm"}


def test_functions_that_it_calls_come_along():
    source, names, _ = portable(wrapper("buf0, = block([a])"))
    assert {"block", "twice", "call"} == {
        line.split()[1].split("(")[0] for line in source.splitlines() if line[:3] == "def"
    }
    assert "math" in names
    made = {"math": __import__("math")}
    exec(source, made)
    assert made["block"]([2.0]) == (float("inf"),)


def test_operators_of_ours_are_found_with_what_they_are_asked():
    lines = "torch.ops.tessera.update_many.default('f', [], [a], [b]); torch.ops.tessera.in_chunks.default('r', [a])"
    _, _, operators = portable(wrapper(f"{lines}; torch.ops.tessera.update_many.default('g', [], [a], [b])"))
    assert operators == {"update_many": ["f", "g"], "in_chunks": ["r"]}
    assert portable(wrapper("torch.ops.tessera.other.default(a)"))[2] == {"other": []}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("torch.ops.users.op.default(a)", "torch.ops.users"),
        ("open('/tmp/x')", "open"),
        ("__import__('os')", "__import__"),
    ],
    ids=range(3),
)
def test_what_runs_nowhere_else(line, word):
    with pytest.raises(CannotSave, match=word):
        portable(wrapper(line))


def test_code_without_a_call():
    with pytest.raises(CannotSave, match="not a function"):
        portable("")
