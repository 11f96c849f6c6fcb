"""Convolutions and pooling: channels, numbers of dims, windows larger than what they slide over."""

from __future__ import annotations

from typing import Any

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import layer, shape

_DIMS = "LHWD"
_NAMES = {1: ["length"], 2: ["height", "width"], 3: ["depth", "height", "width"]}


def convolution(failure: Failure, operation: Operation) -> Explanation | None:
    """An input with other channels, another number of dims, or one that is smaller than the kernel."""
    x, weight = operation.values.get("input"), operation.values.get("weight")
    if not isinstance(x, torch.Tensor) or not isinstance(weight, torch.Tensor):
        return None
    transposed = "transpose" in operation.name
    spatial = int(operation.name[-2])
    groups = operation.values.get("groups", 1)
    if not isinstance(groups, int) or weight.dim() != spatial + 2:
        return None
    wanted = weight.shape[0] if transposed else weight.shape[1] * groups
    made = failure.layer if getattr(failure.layer, "weight", None) is weight else None
    what = layer(made) if made is not None else f"a weight of shape {list(weight.shape)}"
    name, said = failure.name(operation, "input"), failure.received(operation, "input")
    names = _NAMES[spatial]
    right = shape(["batch", wanted, *names])
    if x.dim() not in (spatial + 1, spatial + 2):
        fixes = repairs(failure, operation, ("input",))
        kind = f"nn.{type(made).__name__}" if made is not None else operation.name
        if x.dim() in (2, 3, 4, 5) and 1 <= x.dim() - 2 <= 3:
            fixes.append(f"{kind[:-2]}{x.dim() - 2}d for {x.dim() - 2} spatial dims")
        return Explanation(
            "Shape Error",
            f"{name}: {right}, or the same without the batch",
            said,
            f"{operation.name} slides over {spatial} spatial dim{'s' if spatial > 1 else ''} behind the channels; "
            f"{name} has {x.dim()} dims.",
            fixes or [f"{name}.unsqueeze(1)"],
        )
    channels = x.shape[-spatial - 1]
    if channels != wanted:

        def fits(**edited: torch.Tensor) -> bool:
            new = edited.get("input", x)
            return new.dim() in (spatial + 1, spatial + 2) and new.shape[-spatial - 1] == wanted

        fixes = repairs(failure, operation, ("input",), fits)
        if made is not None:
            place = f"  # for {failure.path}" if failure.path else ""
            settings = _made_again(made, channels)
            fixes.insert(
                1 if fixes and ("permute" in fixes[0] or "transpose(-2" in fixes[0]) else 0, f"{settings}{place}"
            )
        if channels == 1:
            fixes.append(failure.rewritten(operation, input=f"{{}}.expand(-1, {wanted}{', -1' * spatial})"))
        return Explanation(
            "Shape Error",
            f"{name}: {right}, for {what} was made for {wanted} channels",
            said,
            f"Dim {x.dim() - spatial - 1} of {name} holds its channels, {channels}, and the layer takes {wanted}.",
            fixes or [f"{name} with {wanted} channels"],
        )
    kernel, padding = weight.shape[2:], operation.values.get("padding", 0)
    reach = _numbers(operation.values.get("dilation", 1), spatial)
    pads = _numbers(padding, spatial)
    if not transposed and pads and reach:
        sizes = list(x.shape[-spatial:])
        spans = [r * (k - 1) + 1 for k, r in zip(kernel, reach, strict=True)]
        short = [i for i in range(spatial) if sizes[i] + 2 * pads[i] < spans[i]]
        if short:
            i = short[0]
            need = -(-(spans[i] - sizes[i]) // 2)
            return Explanation(
                "Shape Error",
                f"{name}: a {names[i]} of at least {spans[i] - 2 * pads[i]}",
                said,
                f"The kernel spans {spans[i]} in {names[i]}, and {name} has {sizes[i]} there"
                f"{f' and {pads[i]} of padding on both sides' if pads[i] else ''}: it fits nowhere.",
                [f"padding={need}", "padding='same'", f"kernel_size={max(sizes[i], 1)}, or fewer poolings before it"],
            )
    return None


def _made_again(module: torch.nn.Module, channels: int) -> str:
    inside = module.extra_repr().split(", ")
    inside[0] = str(channels)
    return f"nn.{type(module).__name__}({', '.join(inside)})"


def _numbers(value: Any, count: int) -> list[int] | None:
    if isinstance(value, int):
        return [value] * count
    if isinstance(value, tuple | list) and all(isinstance(each, int) for each in value):
        return list(value) * (count if len(value) == 1 else 1)
    return None


def pooling(failure: Failure, operation: Operation) -> Explanation | None:
    """A window that is larger than what is left."""
    x, kernel = operation.values.get("input"), operation.values.get("kernel_size")
    if not isinstance(x, torch.Tensor) or not operation.name[-2:-1].isdigit():
        return None
    spatial = int(operation.name[-2])
    name, said = failure.name(operation, "input"), failure.received(operation, "input")
    if x.dim() not in (spatial + 1, spatial + 2):
        fixes = repairs(failure, operation, ("input",))
        why = f"{operation.name} slides over {spatial} spatial dims behind the channels; {name} has {x.dim()} dims."
        return Explanation("Shape Error", f"{name}: {shape(['batch', 'channels', *_NAMES[spatial]])}", said, why, fixes)
    window = _numbers(kernel, spatial)
    pads = _numbers(operation.values.get("padding", 0), spatial) or [0] * spatial
    if window is None:
        return None
    for i, size in enumerate(x.shape[-spatial:]):
        if size + 2 * pads[i] < window[i]:
            return Explanation(
                "Shape Error",
                f"{name}: at least {window[i]} in {_NAMES[spatial][i]}",
                said,
                f"The window is {window[i]} and {name} has {size} left in {_NAMES[spatial][i]}: "
                "it has been halved too often for the size of the images.",
                ["one pooling fewer", f"nn.AdaptiveAvgPool{spatial}d(1)  # whatever is left", "larger images"],
            )
    return None
