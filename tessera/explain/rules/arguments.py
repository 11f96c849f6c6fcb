"""What a layer or function was called with: too many values, too few, of another kind."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from typing import Any

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.reading import UNKNOWN, attribute
from tessera.explain.values import described

_MISCOUNTED = re.compile(
    r"takes .*positional arguments?|missing \d+ required|unexpected keyword argument|multiple values"
)
_NOT_A_TENSOR = re.compile(
    r"argument '(?P<name>\w+)' (?:\(position \d+\) )?must be (?:a )?(?P<wanted>[\w ]+?), (?:but got |not )[\w.]+"
)


_JOINS = ("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack")


def count(failure: Failure, operation: Operation | None) -> Explanation | None:
    """A call of a module or function with other arguments than it has."""
    if not isinstance(failure.error, TypeError) or not _MISCOUNTED.search(failure.message) or operation is None:
        return None
    function = operation.function
    if not isinstance(function, torch.nn.Module) and not inspect.isroutine(function):
        return None
    target = attribute(function, "forward") if isinstance(function, torch.nn.Module) else function
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    call = f"{failure.path or type(function).__name__}" if isinstance(function, torch.nn.Module) else operation.name
    written = getattr(operation.node, "func", None)
    if written is not None:
        call = ast.unparse(written)
    names = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    needed = [p.name for p in names if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    fixes = [f"{call}({', '.join(needed)})"]
    unknown = re.search(r"unexpected keyword argument '(\w+)'", failure.message)
    if unknown:
        near = difflib.get_close_matches(unknown[1], list(signature.parameters), 1)
        fixes.insert(0, f"{call}(..., {near[0]}=...)" if near else f"{call}(...)  # without {unknown[1]}")
    what = "forward" if isinstance(function, torch.nn.Module) else operation.name
    if not unknown:
        fixes.append(f"def {what}(self, {', '.join([*[p.name for p in names], '*args'])})  # to take more")
    given = [f"{failure.name(operation, key)}: {described(value)}" for key, value in operation.values.items()]
    return Explanation(
        "Argument Error",
        f"{call}{_written(signature)}",
        given or ["no arguments"],
        _sentence(failure.message, call),
        fixes,
    )


def _written(signature: inspect.Signature) -> str:
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def _sentence(message: str, call: str) -> str:
    told = message.partition(" ")[2]
    return f"{call} {told[0].lower() + told[1:] if told else message}."


def kind(failure: Failure, operation: Operation | None) -> Explanation | None:
    """A tuple, a list, None or an array where a tensor is wanted."""
    if operation is None or not isinstance(failure.error, TypeError):
        return None
    found = _NOT_A_TENSOR.search(failure.message)
    wrong = {key: v for key, v in operation.values.items() if not isinstance(v, torch.Tensor) and v is not UNKNOWN}
    if found and "Tensor" in found["wanted"] and "tuple of Tensors" not in found["wanted"]:
        key = next((k for k in wrong if k == found["name"]), None) or next(iter(wrong), None)
        if key is None:
            return None
        return _no_tensor(failure, operation, key, wrong[key])
    if operation.name in _JOINS and isinstance(operation.values.get("tensors"), torch.Tensor):
        name = failure.name(operation, "tensors")
        others = [
            failure.name(operation, each)
            for each in operation.values
            if isinstance(operation.values[each], torch.Tensor) and each != "tensors"
        ]
        listed = ", ".join([name, *others])
        why = f"torch.{operation.name} takes a list or tuple of tensors as its first argument."
        return Explanation(
            "Argument Error",
            "a list of tensors",
            failure.received(operation),
            why,
            [f"torch.{operation.name}([{listed}])"],
        )
    return None


def _no_tensor(failure: Failure, operation: Operation, key: str, value: Any) -> Explanation:
    name = failure.name(operation, key)
    fixes: list[str]
    if isinstance(value, tuple | list) and any(isinstance(each, torch.Tensor) for each in value):
        fixes = [
            failure.rewritten(operation, **{key: "{}[0]"}),
            f"{name}, state = ...  # where it is made: LSTM and GRU return two",
        ]
        if isinstance(value, list) or len({getattr(each, "shape", None) for each in value}) == 1:
            fixes.append(failure.rewritten(operation, **{key: "torch.stack({})"}))
        why = f"{name} is several tensors together, and {operation.name} takes one."
    elif value is None:
        fixes = [f"return ...  # at the end of the function that made {name}", f"if {name} is not None: ..."]
        why = f"{name} is None: a function without return, an attribute that was never set, or an argument left out."
    elif type(value).__module__ == "numpy":
        fixes = [failure.rewritten(operation, **{key: "torch.from_numpy({}).float()"})]
        why = f"{name} is an array of NumPy."
    else:
        fixes = [failure.rewritten(operation, **{key: "torch.as_tensor({})"})]
        why = f"{name} is a {type(value).__name__}."
    return Explanation("Argument Error", f"{name}: a tensor", [f"{name}: {described(value)}"], why, fixes)


def no_forward(failure: Failure) -> Explanation | None:
    """A module without ``forward``."""
    if 'missing the required "forward" function' not in failure.message:
        return None
    own = failure.layer
    near = difflib.get_close_matches("forward", [name for name in dir(type(own)) if not name.startswith("_")], 1)
    return Explanation(
        "Attribute Error",
        f"a method forward in {type(own).__name__}",
        [f"{type(own).__name__} without one" + (f", but with {near[0]}" if near else "")],
        "Calling a module calls its method forward.",
        ["def forward(self, x): ...  # in the class, not inside __init__"],
    )
