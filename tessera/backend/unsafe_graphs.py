"""What a captured graph may hold that compilation would get wrong in silence."""

from __future__ import annotations

import functools
import inspect
import math
import operator
import types
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.program.in_place import is_in_place

RECURRENT_DROPOUT = "torch cannot trace the dropout between the layers of an LSTM, GRU or RNN"
MULTILABEL_MARGIN = "torch traces multilabel_margin_loss wrongly where a sample has fewer labels than classes"
DOUBLE_ATTENTION = "torch compiles attention in float64 on a CPU wrongly, up to 2.12"
OVERLAPPING = "an input that is written to has several elements in one place of memory"
INFERENCE_TENSOR = "an inference tensor is given outside of inference mode"
TOO_LARGE = "PyTorch refuses {} for a tensor of {}, which a kernel takes for infinity"
PAST_AUTOGRAD = "a tensor is written to through .data, which autograd does not see"
OTHER_BITS = (
    "a tensor is written to that is looked at as another dtype, of which a kernel may read what is written later"
)
SHARED_MEMORY = "inputs share memory and one of them is written to"


def why_unsafe(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> str:
    """The reason to run a graph from Dynamo as it is, or an empty string."""
    return (
        traced_wrongly(graph_module) or refused_by_autograd(graph_module, inputs) or written_twice(graph_module, inputs)
    )


def refused_by_autograd(graph_module: fx.GraphModule, inputs: Sequence[Any], *, tracked: bool = True) -> str:
    """The reason why autograd would see more of a graph, or less, once it is compiled, or an empty string.

    Args:
        tracked: whether autograd keeps what is computed, where it is on; a whole step has its backward in the graph.
    """
    writes, outside = writes_in_place(graph_module), not torch.is_inference_mode_enabled()
    given = [isinstance(t, torch.Tensor) and t.is_inference() for t in inputs]
    if outside and any(given) and ((tracked and torch.is_grad_enabled()) or _writes_to(graph_module, given)):
        return INFERENCE_TENSOR
    if (writes and torch_internals.data_of_tensors(graph_module)) or torch_internals.replaces_data(graph_module):
        return PAST_AUTOGRAD
    return ""


def _writes_to(graph_module: fx.GraphModule, those: Sequence[bool]) -> bool:
    """Whether a captured graph writes to one of those inputs, as far as it is known where a value lies."""
    inputs = graph_module.graph.find_nodes(op="placeholder")
    named = {memory_of_node(node) for node, is_one in zip(inputs, those, strict=True) if is_one}
    written = {memory_of_node(node) for each in graph_module.graph.nodes for node in written_nodes(each)}
    return bool(written & named) or 0 in written


def memory_of_node(node: Any) -> int:
    """A number that two nodes of a captured graph share if one is a view of the other; 0 where that is not known."""
    value = node.meta.get("example_value") if isinstance(node, fx.Node) else None
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
        return 0
    return torch_internals.memory_of(value)


def written_twice(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> str:
    """The reason why a write to one input may be one to another, or to another place of it, or an empty string."""
    if not writes_in_place(graph_module):
        return ""
    if shares_memory(inputs):
        # AOTAutograd would compile for inputs that overlap just so, and nothing guards that the next ones do.
        return SHARED_MEMORY
    return OVERLAPPING if any(overlaps_itself(t) for t in inputs if isinstance(t, torch.Tensor)) else ""


def _writes_to_other_bits(graph_module: fx.GraphModule) -> bool:
    """Whether a tensor is written to that ``view(dtype)`` was taken of, as far as it is known where a value lies.

    Inductor does not see that such a view lies in the memory that is written (2.11 to 2.13).
    """
    nodes = graph_module.graph.nodes
    views = [
        n
        for n in nodes
        if n.target == "view" and any(isinstance(a, torch.dtype) for a in (*n.args, *n.kwargs.values()))
    ]
    written = {memory_of_node(node) for each in nodes for node in written_nodes(each)} if views else set()
    return 0 in written or any(memory_of_node(view) in written for view in views)


def overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether two indices may be one place in memory; of symbolic sizes, as far as that is plain."""
    if tensor.layout is not torch.strided:
        return False
    known = list(zip(tensor.stride(), tensor.shape, strict=True))
    if any(isinstance(number, torch.SymInt) for both in known for number in both):  # which a comparison would guard
        return any(isinstance(s, int) and s == 0 and not (isinstance(n, int) and n <= 1) for s, n in known)
    reach = 0
    for stride, size in sorted(known):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def traced_wrongly(graph_module: fx.GraphModule) -> str:
    """The reason why tracing would make something else of a captured graph, or an empty string."""
    if _loses_recurrent_dropout(graph_module):
        return RECURRENT_DROPOUT
    if _has_double_attention(graph_module) and not torch_internals.traces_double_attention():
        return DOUBLE_ATTENTION
    if _writes_to_other_bits(graph_module):
        return OTHER_BITS
    if found := next(_numbers_too_large(graph_module), None):
        return TOO_LARGE.format(*found)
    # Its decomposition adds the padding behind a sample's labels to the loss (seen in 2.11 to 2.13).
    called = {getattr(node.target, "__name__", "") for node in graph_module.graph.nodes}
    return MULTILABEL_MARGIN if "multilabel_margin_loss" in called else ""


def largest_float(graph_module: fx.GraphModule) -> float:
    """The largest Python float that may be given in place of those that a graph from Dynamo takes."""
    of_symbols = (dtype for node, dtype in _holders(graph_module) if any(map(_is_symbol, node.all_input_nodes)))
    return min(torch.finfo(dtype).max for dtype in (*of_symbols, torch.float32))


def _numbers_too_large(graph_module: fx.GraphModule) -> Iterator[tuple[float, torch.dtype]]:
    for node, dtype in _holders(graph_module):
        for value in (*node.args, *node.kwargs.values()):
            if isinstance(value, float) and math.isfinite(value) and abs(value) > torch.finfo(dtype).max:
                yield value, dtype


def _holders(graph_module: fx.GraphModule) -> Iterator[tuple[fx.Node, torch.dtype]]:
    """The nodes whose numbers PyTorch has to hold in the dtype of a tensor; plain arithmetic is done in float32."""
    for node in graph_module.graph.nodes:
        dtypes = {dtype for each in node.all_input_nodes if (dtype := _floating_dtype(each)) is not None}
        if dtypes and not (dtypes == {torch.float16} and node.target in _ARITHMETIC):
            yield node, min(dtypes, key=lambda dtype: torch.finfo(dtype).max)


_ARITHMETIC = (
    *(getattr(operator, prefix + name) for name in ("add", "sub", "mul", "truediv") for prefix in ("", "i")),
    *(operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne),
)


def _is_symbol(node: fx.Node) -> bool:
    return isinstance(node.meta.get("example_value"), torch.SymFloat)


def _floating_dtype(node: fx.Node) -> torch.dtype | None:
    value = node.meta.get("example_value")
    return value.dtype if isinstance(value, torch.Tensor) and value.dtype in _FLOATING else None


_FLOATING = (torch.float16, torch.bfloat16, torch.float32)  # what a float of Python may be too large for


def _loses_recurrent_dropout(graph_module: fx.GraphModule) -> bool:
    """Whether tracing would drop the dropout between the layers of an LSTM, GRU or RNN.

    torch's decompositions of recurrent layers test ``num_layers < i - 1``, which never holds (seen in 2.11 to 2.13).
    """
    for node in graph_module.graph.nodes:
        if node.target in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu):
            weights = max(i for i, argument in enumerate(node.args) if isinstance(argument, list | tuple))
            # has_biases, num_layers, dropout, train, bidirectional[, batch_first]; numbers may be symbols
            _, layers, dropout, training, *_ = node.args[weights + 1 :]
            if training and layers != 1 and dropout != 0:
                return True
    return False


def _has_double_attention(graph_module: fx.GraphModule) -> bool:
    for node in graph_module.graph.nodes:
        if node.target is torch.nn.functional.scaled_dot_product_attention:
            value = node.meta.get("example_value")
            if isinstance(value, torch.Tensor) and value.dtype is torch.float64 and value.device.type == "cpu":
                return True
    return False


def shares_memory(inputs: Sequence[Any]) -> bool:
    """Whether two of the tensors lie in the same storage."""
    storages = [
        t.untyped_storage().data_ptr() for t in inputs if isinstance(t, torch.Tensor) and t.layout is torch.strided
    ]
    return len(set(storages)) < len(storages)


def writes_in_place(graph_module: fx.GraphModule) -> bool:
    """Whether a captured graph holds an in-place operation (``add_``, ``__iadd__``, ``out=``)."""
    return any(map(written_nodes, graph_module.graph.nodes))


def written_nodes(node: fx.Node) -> list[Any]:
    """What an in-place operation of a captured graph writes to; empty where ``node`` is none."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if node.op not in ("call_function", "call_method"):
        return []
    if is_in_place(name) or _asks_to_be_in_place(node):
        return [node.args[0] if node.args else node.kwargs.get("input")]
    return [node.kwargs["out"]] if "out" in node.kwargs else []


def _asks_to_be_in_place(node: fx.Node) -> bool:
    """Whether it is a functional layer such as ``F.relu(x, inplace=True)``."""
    if node.kwargs.get("inplace") is True:
        return True
    at = _position_of_inplace(node.target) if node.op == "call_function" else None
    return at is not None and at < len(node.args) and node.args[at] is True


@functools.lru_cache(1000)
def _position_of_inplace(function: Any) -> int | None:
    if not isinstance(function, types.FunctionType):
        return None
    names = list(inspect.signature(function).parameters)
    return names.index("inplace") if "inplace" in names else None
