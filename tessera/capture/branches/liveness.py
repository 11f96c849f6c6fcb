"""Which variables of a function matter to a part of it: what a part reads and assigns, and what is read afterwards.

Where it is not known better, a variable counts as read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from tessera.program.in_place import is_in_place

Names = frozenset[str]
_NONE: Names = frozenset()
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def read(*parts: ast.AST) -> Names:
    """The variables of the function around them that ``parts`` read, also in functions inside."""
    return _NONE.union(*(_uses(part)[0] for part in parts))


def assigned(*parts: ast.AST) -> Names:
    """The variables of the function around them that ``parts`` assign, or change in place."""
    return _NONE.union(*(_uses(part)[1] for part in parts))


def _uses(node: ast.AST) -> tuple[Names, Names]:
    """What is read and what is assigned."""
    match node:
        case ast.Name(id, ctx):
            return (_NONE, Names([id])) if isinstance(ctx, ast.Store) else (Names([id]), _NONE)
        case ast.Lambda():
            return _around(node) | (read(node.body) - _parameters(node.args)), _NONE
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            inside = read(*node.body) - _parameters(node.args) - assigned(*node.body)
            return _around(node) | inside, Names([node.name])
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            own = assigned(*(each.target for each in node.generators))
            reads, writes = _of_children(node)
            return (reads - own) | read(node.generators[0].iter), writes - own
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() | ast.ClassDef():
            reads, writes = _of_children(node)
            return reads, writes | Names([node.name] if node.name else [])
        case ast.Call(ast.Attribute(ast.Name(name), method)) if is_in_place(method):
            reads, writes = _of_children(node)
            return reads, writes | {name}
        case ast.Subscript(ast.Name(name), _, ast.Store()):
            return _of_children(node)[0], Names([name])
        case ast.alias():
            return _NONE, Names([(node.asname or node.name).partition(".")[0]])
    return _of_children(node)


def changed_in_place(block: Iterable[ast.AST]) -> Names:
    """The variables whose tensors ``block`` writes to under their names."""
    found = set()
    for node in (node for part in block for node in ast.walk(part)):
        match node:
            case ast.AugAssign(ast.Name(name)) | ast.Subscript(ast.Name(name), _, ast.Store()):
                found.add(name)
            case ast.Call(ast.Attribute(ast.Name(name), method)) if is_in_place(method):
                found.add(name)
    return Names(found)


def _of_children(node: ast.AST) -> tuple[Names, Names]:
    uses = [_uses(child) for child in ast.iter_child_nodes(node)]
    return _NONE.union(*(reads for reads, _ in uses)), _NONE.union(*(writes for _, writes in uses))


def _around(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Names:
    """What is read where a function is made."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return read(*decorators, *node.args.defaults, *filter(None, node.args.kw_defaults))


def _parameters(args: ast.arguments) -> Names:
    return Names(node.arg for node in ast.walk(args) if isinstance(node, ast.arg))


def read_later(tree: ast.AST, but: Iterable[ast.AST]) -> Names:
    """What functions and generators inside ``tree``, and not inside of ``but``, read: they may run at any time."""
    inside = {id(node) for part in but for node in ast.walk(part)}
    later = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.GeneratorExp)
    return read(
        *(node for node in ast.walk(tree) if node is not tree and isinstance(node, later) and id(node) not in inside)
    )


def read_before_assigned(block: Sequence[ast.stmt]) -> Names:
    """What ``block`` may read of what was assigned before it."""
    return _flow(block)[0]


def _flow(block: Sequence[ast.stmt]) -> tuple[Names, Names | None]:
    """What may be read of before, and what is assigned behind ``block`` for sure; None where nothing runs behind it."""
    found, known = _NONE, _NONE
    for statement in block:
        reads, writes = _flow_of(statement)
        found |= reads - known
        if writes is None:
            return found, None
        known |= writes
    return found, known


def _flow_of(node: ast.stmt) -> tuple[Names, Names | None]:
    match node:
        case ast.Assign() | ast.AnnAssign():
            return read(node), _targets(node) if node.value is not None else _NONE
        case ast.AugAssign(ast.Name(name)):
            return read(node) | {name}, _NONE
        case ast.Return() | ast.Raise():
            return read(node), None
        case ast.If():
            (first, one), (second, other) = _flow(node.body), _flow(node.orelse)
            both = one & other if one is not None and other is not None else one if other is None else other
            return read(node.test) | first | second, both
        case ast.For():
            return read(node.iter, node.target) | (_flow(node.body)[0] - assigned(node.target)) | read(
                *node.orelse
            ), _NONE
        case ast.While():
            return read(node.test) | _flow(node.body)[0] | read(*node.orelse), _NONE
        case ast.FunctionDef():
            return read(node), Names([node.name])
    return read(node), _NONE


def _targets(node: ast.Assign | ast.AnnAssign) -> Names:
    return assigned(*(node.targets if isinstance(node, ast.Assign) else [node.target]))


def read_after(path: Sequence[tuple[ast.AST, Sequence[ast.stmt]]]) -> Names:
    """What may be read once a statement is over.

    Args:
        path: from the inside out, what the statement stands in, and the statements behind it there.
    """
    found, known = _NONE, _NONE
    for around, rest in path:
        jumps = any(isinstance(node, ast.Break | ast.Continue) for part in rest for node in ast.walk(part))
        reads, writes = (read(*rest), _NONE) if jumps else _flow(rest)
        found |= reads - known
        if writes is None:
            return found
        known |= writes
        match around:
            case ast.For() | ast.While():
                found |= read(around) if jumps else read(around) - known
            case ast.Try() | ast.With() | ast.Match():
                found |= read(around)
    return found


def returns(block: Iterable[ast.AST]) -> bool:
    """Whether ``block`` has a return of its function."""
    return any(isinstance(node, ast.Return) for part in block for node in _of_function(part))


def _of_function(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for child in ast.iter_child_nodes(node):
            yield from _of_function(child)


def falls_through(block: Sequence[ast.stmt]) -> bool:
    """Whether what stands behind ``block`` may run after it."""
    return _flow(block)[1] is not None
