"""The line that made a layer: ``self.fc2 = nn.Linear(512, 10)`` for ``fc2``, an element's for ``blocks.2.0``."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch import nn

from tessera.errors import SourceLine
from tessera.users_code import is_library, source_line_at


def constructor_line(root: nn.Module, path: str) -> SourceLine | None:
    """The line in a class of the user's that made the module at ``path``; None where there is none to be found."""
    made = constructor(root, path)
    return source_line_at(made[0], made[1]) if made is not None else None


def constructor(root: nn.Module, path: str) -> tuple[str, int, int] | None:
    """The same as file, line and column: two layers that are written in one line are not made by the same."""
    found: tuple[str, int, int] | None = None
    module: nn.Module = root
    made: ast.expr | None = None  # what the module was made by, where that is known
    file = ""
    for name in path.split(".") if path else ():
        if made is not None and isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
            made = _element(made, name)
        else:
            kind: Any = type(module)  # torch's modules are not hashable to mypy
            file, made = _assigned(kind, name)
        if made is not None:
            found = file, made.lineno, made.col_offset
        child = module._modules.get(name)  # noqa: SLF001 - also where a class hides it behind a property
        if child is None:
            break
        module = child
    return found


@functools.lru_cache(maxsize=256)
def _assigned(kind: Any, name: str) -> tuple[str, ast.expr | None]:
    """The file of a class and what its methods assign to ``self.name``, with line numbers of the file."""
    for one in kind.__mro__:
        if not issubclass(one, nn.Module) or one is nn.Module:
            continue
        try:
            file = inspect.getsourcefile(one) or ""
            lines, first = inspect.getsourcelines(one)
        except (OSError, TypeError):
            continue
        if is_library(file):
            continue
        tree = ast.parse(textwrap.dedent("".join(lines)))
        ast.increment_lineno(tree, first - 1)
        for value in _values(tree, name):
            appended = _appended(tree, name) if isinstance(value, ast.Call) and not value.args else []
            return file, appended[0] if len(appended) == 1 else value
    return "", None


def _values(tree: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Attribute) and target.attr == name for target in targets):
                yield node.value
        elif isinstance(node, ast.Call) and _registers(node, name):
            yield node.args[1]


def _registers(call: ast.Call, name: str) -> bool:
    """Whether it is ``self.register_buffer("name", value)`` or the like."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    first = call.args[0] if len(call.args) > 1 and called in _REGISTERS else None
    return isinstance(first, ast.Constant) and first.value == name


_REGISTERS = ("register_buffer", "register_parameter", "register_module", "add_module")


def _appended(tree: ast.AST, name: str) -> list[ast.expr]:
    """What ``self.name.append(...)`` is given, everywhere."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 1]
    return [call.args[0] for call in calls if ast.unparse(call.func) == f"self.{name}.append"]


def _element(made: ast.expr, name: str) -> ast.expr | None:
    """What the element of a container was made by: of ``Sequential(a, b)``, ``ModuleList([a, b])``, a comprehension."""
    if not isinstance(made, ast.Call) or not made.args:
        return made
    items: list[ast.expr] = list(made.args)
    if len(items) == 1 and isinstance(items[0], ast.Starred):
        items = [items[0].value]
    if len(items) == 1 and isinstance(items[0], (ast.List, ast.Tuple)):
        items = items[0].elts
    elif len(items) == 1 and isinstance(items[0], (ast.ListComp, ast.GeneratorExp)):
        return items[0].elt
    elif len(items) == 1 and isinstance(items[0], ast.Dict):
        pairs = zip(items[0].keys, items[0].values, strict=True)
        return next((v for k, v in pairs if isinstance(k, ast.Constant) and str(k.value) == name), made)
    if name.isdigit() and int(name) < len(items) and not any(isinstance(item, ast.Starred) for item in items):
        return items[int(name)]
    return made


def running_module(frame: FrameType | None) -> nn.Module | None:
    """The innermost module whose ``forward`` is on the stack."""
    while frame is not None:
        if frame.f_code.co_name == "forward" and isinstance(module := frame.f_locals.get("self"), nn.Module):
            return module
        frame = frame.f_back
    return None
