"""The outputs of many batches become one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tessera.errors import BatchError
from tessera.train.batches import describe


def on_host(output: Any, samples: int) -> Any:
    """A copy of ``output`` on the CPU; a model may use the memory of this one again.

    Args:
        output: a tensor ``[samples, ...]``, None, or a tuple, list or dict of such.
        samples: in the batch that it belongs to.

    Raises:
        BatchError: there is something else in it.
    """

    def copied(part: Any) -> Any:
        if part is None:
            return None
        if not isinstance(part, torch.Tensor) or part.dim() == 0 or len(part) != samples:
            raise BatchError(
                f"The model returned {describe(part)} for a batch of {samples:,} samples.",
                f"Outputs are joined sample by sample: tensors whose first dimension is {samples:,}, and tuples, lists "
                "and dicts of them.",
                "Write keep=lambda output: ... to choose what is kept of the output of each batch.",
            )
        return part.detach().to("cpu", copy=True)

    return _map(copied, [output])


def join(outputs: Sequence[Any]) -> Any:
    """One output for all samples, of the outputs of the batches in their order.

    Raises:
        BatchError: they differ in structure, or in a dimension other than the first.
    """

    def joined(*parts: Any) -> Any:
        if all(part is None for part in parts):
            return None
        try:
            return torch.cat(parts)
        except (TypeError, RuntimeError) as error:
            shapes = [list(part.shape) if isinstance(part, torch.Tensor) else describe(part) for part in parts]
            first, other = shapes[0], next((s for s in shapes if s[1:] != shapes[0][1:]), shapes[-1])
            raise BatchError(
                f"The model returned outputs of the shapes {first} and {other}.",
                "The outputs of all batches are alike in all dimensions but the first.",
                "Pad the inputs of all batches to one length, or write keep=lambda output: ... to keep what is alike.",
            ) from error

    return _map(joined, outputs)


def _map(function: Callable[..., Any], outputs: Sequence[Any]) -> Any:
    """``function`` of the parts of all ``outputs`` that have one place, in the structure of the first."""
    first = outputs[0]
    if isinstance(first, Mapping):
        alike = all(isinstance(output, Mapping) and output.keys() == first.keys() for output in outputs)
        parts = (
            {key: _map(function, [output[key] for output in outputs]) for key in first} if alike else _differ(outputs)
        )
        if not isinstance(first, dict):
            return parts
        made = copy.copy(first)  # a model's own class of outputs
        for key, part in parts.items():
            made[key] = part
        return made
    if isinstance(first, (tuple, list)):
        if not all(isinstance(output, (tuple, list)) and len(output) == len(first) for output in outputs):
            _differ(outputs)
        places = [_map(function, place) for place in zip(*outputs, strict=True)]
        return type(first)(*places) if hasattr(first, "_fields") else type(first)(places)
    return function(*outputs)


def _differ(outputs: Sequence[Any]) -> Any:
    other = next(output for output in outputs if describe(output) != describe(outputs[0]))
    raise BatchError(
        f"The model returned {describe(outputs[0])} for one batch and {describe(other)} for another.",
        "The outputs of all batches have one structure.",
        "Write keep=lambda output: ... to choose what is kept of the output of each batch.",
    )
