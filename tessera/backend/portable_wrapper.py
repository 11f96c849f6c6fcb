"""The wrapper that Inductor wrote, cut down to what its ``call`` does."""

from __future__ import annotations

import ast
import builtins

# Operators that torch has from the start; others are registered by code that would have to run first.
_NAMESPACES = {"aten", "mkldnn", "mkl", "onednn", "quantized", "tessera"}
_BUILTINS = {"len", "range", "int", "float", "max", "min", "list", "tuple"}


class CannotSave(Exception):
    """Why compiled code would not run in another process."""


def portable(source: str) -> tuple[str, set[str], dict[str, list[str]]]:
    """The functions that ``call`` consists of, as a module of their own.

    Args:
        source: the wrapper, as Python code.

    Returns:
        The source, the global names that it reads, and by operator of ours what is asked of it, by name.

    Raises:
        CannotSave: there is no such function, or it does something that cannot be repeated elsewhere.
    """
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    if "call" not in functions:
        raise CannotSave("its code is not a function of Python")
    chosen: dict[str, ast.FunctionDef] = {}
    waiting, names = ["call"], set[str]()
    while waiting:
        name = waiting.pop()
        if name in chosen:
            continue
        chosen[name] = function = functions[name]
        function.args.args = [argument for argument in function.args.args if argument.arg != "self"]
        function.decorator_list, function.returns = [], None
        read = _names_read(function)
        waiting += sorted(read & functions.keys())
        names |= read - functions.keys()
    module = ast.Module(list(chosen.values()), type_ignores=[])
    operators = _operators(module)
    unknown = sorted(name for name in names if hasattr(builtins, name) and name not in _BUILTINS)
    if unknown:
        raise CannotSave(f"its code calls {unknown[0]}")
    return ast.unparse(module), names - _BUILTINS, operators


def library_calls(source: str) -> set[str]:
    """The functions of Inductor's collection ``extern_kernels`` that a wrapper calls."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "extern_kernels"}


def _names_read(function: ast.FunctionDef) -> set[str]:
    used = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    own = {node.id for node in used if isinstance(node.ctx, ast.Store)} | {a.arg for a in function.args.args}
    return {node.id for node in used} - own


def _operators(module: ast.Module) -> dict[str, list[str]]:
    """Operators of ours in a wrapper, with the first argument of each of their calls."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(module):
        match node:
            case ast.Attribute(ast.Attribute(ast.Name("torch"), "ops"), namespace) if namespace not in _NAMESPACES:
                raise CannotSave(f"its code calls an operator of torch.ops.{namespace}, which other code defines")
            case ast.Call(
                ast.Attribute(ast.Attribute(ast.Attribute(_, "tessera"), name), "default"),
                [ast.Constant(str(key)), *_],
            ):
                found.setdefault(name, []).append(key)
            case ast.Attribute(ast.Attribute(ast.Attribute(ast.Name("torch"), "ops"), "tessera"), name):
                found.setdefault(name, [])
    return {name: list(dict.fromkeys(keys)) for name, keys in found.items()}
