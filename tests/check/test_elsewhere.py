from __future__ import annotations

import ast

from tessera.check.elsewhere import as_elsewhere


def others(body: str) -> list[tuple[str, str, bool]]:
    (function,) = ast.parse(f"def f():\n    {body}").body
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return [(ast.unparse(call), ast.unparse(new), oftener) for call, new, oftener in as_elsewhere(calls)]


def test_a_call_takes_the_constants_that_another_one_has():
    found = others("return a.view(-1, 1, 1) + b.view(-1, 1)")
    assert ("b.view(-1, 1)", "b.view(-1, 1, 1)", False) in found
    assert ("a.view(-1, 1, 1)", "a.view(-1, 1)", False) in found


def test_what_most_calls_have_is_said():
    found = others("return a.sum(dim=(1, 2)) + b.sum(dim=(1, 2)) + c.sum(dim=1)")
    assert ("c.sum(dim=1)", "c.sum(dim=(1, 2))", True) in found
    assert ("a.sum(dim=(1, 2))", "a.sum(dim=1)", False) in found


def test_keywords_alone_may_be_what_most_calls_have():
    found = others("return f(a, 4, pad=1) + f(3, b, pad=1) + f(c, 4, pad=0)")
    assert ("f(c, 4, pad=0)", "f(c, 4, pad=1)", True) in found
    assert ("f(a, 4, pad=1)", "f(a, 4, pad=0)", False) in found


def test_what_is_no_constant_stays():
    assert ("torch.cat([c, d], 0)", "torch.cat([c, d], 1)", False) in others(
        "return torch.cat([a, b], 1) + torch.cat([c, d], 0)"
    )
    assert others("return a.view(n, 1) + b.view(1)") == []


def test_calls_that_are_alike_already_and_text_are_left_alone():
    assert others("return a.sum(1) + b.sum(1)") == []
    assert others("return f('x') + f('y')") == []
    assert others("return a.sum(*axes) + b.sum(1)") == []
