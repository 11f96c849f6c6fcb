"""What a compiled Program allocates, found by running the wrapper that Inductor wrote on tensors without data.

A wrapper is Python: it allocates buffers, calls kernels and lets go of names. Run with kernels that do nothing, on fake
tensors, it allocates and frees exactly what the real run does, in its order: reused buffers, views and what library
calls return included. What a library needs inside of a call is not seen.
"""

from __future__ import annotations

import ast
import functools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.memory.placement import Allocation
from tessera.backend.rows.chunked import IN_CHUNKS, codes_of


@dataclass(frozen=True)
class Rehearsal:
    """One run without data.

    Attributes:
        allocations: what was allocated besides the inputs, in order; moments count allocations and releases.
        buffers: those of them that the wrapper itself asked for.
    """

    allocations: list[Allocation]
    buffers: list[Allocation]

    @property
    def peak(self) -> int:
        """Bytes that are allocated at once, at most."""
        changes = [(one.start, one.size) for one in self.allocations]
        changes += [(one.end, -one.size) for one in self.allocations if one.end is not None]
        live = highest = 0
        for _, size in sorted(changes):
            live += size
            highest = max(highest, live)
        return highest


def rehearse(source: str, inputs: Sequence[Any]) -> Rehearsal | None:
    """Run the wrapper ``source`` on fake ``inputs``; None where it does what cannot be done without data."""
    fake_mode = torch_internals.fake_mode_of(inputs)
    if not source or fake_mode is None:
        return None
    names: dict[str, Any] = {"__name__": "rehearsal", "tessera_kernel": _Kernel()}
    try:
        exec(compile(_without_kernels(source), "<wrapper>", "exec"), names)  # noqa: S102 - it is to run anyway
        names |= {name: torch.empty_strided for name in names if name.startswith("empty_strided_")}
        ledger = _Ledger()
        names |= {"empty_strided_cpu": ledger.empty, "reinterpret_tensor": _view}
        names |= dict.fromkeys(("assert_size_stride", "assert_alignment"), _Kernel())
        with fake_mode, torch.no_grad():
            arguments = [_static(value) for value in inputs]
            ledger.known = {_identity(a) for a in arguments if isinstance(a, torch.Tensor)}
            with ledger:
                results = names["call"](arguments)
        del results
    except Exception:  # a wrapper may hold anything; one that cannot be rehearsed can still run
        return None
    return Rehearsal([*ledger.allocations, *ledger.inside.values()], ledger.buffers)


def workspace(operator: Any, args: Sequence[Any]) -> int:
    """Bytes that an operator needs besides its operands and results, as far as that is known."""
    return _of_chunks(args[0]) if operator is IN_CHUNKS else 0


@functools.cache
def _of_chunks(region: str) -> int:
    rehearsals = [rehearse(source, inputs) for source, inputs in codes_of(region)]
    return max((one.peak for one in rehearsals if one is not None), default=0)


class _Kernel:
    """Stands for a compiled kernel."""

    def __call__(self, *_: Any, **__: Any) -> None:
        pass

    run = __call__


class _WithoutKernels(ast.NodeTransformer):
    """Leaves out what compiles kernels."""

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        if _names_compiler(node.value):
            node.value = ast.copy_location(ast.Name("tessera_kernel", ast.Load()), node.value)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if _names_compiler(node.value) else node


def _names_compiler(value: ast.expr) -> bool:
    match value:
        case ast.Call(ast.Attribute(ast.Name("async_compile"))):
            return True
    return False


def _without_kernels(source: str) -> ast.Module:
    tree: ast.Module = _WithoutKernels().visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


class _Ledger(torch_internals.DispatchMode):
    """Writes down when memory comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.allocations: list[Allocation] = []
        self.buffers: list[Allocation] = []
        self.inside: dict[Any, Allocation] = {}  # of operators that keep what they work in for the next time
        self.known: set[int] = set()
        self._moment = 0
        self._watched: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if inside := workspace(func, args):
            self.inside[func, args[0]] = Allocation(inside, 0)
        for tensor in torch_internals.tensors_in(result):
            self._note(tensor)
        return result

    def empty(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """What a wrapper allocates a buffer by."""
        made = torch.empty_strided(shape, strides, dtype=dtype)
        self.buffers.append(self.allocations[-1])
        return made

    def _note(self, tensor: torch.Tensor) -> None:
        identity = _identity(tensor)
        if identity in self.known:
            return
        storage = tensor.untyped_storage()
        self._moment += 1
        allocation = Allocation(storage.nbytes(), self._moment)
        self.allocations.append(allocation)
        self.known.add(identity)

        def freed(_: Any) -> None:
            self._moment += 1
            allocation.end = self._moment
            self.known.discard(identity)
            del self._watched[identity]

        self._watched[identity] = weakref.ref(storage, freed)


def _identity(tensor: torch.Tensor) -> int:
    return torch_internals.memory_of(tensor)


def _view(tensor: torch.Tensor, shape: Sequence[int], strides: Sequence[int], offset: int) -> torch.Tensor:
    return tensor.as_strided(shape, strides, tensor.storage_offset() + offset)


def _static(value: Any) -> Any:
    """A fake input of the sizes that it had when it was captured."""
    if not isinstance(value, torch.Tensor):
        return torch_internals.size_hint(value)
    shape, strides = ([torch_internals.size_hint(n) for n in numbers] for numbers in (value.shape, value.stride()))
    return torch.empty_strided(shape, strides, dtype=value.dtype, device=value.device)
