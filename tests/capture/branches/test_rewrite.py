from __future__ import annotations

import ast
import textwrap

import pytest

from tessera.capture.branches import choice
from tessera.capture.branches.rewrite import CannotRewrite, deciding, key, rewritten


def function_in(text):
    return ast.parse(textwrap.dedent(text)).body[0]


def conditionals(tree):
    kinds = ast.If | ast.IfExp | ast.BoolOp
    return frozenset(
        key(n) for n in ast.walk(tree) if isinstance(n, kinds) or (isinstance(n, ast.Compare) and len(n.ops) > 1)
    )


def made(tree):
    names = {}
    exec(compile(ast.fix_missing_locations(ast.Module([tree], [])), __file__, "exec"), names)
    return names[tree.name]


PROGRAMS = {
    "alone": "def f(x):\n  y = x\n  if x > 2:\n    y = x + 1\n  return y",
    "elif": "def f(x):\n  if x > 4:\n    y = 1\n  elif x > 2:\n    y = 2\n  else:\n    y = 3\n  return y, x",
    "nested": "def f(x):\n  y = 0\n  if x > 1:\n    y = 1\n    if x > 3:\n      y = y + 5\n      if x > 5: y = y * 2\n  return y",
    "returns": "def f(x):\n  if x > 4:\n    return 1\n  y = x + 1\n  if y > 2:\n    if x > 3:\n      return y\n    y = y * 7\n  return y - 1",
    "returns none": "def f(x):\n  if x > 4:\n    return 1",
    "tests": "def f(x):\n  y = 0\n  if x > 1 and not x > 4 or x == 6:\n    y = 1\n  return y",
    "chain": "def f(x):\n  return 1 if 1 < x < 5 else 2",
    "values": "def f(x):\n  return (x and 5), (x or 7), (x and 0 or x), not (x or 1)",
    "expression": "def f(x):\n  return [a * 2 if a > 2 else a for a in range(x)] if x > 3 else (x if x > 1 else -x)",
    "loop": "def f(x):\n  t = 0\n  for i in range(x):\n    if i > 2:\n      t = t + i\n    else:\n      u = i\n      t = t - u\n  return t",
    "continue": "def f(x):\n  t = 0\n  for i in range(x):\n    if i == 2:\n      continue\n    t = t + i\n    t = t * 2\n  return t",
    "augmented": "def f(x):\n  t = 1\n  if x > 2:\n    t += x\n    t *= 2\n  return t",
    "temporaries": "def f(x):\n  y = 0\n  if x > 1:\n    t = x * 2\n    y = t\n  if x > 3:\n    t = x * 3\n    y = y + t\n  return y",
    "inner": "def f(x):\n  def g(a):\n    if a > 2:\n      return a\n    return -a\n  return g(x) + g(x + 2)",
    "with a walrus": "def f(x):\n  if (y := x + 1) > 3:\n    return y\n  return y * 2",
    "swap": "def f(x):\n  a, b = x, 5\n  if x > 2:\n    a, b = b, a\n  return a - b",
    "while": "def f(x):\n  n = 0\n  while x > 0:\n    if x > 3:\n      x = x - 2\n    else:\n      x = x - 1\n    n = n + 1\n  return n, x",
    "a context": "def f(x):\n  import contextlib\n  with contextlib.nullcontext():\n    y = 1\n    if x > 2:\n      y = 3\n  return y",
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_the_copy_computes_what_the_function_does(text):
    tree = function_in(text)
    copied = rewritten(tree, conditionals(tree))
    assert not conditionals(copied) & conditionals(tree)
    plain, copy = made(tree), made(copied)
    for x in range(8):
        assert copy(x) == plain(x)


def test_a_lambda_becomes_a_function_of_its_arguments():
    tree = ast.parse("lambda x, y=1: x if x > 2 else -x").body[0].value
    copied = rewritten(tree, conditionals(tree))
    assert copied.name == "<lambda>"
    assert [a.arg for a in copied.args.args] == ["x", "y"]


def test_only_those_that_are_named_are_rewritten():
    tree = function_in(PROGRAMS["nested"])
    first = key(tree.body[1])
    copied = rewritten(tree, frozenset([first]))
    assert conditionals(copied) == conditionals(tree) - {first}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(x):\n  if x > 2:\n    print(x)\n    x = 1\n  return x", "print"),
        ("def f(x):\n  if x > 2:\n    x.a = 1\n  return x", "nothing|attribute"),
        ("def f(x):\n  if x > 2:\n    raise ValueError\n  return x", "raise"),
        ("def f(x):\n  if x > 2:\n    pass\n  return x", "nothing comes of it"),
        ("def f(x):\n  global y\n  if x > 2:\n    y = 1\n  return y", "another function"),
        ("def f(x):\n  for i in x:\n    if i > 2:\n      break\n  return x", "leaves a loop"),
        ("def f(x):\n  for i in x:\n    if i > 2:\n      return i\n  return x", "within a loop"),
        ("def f(x):\n  try:\n    if x > 2:\n      x = 1\n  finally:\n    pass\n  return x", "stands in a try"),
        ("def f(x):\n  g = lambda: x\n  if x > 2:\n    x = 1\n  return g()+x", "a function inside reads"),
        ("def f(x):\n  if x > 2:\n    x = 1\n  return locals(), x", "looks at its own"),
        ("def f(x):\n  if x > 2:\n    x = super().y\n  return x", "super"),
        ("def f(x):\n  if x > 2:\n    x = 1\n  yield x", "generator"),
        ("def f(x):\n  y = (z := x) if x > 2 else 1\n  return y", "assigns within"),
        ("def f(x):\n  return 1 if 0 < x < 2 < 5 else 2", "more than three"),
    ],
)
def test_what_does_more_than_compute_is_refused(text, said):
    tree = function_in(text)
    with pytest.raises(CannotRewrite, match=said):
        rewritten(tree, conditionals(tree))


