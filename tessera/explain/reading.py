"""The value of an expression in a stopped frame, found without running anything of the user's.

Names, attributes that are plain values, and items of containers are looked up. What torch computes from them is
computed on tensors without data, of the same shapes and dtypes. Everything else is ``UNKNOWN``.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import copy
import inspect
import operator
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from tessera import torch_internals


class _Unknown:
    def __repr__(self) -> str:
        return "..."


UNKNOWN: Final = _Unknown()

BINARY: Final[dict[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype, torch.device, slice, type(...))
_PURE = {len, int, float, bool, abs, min, max, sum, range, tuple, list, slice}
_CONTAINERS = (tuple, torch.Size, list, dict, range, str, torch.nn.ModuleList, torch.nn.Sequential, torch.nn.ModuleDict)
_LOOK_UPS = {kind.__getitem__ for kind in _CONTAINERS}
_MAKERS = (torch.ones, torch.zeros, torch.full, torch.empty, torch.rand, torch.randn, torch.arange, torch.linspace,
           torch.eye, torch.randint, torch.randperm)  # fmt: skip
_ATTRIBUTES = {"shape", "T", "mT", "H", "mH", "dtype", "device", "ndim", "data", "real", "imag", "requires_grad"}
_NEEDS_DATA = {"item", "tolist", "numpy", "backward", "requires_grad_", "nonzero", "unique", "masked_select"}


@dataclass(frozen=True)
class Method:
    """A method of a tensor that is about to be called."""

    owner: Any
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *args: Any, **named: Any) -> Any:
        return getattr(self.owner, self.name)(*args, **named)


class Reader:
    """Reads expressions in ``frame``."""

    def __init__(self, frame: types.FrameType) -> None:
        self._names: tuple[Mapping[str, Any], ...] = (frame.f_locals, frame.f_globals, vars(builtins))

    def value(self, node: ast.AST | None) -> Any:
        """The value of ``node``, ``UNKNOWN`` where it would take running the user's code to know."""
        try:
            return self._value(node)
        except Exception:  # noqa: BLE001 - an expression that cannot be read is an unknown one, whatever it raises
            return UNKNOWN

    def _value(self, node: ast.AST | None) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return next((names[node.id] for names in self._names if node.id in names), UNKNOWN)
            case ast.Attribute():
                return attribute(self.value(node.value), node.attr)
            case ast.Tuple() | ast.List():
                items = self.arguments(node.elts)
                return UNKNOWN if items is None else tuple(items) if isinstance(node, ast.Tuple) else items
            case ast.Slice():
                parts = [None if p is None else self.value(p) for p in (node.lower, node.upper, node.step)]
                return UNKNOWN if UNKNOWN in [p for p in parts if isinstance(p, _Unknown)] else slice(*parts)
            case ast.Subscript():
                return _item(self.value(node.value), self.value(node.slice))
            case ast.BinOp():
                return computed(BINARY[type(node.op)], self.value(node.left), self.value(node.right))
            case ast.UnaryOp():
                return computed(_UNARY[type(node.op)], self.value(node.operand))
            case ast.Compare() if len(node.ops) == 1:
                return computed(BINARY[type(node.ops[0])], self.value(node.left), self.value(node.comparators[0]))
            case ast.Call():
                args, named = self.arguments(node.args), self.named(node.keywords)
                if args is None or named is None:
                    return UNKNOWN
                return computed(self.value(node.func), *args, **named)
        return UNKNOWN

    def arguments(self, nodes: list[ast.expr]) -> list[Any] | None:
        """Values of what stands between brackets, None where a ``*`` hides how many there are."""
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inside = self.value(node.value)
                if not isinstance(inside, tuple | list):
                    return None
                found += inside
            else:
                found.append(self.value(node))
        return found

    def named(self, keywords: list[ast.keyword]) -> dict[str, Any] | None:
        """Values of keyword arguments, None where a ``**`` hides their names."""
        found: dict[str, Any] = {}
        for keyword in keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                found[keyword.arg] = value
            elif isinstance(value, dict):
                found |= value
            else:
                return None
        return found


