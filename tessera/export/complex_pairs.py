"""Complex numbers as pairs of real ones, for runtimes that have few complex operators or none.

The traced model is run with a pair of real tensors for each complex one, and that run is traced in its place:

    z * w   ->   (a * c - b * d, a * d + b * c)

What each operator becomes stands in ``complex_arithmetic``.
"""

from __future__ import annotations

import operator
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


def in_real_numbers(program: ExportedProgram, example: Example) -> ExportedProgram:
    """``program`` without complex numbers; the same where it has none, or has more than is known here."""
    if has_complex(program):
        with suppress(ExportError):
            return traced(InPairs(_in_parts(program)), example)
    return program


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

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
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
            return _Interpreter(self.traced, held).run(*tensors)


class _Interpreter(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, held: dict[str, Pair]) -> None:
        super().__init__(module)
        self._held = held

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
        for known in (WRITTEN.get(name), on_both(target) if name in LINEAR else None):
            if known is not None:
                return known(*args, **kwargs)
        raise UnknownToPairsError(name)

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        if _pairs_in(args):
            raise UnknownToPairsError("a complex answer")
        return super().output(target, args, kwargs)


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
