"""A Program captured on the CPU becomes the Program of a GPU.

    before   full([4], 1.0, device=cpu);  out, lse = flash_attention_for_cpu(q, k, v)
    after    full([4], 1.0, device=cuda); out, lse, ... = efficient_attention(q, k, v)

Every node is computed anew on fake tensors of the device, so shapes, strides and dtypes are what they would be there.
Hyper-parameters stay on the CPU, as they do beside a real GPU: kernels take them as numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.loops.loop import LOOP
from tessera.backend.targets.attention import ATTENTION, Attention
from tessera.backend.targets.lowering import check_lowering
from tessera.errors import ExportError
from tessera.program import Program, Role, Value
from tessera.program.provenance import describe, source_line


def retarget(program: Program, device: torch.device) -> Program:
    """``program`` for ``device``: a new graph, whose nodes carry fake tensors that live there.

    A constant tensor of more than one element becomes an input, for it has to lie in the device's memory.

    Raises:
        ExportError: an operator has no implementation for the device; it is named, with the user's line.
    """
    return _Retargeting(program, device).result


class _Retargeting:
    def __init__(self, program: Program, device: torch.device) -> None:
        self._device, self._old = device, program
        self._fake_mode = torch_internals.new_fake_mode()
        self._graph = fx.Graph()
        self._nodes: dict[fx.Node, Any] = {}
        self._inputs: list[Value] = []
        self._attention = Attention(self._add)
        values = iter(program.inputs)
        for node in program.placeholders:
            self._placeholder(node, next(values))
        for node in program.graph.find_nodes(op="get_attr"):
            if self._constant(node).dim() > 0:
                self._placeholder(node, Value(node.name, Role.BUFFER))
        for node in program.graph.nodes:
            if node not in self._nodes and node.op != "output":
                self._current = node
                self._nodes[node] = self._translated(node)
        (returned,) = program.graph.output_node().args
        self._graph.output(self._mapped(returned))
        module = fx.GraphModule(program.graph_module, self._graph)
        self.result = Program(program.name, module, self._inputs, list(program.outputs), program.precision)

    def _constant(self, node: fx.Node) -> torch.Tensor:
        return self._old.graph_module.get_buffer(str(node.target))

    def _placeholder(self, node: fx.Node, value: Value) -> None:
        example = self._constant(node) if node.op == "get_attr" else node.meta["val"]
        stays = value.role is Role.HYPER_PARAMETER and example.dim() == 0
        with self._fake_mode:
            fake = torch.empty_strided(
                example.shape, example.stride(), dtype=example.dtype, device="cpu" if stays else self._device
            )
        new = self._graph.placeholder(node.name)
        new.meta = {key: value for key, value in node.meta.items() if key != "val"} | {"val": fake}
        self._nodes[node] = new
        self._inputs.append(value)

    def _translated(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            new = self._graph.get_attr(str(node.target))
            new.meta = dict(node.meta) | {"val": torch_internals.fake_copy(self._fake_mode, self._constant(node))}
            return new
        args, kwargs = self._mapped(node.args), self._mapped(node.kwargs)
        if make := ATTENTION.get(node.target):
            return make(self._attention, *args, **kwargs)
        if torch_internals.is_operator(node.target):
            if node.target is not LOOP:  # its turn is a Program of its own
                check_lowering(node)
            if torch_internals.takes_device(node.target) and not node.all_input_nodes:
                kwargs = dict(kwargs) | {"device": self._device}  # it makes a tensor of none, as ``full`` does
        elif isinstance(args[0], tuple | list):  # a result that stands in the place of several
            return args[0][args[1]]
        return self._add(node.target, *args, **kwargs)

    def _add(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """A node of the new graph, with the provenance of the one that is translated."""
        new = self._graph.call_function(target, args, kwargs)
        values = fx.node.map_arg((args, kwargs), lambda node: node.meta["val"])
        try:
            with self._fake_mode:
                result = target(*values[0], **values[1])
        except Exception as error:
            raise ExportError(
                f"{describe(self._current)} cannot be computed on {self._device.type}: {error}.",
                "Every operation of what is emitted has to take tensors of the device.",
                "Write it with other operations.",
                source_line(self._current),
            ) from error
        new.meta = {key: value for key, value in self._current.meta.items() if key != "val"} | {"val": result}
        return new

    def _mapped(self, value: Any) -> Any:
        return fx.node.map_aggregate(value, self._leaf)

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self._nodes[value]
        return self._device if isinstance(value, torch.device) else value
