"""One operator of PyTorch's own operator database, plainly and under ``tessera.compile``: values and gradients."""

from __future__ import annotations

import itertools
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

import tessera
from tests.contracts.against_eager import compare

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the database warns about optional packages that it misses
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.opinfo.core import OpInfo, SampleInput

# Their values are whatever the memory held.
UNDEFINED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
SAMPLES = 2


def name_of(op: OpInfo) -> str:
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def operators(slices: int = 1) -> list[OpInfo]:
    """The operators that take float32, or a fixed part of about one in ``slices`` of them."""
    fitting = [op for op in op_db if torch.float32 in op.dtypes and op.name not in UNDEFINED]
    return [op for op in fitting if zlib.crc32(name_of(op).encode()) % slices == 0]


def differences(op: OpInfo, dtype: torch.dtype = torch.float32) -> Iterator[str]:
    """Where ``tessera.compile`` of ``op`` differs from eager on the first samples; nothing where all is well."""
    torch.manual_seed(0)
    samples = op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd)
    for index, sample in enumerate(itertools.islice(samples, SAMPLES)):
        expected = _outcome(op, op.op, sample)
        found = _outcome(op, tessera.compile(_plain_function(op)), sample)
        yield from compare(expected, found, TOLERANCE[dtype], f"{name_of(op)}, sample {index}")


def _plain_function(op: OpInfo) -> Any:
    def function(*args: Any, **named: Any) -> Any:
        return op.op(*args, **named)

    return function


def _outcome(op: OpInfo, function: Any, sample: SampleInput) -> dict[str, Any]:
    """Results, gradients for a fixed direction, and the random stream; or the kind of the error."""
    # Every run gets leaves of its own: an operator may write to its arguments.
    args, named = tree_map(_leaf, ((sample.input, *sample.args), dict(sample.kwargs)))
    torch.manual_seed(1)
    try:
        result = function(*args, **named)
    except Exception as error:  # noqa: BLE001 - whatever eager raises is the expected outcome
        return {"error": str(type(error))}
    tensors = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
    seen = {
        "structure": str(tree_flatten(result)[1]),
        "results": [t.detach().clone() for t in tensors],
        "random stream": torch.get_rng_state(),
    }
    leaves = [t for t in tree_leaves((args, named)) if isinstance(t, torch.Tensor) and t.requires_grad]
    # Some results are free up to a phase or a sign; the database says what of them has a gradient.
    determined = tree_leaves(sample.output_process_fn_grad(result))
    smooth = [t for t in determined if isinstance(t, torch.Tensor) and t.requires_grad and t.layout is torch.strided]
    if leaves and smooth and op.supports_autograd:
        draw = torch.Generator().manual_seed(2)
        along = [torch.randn(t.shape, generator=draw, dtype=t.dtype) for t in smooth]
        gradients = torch.autograd.grad(smooth, leaves, along, allow_unused=True)
        seen["gradients"] = [torch.zeros_like(p) if g is None else g for p, g in zip(leaves, gradients, strict=True)]
    return seen


def _leaf(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
        return value
    return value.detach().clone(memory_format=torch.preserve_format).requires_grad_(value.requires_grad)
