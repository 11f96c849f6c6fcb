from __future__ import annotations

import pytest
import torch

from tessera.export import onnx_sizes
from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.onnx_sizes import sizes_as_tensors
from tessera.export.traced import traced

WHOLE = {
    "remainder": lambda x, n: x % n,
    "remainder of a size": lambda x, n: n % (x.abs() + 1),
    "bits": lambda x, n: (x & n) | (n ^ x),
    "shifted and wrapped": lambda x, n: (x.abs() << 1) % n,
    "put": lambda x, n: x.scatter(1, torch.zeros(len(x), 1, dtype=torch.long), n),
    "rolled": lambda x, n: x.roll(n // 2, 1),
    "rolled twice": lambda x, n: x.roll((n // 3, 1), (1, 0)),
    "split": lambda x, n: sum(torch.cat([x, 2 * x, 3 * x], 1).split(n, 1)),
    "split unevenly": lambda x, n: torch.cat([x, x], 1).split(n + 1, 1)[-1],
    "chunk": lambda x, n: torch.cat([x, x], 1).chunk(2, 1)[1],
}
FLOATS = {
    "power": lambda x, n: (x.abs() / 9) ** n,
    "products": lambda x, n: torch.addcmul(x, x, x, value=n),
    "quotients": lambda x, n: torch.addcdiv(x, x, x.abs() + 1, value=n),
    "put": lambda x, n: x.scatter(1, torch.zeros(len(x), 1, dtype=torch.long), n / 2),
    "remainder": lambda x, n: x % n,
}


class Calls(torch.nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, x):
        return {name: call(x, x.shape[1]) for name, call in self.calls.items()}


@pytest.mark.parametrize(("calls", "x"), [(WHOLE, torch.randint(-9, 20, (3, 6))), (FLOATS, torch.randn(3, 6))])
def test_a_size_may_stand_for_a_number(tmp_path, calls, x):
    pytest.importorskip("onnxruntime")
    report = export(
        Calls(calls), tmp_path / "m.onnx", x, {"x": {0: "B", 1: torch.export.Dim("S", min=2)}}, measure=False
    )
    assert report.accepted, report.reason


@pytest.mark.parametrize("calls", [WHOLE, FLOATS])
def test_what_is_put_in_their_place_computes_the_same(calls):
    kinds = torch.randint(-9, 20, (3, 6)) if calls is WHOLE else torch.randn(3, 6)
    flat, example = read_example(Calls(calls), kinds, {"x": {0: "B", 1: torch.export.Dim("S", min=2)}})
    program = sizes_as_tensors(traced(flat, example))
    assert not any(map(onnx_sizes._takes_a_size, program.graph.nodes))
    for shape in ((2, 4), (5, 11)):
        x = torch.randint(-9, 20, shape) if calls is WHOLE else torch.randn(shape)
        for found, wanted in zip(program.module()(x), flat(x), strict=True):
            torch.testing.assert_close(found, wanted)


def test_numbers_are_left_alone():
    flat, example = read_example(Calls({"twice": lambda x, n: (x % 7).roll(2, 1) ** 2}), torch.randn(3, 6), ({1: "S"},))
    program = traced(flat, example)
    assert sizes_as_tensors(program) is program
