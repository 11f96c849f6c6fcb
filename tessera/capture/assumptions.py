"""What a capture relied on, as data: Dynamo's guards in words, to be checked in another process.

A guard names something by an expression over the captured function's parameters and globals, such as
``module._modules['head'].training``. Here such an expression is read and followed step by step, never run as code.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera import torch_internals
from tessera.artefact.descriptions import describe
from tessera.artefact.structure import CannotDescribe, Structure, structure_of

# Guards on the process, which are looked at as a whole: see ``torch_internals.process_state``.
_AMBIENT = {
    *("GRAD_MODE", "DETERMINISTIC_ALGORITHMS", "GLOBAL_STATE", "TORCH_FUNCTION_STATE", "DEFAULT_DEVICE"),
    *("AUTOGRAD_SAVED_TENSORS_HOOKS", "SHAPE_ENV", "FSDP_TRAINING_STATE"),
}
# Which values are one object: of tensors the bindings say it, of all else the code that was captured does.
_IDENTITIES = {"DUPLICATE_INPUT", "OBJECT_ALIASING", "WEAKREF_ALIVE", "NO_TENSOR_ALIASING"}
_MODULE, _BUILTINS = "__import_", "__builtins_dict__"


@dataclass(frozen=True)
class Assumption:
    """What stood behind an expression while its function was captured, in words."""

    path: str
    described: str


class CannotFollow(Exception):
    """An expression that leads nowhere here."""


@dataclass(frozen=True)
class Assumptions:
    """All that one capture relied on. ``problem`` says why it cannot be checked in another process, if it cannot."""

    those: tuple[Assumption, ...]
    problem: str = ""


NOTHING_KNOWN = Assumptions((), "nothing is known of what it relies on")


class Circumstances:
    """What a capture was made under: its guards, the state of the process, and the structure of the arguments."""

    def __init__(self, assumptions: Assumptions, process: dict[str, Any], data: Sequence[Any]) -> None:
        self.assumptions, self.process, self.problem = assumptions, process, assumptions.problem
        try:
            self.structure = structure_of(data)
        except CannotDescribe as error:
            self.structure, self.problem = Structure([], []), str(error)


def assumptions_of(guards: Sequence[torch_internals.Guard]) -> Assumptions:
    """The guards of a capture in words, while the objects they are about are there."""
    found: dict[str, Assumption] = {}
    for guard in guards:
        if guard.guard_type in _AMBIENT or guard.guard_type in _IDENTITIES or guard.name in found:
            continue
        if not guard.name:
            return Assumptions((), f"it relies on {guard.guard_type.lower().replace('_', ' ')}")
        described = describe(guard.value) if guard.has_value else "nothing"
        if described.startswith("object of") and "ID_MATCH" in (guard.guard_type, *guard.derived_guard_types):
            return Assumptions((), f"it relies on {guard.name} being one certain object")
        try:
            parsed(guard.name)
        except CannotFollow as error:
            return Assumptions((), str(error))
        found[guard.name] = Assumption(guard.name, described)
    return Assumptions(tuple(found.values()))


@dataclass(frozen=True)
class Scope:
    """What the names in expressions stand for: the captured function's parameters, and its globals as ``G``.

    Attributes:
        modules: other names of modules: a program's ``__main__`` is imported under another name elsewhere.
    """

    parameters: Mapping[str, Any]
    names: Mapping[str, Any]
    modules: Mapping[str, str]

    def follow(self, path: str) -> Any:
        """What stands behind an expression.

        Raises:
            CannotFollow: there is nothing there.
        """
        try:
            return self._value(parsed(path))
        except CannotFollow:
            raise
        except Exception as error:  # an attribute may be a property of the user's
            raise CannotFollow(f"{path} is not there") from error

    def described(self, path: str) -> str:
        """What stands behind an expression, in words."""
        try:
            return describe(self.follow(path))
        except CannotFollow:
            return "nothing"

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Name("G"):
                return Globals(self.names, self.modules)
            case ast.Name(name):
                return self.parameters[name]
            case ast.Attribute(of, name):
                return getattr(self._value(of), name)
            case ast.Subscript(of, key):
                return self._value(of)[ast.literal_eval(key)]
            case ast.Call(ast.Name(name), [argument], []):
                return _CALLS[name](self._value(argument))
            case ast.Call(ast.Attribute(ast.Name("dict"), "keys"), [argument], []):
                return dict.keys(self._value(argument))
        raise CannotFollow(ast.unparse(node))


_CALLS: dict[str, Any] = {"type": type, "dict": dict, "list": list, "tuple": tuple, "len": len, "str": str}


class Globals:
    """The globals of a captured function, and what Dynamo puts there: modules and the builtins."""

    def __init__(self, names: Mapping[str, Any], modules: Mapping[str, str]) -> None:
        self._names, self._modules = names, modules

    def __getitem__(self, name: str) -> Any:
        if name.startswith(_BUILTINS):
            return vars(builtins)
        if name.startswith(_MODULE):
            module = name.removeprefix(_MODULE).replace("_dot_", ".")
            return sys.modules[self._modules.get(module, module)]
        return self._names[name]


def parsed(path: str) -> ast.expr:
    """The expression, if it is one that can be followed."""
    try:
        node = ast.parse(path, mode="eval").body
    except SyntaxError as error:
        raise CannotFollow(f"it relies on {path}") from error
    for part in ast.walk(node):
        known = isinstance(part, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.Constant | ast.expr_context)
        if not known and not isinstance(part, ast.Tuple | ast.UnaryOp | ast.USub):
            raise CannotFollow(f"it relies on {path}")
    return node


def main_modules(parameters: Mapping[str, Any]) -> list[str]:
    """The modules that a program's ``__main__`` may be here: those that the classes and functions given come from."""
    import torch

    found = ["__main__"]
    for value in parameters.values():
        for each in value if isinstance(value, tuple) else (value,):
            parts = each.modules() if isinstance(each, torch.nn.Module) else (each,)
            for part in parts:
                owner = part if hasattr(part, "__code__") else type(part)
                name = str(getattr(owner, "__module__", ""))
                if name in sys.modules and name.partition(".")[0] not in ("torch", "tessera", "builtins"):
                    found.append(name)
    return list(dict.fromkeys(found))
