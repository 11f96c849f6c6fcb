"""What a call would be with the constants that another call of the same has: ``.view(-1, 1, 1)`` as ``.view(-1, 1)``.

Of two that a function means to be alike one may have been written differently by mistake.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator

_MOST = 3  # other ways that are tried for one call


def as_elsewhere(calls: Iterable[ast.Call]) -> Iterator[tuple[ast.Call, ast.Call, bool]]:
    """Calls, each as it would be written elsewhere, and whether it is written so more often there.

    Args:
        calls: of one function.
    """
    by_name: dict[str, list[ast.Call]] = {}
    for call in calls:
        if _constants(call):
            by_name.setdefault(_name(call), []).append(call)
    for alike in by_name.values():
        times = Counter(_constants(call) for call in alike)
        if len(times) < 2:
            continue
        named = Counter(_keywords(call) for call in alike if call.keywords)
        for call in alike:
            mine = _constants(call)
            others = {_constants(other): other for other in alike if _constants(other) != mine}
            for text, other in list(others.items())[:_MOST]:
                if (new := _with_constants_of(call, other)) is not None:
                    yield call, new, times[text] > times[mine] or named[_keywords(other)] > named[_keywords(call)]


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def _constants(call: ast.Call) -> str:
    """The constants among the arguments, as text; empty where a keyword is none, or where there are none at all."""
    if any(isinstance(arg, ast.Starred) for arg in call.args) or not all(_is_constant(k.value) for k in call.keywords):
        return ""
    written = [ast.unparse(arg) if _is_constant(arg) else "_" for arg in call.args]
    written += [ast.unparse(keyword) for keyword in call.keywords]
    return ", ".join(written) if any(text != "_" for text in written) else ""


def _keywords(call: ast.Call) -> str:
    return ", ".join(map(ast.unparse, call.keywords))


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_constant(node.operand)
    if isinstance(node, (ast.Tuple, ast.List)):
        return all(map(_is_constant, node.elts))
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def _with_constants_of(call: ast.Call, other: ast.Call) -> ast.Call | None:
    """``call`` with the constants of ``other``; None where what is no constant stands in other places there."""
    own = [arg for arg in call.args if not _is_constant(arg)]
    if len(own) != sum(not _is_constant(arg) for arg in other.args):
        return None
    rest = iter(own)
    args = [arg if _is_constant(arg) else next(rest) for arg in other.args]
    return ast.Call(call.func, args, other.keywords)