def attribute(owner: Any, name: str) -> Any:
    """An attribute that is there without running code of the user's."""
    if isinstance(owner, _Unknown):
        return UNKNOWN
    if isinstance(owner, types.ModuleType):
        return getattr(owner, name) if owner.__name__.startswith("torch") else vars(owner).get(name, UNKNOWN)
    if isinstance(owner, torch.Tensor):
        return getattr(owner, name) if name in _ATTRIBUTES else Method(owner, name)
    own = getattr(owner, "__dict__", {})
    stores = [own, *(own.get(store, {}) for store in ("_parameters", "_buffers", "_modules"))]
    if not isinstance(owner, torch.nn.Module):
        stores = stores[:1]
    for store in stores:
        if name in store:
            return store[name]
    found = inspect.getattr_static(owner, name, UNKNOWN)
    if isinstance(found, types.MemberDescriptorType) or (isinstance(owner, tuple) and not inspect.isfunction(found)):
        return getattr(owner, name)
    if inspect.isfunction(found) and not isinstance(owner, type):
        return found.__get__(owner)
    return found if inspect.isroutine(found) or isinstance(found, (*_PLAIN, torch.Tensor)) else UNKNOWN


def _item(owner: Any, key: Any) -> Any:
    if isinstance(key, _Unknown) or isinstance(owner, _Unknown):
        return UNKNOWN
    looks_up = getattr(type(owner), "__getitem__", None)
    if looks_up in _LOOK_UPS and not hasattr(type(owner), "__missing__"):
        return owner[key]
    return computed(operator.getitem, owner, key) if isinstance(owner, torch.Tensor) else UNKNOWN


def computed(function: Any, *args: Any, **named: Any) -> Any:
    """What torch, or plain arithmetic, makes of values; on tensors without data."""
    values = [*args, *named.values()]
    if any(isinstance(value, _Unknown) for value in (function, *values)):
        return UNKNOWN
    if isinstance(function, torch.nn.Module):
        return _layer_output(function, args, named) if is_torchs_own(function) else UNKNOWN
    if function is len and len(args) == 1 and isinstance(args[0], str | tuple | list | dict | torch.Tensor):
        return len(args[0])
    if not all(_is_plain(value) for value in values):
        return UNKNOWN
    tensors = torch_internals.tensors_in([*values, getattr(function, "owner", None)])
    if any(function is maker for maker in _MAKERS):
        return without_data(function, *args, **{**named, "device": "meta"})
    if function is torch.tensor and not tensors:
        return torch.tensor(
            *args, **{**named, "device": "cpu"}
        )  # what is written out: rules look at labels and indices
    if not tensors:
        plain = function in _PURE or function in (*BINARY.values(), *_UNARY.values())
        return function(*args, **named) if plain else UNKNOWN
    operator_like = function in BINARY.values() or function in _UNARY.values() or function is operator.getitem
    if not operator_like and not is_torch_function(function):
        return UNKNOWN
    return without_data(function, *args, **named)


def _is_plain(value: Any) -> bool:
    """Whether it brings no code of the user's into a computation."""
    if type(value) in (tuple, list, range):
        return all(_is_plain(each) for each in value)
    return isinstance(value, (*_PLAIN, torch.Tensor))


def without_data(function: Any, *args: Any, **named: Any) -> Any:
    """``function`` of the same shapes and dtypes on torch's meta device, where nothing is computed or changed."""
    if isinstance(function, Method):
        function, args = getattr(torch.Tensor, function.name), (function.owner, *args)
    args, named = torch_internals.on_leaves(_empty, (tuple(args), named))
    with _quietly():
        return function(*args, **named)


def is_torch_function(function: Any) -> bool:
    """Whether it is torch's own and only computes: nothing in place, nothing that asks for data."""
    name = getattr(function, "__name__", "_")
    if name.endswith("_") or name in _NEEDS_DATA:
        return False
    if isinstance(function, Method):
        return True
    home = getattr(function, "__module__", None) or ""
    return home.partition(".")[0] == "torch" or any(getattr(s, name, None) is function for s in (torch, torch.Tensor))


def is_torchs_own(layer: torch.nn.Module) -> bool:
    """Whether a layer is torch's own with nothing hung on it, so that nothing of the user's runs when it is called."""
    ours = all(type(each).__module__.startswith("torch.nn.modules.") for each in layer.modules())
    return ours and not any(torch_internals.has_module_hooks(each) for each in layer.modules())


def _layer_output(layer: torch.nn.Module, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    # A copy around tensors without data: other threads may be calling the layer itself.
    without: dict[int, Any] = {
        id(p): torch.nn.Parameter(_empty(p.data), requires_grad=False) for p in layer.parameters()
    }
    without |= {id(buffer): _empty(buffer) for buffer in layer.buffers()}
    copied = copy.deepcopy(layer, without)
    args, named = torch_internals.on_leaves(_empty, (args, dict(named)))
    with _quietly():
        return copied(*args, **named)


def _empty(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("meta")
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return value
    if value.layout is not torch.strided:
        return torch.empty(value.shape, dtype=value.dtype, device="meta")
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with torch_internals.outside_of_modes(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
