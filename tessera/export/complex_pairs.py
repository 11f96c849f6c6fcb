"""Complex numbers as pairs of real ones, for runtimes that have few complex operators or none.

The traced model is run with a pair of real tensors for each complex one, and that run is traced in its place:

    z * w   ->   (a * c - b * d, a * d + b * c)

What each operator becomes stands in ``complex_arithmetic``.
"""

from __future__ import annotations

import operator
from collections.abc import Container
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.fx.traceback import preserve_node_meta

from tessera import torch_internals
from tessera.errors import ExportError
from tessera.export.complex_arithmetic import FIRST, LINEAR, WRITTEN, Pair, UnknownToPairsError, on_both
from tessera.export.example import Example
from tessera.export.traced import traced


def has_complex(program: ExportedProgram) -> bool:
    """Whether a traced model computes with complex numbers."""
    return any(node.op == "call_function" and _is_complex(node) for node in program.graph.nodes)


def in_real_numbers(
    program: ExportedProgram, example: Example, *, but_for: Container[str] | None = None
) -> ExportedProgram:
    """``program`` without complex numbers; the same where it has none, keeps some, or has more than is known here.

    Args:
        but_for: operators that the runtime has, such as ``_fft_r2c``; they and those that are not known here are called
            with complex numbers then.
    """
    if has_complex(program) and not _changes_complex(program):
        with suppress(ExportError):
            return traced(InPairs(_in_parts(program), but_for), example)
    return program


def _changes_complex(program: ExportedProgram) -> bool:
    """Whether something complex that is given or held is written to: nobody would write a pair back to it."""
    held = {**program.state_dict, **program.constants}
    changed = [held.get(name) for name in program.graph_signature.buffers_to_mutate.values()]
    for node in program.graph.nodes:
        if torch_internals.is_operator(node.target) and torch_internals.writes(node.target):
            target = node.args[0]
            if isinstance(target, fx.Node) and target.op in ("placeholder", "get_attr"):
                changed.append(target.meta.get("val"))
    return any(isinstance(each, Tensor) and each.is_complex() for each in changed)


def _in_parts(program: ExportedProgram) -> ExportedProgram:
    """``program`` with its complex operators decomposed, as ``rfft`` and ``einsum`` are."""
    table = torch.export.default_decompositions()
    complex_ones = {node.target for node in program.graph.nodes if node.op == "call_function" and _is_complex(node)}
    return program.run_decompositions({each: table[each] for each in complex_ones if each in table})


def _is_complex(node: fx.Node) -> bool:
    values = [each.meta.get("val") for each in (node, *node.all_input_nodes)]
    return any(isinstance(value, Tensor) and value.is_complex() for value in values)


class InPairs(torch.nn.Module):
    """What a traced model computes, in real numbers.

    Raises:
        UnknownToPairsError: when called, where it has a complex operator that is not known here.
    """

    def __init__(self, program: ExportedProgram, but_for: Container[str] | None = None) -> None:
        super().__init__()
        self._but_for = but_for
        self.traced = torch_internals.unguarded_module(program)
        self._held: dict[str, Pair] = {}
        for name in {node.target for node in self.traced.graph.find_nodes(op="get_attr")}:
            value = operator.attrgetter(name)(self.traced)
            if isinstance(value, Tensor) and value.is_complex():
                parts = torch.view_as_real(value.detach().resolve_conj())
                for part in (0, 1):
                    self.register_buffer(f"{name.replace('.', '_')}_{part}", parts[..., part].clone())
                holder, _, last = name.rpartition(".")
                delattr(self.traced.get_submodule(holder), last)
                self._held[name] = Pair(*(f"{name.replace('.', '_')}_{part}" for part in (0, 1)))  # type: ignore[arg-type]

    def forward(self, *tensors: Tensor) -> Any:
        held = {name: Pair(*(getattr(self, part) for part in parts)) for name, parts in self._held.items()}  # type: ignore[call-overload]
        with preserve_node_meta():  # the user's lines
            return _Interpreter(self.traced, held, self._but_for).run(*tensors)


class _Interpreter(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, held: dict[str, Pair], but_for: Container[str] | None) -> None:
        super().__init__(module)
        self._held, self._but_for = held, but_for

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._held[target] if target in self._held else super().get_attr(target, args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not (_pairs_in((args, kwargs)) or _makes_complex(target, kwargs)):
            found = super().call_function(target, args, kwargs)
            if isinstance(found, Tensor) and found.is_complex():
                raise UnknownToPairsError(str(target))
            return found
        if target is operator.getitem:
            return args[0][args[1]]
        name = str(target).removeprefix("aten.").split(".")[0]
        if self._but_for is not None and name in self._but_for:
            return self._whole(target, args, kwargs)
        for known in (WRITTEN.get(name), on_both(target) if name in LINEAR else None):
            if known is not None:
                return known(*args, **kwargs)
        if self._but_for is None:
            raise UnknownToPairsError(name)
        return self._whole(target, args, kwargs)

    def _whole(self, target: Any, args: Any, kwargs: Any) -> Any:
        """An operator that the runtime has, of complex numbers."""
        return _apart(super().call_function(target, *_joined((args, kwargs))))

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        if _pairs_in(args):
            if self._but_for is None:
                raise UnknownToPairsError("a complex answer")
            args = _joined(args)
        return super().output(target, args, kwargs)


def _joined(values: Any) -> Any:
    """With a complex tensor in the place of each pair."""
    if isinstance(values, Pair):
        return torch.complex(values.real, values.imaginary)
    if isinstance(values, dict):
        return {key: _joined(value) for key, value in values.items()}
    return type(values)(map(_joined, values)) if isinstance(values, (tuple, list)) else values


def _apart(value: Any) -> Any:
    """With a pair in the place of each complex tensor."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_apart, value))
    if isinstance(value, Tensor) and value.is_complex():
        return Pair(value.real, value.imag)
    return value


def _pairs_in(values: Any) -> bool:
    if isinstance(values, (Pair, complex)):
        return True
    if isinstance(values, dict):
        return any(map(_pairs_in, values.values()))
    return isinstance(values, (tuple, list)) and any(map(_pairs_in, values))


def _makes_complex(target: Any, kwargs: Any) -> bool:
    dtype = kwargs.get("dtype")
    named = str(target).removeprefix("aten.").split(".")[0]
    return named in FIRST or (isinstance(dtype, torch.dtype) and dtype.is_complex)
