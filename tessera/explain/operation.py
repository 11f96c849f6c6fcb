"""Which operation a frame was at, and what it was given by which name."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.explain.reading import BINARY, UNKNOWN, Method, Reader, attribute, is_torch_function, without_data
from tessera.explain.stops import Stop

# Torch's functions in C have no signature that Python can ask for: names of their parameters, as its manual has them.
_PARAMETERS = {
    "add sub mul div true_divide floor_divide remainder fmod pow eq ne lt le gt ge maximum minimum fmax fmin atan2 "
    "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor hypot logaddexp matmul dist isclose "
    "subtract multiply divide copysign nextafter heaviside floordiv mod and_ or_ xor truediv": "input other",
    "add_ sub_ mul_ div_ copy_ pow_ eq_ lt_ gt_ remainder_ iadd isub imul itruediv imatmul ipow": "input other",
    "mm bmm": "input mat2",
    "mv": "input vec",
    "outer ger": "input vec2",
    "dot vdot": "input tensor",
    "inner kron": "input other",
    "addmm": "input mat1 mat2",
    "baddbmm": "input batch1 batch2",
    "addmv": "input mat vec",
    "addcmul addcdiv": "input tensor1 tensor2",
    "lerp": "input end weight",
    "where": "condition input other",
    "linear": "input weight bias",
    "bilinear": "input1 input2 weight bias",
    "cat concat concatenate stack": "tensors dim",
    "hstack vstack dstack column_stack": "tensors",
    "reshape": "input shape",
    "permute": "input dims",
    "transpose swapaxes": "input dim0 dim1",
    "squeeze unsqueeze chunk unbind softmax log_softmax sum mean prod amax amin cumsum cumprod argmax argmin "
    "logsumexp sort argsort flip all any max min median std var norm": "input dim",
    "flatten": "input start_dim end_dim",
    "unflatten": "input dim sizes",
    "movedim": "input source destination",
    "gather": "input dim index",
    "index_select": "input dim index",
    "take take_along_dim": "input indices dim",
    "masked_select": "input mask",
    "masked_fill masked_fill_": "input mask value",
    "scatter scatter_ scatter_add scatter_add_": "input dim index src",
    "index_add index_add_ index_copy index_copy_": "input dim index source",
    "select": "input dim index",
    "narrow": "input dim start length",
    "roll": "input shifts dims",
    "topk": "input k dim",
    "embedding": "weight input",
    "one_hot": "input num_classes",
    "conv1d conv2d conv3d": "input weight bias stride padding dilation groups",
    "conv_transpose1d conv_transpose2d conv_transpose3d": (
        "input weight bias stride padding output_padding groups dilation"
    ),
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d": "input kernel_size stride padding",
    "layer_norm": "input normalized_shape weight bias eps",
    "rms_norm": "input normalized_shape weight eps",
    "batch_norm": "input weight bias running_mean running_var training",
    "group_norm": "input num_groups weight bias eps",
    "scaled_dot_product_attention": "query key value attn_mask",
    "cross_entropy_loss": "input target weight reduction ignore_index label_smoothing",
    "nll_loss nll_loss_nd nll_loss2d": "input target weight reduction ignore_index",
    "mse_loss l1_loss huber_loss smooth_l1_loss kl_div": "input target",
    "binary_cross_entropy": "input target weight",
    "binary_cross_entropy_with_logits": "input target weight pos_weight",
    "einsum": "equation",
}
PARAMETERS = {name: words.split() for names, words in _PARAMETERS.items() for name in names.split()}
_INPLACE = {
    ast.Add: "iadd",
    ast.Sub: "isub",
    ast.Mult: "imul",
    ast.Div: "itruediv",
    ast.MatMult: "imatmul",
    ast.Pow: "ipow",
}
# What takes its sizes one by one or as one list: the name of the list.
_SIZES = {"view": "shape", "reshape": "shape", "expand": "sizes", "repeat": "sizes", "permute": "dims", "tile": "sizes",
          "new_zeros": "sizes"}  # fmt: skip


@dataclass
class Operation:
    """One call, as far as it could be read.

    Attributes:
        name: ``matmul``, ``cat``, ``getitem``, or the class of a layer that was called.
        function: what was called.
        values: by the names of the parameters; some may be ``UNKNOWN``.
        nodes: the syntax each value was written as.
        node: the syntax of the call.
        extra: positional values beyond the parameters that are known by name.
    """

    name: str
    function: Any
    values: dict[str, Any]
    nodes: dict[str, ast.expr]
    node: ast.AST
    order: tuple[str, ...] = ()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors among the values."""
        return {name: value for name, value in self.values.items() if isinstance(value, torch.Tensor)}

    def fits(self, **others: Any) -> bool:
        """Whether it would take the same values with ``others`` in their places, as far as shapes and dtypes tell."""
        try:
            self.result(**others)
        except Exception:  # noqa: BLE001 - whatever torch refuses with
            return False
        return True

    def result(self, **others: Any) -> Any:
        """What it would return, as a tensor without data.

        Raises:
            TypeError: something that it is given is unknown, or it is none of torch's functions; and what torch raises.
        """
        values = self.values | others
        if any(value is UNKNOWN for value in values.values()):
            raise TypeError
        if isinstance(self.function, torch.nn.Module):
            raise TypeError
        function = self.function
        if isinstance(function, Method):
            function = Method(values[self.order[0]], function.name)
        elif not (is_torch_function(function) or function in BINARY.values()):
            raise TypeError
        positional = [values[name] for name in self.order]
        if isinstance(function, Method):
            positional = positional[1:]
        return without_data(function, *positional, **{n: v for n, v in values.items() if n not in self.order})


