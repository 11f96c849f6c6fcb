"""Walks through the Python wrapper that Inductor writes as it will run: which calls, on which memory, for how long.

A wrapper is straight-line code: every statement runs once, in order. What it calls of its own functions (a block that a
model repeats is one) is walked through at each call.

    buf0 = empty_strided_cpu((128, 64), (64, 1), torch.float32)     memory begins before the next call
    buf3 = reinterpret_tensor(buf0, (64, 128), (1, 64), 0)          another name for it
    buf4 = buf0; del buf0  # reuse                                  what was there is over: new memory, as it were
    buf6 = torch.ops.aten.sort.default(buf4)                        a call; its results are parts of buf6
    del buf3                                                        memory ends with its last name

What goes in belongs to the caller and is no memory of the wrapper's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tessera.program import BufferLife

_FUSED = ("cpp_fused", "triton_")
_LIBRARIES = ("extern_kernels.", "aten.", "torch.ops.", "inductor_ops.", "_quantized.")
_NO_CALLS = ("inductor_ops._alloc_from_pool", "torch.ops.inductor._alloc_from_pool", "torch.ops.inductor._reinterpret")
_DEEPEST = 20  # functions within functions


@dataclass(frozen=True)
class WrapperCall:
    """A kernel that runs, or a library that is called.

    Attributes:
        function: of the wrapper that it stands in.
        line: of the wrapper's source, from 1.
        name: what is called.
        names: the variables that the statement reads or writes.
        pieces: the memory behind them: what was made in the wrapper, each time it is walked through, by itself.
    """

    function: str
    line: int
    name: str
    names: frozenset[str] = field(repr=False)
    pieces: frozenset[int] = field(repr=False)

    @property
    def is_fused(self) -> bool:
        """Whether it is a kernel of Inductor's, which may hold many operations; else it is one."""
        return self.name.startswith(_FUSED)


def called(statement: ast.stmt) -> str | None:
    """The kernel or library function that ``statement`` calls; None where it does something else."""
    value = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
    if not isinstance(value, ast.Call):
        return None
    name = ast.unparse(value.func)
    if name.startswith("triton_") and name.endswith(".run"):
        return name.removesuffix(".run")
    known = name.startswith("cpp_fused") or (name.startswith(_LIBRARIES) and not name.startswith(_NO_CALLS))
    return name.removesuffix(".default") if known else None


def walk(tree: ast.Module, sizes: Mapping[str, int]) -> Walk:
    """Walk through ``call``.

    Args:
        tree: the wrapper.
        sizes: bytes of every buffer that is known.
    """
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = Walk(functions, sizes)
    if "call" in functions:
        found.through("call", (), 0)
    found.end()
    return found


Pieces = tuple[int, ...]


@dataclass
class _Scope:
    """What the variables of one function stand for: pieces of memory, and lists of such."""

    function: str
    depth: int
    names: dict[str, Pieces]
    lists: dict[str, list[Pieces]]
    results: list[Pieces] = field(default_factory=list)


