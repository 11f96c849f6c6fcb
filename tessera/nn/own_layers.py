"""``Linear(512, 128)(x)`` in the body of a ``tessera.function``: the layer is made once and kept.

Python would make a new layer at every call. So before the first call the body's source is compiled once more, in
place, with each expression that makes a module handed over unevaluated, beside the arguments that it depends on:

    Linear(512, n)(x)   ->   kept(Linear, lambda: Linear(512, n), (512, n))(x)

Lines, closure and globals stay those of the function. Where there is no source, or where a helper makes the layer,
the first call raises instead.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import textwrap
import types
from collections.abc import Callable
from typing import Any

import torch

from tessera.nn.running import running_call

_FUTURE = 0
for _name in __future__.all_feature_names:
    _FUTURE |= getattr(__future__, _name).compiler_flag
_KEPT = "__tessera_kept"
_UNMOVABLE = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)  # would mean something else inside a lambda
# Arguments of other types are not compared between calls.
_COMPARED = (int, float, str, type(None), torch.SymInt, torch.dtype, torch.device)


def with_own_layers(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, keeping the layers that its body makes; the same object where it makes none."""
    if not isinstance(function, types.FunctionType):
        return function
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return function
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return function
    ast.increment_lineno(definition, function.__code__.co_firstlineno - 1)  # before an expression stands in two places
    rewrite = _Rewrite(function)
    definition.body = [rewrite.visit(statement) for statement in definition.body]
    return _compiled(function, definition) if rewrite.found else function


def _compiled(function: types.FunctionType, definition: ast.FunctionDef) -> types.FunctionType:
    old = function.__code__
    definition.decorator_list = []
    if hasattr(definition, "type_params"):
        definition.type_params = []
    # Inside a function that is never called, whose parameters are the free variables of the definition.
    around = ast.parse(f"def around({', '.join((_KEPT, *old.co_freevars))}): pass")
    around.body[0].body = [definition]  # type: ignore[attr-defined]
    compiled = compile(
        ast.fix_missing_locations(around), old.co_filename, "exec", flags=old.co_flags & _FUTURE, dont_inherit=True
    )
    outer = next(constant for constant in compiled.co_consts if isinstance(constant, types.CodeType))
    code = next(constant for constant in outer.co_consts if isinstance(constant, types.CodeType))
    cells = dict(zip(old.co_freevars, function.__closure__ or (), strict=True)) | {_KEPT: types.CellType(_kept)}
    closure = tuple(cells[name] for name in code.co_freevars)
    code = code.replace(co_qualname=old.co_qualname)
    made = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _kept(kind: type[torch.nn.Module], make: Callable[[], torch.nn.Module], given: tuple[Any, ...]) -> torch.nn.Module:
    """What stands in the body in place of making a module."""
    call = running_call()
    if call is None:
        return make()
    options = tuple(value for value in given if isinstance(value, _COMPARED))
    return call.layer(kind.__name__, None, options, make)


class _Rewrite(ast.NodeTransformer):
    """Hands over every expression that makes a module, found by what its name stands for."""

    def __init__(self, function: types.FunctionType) -> None:
        self.found = False
        self._local = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
        self._known = dict(function.__globals__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._known[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                self._known.pop(name, None)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not self._makes_module(node) or any(isinstance(part, _UNMOVABLE) for part in ast.walk(node)):
            return self.generic_visit(node)
        self.found = True
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        given = ast.Tuple(self._given(node), ast.Load())
        new = ast.Call(
            ast.Name(_KEPT, ast.Load()),
            [node.func, ast.copy_location(ast.Lambda(nothing, node), node), ast.copy_location(given, node)],
            [],
        )
        return ast.copy_location(new, node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node  # its names may be its own

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def _given(self, node: ast.Call) -> list[ast.expr]:
        """The arguments, those of modules among them included, without the modules."""
        given: list[ast.expr] = []
        for value in (*node.args, *(keyword.value for keyword in node.keywords)):
            inner = [part for part in ast.walk(value) if isinstance(part, ast.Call) and self._makes_module(part)]
            if not inner:
                given.append(value)
            for part in inner:
                given += self._given(part)
        return given

    def _makes_module(self, node: ast.Call) -> bool:
        value = self._value(node.func)
        return isinstance(value, type) and issubclass(value, torch.nn.Module)

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return None if node.id in self._local else self._known.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._value(node.value)
            return getattr(owner, node.attr, None) if isinstance(owner, (types.ModuleType, type)) else None
        return None