def test_too_many_ways_out_are_refused():
    lines = [f"  if x > {n}:\n    if x > {n}.5:\n      return {n}" for n in range(9)]
    tree = function_in("\n".join(["def f(x):", *lines, "  return x"]))
    with pytest.raises(CannotRewrite, match="too many ways out"):
        rewritten(tree, conditionals(tree))


def place(node):
    return key(node)[1:]


def test_what_decides_is_found_by_its_place():
    tree = function_in("def f(x):\n  if not x.a > 2:\n    x = 1\n  return x")
    test = tree.body[0].test
    assert deciding(tree, place(test.operand), frozenset()) == {key(tree.body[0])}
    assert deciding(tree, place(tree.body[0]), frozenset()) == {key(tree.body[0])}
    assert deciding(tree, place(test.operand), frozenset([key(tree.body[0])])) == set()
    assert deciding(tree, (9, 0, 9, 1), frozenset()) == set()


def test_parts_of_a_test_are_rewritten_with_it():
    tree = function_in("def f(x):\n  if x.a and not (x.b or 1 < x.c < 2):\n    x = 1\n  return x")
    test = tree.body[0].test
    other = test.values[1].operand
    expected = {key(tree.body[0]), key(test), key(other), key(other.values[1])}
    assert deciding(tree, place(test.values[0]), frozenset()) == expected


def test_a_while_and_what_a_comprehension_keeps_stay():
    tree = function_in("def f(x):\n  while x.a:\n    x = 1\n  return [y for y in x if y.a > 1]")
    assert not deciding(tree, place(tree.body[0].test), frozenset())
    assert not deciding(tree, place(tree.body[1].value.generators[0].ifs[0]), frozenset())


def test_the_helpers_that_a_copy_names_are_there():
    tree = function_in(PROGRAMS["alone"])
    (needed,) = (n for n in ast.walk(rewritten(tree, conditionals(tree))) if isinstance(n, ast.ImportFrom))
    assert needed.module == choice.__name__
    assert all(callable(getattr(choice, each.name)) for each in needed.names)