class Walk:
    """The calls of a wrapper in the order in which they run, and the lives of its memory."""

    def __init__(self, functions: Mapping[str, ast.FunctionDef], sizes: Mapping[str, int]) -> None:
        self.calls: list[WrapperCall] = []
        self.lives: list[BufferLife] = []
        self._functions, self._sizes = functions, sizes
        self._pieces: list[BufferLife] = []
        self._scopes: list[_Scope] = []

    def through(self, function: str, operands: Sequence[Pieces], depth: int) -> list[Pieces]:
        """Walk through one function; returns the pieces behind each of its results."""
        scope = _Scope(function, depth, {"args": _flat(operands)}, {"args": list(operands)})
        self._scopes.append(scope)
        body = self._functions[function].body
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                self._bind(scope, statement.targets[0], statement, following)
            elif isinstance(statement, ast.Delete):
                for target in statement.targets:
                    self._drop(scope, ast.unparse(target))
            elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Tuple):
                scope.results = [_behind(scope, value) for value in statement.value.elts]
            if (call := called(statement)) is not None:
                mentioned = frozenset(node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
                pieces = frozenset(piece for name in mentioned for piece in scope.names.get(name, ()))
                self.calls.append(WrapperCall(function, statement.lineno, call, mentioned, pieces))
        self._scopes.pop()
        for piece in set(_flat(scope.names.values())) - set(_flat(scope.results)):
            self._end_if_unnamed(piece)
        return scope.results

    def _bind(self, scope: _Scope, target: ast.expr, statement: ast.Assign, following: ast.stmt | None) -> None:
        names, lists = scope.names, scope.lists
        match target, statement.value:
            case ((ast.Tuple(targets) | ast.List(targets)), ast.Name("args")):
                names.pop("args", None)
                pairs = zip(targets, lists["args"], strict=False)
                names.update({one.id: pieces for one, pieces in pairs if isinstance(one, ast.Name)})
            case ast.Name(name), ast.List(values):
                lists[name] = [_behind(scope, value) for value in values]
                names[name] = _flat(lists[name])
            case ast.Name(name), ast.Call(ast.Name(inner), [ast.Name(given)]) if (
                inner in self._functions and scope.depth < _DEEPEST
            ):
                names.pop(given, None)  # the function empties the list
                lists[name] = self.through(inner, lists.pop(given, []), scope.depth + 1)
                names[name] = _flat(lists[name])
            case ast.Name(name), ast.Subscript(ast.Name(of), ast.Constant(int(at))) if of in lists and at < len(
                lists[of]
            ):
                names[name] = lists[of][at]
            case ast.Name(name), value:
                self._assign(scope, name, value, statement, following)

    def _assign(self, scope: _Scope, name: str, value: ast.expr, here: ast.stmt, following: ast.stmt | None) -> None:
        names, of = scope.names, _renamed(value)
        self._drop(scope, name)
        if of in names and not _is_deleted(of, here, following):
            # A part of a tuple has a size of its own, the tuple none.
            is_part = names[of] and not self._pieces[names[of][0]].num_bytes and name in self._sizes
            names[name] = self._new(name, ()) if is_part else names[of]
        elif name in self._sizes:
            names[name] = self._new(name, names.get(of, ()))

    def _new(self, name: str, instead: Pieces) -> Pieces:
        """A new piece; ``instead`` of those whose memory it takes over."""
        for piece in instead:
            self._pieces[piece].end = len(self.calls)
        life = BufferLife(name, self._sizes[name], len(self.calls), -1)
        self._pieces.append(life)
        if life.num_bytes:
            self.lives.append(life)
        return (len(self._pieces) - 1,)

    def _drop(self, scope: _Scope, name: str) -> None:
        scope.lists.pop(name, None)
        for piece in scope.names.pop(name, ()):
            self._end_if_unnamed(piece)

    def _end_if_unnamed(self, piece: int) -> None:
        if not any(piece in pieces for scope in self._scopes for pieces in scope.names.values()):
            life = self._pieces[piece]
            life.end = len(self.calls) if life.end < 0 else life.end

    def end(self) -> None:
        """What is still there is returned."""
        for life in self.lives:
            if life.end < 0:
                life.end = len(self.calls)


def _behind(scope: _Scope, value: ast.expr) -> Pieces:
    return _flat(scope.names.get(node.id, ()) for node in ast.walk(value) if isinstance(node, ast.Name))


def _flat(pieces: Iterable[Pieces]) -> Pieces:
    return tuple(piece for some in pieces for piece in some)


def _renamed(value: ast.expr) -> str:
    """The variable that ``value`` is another view of; empty where it is none."""
    match value:
        case ast.Name(of) | ast.Subscript(ast.Name(of)) | ast.Call(ast.Name("reinterpret_tensor"), [ast.Name(of), *_]):
            return of
    return ""


def _is_deleted(name: str, here: ast.stmt, following: ast.stmt | None) -> bool:
    """Whether ``del name`` stands on the same line: the memory is used for something else from here on."""
    return (
        isinstance(following, ast.Delete)
        and following.lineno == here.lineno
        and any(isinstance(target, ast.Name) and target.id == name for target in following.targets)
    )
