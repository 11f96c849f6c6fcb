"""``verify="shadow"``: calls that are computed twice, compiled and by Python, from the same state.

The compiled Programs check themselves (`backend/checked.py`), against the graph as it was captured. What is here checks
the capture: that the graph is what the Python does. It runs the Python again, so only where that does nothing but
compute with tensors; elsewhere the check of the Programs is all there is.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.checked import Verification
from tessera.backend.evaluation import moved_inputs
from tessera.capture.dispatch import Dispatch, only_captured
from tessera.debug.closeness import Difference, difference
from tessera.debug.diff import Comparison, compared
from tessera.debug.doubled import Doubled
from tessera.debug.operation import Operation
from tessera.debug.place import Place
from tessera.debug.recording import Run, copied, modules_of, recorded, state_kept, variables_of
from tessera.debug.shadow import Schedule, Shadow
from tessera.program import Mismatch, Precision, Report, layer_path, source_line


class ShadowedCalls:
    """The verified calls of one compiled function.

    Args:
        function: what was compiled.
        around: what plain Python runs in.
        run: calls the compiled code, and asks ``due()`` first.
        is_pure: whether the Python behind the latest call does nothing but compute with tensors.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        run: Callable[..., Any],
        is_pure: Callable[..., bool],
        shadow: Shadow,
        report: Report,
        precision: Precision,
        around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self._around = around
        self._function, self._run, self._is_pure = function, run, is_pure
        self._schedule = Schedule(shadow)
        self._verification = Verification(shadow, report, (), precision)
        self._verifies = self._failed = False

    def due(self) -> bool:
        """Whether the call that is made is to be verified."""
        return not self._verifies and (self._failed or self._schedule.due())

    def verified(self, *args: Any, **kwargs: Any) -> Any:
        """Call the compiled code and the Python, compare both, and return what Python computes.

        After a disagreement Python alone is called.
        """
        if self._failed:
            with self._around():
                return self._function(*args, **kwargs)
        self._verifies = True
        try:
            return self._verified(args, kwargs)
        finally:
            self._verifies = False

    def _verified(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        known = len(self._verification.report.mismatches)
        given = torch_internals.tensors_in([args, kwargs])
        kept = Kept([*given, *_tensors_of(self._function)])
        outcome = self._run(*args, **kwargs)
        if not self._is_pure(*args, **kwargs) or was_stabilised(self._verification.report):
            return outcome
        compiled = [*_differentiated(outcome, kept.tensors, keep=False), *kept.written()]
        kept.restore()
        with self._around():
            return self._compared(compiled, kept, known, args, kwargs)

    def _compared(self, compiled: list[Any], kept: Kept, known: int, args: Any, kwargs: Any) -> Any:
        result = self._function(*args, **kwargs)
        written = kept.written()
        plain = [*_differentiated(result, kept.tensors, keep=True), *written]
        if len(self._verification.report.mismatches) > known:  # the check of a Program was faster
            self._failed = True
        elif not agree(plain, compiled):
            self._judge(plain, compiled, kept, args, kwargs)
            kept.restore()
            result = self._function(*args, **kwargs)  # what was put back has spoilt the graph of the first one
        return result

    def _judge(self, plain: list[Any], compiled: list[Any], kept: Kept, args: Any, kwargs: Any) -> None:
        """Whether rounding explains it, by double precision and inputs that move; if not, where it begins."""

        def anew(args: Any, kwargs: Any) -> list[Any]:
            kept.restore()
            outcome = self._function(*args, **kwargs)
            return [*_differentiated(outcome, kept.tensors, keep=False), *kept.written()]

        doubled = Doubled()
        with doubled:
            outcome = anew(args, kwargs)
            exact = [doubled.of(value).clone() for value in outcome]
        leaves, nested = torch_internals.flattened([args, kwargs])
        moved = anew(*nested(moved_inputs(leaves)))
        kept.restore()
        found = worst(plain, compiled, exact, moved, self._verification.eps)
        if found is not None:
            self._failed = True
            self._verification.disagree(self._mismatch(found, args, kwargs))

    def _mismatch(self, found: Difference, args: Any, kwargs: Any) -> Mismatch:
        name = self._verification.report.subject
        said = f"{found} where rounding explains {found.allowed:.3g}; the capture makes it so"
        parted = parting(self._function, args, kwargs)
        if parted is None or parted.first is None:
            return Mismatch(name, name, said)
        operation = parted.first
        return Mismatch(name, operation.name, f"{operation.place.expression}: {said}", operation.place.where)


def was_stabilised(report: Report) -> bool:
    """Whether compiled code is meant to differ from the Python: an expression was made stable, as the Report says.

    The code is compared with its Program then, and no longer with the Python, which may give NaN.
    """
    return any(note.startswith("stabilised") for compilation in report.compilations for note in compilation.notes)


def compiled_difference(
    eager: Callable[..., Any],
    function: Callable[..., Any],
    compiled: Callable[..., Any],
    report: Report,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Comparison:
    """The first operation of ``compiled``, made of ``function`` and verified by itself, that differs from ``eager``."""
    run = recorded(eager, args, kwargs)
    found = compared(run, recorded(function, args, kwargs))
    if found:
        return found
    with state_kept(function, args, kwargs), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        args, kwargs = torch_internals.on_leaves(copied, (args, kwargs))
        compiled(*args, **kwargs)
    for mismatch in report.mismatches:
        place = Place(mismatch.where, expression=mismatch.where.code if mismatch.where else "")
        return Comparison(
            Operation(0, mismatch.node, place, "forward", (), (), 0.0), None, None, mismatch.said, len(run.steps), ()
        )
    return found


def parting(function: Callable[..., Any], args: Any, kwargs: Any) -> Comparison | None:
    """Where the Python of ``function`` and the graphs that are captured of it part; None where none can be captured."""
    graphs: list[tuple[Any, list[Any]]] = []

    def backend(graph_module: Any, _: Sequence[Any]) -> Callable[..., Any]:
        def call(*inputs: Any) -> Any:
            graphs.append((graph_module, list(inputs)))
            return graph_module.forward(*inputs)

        return call

    plain = recorded(function, args, kwargs)
    try:
        with state_kept(function, args, kwargs):
            Dispatch(_call, _bind, backend, whole=False)(function, args, kwargs)
        runs = [_recorded(graph_module, inputs) for graph_module, inputs in graphs]
    except Exception:  # what cannot be captured once more has no counterpart
        return None
    steps = [step for run in runs for step in run.steps]
    return compared(plain, Run(steps, runs[-1].results, runs[-1].exact)) if runs else None


def _recorded(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> Run:
    interpreter = _Interpreter(graph_module)
    return recorded(interpreter.run, inputs, {}, interpreter.place)


class _Interpreter(fx.Interpreter):
    """Runs a captured graph and knows which node runs."""

    _node: fx.Node | None = None

    def run_node(self, n: fx.Node) -> Any:
        self._node = n
        return super().run_node(n)

    def place(self) -> Place:
        """Where the user wrote what runs."""
        if self._node is None:
            return Place(None)
        where = source_line(self._node)
        return Place(where, expression=where.code if where else "", layer=layer_path(self._node))


def _call(function: Any, args: Any, kwargs: Any) -> Any:
    only_captured()
    return function(*args, **kwargs)


def _bind(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return locals()


class Kept:
    """Tensors that a call may write to, and the random stream, as they were before it."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.tensors = list({id(tensor): tensor for tensor in tensors}.values())
        self._before = self.now()

    def now(self) -> tuple[list[torch.Tensor], torch.Tensor]:
        """What they hold, and the stream."""
        return [tensor.detach().clone() for tensor in self.tensors], torch.get_rng_state()

    def written(self) -> list[torch.Tensor]:
        """What those hold that were written."""
        return [t.detach().clone() for t, _ in self._changed(self._before[0])]

    def restore(self) -> None:
        """Make all as before."""
        self.put(self._before)

    @torch.no_grad()
    def put(self, values: tuple[list[torch.Tensor], torch.Tensor]) -> None:
        """Make all as ``now()`` once said."""
        for tensor, value in self._changed(values[0]):
            tensor.detach().copy_(value)
        torch.set_rng_state(values[1])

    def _changed(self, values: Sequence[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(t, v) for t, v in zip(self.tensors, values, strict=True) if not _same(t, v)]


def _same(tensor: torch.Tensor, value: torch.Tensor) -> bool:
    tensor = tensor.detach()
    if tensor.shape != value.shape:
        return False
    return torch.equal(tensor, value) or bool(((tensor == value) | (torch.isnan(tensor) & torch.isnan(value))).all())


def _tensors_of(function: Any) -> list[torch.Tensor]:
    modules = modules_of(function)
    own = [t for module in modules for t in (*module.parameters(), *module.buffers())]
    return own + torch_internals.tensors_in(list(variables_of(function)))


def _differentiated(outcome: Any, tensors: Sequence[torch.Tensor], *, keep: bool) -> list[torch.Tensor]:
    """The tensors in a result, and the gradients of their product with fixed random numbers, where there are any."""
    results = torch_internals.tensors_in(outcome)
    ends = [r for r in results if r.requires_grad and r.grad_fn is not None]
    leaves = [t for t in tensors if t.requires_grad and t.is_leaf]
    values = [r.detach().clone() for r in results]
    if not ends or not leaves or torch_internals.have_gradient_hooks(leaves):
        return values
    draw = torch.Generator().manual_seed(0)
    tangents = [torch.randn(e.shape, generator=draw, dtype=torch.float64).to(e.device, e.dtype) for e in ends]
    gradients = torch.autograd.grad(ends, leaves, tangents, retain_graph=keep, allow_unused=True)
    return values + [g.detach() for g in gradients if g is not None]


def agree(plain: Sequence[torch.Tensor], compiled: Sequence[torch.Tensor]) -> bool:
    """Whether they are the same within a few roundings: then nothing more is asked."""
    return len(plain) == len(compiled) and all(
        difference(value, other, value).is_explained for value, other in zip(plain, compiled, strict=True)
    )


def worst(
    plain: Sequence[Any], compiled: Sequence[Any], exact: Sequence[Any], moved: Sequence[Any], precision: float
) -> Difference | None:
    """The difference that rounding explains least; None where it explains all."""
    if not len(plain) == len(compiled) == len(exact):
        return Difference(float("inf"), 0.0, 0.0)
    spreads = [0.0] * len(plain)
    if len(moved) == len(plain):
        spreads = [_spread(value, other) for value, other in zip(plain, moved, strict=True)]
    four = zip(plain, compiled, exact, spreads, strict=True)
    found = [difference(value, other, true, precision, spread) for value, other, true, spread in four]
    return max((f for f in found if not f.is_explained), key=lambda each: each.off - each.allowed, default=None)


def _spread(value: torch.Tensor, moved: torch.Tensor) -> float:
    if value.shape != moved.shape or not value.is_floating_point():
        return 0.0
    change = (value.double() - moved.double()).abs()
    change = change[torch.isfinite(change)]
    return float(change.max()) if change.numel() else 0.0
