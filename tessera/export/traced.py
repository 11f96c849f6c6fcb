"""The model as torch.export sees it, which most formats are written from; and why one cannot be seen so."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from tessera import torch_internals
from tessera.errors import ExportError, SourceLine
from tessera.export.example import Example
from tessera.export.open_sizes import SizesStayOpen
from tessera.export.plain_operators import GroupedWrittenOut, in_plain_operators
from tessera.export.recurrent import RecurrentAsScan
from tessera.export.untraceable import fixed_sizes, size_error
from tessera.export.weights_alone import fold_decompositions
from tessera.users_code import is_library, source_line_at

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
# Installed packages are the user's, as models are; these are not.
_CONVERTERS = re.compile(
    r"/site-packages/(onnx|onnx_ir|onnxscript|onnxruntime|executorch|openvino|litert_torch|torchax)/"
)
_LOUD = ("torch.onnx", "torch.export", "torch.fx", "torch._guards", "torch._dynamo", "onnxscript")


def traced(module: torch.nn.Module, example: Example, *, all_rows: bool = False) -> ExportedProgram:
    """``module`` as a graph of ATen operators; dimensions that may change are symbols.

    Args:
        all_rows: whether a loop over time is over the largest batch, for runtimes that do not resize what it carries.

    Raises:
        ExportError: it cannot be traced, or fixes a size that is to change; with the line of the model.
    """
    shapes: tuple[Any, ...] = tuple(
        {axis: _symbol(example, name) for axis, name in axes.items()} for axes in example.dims
    )

    def export(*, by_capture: bool = False) -> ExportedProgram:
        bounds = _bounded(module, example) if all_rows else nullcontext()
        plain = _transformers_written_out()
        modes = RecurrentAsScan(all_rows=all_rows), GroupedWrittenOut(), SizesStayOpen()
        with torch.no_grad(), bounds, plain, modes[0], modes[1], modes[2], torch_internals.values_unchecked():
            program = torch.export.export(
                module, example.traceable().tensors, dynamic_shapes=(shapes,), strict=by_capture
            )
            program = in_plain_operators(program)
        fold_decompositions(program)
        return program

    with quiet():
        try:
            return export()
        except Exception as error:
            if fixed := fixed_sizes(error, example):
                # Python makes an int of what `len` and `float` are asked; Dynamo, which reads the code, a symbol.
                with suppress(Exception):
                    return export(by_capture=True)
                raise size_error(_name(module), fixed, export) from error
            raise ExportError(
                f"{_name(module)} could not be traced: {cause(error)}.",
                "A model is exported when its forward can be traced by torch.export: what it computes from tensors "
                "stays tensors.",
                "Write branches on tensor values with torch.where or torch.cond.",
                line_of(error),
            ) from error


def operators(program: ExportedProgram) -> dict[str, int]:
    """How many of each operator a traced model has, by name, most first."""
    calls = [node for graph in _graphs(program.graph_module) for node in graph.nodes if node.op == "call_function"]
    return dict(Counter(operator_name(node.target) for node in calls).most_common())


def operator_name(target: Any) -> str:
    """``aten.linear``."""
    if torch_internals.is_operator(target):
        return str(target).removesuffix(".default")
    return str(getattr(target, "__name__", target))


def line_of_node(node: torch.fx.Node) -> SourceLine | None:
    """The user's innermost line that a node comes from."""
    return line_in(node.meta.get("stack_trace") or "")


def line_of(error: BaseException) -> SourceLine | None:
    """The user's innermost line that an error of tracing speaks of, or was raised under."""
    each: BaseException | None = error
    while each is not None:
        if (found := line_in(str(each))) is not None:
            return found
        each = each.__cause__ or each.__context__
    each = error
    while each is not None:
        frames = []
        trace = each.__traceback__
        while trace is not None:
            frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        for file, line in reversed(frames):
            if _is_the_users(file):
                return source_line_at(file, line)
        each = each.__cause__ or each.__context__
    return None


def cause(error: BaseException) -> str:
    """The line that says what is wrong: the innermost cause's, since exporters wrap it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")


@contextmanager
def quiet() -> Iterator[None]:
    """The exporters' deprecations and remarks on packages that are not there concern nobody who exports a model."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _symbol(example: Example, name: str) -> Any:
    """A size that must stay one: where the model fixes it, tracing fails instead of fixing it silently."""
    largest, smallest = example.most(name), example.smallest.get(name)
    bounds = {key: value for key, value in (("min", smallest), ("max", largest)) if value is not None}
    return Dim.DYNAMIC(**bounds) if bounds else Dim.DYNAMIC


@contextmanager
def _transformers_written_out() -> Iterator[None]:
    """Within, torch's Transformer layers are no operator of their own, which no format has."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _bounded(module: torch.nn.Module, example: Example) -> Iterator[None]:
    """Within, ``module`` says of its inputs how long they can be: torch.export looks at declared sizes at the end."""

    def say(_: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> None:
        for tensor, axes in zip(tensors, example.dims, strict=True):
            for axis, name in axes.items():
                if (most := example.most(name)) is not None:
                    torch_internals.assure(tensor.shape[axis] <= most)

    hook = module.register_forward_pre_hook(say)
    try:
        yield
    finally:
        hook.remove()


def _graphs(module: torch.fx.GraphModule) -> Iterator[torch.fx.Graph]:
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            yield part.graph


def line_in(text: str) -> SourceLine | None:
    """The innermost of the user's lines in a stack trace that was printed."""
    for file, line in reversed(_FRAME.findall(text)):
        if _is_the_users(file):
            return source_line_at(file, int(line))
    return None


def _is_the_users(file: str) -> bool:
    return not is_library(file) and not _CONVERTERS.search(file) and Path(file).exists()


def _name(module: torch.nn.Module) -> str:
    return type(getattr(module, "module", module)).__name__
