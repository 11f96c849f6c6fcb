import ast

import torch

from tessera.explain.failure import Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs, to


def found(a, b, **settings):
    call = ast.parse("torch.add(a, b)", mode="eval").body
    values = {"input": a, "other": b}
    operation = Operation("add", torch.add, values, dict(zip(values, call.args, strict=True)), call, tuple(values))
    return repairs(Failure(RuntimeError("no"), [operation], line=call), operation, ("other", "input"), **settings)


def test_edits_that_fit_come_in_the_order_of_likelihood():
    edits = found(torch.ones(4, 3), torch.ones(4), dims_first=True)
    assert edits[:2] == ["torch.add(a, b.unsqueeze(-1))", "torch.add(a.transpose(-2, -1), b)"]
    assert found(torch.ones(4, 3), torch.ones(3, 4))[0] == "torch.add(a, b.transpose(-2, -1))"


def test_nothing_is_edited_where_shapes_are_right_or_nothing_fits():
    assert found(torch.ones(2), torch.ones(2)) == []
    assert found(torch.ones(2, 2), torch.ones(2, 2), check=lambda **_: False) == []


def test_dtypes_in_the_shortest_spelling():
    assert to(torch.float32) == "{}.float()"
    assert to(torch.uint8) == "{}.to(torch.uint8)"
