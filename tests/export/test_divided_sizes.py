from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor, nn

from tessera.export.asked import read_example
from tessera.export.divided_sizes import quotients_by_remainders, remainders_by_quotients
from tessera.export.export import export
from tessera.export.loading import load_model
from tessera.export.traced import traced

SIZES = torch.export.Dim("S", min=5, max=64)


class Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


FUNCTIONS = {
    "half of what is beyond nine": lambda x: x + (x.shape[1] - 9) // 2,
    "rounded up": lambda x: x.new_ones(-(-x.shape[1] // 4)),
    "what is beyond nine, in fives": lambda x: x + (x.shape[1] - 9) % 5,
    "what is missing": lambda x: x + -x.shape[1] % 4,
    "by a negative number": lambda x: x + x.shape[1] // -3,
}


def towards_zero(program, target, otherwise) -> nn.Module:
    """The program where a runtime divides sizes otherwise."""
    module = program.module()
    for node in module.graph.find_nodes(op="call_function", target=target):
        node.target = otherwise
    module.recompile()
    return module


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("rewrite", "target", "otherwise"),
    [
        (quotients_by_remainders, operator.floordiv, lambda a, b: int(a / b)),
        (remainders_by_quotients, operator.mod, lambda a, b: a - int(a / b) * b),
    ],
    ids=["quotients", "remainders"],
)
def test_right_however_it_is_rounded(name, rewrite, target, otherwise):
    function = FUNCTIONS[name]
    program = traced(*read_example(Calls(function), torch.ones(2, 12), ({1: SIZES},)))
    rewrite(program)
    module = towards_zero(program, target, otherwise)
    for size in range(5, 20):
        x = torch.ones(2, size)
        assert torch.equal(module(x)[0], function(x)), size


def test_sizes_that_are_never_negative_are_left():
    def halves(x):
        return x + x.shape[1] // 2 + x.shape[1] % 3

    program = traced(*read_example(Calls(halves), torch.ones(2, 12), ({1: SIZES},)))
    before = [node.target for node in program.graph.nodes]
    quotients_by_remainders(program)
    remainders_by_quotients(program)
    assert [node.target for node in program.graph.nodes] == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # ExecuTorch's and torchao's own
@pytest.mark.parametrize(("ending", "package"), [(".onnx", "onnxruntime"), (".pte", "executorch")])
@pytest.mark.parametrize("name", [*FUNCTIONS][::2])
def test_files(tmp_path, name, ending, package):
    pytest.importorskip(package)
    function = FUNCTIONS[name]
    sizes = {0: "B", 1: SIZES}
    path = export(Calls(function), tmp_path / f"m{ending}", torch.randn(2, 12), (sizes,), measure=False).path
    run = load_model(path)
    for size in (5, 6, 8, 11):
        x = torch.randn(2, size)
        torch.testing.assert_close(run(x)[0], function(x))
