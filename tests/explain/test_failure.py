import ast

import torch

from tessera.explain.failure import Failure
from tessera.explain.operation import Operation


def failure(code, **values):
    call = ast.parse(code, mode="eval").body
    nodes = dict(zip(values, call.args, strict=True))
    outer = Operation("f", None, values, nodes, call, tuple(values))
    return Failure(RuntimeError("no"), [outer], line=call), outer


def test_arguments_are_rewritten_in_the_users_line():
    found, operation = failure("f(x + 1, y)", a=torch.ones(1), b=torch.ones(2))
    assert found.rewritten(operation, a="{}.float()") == "f((x + 1).float(), y)"
    assert found.rewritten(operation, a="{} - 1", b="{}[0]") == "f(x + 1 - 1, y[0])"
    assert ast.unparse(found.line) == "f(x + 1, y)"


def test_names_are_the_users_and_repeated_lines_are_one():
    x = torch.ones(1)
    found, operation = failure("f(x, x)", a=x, b=x)
    assert found.name(operation, "a") == "x"
    assert found.received(operation) == ["x: Tensor[1] float32"]


def test_an_inner_operation_calls_a_value_as_the_user_does():
    x = torch.ones(1)
    found, _ = failure("f(h)", a=x)
    inner = Operation("linear", None, {"input": x, "weight": torch.ones(2)}, {}, found.line)
    found.operations.insert(0, inner)
    assert found.name(inner, "input") == "h"
    assert found.name(inner, "weight") == "weight"


def test_what_is_too_long_is_called_by_its_part():
    found, operation = failure(f"f({'x' * 80})", a=1)
    assert found.name(operation, "a") == "a"
