from __future__ import annotations

import ast

import pytest
import torch

from tessera.capture.branches.source import compiled, definition_of


def decorated(function):
    return function


@decorated
def one(x, /, y=2, *rest, scale: float = 1.0, **named):
    """A docstring."""
    return torch.relu(x) * y + sum(rest) * scale


class Owner(torch.nn.Module):
    def forward(self, x):
        return super().extra_repr(), x

    def private(self, x):
        return self.__hidden, x


def around(factor, unused):
    def inner(x):
        return [x * factor * k for k in range(3)], (lambda: unused)

    return inner


@pytest.mark.parametrize(
    "function", [one, Owner.forward, around(1, 2), lambda x, k=1: x + k], ids=["function", "method", "inner", "lambda"]
)
def test_a_function_is_found_and_its_tree_is_its_code(function):
    code = function.__code__
    found = definition_of(code)
    again = compiled(found.tree, found, code)
    assert again.co_code == code.co_code
    assert again.co_freevars == code.co_freevars
    assert list(again.co_lines()) == list(code.co_lines())


def test_two_functions_on_a_line_are_told_apart():
    first, second = (lambda x: x + 1), (lambda x: x + 2)
    constants = [
        [n.value for n in ast.walk(definition_of(f.__code__).tree) if isinstance(n, ast.Constant)]
        for f in (first, second)
    ]
    assert constants == [[1], [2]]


def test_what_is_not_known_is_not_found(tmp_path):
    names = {}
    exec("def f(x):\n    return x + 1", names)
    assert definition_of(names["f"].__code__) is None
    file = tmp_path / "m.py"
    file.write_text("def f(x):\n    return x + 1\n")
    exec(compile("def f(x):\n    return x + 2\n", file, "exec"), names)
    assert definition_of(names["f"].__code__) is None


def test_a_private_name_is_refused():
    assert definition_of(Owner.private.__code__) is None


def test_a_tree_with_another_closure_is_refused():
    code = around(1, 2).__code__
    found = definition_of(code)
    shorter = ast.parse("def inner(x):\n    return x * factor").body[0]
    assert compiled(shorter, found, code) is None
