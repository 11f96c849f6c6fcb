"""Runs a function under `debug_mode` and keeps the value of every operation, with what it would be without rounding."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.debug.doubled import Doubled
from tessera.debug.mode import DebugMode
from tessera.debug.operation import Operation
from tessera.debug.place import Place
from tessera.debug.ranges import watchable


@dataclass(frozen=True)
class Step:
    """One operation with its values."""

    operation: Operation
    values: list[torch.Tensor]
    exact: list[torch.Tensor]


@dataclass(frozen=True)
class Run:
    """All operations of a run that compute something, in order, what it returned, and the gradients."""

    steps: list[Step]
    results: list[torch.Tensor]
    exact: list[torch.Tensor]


_MOVES = ("_to_copy", "clone", "copy", "copy_", "detach", "empty", "new_empty", "lift_fresh", "_local_scalar_dense")


def recorded(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    place: Callable[[], Place] | None = None,
) -> Run:
    """Run ``function``, and its backward where it has one, on copies; everything it changes is put back.

    The backward is that of the result if it is one number, else of its product with fixed random numbers.

    Args:
        place: where the operation that runs now comes from, if the stack does not know it.
    """
    doubled, steps = Doubled(), list[Step]()

    def keep(operation: Operation, results: Sequence[torch.Tensor]) -> None:
        numbers = watchable(results)
        if place is not None and operation.phase == "forward":
            operation.place = place()
        if numbers and operation.results and operation.name.removeprefix("aten.") not in _MOVES:
            exact = [doubled.of(t).clone() for t in numbers]
            steps.append(Step(operation, [t.detach().clone() for t in numbers], exact))

    with state_kept(function, args, kwargs):
        args, kwargs = torch_internals.on_leaves(copied, (tuple(args), kwargs))
        mode = DebugMode("ignore", "ignore", 0)
        with doubled, mode:
            mode.observers.append(keep)
            output = function(*args, **kwargs)
            results = torch_internals.tensors_in(output)
            leaves: list[torch.Tensor] = [p for module in _modules(function, args, kwargs) for p in module.parameters()]
            leaves += torch_internals.tensors_in([args, kwargs])
            results += _gradients(results, [t for t in leaves if t.requires_grad and t.is_leaf])
            kept = [r.detach().clone() for r in results]
            exact = [doubled.of(r.detach()).clone() for r in results]
    return Run(steps, kept, exact)


def _gradients(results: Sequence[torch.Tensor], leaves: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    ends = [r for r in watchable(results) if r.requires_grad]
    if not ends or not leaves:
        return []
    draw = torch.Generator().manual_seed(0)
    with torch_internals.outside_of_modes():
        tangents = [
            torch.ones_like(end)
            if end.numel() == 1
            else torch.randn(end.shape, generator=draw, dtype=torch.float64).to(end.device, end.dtype)
            for end in ends
        ]
    found = torch.autograd.grad(ends, list(leaves), tangents, allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


def copied(leaf: Any) -> Any:
    """A tensor of its own with the same values; anything else as it is."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    return leaf.detach().clone().requires_grad_(leaf.requires_grad)


@contextlib.contextmanager
def state_kept(function: Callable[..., Any], args: Any = (), kwargs: Any = None) -> Iterator[None]:
    """After the block the modules that ``function`` reaches or is given, and the random stream, are as before."""
    tensors = [t for module in _modules(function, args, kwargs) for t in (*module.parameters(), *module.buffers())]
    before = [(t, t.detach().clone()) for t in tensors]
    random = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(random)
        with torch.no_grad():
            for tensor, value in before:
                if not torch.equal(tensor, value):
                    tensor.copy_(value)


def _modules(function: Any, args: Any, kwargs: Any) -> list[torch.nn.Module]:
    given, _ = torch_internals.flattened([args, kwargs])
    return list(dict.fromkeys([*modules_of(function), *(v for v in given if isinstance(v, torch.nn.Module))]))


def modules_of(function: Any) -> list[torch.nn.Module]:
    """The modules that a function is, is bound to, encloses or names."""
    if isinstance(function, torch.nn.Module):
        return [function]
    if isinstance(function, functools.partial):
        return [m for value in (function.func, *function.args, *function.keywords.values()) for m in modules_of(value)]
    values = [getattr(function, "__self__", None), *variables_of(function)]
    # isinstance() would ask an object for its __class__, and one may note what it is asked for.
    return list(dict.fromkeys(value for value in values if issubclass(type(value), torch.nn.Module)))


def variables_of(function: Any) -> Iterator[Any]:
    """What a function encloses, and the globals that it names."""
    plain = inspect.unwrap(function) if callable(function) else function
    plain = getattr(plain, "__func__", plain)
    code = getattr(plain, "__code__", None)
    if code is not None:
        yield from map(_content, plain.__closure__ or ())
        yield from (plain.__globals__[name] for name in code.co_names if name in plain.__globals__)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty yet
        return None
