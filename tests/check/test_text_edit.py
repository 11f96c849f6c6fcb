from __future__ import annotations

import ast

import torch
from torch import nn

from tessera.check.text_edit import edited, is_number, is_torchs, makes_layer, parsed, stands_for


def test_an_edit_changes_a_copy_of_the_statement_alone():
    (statement,) = ast.parse("def f(a):\n    return g(a,\n        a + 1)").body
    old = statement.body[0].value.args[1]
    edit = edited(1.0, old, parsed("h(a)", old))
    assert (edit.line, edit.text) == (3, "h(a) in place of a + 1")
    assert ast.unparse(edit.applied(statement)) == "def f(a):\n    return g(a, h(a))"
    assert ast.unparse(statement) == "def f(a):\n    return g(a, a + 1)"
    assert {node.lineno for node in ast.walk(edit.new) if isinstance(node, ast.expr)} == {3}


def code(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def test_names_and_attributes_stand_for_what_they_did_when_the_function_was_left():
    layer = nn.Linear(3, 4)
    names = {"self": nn.Sequential(layer), "x": torch.zeros(2), "n": 3}
    names["self"].inner = layer
    assert stands_for(code("n"), names) == (True, 3)
    assert stands_for(code("self.inner.in_features"), names) == (True, 3)
    assert stands_for(code("x.shape"), names) == (False, None)
    assert stands_for(code("absent"), names) == (False, None)


def test_what_is_a_number_and_what_is_called_are_told_by_how_they_are_written():
    assert is_number(code("2 * n + m"), {"n": 3})
    assert not is_number(code("2 * x"), {"x": torch.zeros(2)})
    assert not is_number(code("x[:, None] - x[None]"), {"x": torch.zeros(2)})
    assert is_number(code("x.shape[0] - sizes[1]"), {"x": torch.zeros(2), "sizes": (3, 4)})
    assert is_torchs(code("torch.cat"))
    assert not is_torchs(code("self.parts"))
    assert makes_layer(code("nn.Linear(2, 3)"))
    assert not makes_layer(code("nn.functional.linear(x, w)"))