def operation_at(stop: Stop) -> Operation | None:
    """What ``stop`` was computing; None where its syntax does not say."""
    node, read = stop.node, Reader(stop.frame)
    match node:
        case ast.Call():
            return _call(node, read)
        case ast.BinOp():
            function = BINARY[type(node.op)]
            return _pair(function.__name__.strip("_"), function, node.left, node.right, node, read)
        case ast.AugAssign():
            name = _INPLACE.get(type(node.op), "iop")
            return _pair(name, BINARY[type(node.op)], node.target, node.value, node, read)
        case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in BINARY:
            function = BINARY[type(node.ops[0])]
            return _pair(function.__name__, function, node.left, node.comparators[0], node, read)
        case ast.Subscript():
            name = "setitem" if isinstance(node.ctx, ast.Store) else "getitem"
            values = {"input": read.value(node.value), "index": read.value(node.slice)}
            return Operation(name, None, values, {"input": node.value, "index": node.slice}, node, ("input", "index"))
        case ast.UnaryOp():
            return Operation("unary", None, {"input": read.value(node.operand)}, {"input": node.operand}, node)
        case ast.Attribute():
            return Operation("getattr", None, {"owner": read.value(node.value)}, {"owner": node.value}, node)
        case ast.Tuple() | ast.List() if isinstance(node.ctx, ast.Store):
            return _unpacking(node, stop.statement, read)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            over = node.generators[0].iter
            return Operation("value", None, {"input": read.value(over)}, {"input": over}, node)
        case ast.expr():
            return Operation("value", None, {"input": read.value(node)}, {"input": node}, node)
    return None


def _unpacking(node: ast.Tuple | ast.List, statement: ast.stmt | None, read: Reader) -> Operation | None:
    if not isinstance(statement, ast.Assign):
        return None
    values = {"input": read.value(statement.value), "targets": len(node.elts), "names": ast.unparse(node).strip("()")}
    return Operation("unpack", None, values, {"input": statement.value}, node)


def _pair(name: str, function: Any, left: ast.expr, right: ast.expr, node: ast.AST, read: Reader) -> Operation:
    values = {"input": read.value(left), "other": read.value(right)}
    return Operation(name, function, values, {"input": left, "other": right}, node, ("input", "other"))


def _call(node: ast.Call, read: Reader) -> Operation | None:
    function = read.value(node.func)
    args, named = read.arguments(node.args), read.named(node.keywords)
    if function is UNKNOWN and isinstance(node.func, ast.Attribute) and read.value(node.func.value) is UNKNOWN:
        function = Method(UNKNOWN, node.func.attr)
    if function is UNKNOWN or args is None or named is None:
        return None
    nodes = [each for each in node.args if not isinstance(each, ast.Starred)]
    written = dict(zip(range(len(nodes)), nodes, strict=True)) if len(nodes) == len(node.args) else {}
    name = getattr(function, "__name__", type(function).__name__)
    if isinstance(function, Method) and isinstance(node.func, ast.Attribute):
        args, written = [function.owner, *args], {0: node.func.value, **{i + 1: n for i, n in written.items()}}
    if isinstance(function, torch.nn.Module):
        name = type(function).__name__
    order = _names(function, name, len(args))
    values = dict(zip(order, args, strict=False))
    keywords = {k.arg: k.value for k in node.keywords if k.arg is not None}
    by_name = {order[i]: each for i, each in written.items() if i < len(order)} | keywords
    values |= named
    if name in _SIZES and order and len(args) > 2 and all(isinstance(each, int) for each in args[1:]):
        sizes = _SIZES[name]
        values = {order[0]: args[0], sizes: tuple(args[1:]), **named}
        by_name = {key: each for key, each in by_name.items() if key == order[0]}
        order = [order[0], sizes]
    elif name in _SIZES and len(args) == 2:
        values = {
            order[0]: args[0],
            _SIZES[name]: args[1] if isinstance(args[1], tuple | list) else (args[1],),
            **named,
        }
        order = [order[0], _SIZES[name]]
    positional = [each for each in order if each in values][: len(args)]
    return Operation(name, function, values, by_name, node, tuple(positional))


def _names(function: Any, name: str, count: int) -> list[str]:
    """Of the parameters that ``count`` positional values go to."""
    known = PARAMETERS.get(name, [])
    if isinstance(function, torch.nn.Module) or inspect.isfunction(function) or inspect.ismethod(function):
        target = attribute(function, "forward") if isinstance(function, torch.nn.Module) else function
        try:
            parameters: Mapping[str, inspect.Parameter] = inspect.signature(target).parameters
        except (TypeError, ValueError):
            parameters = {}
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        known = [p.name for p in parameters.values() if p.kind in plain]
    if not known and isinstance(function, Method):
        known = ["input"]
    return [*known, *(f"argument {i + 1}" for i in range(len(known), count))][: max(count, len(known))]


def tensors_of(value: Any) -> list[torch.Tensor]:
    """All tensors in a value."""
    return torch_internals.tensors_in(value)
