"""Where an error happened: the user's line, the layer, and every call between it and torch."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera.explain.failure import Failure
from tessera.explain.operation import Operation, operation_at
from tessera.explain.reading import UNKNOWN, is_torch_function
from tessera.explain.stops import Stop, callers, stops


@dataclass
class Scene:
    """An error with its place.

    Attributes:
        user: the user's innermost line, None where there is none.
        failure: what failed there.
        is_torchs: torch raised it, and not the user's code or another library.
    """

    user: Stop | None
    failure: Failure
    is_torchs: bool


def scene(error: Exception, args: Sequence[Any], named: Mapping[str, Any]) -> Scene:
    """Look at the frames that ``error`` passed through.

    Args:
        args: what the door was called with, and ``named``: the user's own frame above the door is not looked into,
            for a frame that is still running would keep what was looked at.
    """
    below = stops(error)
    user = next((stop for stop in reversed(below) if not stop.is_library), None)
    beyond = below[below.index(user) :] if user is not None else below
    layers = _layers(below)
    operations = [found for stop in reversed(beyond) if (found := _operation(stop)) is not None]
    called = None
    if user is None and below:
        user = next((stop for stop in callers(below[0].frame) if not stop.is_library), None)
        called = _as_called(user, args, named, layers[0] if layers else None) if user is not None else None
        operations += [called] if called is not None else []
    layer = layers[-1] if layers else None
    above = _layers(callers(below[0].frame)) if below else []
    if called is None and len(beyond) > 1 and operations:
        _fill_in(operations[-1], beyond[1])
    line = user.node if user is not None else None
    failure = Failure(error, operations, layer, _path([*reversed(above), *layers], layer), line=line)
    for operation in operations[-1:]:
        if called is not None or (user is not None and beyond and beyond[0] is user):
            _remember(failure, operation)
    return Scene(user, failure, _is_torchs(error, below))


def _operation(stop: Stop) -> Operation | None:
    return None if stop.calls_a_module or stop.raises else operation_at(stop)


def _layers(passed: Iterable[Stop]) -> list[torch.nn.Module]:
    """The modules whose methods are running."""
    methods = [stop for stop in passed if stop.code.co_argcount and stop.code.co_varnames[0] == "self"]
    owners = [stop.frame.f_locals.get("self") for stop in methods]
    return [owner for owner in owners if isinstance(owner, torch.nn.Module)]


def _path(outer: list[torch.nn.Module], layer: torch.nn.Module | None) -> str:
    """Name of ``layer`` in the outermost module that holds it."""
    for root in outer:
        for name, module in root.named_modules():
            if module is layer:
                return name
    return ""


def _as_called(
    user: Stop, args: Sequence[Any], named: Mapping[str, Any], function: torch.nn.Module | None
) -> Operation | None:
    """The call in the user's line that went through the door."""
    node = user.node
    if not isinstance(node, ast.Call) or any(isinstance(each, ast.Starred) for each in node.args):
        return None
    if len(node.args) != len(args):
        return None
    names = [f"argument {i + 1}" for i in range(len(args))]
    nodes = dict(zip(names, node.args, strict=True)) | {k.arg: k.value for k in node.keywords if k.arg}
    return Operation("call", function, dict(zip(names, args, strict=True)) | dict(named), nodes, node, tuple(names))


def _fill_in(operation: Operation, callee: Stop) -> None:
    """What the user's frame does not hold, for Dynamo wrote its code: as the function that was called received it."""
    given = callee.frame.f_locals
    if callee.calls_a_module:
        values = given.get("args", ())
    else:
        values = [given.get(name, UNKNOWN) for name in callee.code.co_varnames[: callee.code.co_argcount]]
    for name, value in zip(operation.order, values, strict=False):
        if operation.values[name] is UNKNOWN:
            operation.values[name] = value


def _remember(failure: Failure, operation: Operation) -> None:
    """What the values are called in the user's line."""
    for key, node in operation.nodes.items():
        value = operation.values.get(key, UNKNOWN)
        if isinstance(value, torch.Tensor | list | tuple | dict) or type(value).__module__ == "numpy":
            failure.written.setdefault(id(value), node)
        elements = getattr(node, "elts", None)
        if elements and isinstance(value, list | tuple) and len(elements) == len(value):
            for each, written in zip(value, elements, strict=True):
                if isinstance(each, torch.Tensor):
                    failure.written.setdefault(id(each), written)


def _is_torchs(error: Exception, below: list[Stop]) -> bool:
    if not below:
        return False
    last = below[-1]
    if last.is_library:
        return last.is_torchs
    if last.raises or isinstance(error, ImportError):
        return False
    operation = operation_at(last)
    if operation is None:
        return True
    function = operation.function
    if getattr(operation.nodes.get("owner"), "attr", "") == "grad":  # None, where no backward has been
        return True
    if operation.tensors() or is_torch_function(function) or isinstance(function, torch.nn.Module):
        return True
    unknown = function is UNKNOWN or any(value is UNKNOWN for value in operation.values.values())
    return unknown and isinstance(error, RuntimeError)
