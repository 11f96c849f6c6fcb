"""Losses: targets of another shape, dtype or range than the predictions ask for."""

from __future__ import annotations

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.rules.indexing import INTEGERS
from tessera.explain.values import described, dtype, shape


def cross_entropy(failure: Failure, operation: Operation) -> Explanation | None:
    """Class numbers out of range, of another batch or dtype; probabilities of another shape."""
    x, y = operation.values.get("input"), operation.values.get("target")
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or x.dim() == 0:
        return None
    a, b = failure.name(operation, "input"), failure.name(operation, "target")
    said = failure.received(operation, "input", "target")
    classes = x.shape[1] if x.dim() > 1 else x.shape[0]
    wanted = (x.shape[0], *x.shape[2:]) if x.dim() > 1 else ()
    if y.is_floating_point():
        if y.shape == x.shape and "nll" not in operation.name:
            return None
        one_hot = y.shape == x.shape
        right = shape(wanted)
        why = f"Targets are class numbers, int64 {right}" + (
            "" if "nll" in operation.name else f", or probabilities of the shape of {a}, {shape(x.shape)}"
        )
        fixes = (
            [failure.rewritten(operation, target="{}.argmax(1)")]
            if one_hot
            else [failure.rewritten(operation, target="{}.long()")]
        )
        if tuple(y.squeeze().shape) == tuple(wanted) and y.shape != wanted:
            fixes = [failure.rewritten(operation, target="{}.squeeze(1).long()")]
        return Explanation("Dtype Error", f"{b}: {right} int64", said, f"{why}; {b} is {described(y)}.", fixes)
    if tuple(y.shape) != tuple(wanted):

        def fits(**edited: torch.Tensor) -> bool:
            new, target = edited.get("input", x), edited.get("target", y)
            right = (new.shape[0], *new.shape[2:]) if new.dim() > 1 else ()
            return tuple(target.shape) == right

        fixes = [] if y.dim() == 1 and x.dim() < 3 else repairs(failure, operation, ("target", "input"), fits)
        if y.shape == x.shape and x.dim() > 1:
            fixes = [
                failure.rewritten(operation, target="{}.argmax(1)"),
                failure.rewritten(operation, target="{}.float()"),
            ]
        if x.dim() == 3 and y.shape == x.shape[:2]:
            both = failure.rewritten(operation, input="{}.flatten(0, 1)", target="{}.flatten(0, 1)")
            fixes = [failure.rewritten(operation, input="{}.transpose(1, 2)"), both]
        return Explanation(
            "Shape Error",
            f"{b}: {shape(wanted)}, one class for each prediction",
            said,
            f"Dim {1 if x.dim() > 1 else 0} of {a} holds the scores of {classes} classes; "
            f"its other dims, {list(wanted)}, are those of the targets, which have {list(y.shape)}.",
            fixes or [f"{a} and {b} of the same samples"],
        )
    if y.dtype is not torch.int64 and y.dtype in INTEGERS:
        why = f"Class numbers are int64, and {b} is {dtype(y.dtype)}."
        return Explanation("Dtype Error", f"{b}: int64", said, why, [failure.rewritten(operation, target="{}.long()")])
    if y.dtype in INTEGERS and y.numel() and not y.is_meta:
        ignored = operation.values.get("ignore_index", -100)
        counted = y[y != ignored] if isinstance(ignored, int) else y
        if counted.numel() and (int(counted.min()) < 0 or int(counted.max()) >= classes):
            low, high = int(counted.min()), int(counted.max())
            fixes = []
            if low == 1 and high == classes:
                fixes.append(failure.rewritten(operation, target="{} - 1") + "  # classes are counted from 0")
            if low < 0:
                fixes.append(f"ignore_index={low}  # if it stands for no label")
            if high >= classes:
                fixes.append(f"a last layer with {high + 1} outputs")
            return Explanation(
                "Index Error",
                f"{b}: classes from 0 to {classes - 1}",
                [said[0], f"{said[1]} with values from {low} to {high}"],
                f"{a} has scores for {classes} classes, and {high if high >= classes else low} is none of them.",
                fixes,
            )
    return None


def same_shape(failure: Failure, operation: Operation) -> Explanation | None:
    """Losses that compare element by element: a prediction and a target of different shapes."""
    x, y = operation.values.get("input"), operation.values.get("target")
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor):
        return None
    a, b = failure.name(operation, "input"), failure.name(operation, "target")
    said = failure.received(operation, "input", "target")
    if x.shape != y.shape:

        def fits(**edited: torch.Tensor) -> bool:
            return edited.get("input", x).shape == edited.get("target", y).shape

        fixes = repairs(failure, operation, ("target", "input"), fits)
        if y.dim() == 1 and x.dim() == 2 and x.shape[0] == y.shape[0] and x.shape[1] > 1 and y.dtype in INTEGERS:
            fixes.insert(0, f"F.cross_entropy({a}, {b})  # class numbers")
            fixes.append(failure.rewritten(operation, target=f"F.one_hot({{}}, {x.shape[1]}).float()"))
        return Explanation(
            "Shape Error",
            f"{b}: {shape(x.shape)}, like {a}",
            said,
            f"{operation.name} compares each number of {a} with one of {b}, so their shapes are the same.",
            fixes or [f"{a} and {b} of the same shape"],
        )
    if x.is_floating_point() and not y.is_floating_point():
        why = f"{operation.name} compares numbers of one dtype, and {b} is {dtype(y.dtype)}."
        return Explanation(
            "Dtype Error", f"{b}: {dtype(x.dtype)}", said, why, [failure.rewritten(operation, target="{}.float()")]
        )
    if "between 0 and 1" in failure.message and not x.is_meta:
        outside = x if bool(((x < 0) | (x > 1)).any()) else y
        name = a if outside is x else b
        low, high = outside.min().item(), outside.max().item()
        fixes = [f"F.binary_cross_entropy_with_logits({a}, {b})", f"F.binary_cross_entropy({a}.sigmoid(), {b})"]
        return Explanation(
            "Value Error",
            f"{name}: values from 0 to 1",
            [*said, f"{name} has values from {low:.4g} to {high:.4g}"],
            f"binary_cross_entropy takes probabilities, and {name} holds others, scores before a sigmoid perhaps.",
            fixes if outside is x else [f"{b} / {b}.max()", f"({b} > 0).float()"],
        )
    return None
