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
    "alone": """
        def f(x):
          y = x
          if x > 2:
            y = x + 1
          return y
    """,
    "elif": """
        def f(x):
          if x > 4:
            y = 1
          elif x > 2:
            y = 2
          else:
            y = 3
          return y, x
    """,
    "nested": """
        def f(x):
          y = 0
          if x > 1:
            y = 1
            if x > 3:
              y = y + 5
              if x > 5: y = y * 2
          return y
    """,
    "returns": """
        def f(x):
          if x > 4:
            return 1
          y = x + 1
          if y > 2:
            if x > 3:
              return y
            y = y * 7
          return y - 1
    """,
    "returns none": """
        def f(x):
          if x > 4:
            return 1
    """,
    "tests": """
        def f(x):
          y = 0
          if x > 1 and not x > 4 or x == 6:
            y = 1
          return y
    """,
    "chain": """
        def f(x):
          return 1 if 1 < x < 5 else 2
    """,
    "values": """
        def f(x):
          return (x and 5), (x or 7), (x and 0 or x), not (x or 1)
    """,
    "expression": """
        def f(x):
          return [a * 2 if a > 2 else a for a in range(x)] if x > 3 else (x if x > 1 else -x)
    """,
    "loop": """
        def f(x):
          t = 0
          for i in range(x):
            if i > 2:
              t = t + i
            else:
              u = i
              t = t - u
          return t
    """,
    "continue": """
        def f(x):
          t = 0
          for i in range(x):
            if i == 2:
              continue
            t = t + i
            t = t * 2
          return t
    """,
    "augmented": """
        def f(x):
          t = 1
          if x > 2:
            t += x
            t *= 2
          return t
    """,
    "temporaries": """
        def f(x):
          y = 0
          if x > 1:
            t = x * 2
            y = t
          if x > 3:
            t = x * 3
            y = y + t
          return y
    """,
    "inner": """
        def f(x):
          def g(a):
            if a > 2:
              return a
            return -a
          return g(x) + g(x + 2)
    """,
    "with a walrus": """
        def f(x):
          if (y := x + 1) > 3:
            return y
          return y * 2
    """,
    "swap": """
        def f(x):
          a, b = x, 5
          if x > 2:
            a, b = b, a
          return a - b
    """,
    "while": """
        def f(x):
          n = 0
          while x > 0:
            if x > 3:
              x = x - 2
            else:
              x = x - 1
            n = n + 1
          return n, x
    """,
    "a context": """
        def f(x):
          import contextlib
          with contextlib.nullcontext():
            y = 1
            if x > 2:
              y = 3
          return y
    """,
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


def test_what_may_decide_on_a_line_is_found():
    tree = function_in("""
        def f(x):
            if not x.a > 2:
                x = 1 if x.b else 2
            while (
                x.c
                or x.d
            ):
                x = 3
            return 1 < x.e < 3
    """)
    decides, loop, last = tree.body[0], tree.body[1], tree.body[2]
    first = tree.body[0].lineno
    assert deciding(tree, first, frozenset()) == {key(decides)}
    assert deciding(tree, first, frozenset([key(decides)])) == set()
    assert deciding(tree, first + 1, frozenset()) == {key(decides.body[0].value)}
    assert deciding(tree, first + 4, frozenset()) == {key(loop.test)}
    assert deciding(tree, last.lineno, frozenset()) == {key(last.value)}
    assert deciding(tree, last.lineno + 5, frozenset()) == set()


def test_parts_of_a_test_are_rewritten_with_it():
    tree = function_in("def f(x):\n  if x.a and not (x.b or 1 < x.c < 2):\n    x = 1\n  return x")
    test = tree.body[0].test
    other = test.values[1].operand
    expected = {key(tree.body[0]), key(test), key(other), key(other.values[1])}
    assert deciding(tree, tree.body[0].lineno, frozenset()) == expected


def test_the_helpers_that_a_copy_names_are_there():
    tree = function_in(PROGRAMS["alone"])
    (needed,) = (n for n in ast.walk(rewritten(tree, conditionals(tree))) if isinstance(n, ast.ImportFrom))
    assert needed.module == choice.__name__
    assert all(callable(getattr(choice, each.name)) for each in needed.names)
