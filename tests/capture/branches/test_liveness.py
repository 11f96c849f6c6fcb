import ast

import pytest

from tessera.capture.branches import liveness


def block(text):
    return ast.parse(text).body


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        ("a = b + c.d", "bc", "a"),
        ("a[i] = b", "aib", "a"),
        ("a.b = c", "ac", ""),
        ("a += b", "b", "a"),
        ("a.add_(b)", "ab", "a"),
        ("a.add(b)", "ab", ""),
        ("(a, *b), c = d", "d", "abc"),
        ("a = [b * c for b in d if b]", "cd", "a"),
        ("[a for a in a]", "a", ""),
        ("[(a := b) for b in c]", "c", "a"),
        ("f = lambda a, b=c: a + d", "cd", "f"),
        ("def f(a, b=c):\n    e = a\n    return e + d", "cd", "f"),
        ("for a in b:\n    c = a", "ab", "ac"),
    ],
)
def test_what_is_read_and_assigned(text, reads, writes):
    assert liveness.read(*block(text)) == set(reads)
    assert liveness.assigned(*block(text)) == set(writes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b\nc = a", "b"),
        ("c = a\na = b", "ab"),
        ("if t:\n    a = 1\nc = a", "ta"),
        ("if t:\n    a = 1\nelse:\n    a = 2\nc = a", "t"),
        ("if t:\n    return 1\nelse:\n    a = 2\nc = a", "t"),
        ("for i in n:\n    a = i\nc = a", "na"),
        ("for i in n:\n    c = c + i", "nc"),
        ("a += 1", "a"),
        ("a[0] = 1", "a"),
    ],
)
def test_what_is_read_of_before(text, expected):
    assert liveness.read_before_assigned(block(text)) == set(expected)


def after(text):
    """What is read after the ``if`` on ``t`` in a function."""
    tree = ast.parse(text)
    path = []

    def find(node, outer):
        for name in ("body", "orelse"):
            statements = getattr(node, name, [])
            for i, each in enumerate(statements if isinstance(statements, list) else []):
                here = [(node, statements[i + 1 :]), *outer]
                if isinstance(each, ast.If) and ast.unparse(each.test) == "t":
                    path.extend(here)
                find(each, here)

    find(tree.body[0], [])
    return liveness.read_after(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n  if t:\n    a = 1\n  return a", "a"),
        ("def f():\n  if t:\n    a = 1\n  a = 2\n  return a", ""),
        ("def f():\n  if p:\n    if t:\n      a = 1\n    b = a\n  return c", "ac"),
        ("def f():\n  for i in n:\n    b = a\n    if t:\n      a = 1\n  return c", "ancb"),
        ("def f():\n  for i in n:\n    if t:\n      a = 1\n    a = 0\n    b = a\n  return c", "nc"),
        ("def f():\n  for i in n:\n    if t:\n      a = 1\n    if p:\n      break\n    a = 0\n  return a", "anp"),
    ],
)
def test_what_is_read_afterwards(text, expected):
    found = after(text)
    assert set(expected) - {"b"} <= found
    assert "a" in found or "a" not in expected
    if "a" not in expected:
        assert "a" not in found


def test_returns_and_what_falls_through():
    assert liveness.returns(block("if a:\n    return 1"))
    assert not liveness.returns(block("def f():\n    return 1"))
    assert liveness.falls_through(block("if a:\n    return 1"))
    assert not liveness.falls_through(block("if a:\n    return 1\nelse:\n    return 2"))


def test_what_functions_inside_read_later():
    tree = block("def f():\n    g = lambda: a\n    b = [c for c in d]\n    e = (h for h in k)\n    x = lambda: y")[0]
    assert liveness.read_later(tree, ()) == {"a", "k", "y"}
    assert liveness.read_later(tree, tree.body[-1:]) == {"a", "k"}
