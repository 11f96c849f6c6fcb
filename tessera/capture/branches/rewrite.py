"""A copy of a function in which some ``if`` s are calls of ``choose``, with their branches as functions.

    if x.sum() > 0:                       decides = x.sum() > 0
        y = x * 2                         def true(own): y = x * 2; return (y,)
    else:                          ->     def false(own): y = x - 1; return (y,)
        y = x - 1                         (y,) = choose(decides, true, false)

    if x.sum() > 0:                       def true(own): return x * 2
        return x * 2               ->     def false(own): y = x - 1; return y
    y = x - 1                             return choose(x.sum() > 0, true, false)
    return y

    a if c else b                  ->     choose(c, lambda own: a, lambda own: b)
    if a and b:                    ->     both(a, lambda: b)

A branch gets the variables that it assigns and reads as defaults of its function; it reads the others where they are.
Where Python decides, ``choose`` is a plain ``if``, so the copy computes what the function does whoever decides.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from typing import Any

from tessera.capture.branches import liveness
from tessera.capture.branches.source import Function, new_function, parameters

Key = tuple[str, int, int, int, int]  # what a conditional is, and where it stands in its file
Path = tuple[tuple[ast.AST, Sequence[ast.stmt]], ...]
_COPIES = 32  # of what stands behind an `if` that returns


class CannotRewrite(Exception):
    """A branch may do more than compute."""


def key(node: ast.AST) -> Key:
    """By what a conditional is known from one parse of its file to the next."""
    place: Any = node
    return type(node).__name__, place.lineno, place.col_offset, place.end_lineno, place.end_col_offset


def deciding(tree: ast.AST, line: int, known: frozenset[Key]) -> frozenset[Key]:
    """The conditionals in ``tree`` that may be decided on a line, but for those that are ``known`` already.

    One that Python decides is none the worse for being among them.
    """
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.If() | ast.IfExp() if node.lineno == line or _is_on(node.test, line):
                found.add(key(node))
            case ast.BoolOp() if _is_on(node, line):
                found.add(key(node))
            case ast.Compare() if len(node.ops) > 1 and _is_on(node, line):
                found.add(key(node))
    return frozenset(found - known)


def _is_on(node: ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or line)


def rewritten(tree: Function, those: frozenset[Key]) -> ast.FunctionDef:
    """The copy.

    Raises:
        CannotRewrite: one of them does more than compute, or a variable of it is used where that is not followed.
    """
    if isinstance(tree, ast.Lambda):
        body: list[ast.stmt] = [ast.copy_location(ast.Return(tree.body), tree.body)]
        tree = ast.copy_location(new_function("<lambda>", tree.args, body), tree)
    copied = _Function(tree, those).copied()
    needed = ast.ImportFrom(
        module="tessera.capture.branches.choice",
        names=[
            ast.alias(name=helper, asname=_ours(helper)) for helper in ("choose", "both", "either", "truth", "last")
        ],
        level=0,
    )
    copied.body.insert(0, ast.fix_missing_locations(ast.copy_location(needed, tree.body[0])))
    return copied


def _ours(name: str) -> str:
    return f"_tessera_{name}"


class _Function:
    """One function, and what is to be rewritten in it."""

    def __init__(self, tree: ast.FunctionDef, those: frozenset[Key]) -> None:
        self._tree, self._those, self._copies = tree, those, 0
        declared = (node for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal))
        self._declared = {name for node in declared for name in node.names}

    def copied(self) -> ast.FunctionDef:
        made = copy.copy(self._tree)
        if not self._has([*self._tree.body]):
            return copy.deepcopy(self._tree)
        if any(isinstance(node, ast.Yield | ast.YieldFrom | ast.Await) for node in ast.walk(self._tree)):
            raise CannotRewrite("it is a generator")
        if not _LOOK.isdisjoint(liveness.read(self._tree)):
            raise CannotRewrite("it looks at its own variables")
        made.body = self._block(self._tree.body, self._tree, (), ())
        return made

    def _has(self, parts: Sequence[ast.AST]) -> bool:
        return any(type(n).__name__ in _KINDS and key(n) in self._those for part in parts for n in ast.walk(part))

    def _block(
        self, block: Sequence[ast.stmt], around: ast.AST, outer: Path, rest: Sequence[ast.stmt] | None
    ) -> list[ast.stmt]:
        """``rest`` is what the function ends with behind this block; None where that is not known."""
        made: list[ast.stmt] = []
        for position, statement in enumerate(block):
            behind = block[position + 1 :]
            path = ((around, behind), *outer)
            end = None if rest is None else [*behind, *rest]
            if isinstance(statement, ast.If) and key(statement) in self._those:
                if isinstance(around, ast.For | ast.While) and (whole := _going_on(statement, behind)) is not None:
                    return [*made, *self._assigning(whole, ((around, ()), *outer))]
                if liveness.returns([statement]):
                    return [*made, *self._returning(statement, end)]
                made += self._assigning(statement, path)
            else:
                made.append(self._statement(statement, path, end))
        return made

    def _statement(self, node: ast.stmt, path: Path, end: Sequence[ast.stmt] | None) -> ast.stmt:
        if not self._has([node]):
            return copy.deepcopy(node)
        made = copy.copy(node)
        match made:
            case ast.If():
                made.test = self._expression(made.test, decides=True)
                made.body = self._block(made.body, node, path, end)
                made.orelse = self._block(made.orelse, node, path, end)
            case ast.For():
                made.iter = self._expression(made.iter)
                made.body = self._block(made.body, node, path, None)
                made.orelse = self._block(made.orelse, node, path, None)
            case ast.While():
                made.test = self._expression(made.test, decides=True)
                made.body = self._block(made.body, node, path, None)
                made.orelse = self._block(made.orelse, node, path, None)
            case ast.With():
                if self._has(made.items):
                    raise CannotRewrite("it decides about a context")
                made.body = self._block(made.body, node, path, None)
            case ast.FunctionDef():
                if self._has([made.args, *made.decorator_list]):
                    raise CannotRewrite("it decides about a default")
                return _Function(made, self._those).copied()
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Expr() | ast.Return():
                return self._expression(node)
            case _:
                raise CannotRewrite(f"it stands in a {type(node).__name__.lower()}")
        return made

    def _expression(self, node: Any, *, decides: bool = False) -> Any:
        return _Expressions(self._those).rewrite(node, decides=decides)

    def _assigning(self, node: ast.If, path: Path) -> list[ast.stmt]:
        parts = [*node.body, *node.orelse]
        _refuse_more_than_computing(parts)
        self._refuse_unfollowed(node, parts)
        names = sorted(liveness.assigned(*parts) & liveness.read_after(path))
        if not names:
            raise CannotRewrite("nothing comes of it")

        def values(context: ast.expr_context) -> ast.Tuple:
            return ast.Tuple([ast.Name(name, context) for name in names], context)

        back: ast.stmt = _placed(ast.Return(values(ast.Load())), node.test)
        inside: Path = ((node, [back]),)
        branches = []
        for kind, block in (("true", node.body), ("false", node.orelse)):
            reads = liveness.read_before_assigned([*block, back]) & liveness.assigned(*block)
            made = [*self._block(block, node, inside, None), copy.deepcopy(back)]
            branches.append(self._branch(kind, node, made, reads, block))
        decides, chosen = self._decision(node)
        taken = _placed(ast.Assign(targets=[values(ast.Store())], value=chosen), node.test)
        return [decides, *branches, taken]

    def _returning(self, node: ast.If, end: Sequence[ast.stmt] | None) -> list[ast.stmt]:
        if end is None:
            raise CannotRewrite("it returns from within a loop or a context")
        blocks = [
            [*block, *end] if not block or liveness.falls_through(block) else [*block]
            for block in (node.body, node.orelse)
        ]
        self._copies += 1
        if self._copies > _COPIES:
            raise CannotRewrite("it has too many ways out")
        parts = [part for block in blocks for part in block]
        _refuse_more_than_computing(parts)
        self._refuse_unfollowed(node, parts)
        branches = []
        for kind, block in zip(("true", "false"), blocks, strict=True):
            reads = liveness.read_before_assigned(block) & liveness.assigned(*block)
            branches.append(self._branch(kind, node, self._block(block, self._tree, (), ()), reads, block))
        decides, chosen = self._decision(node)
        return [decides, *branches, _placed(ast.Return(chosen), node.test)]

    def _decision(self, node: ast.If) -> tuple[ast.stmt, ast.expr]:
        """What is decided, put down before anything else, and the call that chooses by it."""
        decides = f"{_ours('decides')}_{node.lineno}_{node.col_offset}"
        test = self._expression(node.test, decides=True)
        put_down = _placed(ast.Assign(targets=[ast.Name(decides, ast.Store())], value=test), node.test)
        names = [decides, *(_branch_name(kind, node) for kind in ("true", "false"))]
        return put_down, _call("choose", [ast.Name(name, ast.Load()) for name in names], node.test)

    def _branch(
        self, kind: str, node: ast.If, body: list[ast.stmt], reads: frozenset[str], block: Sequence[ast.stmt]
    ) -> ast.stmt:
        owned = sorted(reads & liveness.changed_in_place(block))
        first: list[ast.stmt] = [
            ast.Assign([ast.Name(n, ast.Store())], ast.Call(ast.Name(_ours("own"), ast.Load()), [_name(n)], []))
            for n in owned
        ]
        arguments = parameters([_ours("own"), *sorted(reads)], [_name(n) for n in sorted(reads)])
        function = new_function(_branch_name(kind, node), arguments, [*first, *body] or [ast.Pass()])
        return _placed(function, node.test)

    def _refuse_unfollowed(self, node: ast.If, parts: Sequence[ast.AST]) -> None:
        names = liveness.assigned(*parts)
        if names & self._declared:
            raise CannotRewrite("it assigns a variable of another function")
        if names & liveness.read_later(self._tree, parts):
            raise CannotRewrite("a function inside reads what it assigns")


class _Expressions(ast.NodeTransformer):
    """Conditionals within one expression or simple statement; it works on a copy."""

    def __init__(self, those: frozenset[Key]) -> None:
        self._those = those

    def rewrite(self, node: Any, *, decides: bool) -> Any:
        copied = copy.deepcopy(node)
        return self._decision(copied) if decides else self.visit(copied)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        known = key(node) in self._those
        node.test, node.body, node.orelse = self._decision(node.test), self.visit(node.body), self.visit(node.orelse)
        if not known:
            return node
        return _call("choose", [node.test, _later(node.body, "own"), _later(node.orelse, "own")], node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Where the value matters: ``a and b`` is ``b`` if ``a`` is true, else ``a``."""
        known = key(node) in self._those
        node.values = [self.visit(value) for value in node.values]
        return _folded(node, "last") if known else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Where the value matters: ``a < b < c`` is ``b < c`` if ``a < b`` is true, else ``a < b``."""
        more = [_placed(ast.Constant(value=True), node)]
        return self._chain(node, "last", more)

    def _chain(self, node: ast.Compare, helper: str, more: list[ast.expr]) -> ast.expr:
        known = key(node) in self._those and len(node.ops) > 1
        self.generic_visit(node)
        if not known:
            return node
        if len(node.ops) > 2:
            raise CannotRewrite("it compares more than three values")
        middle = f"{_ours('middle')}_{node.lineno}_{node.col_offset}"
        between = ast.NamedExpr(ast.Name(middle, ast.Store()), node.comparators[0])
        first = _placed(ast.Compare(node.left, node.ops[:1], [between]), node)
        second = _placed(ast.Compare(_name(middle), node.ops[1:], node.comparators[1:]), node)
        return _call(helper, [first, _later(second), *more], node)

    def _decision(self, node: ast.expr) -> ast.expr:
        """Where only its truth matters."""
        match node:
            case ast.UnaryOp(ast.Not(), operand):
                return _call("truth", [self._decision(operand), _placed(ast.Constant(value=False), node)], node)
            case ast.BoolOp():
                known = key(node) in self._those
                node.values = [self._decision(value) for value in node.values]
                return _folded(node, "both" if isinstance(node.op, ast.And) else "either") if known else node
            case ast.Compare():
                return self._chain(node, "both", [])
        return self.visit(node)


_KINDS = {"If", "IfExp", "BoolOp", "Compare"}
_LOOK = {"locals", "eval", "exec", "vars", "dir"}


def _folded(node: ast.BoolOp, helper: str) -> ast.expr:
    made = node.values[-1]
    for value in reversed(node.values[:-1]):
        more = [_placed(ast.Constant(value=isinstance(node.op, ast.And)), node)] if helper == "last" else []
        made = _call(helper, [value, _later(made), *more], node)
    return made


def _going_on(node: ast.If, behind: Sequence[ast.stmt]) -> ast.If | None:
    """Without the ``continue`` that a branch ends with: what stands behind is for the other one."""
    made = copy.copy(node)
    if node.body and isinstance(node.body[-1], ast.Continue):
        made.body, made.orelse = node.body[:-1], [*node.orelse, *behind]
    elif node.orelse and isinstance(node.orelse[-1], ast.Continue):
        made.body, made.orelse = [*node.body, *behind], node.orelse[:-1]
    else:
        return None
    return made


def _later(expression: ast.expr, *names: str) -> ast.expr:
    _refuse_more_than_computing([expression])
    if any(isinstance(node, ast.NamedExpr) for node in ast.walk(expression)):
        raise CannotRewrite("it assigns within an expression")
    arguments = parameters([_ours(name) for name in names])
    return _placed(ast.Lambda(arguments, expression), expression)


def _call(helper: str, arguments: list[ast.expr], where: ast.AST) -> ast.expr:
    return _placed(ast.Call(_name(_ours(helper)), arguments, []), where)


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _branch_name(kind: str, node: ast.If) -> str:
    return f"{_ours(kind)}_{node.lineno}_{node.col_offset}"


def _placed(node: Any, where: ast.AST) -> Any:
    """New nodes stand where the conditional does; what is the user's keeps its own place."""
    for each in ast.walk(node):
        if isinstance(each, ast.expr | ast.stmt | ast.arg) and not hasattr(each, "lineno"):
            ast.copy_location(each, where)
    return node


def _refuse_more_than_computing(parts: Sequence[ast.AST]) -> None:
    """What is seen in the syntax; the rest is seen when it is captured."""
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, _MORE):
                raise CannotRewrite(f"a branch has a {type(node).__name__.lower()}")
            if isinstance(node, ast.Name) and node.id in ("super", "__class__", "print", "input", "open"):
                raise CannotRewrite(f"a branch has {node.id}")
            stores = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            if stores:
                raise CannotRewrite("a branch sets an attribute")
        _refuse_leaving(part)


def _refuse_leaving(node: ast.AST) -> None:
    """A branch that ends the loop around it."""
    if isinstance(node, ast.Break | ast.Continue):
        raise CannotRewrite("a branch leaves a loop")
    if not isinstance(node, ast.For | ast.While):
        for child in ast.iter_child_nodes(node):
            _refuse_leaving(child)


_MORE = (
    *(ast.Global, ast.Nonlocal, ast.Delete, ast.Raise, ast.Assert, ast.Yield, ast.YieldFrom, ast.Await, ast.Try),
    *(ast.With, ast.AsyncWith, ast.AsyncFor, ast.Import, ast.ImportFrom, ast.ClassDef, ast.AsyncFunctionDef, ast.Match),
)
