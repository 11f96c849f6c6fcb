"""Sees every operation that runs in the block, notes it, and finds where a value that is not finite is born."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tessera import torch_internals
from tessera.debug.born import birth
from tessera.debug.operation import Operation
from tessera.debug.place import Here, here
from tessera.debug.ranges import range_of, watchable

if TYPE_CHECKING:
    from tessera.debug.mode import DebugMode

_SAME = ("detach", "alias")  # the same tensor again: autograd makes many for itself
_UNREAD = ("empty", "new_empty", "_local_scalar_dense")  # memory that holds anything; a number that is read


class Watching(torch_internals.DispatchMode):
    """While it is entered, every operation of this thread goes through it; what torch.compile made runs eagerly."""

    def __init__(self, mode: DebugMode) -> None:
        super().__init__()
        self._mode = mode

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        mode = self._mode
        if mode.is_covered or torch.compiler.is_compiling() or torch_internals.fake_mode_of([args, kwargs]):
            return operator(*args, **kwargs)
        node = torch_internals.backward_node()
        spot = here(in_backward=node is not None)
        if spot.aside:
            return operator(*args, **kwargs)
        if spot.optimizer is not None:
            mode.health.steps(spot.optimizer)
        else:
            mode.health.rests()
        call = Call(operator, args, kwargs)
        began = time.perf_counter()
        computes = mode.computes if node is None else mode.backward.computed(node)
        if computes is None:
            result = operator(*args, **kwargs)
        else:
            place = spot.place if node is None else mode.backward.place(node) or spot.place
            result = computes(operator, args, kwargs, place.layer)
        self._note(call, result, node, spot, time.perf_counter() - began)
        return result

    def _note(self, call: Call, result: Any, node: Any, spot: Here, seconds: float) -> None:
        mode, operator = self._mode, call.operator
        results = [*torch_internals.tensors_in(result)]
        known = {id(tensor) for tensor in results}
        results += [tensor for tensor in call.written if id(tensor) not in known]
        in_node = node is not None and not (spot.again or spot.own)
        place = mode.backward.place(node) or spot.place if in_node else spot.place
        phase = "backward" if in_node else "forward" if spot.again else spot.phase
        mode.backward.forward(place, mode.computes if node is None else None)
        for tensor in call.tensors:
            if tensor.grad_fn is not None:
                mode.backward.follow(tensor.grad_fn)
        if node is not None:
            mode.backward.follow(node, runs=True)
        name = operator.overloadpacket.__name__
        if not results or name in _SAME:
            return
        only_looks = torch_internals.is_view(operator) and not call.written
        ranges = () if only_looks or name.startswith(_UNREAD) else tuple(map(range_of, results))
        number = mode.trace.next_number()
        parents = tuple(sorted({mode.origins.number(tensor) for tensor in call.tensors} - {0}))
        operation = Operation(number, f"aten.{name}", place, phase, parents, ranges, seconds)
        mode.trace.add(operation)
        if spot.model is not None:
            mode.models.add(spot.model)
        if phase == "forward" and mode.looks_for_births:
            mode.indices.follow(operation, call.tensors, mode.origins.number, mode.tell)
        for tensor in results:
            if id(tensor) in call.written_ids:
                mode.origins.wrote(tensor, number)
            else:
                mode.origins.made(tensor, number)
        for observe in mode.observers:
            with torch_internals.outside_of_modes():
                observe(operation, results)
        if any(not found.finite for found in ranges) and mode.looks_for_births:
            found = birth(operator, call.before(), results, call.again if not call.written else None)
            if found is not None:
                mode.born(found, operation, call, results, node if in_node else None, spot)


class Call:
    """One operator with its arguments, as they were before it ran.

    Attributes:
        tensors: among the arguments.
        written: those that it writes.
    """

    def __init__(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.operator, self.args, self.kwargs = operator, args, kwargs
        self.tensors = torch_internals.tensors_in([args, kwargs])
        self.written = torch_internals.tensors_in(torch_internals.written_arguments(operator, args, kwargs))
        self.written_ids = {id(tensor) for tensor in self.written}
        self._copies: dict[int, torch.Tensor] = {}
        if self._reads_them():
            with torch_internals.outside_of_modes():
                self._copies = {id(t): t.detach().clone() for t in watchable(self.written)}

    def _reads_them(self) -> bool:
        return bool(self.written) and not self.operator.overloadpacket.__name__.startswith(_UNREAD)

    def before(self) -> list[Any]:
        """Tensors and numbers among the arguments, as they were."""
        leaves, _ = torch_internals.flattened([self.args, self.kwargs])
        return [self.copy(v) if isinstance(v, torch.Tensor) else v for v in leaves]

    def numbers(self) -> list[Any]:
        """What is no tensor among the arguments."""
        leaves, _ = torch_internals.flattened([self.args, self.kwargs])
        return [value for value in leaves if not isinstance(value, torch.Tensor)]

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """``tensor`` as it was before."""
        return self._copies.get(id(tensor), tensor)

    def named(self) -> list[tuple[str, torch.Tensor]]:
        """The tensors by the operator's names for them."""
        return torch_internals.named_tensors(self.operator, self.args, self.kwargs)

    def again(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Sequence[torch.Tensor]:
        """The results for changed tensors."""
        leaves, nested = torch_internals.flattened([self.args, self.kwargs])
        args, kwargs = nested([change(v) if isinstance(v, torch.Tensor) else v for v in leaves])
        return torch_internals.tensors_in(self.operator(*args, **kwargs))
