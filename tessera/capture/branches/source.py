"""A function's own source as a syntax tree, if that is proved to be what runs; and a changed tree as code for it."""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Function = ast.FunctionDef | ast.Lambda


@dataclass(frozen=True)
class Definition:
    """A function's tree, and the imports of its file: what is called on an imported name is compiled in its own way."""

    tree: Function
    imports: tuple[ast.stmt, ...]


def definition_of(code: types.CodeType) -> Definition | None:
    """The source of the function that has ``code``, or None where none is known that compiles to just that."""
    text = "".join(linecache.getlines(code.co_filename))
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    imports = tuple(_imports(module))
    for node in ast.walk(module):
        if isinstance(node, Function) and _may_be(node, code):
            found = Definition(node, imports)
            if (made := compiled(node, found, code)) is not None and _are_alike(made, code):
                return found
    return None


def _imports(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import) or (isinstance(child, ast.ImportFrom) and child.module != "__future__"):
            yield child
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            yield from _imports(child)


def _may_be(node: Function, code: types.CodeType) -> bool:
    if isinstance(node, ast.Lambda):
        return code.co_name == "<lambda>" and node.lineno == code.co_firstlineno
    if node.name != code.co_name:
        return False
    return min([node.lineno, *(each.lineno for each in node.decorator_list)]) == code.co_firstlineno


def compiled(tree: Function, found: Definition, like: types.CodeType) -> types.CodeType | None:
    """``tree``, which stands where ``found`` does, as code that can stand in for ``like``.

    It takes the same arguments and the same closure, in the same order.

    None where that cannot be: a name that a class makes private is another one outside of the class.
    """
    if any(map(_is_private, _names(tree))):
        return None
    around = new_function("around", parameters(like.co_freevars), [_bare(tree)])
    module = ast.fix_missing_locations(ast.Module(body=[*found.imports, around], type_ignores=[]))
    flags = like.co_flags & _OF_FUTURE
    try:
        code = compile(module, like.co_filename, "exec", flags=flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    made = next(_codes(next(_codes(code))))
    fits = made.co_freevars == like.co_freevars and _arguments(made) == _arguments(like)
    return made.replace(co_name=like.co_name, co_qualname=like.co_qualname) if fits else None


_OF_FUTURE = __future__.annotations.compiler_flag  # of those that change what is compiled, the one still optional


def _bare(tree: Function) -> ast.stmt:
    """Without what is computed around the function, when it is made: decorators, defaults, annotations."""
    signature = tree.args
    bare = ast.arguments(
        posonlyargs=[ast.arg(arg=a.arg) for a in signature.posonlyargs],
        args=[ast.arg(arg=a.arg) for a in signature.args],
        vararg=signature.vararg and ast.arg(arg=signature.vararg.arg),
        kwonlyargs=[ast.arg(arg=a.arg) for a in signature.kwonlyargs],
        kw_defaults=[None] * len(signature.kwonlyargs),
        kwarg=signature.kwarg and ast.arg(arg=signature.kwarg.arg),
        defaults=[],
    )
    if isinstance(tree, ast.Lambda):
        return ast.copy_location(ast.Expr(ast.copy_location(ast.Lambda(args=bare, body=tree.body), tree)), tree)
    # Its first line, which is in the code too, is that of its first decorator.
    decorators: list[ast.expr] = [ast.copy_location(ast.Constant(None), each) for each in tree.decorator_list[:1]]
    return ast.copy_location(new_function(tree.name, bare, tree.body, decorators), tree)


def new_function(
    name: str, arguments: ast.arguments, body: list[ast.stmt], decorators: list[ast.expr] | None = None
) -> ast.FunctionDef:
    """The tree of a function; since Python 3.12 one has a list of type parameters, which is needed and empty."""
    made = ast.FunctionDef(name=name, args=arguments, body=body, decorator_list=decorators or [])
    if sys.version_info >= (3, 12):
        made.type_params = []
    return made


def parameters(names: Sequence[str], defaults: Sequence[ast.expr] = ()) -> ast.arguments:
    """The parameters of a function, the last of which have defaults."""
    args = [ast.arg(arg=name) for name in names]
    return ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[*defaults])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _arguments(code: types.CodeType) -> tuple[object, ...]:
    number = code.co_argcount + code.co_kwonlyargcount
    variable = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    names = code.co_varnames[: number + variable.bit_count()]
    return names, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, variable


def _are_alike(one: types.CodeType, other: types.CodeType) -> bool:
    """Whether two codes do the same, line for line."""
    if len(one.co_consts) != len(other.co_consts):
        return False
    if any(getattr(one, part) != getattr(other, part) for part in _SAME):
        return False
    if (one.co_flags ^ other.co_flags) & ~inspect.CO_NESTED or list(one.co_positions()) != list(other.co_positions()):
        return False
    return all(
        _are_alike(a, b) if isinstance(a, types.CodeType) and isinstance(b, types.CodeType) else repr(a) == repr(b)
        for a, b in zip(one.co_consts, other.co_consts, strict=True)
    )


_SAME = ("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount", "co_kwonlyargcount")


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")
