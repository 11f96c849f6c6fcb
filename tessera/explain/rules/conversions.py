"""From a tensor to Python: one number, one truth value, several names."""

from __future__ import annotations

import ast

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation


def to_python(failure: Failure, operation: Operation | None) -> Explanation | None:
    """``if x > 0``, ``float(x)``, ``x.item()`` of several numbers; looping over one; ``a, b = x``."""
    message = failure.message
    tensors = operation.tensors() if operation is not None else {}
    key = next(iter(tensors), None)
    name = failure.name(operation, key) if operation is not None and key else "the tensor"
    said = failure.received(operation, key) if operation is not None and key else []
    if "Boolean value of Tensor with more than one value is ambiguous" in message:
        test = ast.unparse(failure.line) if isinstance(failure.line, ast.expr) else name
        return Explanation(
            "Value Error",
            f"{test}: Tensor[], one truth value",
            said,
            "`if`, `and`, `or` and `not` take one truth value, and there is one for each element.",
            [f"torch.where({test}, a, b)  # element by element", f"({test}).any()", f"({test}).all()"],
        )
    if "Boolean value of Tensor with no values" in message:
        return Explanation(
            "Value Error", "one truth value", said, "There is no element.", [f"{name}.numel() > 0", f"{name}.any()"]
        )
    if "cannot be converted to Scalar" in message or "nly one element tensors can be converted" in message:
        return Explanation(
            "Value Error",
            f"{name}: a tensor with one element",
            said,
            "One number of Python is made of one element.",
            [f"{name}.mean().item()", f"{name}.tolist()", f"{name}[0].item()"],
        )
    if "iteration over a 0-d tensor" in message or "len() of a 0-d tensor" in message:
        why = "A tensor without dims is one number, and has neither elements to go through nor a length."
        return Explanation(
            "Shape Error", f"{name} of at least 1 dim", said, why, [f"{name}.unsqueeze(0)", f"{name}.item()"]
        )
    return None


def unpacking(failure: Failure, operation: Operation | None) -> Explanation | None:
    """``a, b = x`` where x is a tensor with another number of rows."""
    if "values to unpack" not in failure.message or operation is None or operation.name != "unpack":
        return None
    value = operation.values.get("input")
    if not isinstance(value, torch.Tensor):
        return None
    wanted = operation.values["targets"]
    name = failure.name(operation, "input")
    rows = value.shape[0] if value.dim() else 0
    targets = operation.values["names"]
    sizes = f"{targets} = {name}.shape" if value.dim() == wanted else None
    first = targets.split(", ")[0]
    return Explanation(
        "Value Error",
        f"{wanted} rows in {name}",
        failure.received(operation, "input"),
        f"{name} is one tensor; taken apart it gives its {rows} rows, and there are {wanted} names.",
        [*([sizes] if sizes else []), f"{first} = {name}  # one result", f"{targets} = {name}.chunk({wanted}, dim=-1)"],
    )
