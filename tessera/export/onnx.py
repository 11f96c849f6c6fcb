"""ONNX: written by torch.onnx, run in onnxruntime."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from tessera import torch_internals
from tessera.errors import ExportError, SourceLine
from tessera.export.attention_views import reshape_attention
from tessera.export.complex_pairs import in_real_numbers
from tessera.export.divided_sizes import quotients_by_remainders
from tessera.export.empty_rows import say_zeros
from tessera.export.exact_arithmetic import EXACT
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.onnx_int64 import compute_exactly
from tessera.export.onnx_kernels import widen
from tessera.export.onnx_operators import UNKNOWN_TO_ONNX
from tessera.export.onnx_places import check_places
from tessera.export.onnx_sizes import sizes_as_tensors
from tessera.export.onnx_turned import turn_late
from tessera.export.onnx_values import from_runtime, to_runtime
from tessera.export.plain_operators import in_plain_operators
from tessera.export.traced import cause, line_of, line_of_node, quiet, traced
from tessera.quantize.linear import integer_products_written

_LARGEST_SINGLE_FILE = 2**31 - 2**20  # protobuf's limit, with room for the graph itself
_OLDEST_OPSET = 18  # what torch's translations are written for
_OPSET = 20
_OPERATOR = re.compile(r"(?:op='\w+\.|target=torch\.ops\.\w+\.)(\w+)")


def write_onnx(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """Write the model; its weights beside it in ``<name>.data`` where they are asked for so, or are over 2 GB.

    Raises:
        ExportError: an operator that ONNX cannot say, or an opset that does not exist.
    """
    opset = _checked_opset(options.opset)
    with integer_products_written():
        program = traced(flat, example)
    with torch.no_grad():
        answers = flat.output_names(*example.tensors)
    try:
        translated = _translated(flat, _prepared(program), example, answers, opset)
    except ExportError:
        real = in_real_numbers(program, example)  # ONNX has transforms of its own, and few other complex operators
        if real is program:
            raise
        translated = _translated(flat, _prepared(real), example, answers, opset)
    model = translated.model
    for name, tensor in list(model.graph.initializers.items()):  # under the model's own names
        if name.startswith(("module.", "traced.module.")):
            tensor.name = name.removeprefix("traced.").removeprefix("module.")
    model.metadata_props.update(options.metadata or {})
    notes = [
        f"onnxruntime has no {name} kernels on processors for {', '.join(operators)}: those compute between casts."
        for name, operators in widen(model).items()
    ]
    compute_exactly(model)
    turn_late(model)
    beside = options.weights == "beside" or (options.weights is None and _bytes(flat) > _LARGEST_SINGLE_FILE)
    translated.save(path, external_data=beside)
    return Written(
        operators=dict(Counter(node.op_type for node in model.graph.all_nodes()).most_common()),
        decomposed=_decomposed(model),
        notes=notes,
    )


def load_onnx(path: Path) -> Runner:
    """The file in onnxruntime, on the CPU; inputs by name, or by position where the example has no names.

    Raises:
        ValueError: it takes tensors from outside its folder.
        Exception: the runtime does not take the file.
    """
    import onnxruntime

    check_places(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()

    def run(example: Example) -> list[torch.Tensor]:
        names = example.names or [each.name for each in inputs]
        named = dict(zip(names, example.tensors, strict=True))
        feed = {each.name: to_runtime(named[each.name]) for each in inputs}
        return [from_runtime(answer) for answer in session.run_with_ort_values(None, feed)]

    return run


def loader() -> Callable[[Path], Runner]:
    """What loads a file in this process. A process apart imports the runtime once, and is copied for each file."""
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401

    return load_onnx


def _checked_opset(opset: int | None) -> int:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if opset is not None and not _OLDEST_OPSET <= opset <= newest:
        raise ExportError(
            f"opset={opset} was passed.",
            f"The versions of ONNX's operators that a model is written in are {_OLDEST_OPSET} to {newest}.",
            f"Write opset={_OPSET}, or leave it out.",
        )
    return _OPSET if opset is None else opset


def _prepared(program: ExportedProgram) -> ExportedProgram:
    """In operators that torch.onnx translates."""
    with quiet():
        program = sizes_as_tensors(in_plain_operators(program, UNKNOWN_TO_ONNX | EXACT))
        quotients_by_remainders(program)
        reshape_attention(program)
        say_zeros(program)  # what attention becomes answers NaN there, or the mean of all values
    return program


def _translated(flat: FlatCall, program: ExportedProgram, example: Example, answers: list[str], opset: int) -> Any:
    def translated(*, optimized: bool) -> Any:
        with quiet(), torch.no_grad():
            return torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=list(example.names),
                output_names=answers,
                dynamic_shapes=(tuple(dict(axes) for axes in example.dims),),
                custom_translation_table={torch_internals.INT8_PRODUCT: _integer_product},
                optimize=optimized,
            )

    try:
        try:
            return translated(optimized=True)
        except Exception as error:
            if not _is_of_the_optimizer(error):
                raise
            return translated(optimized=False)  # what is not simplified is right all the same
    except Exception as error:
        operator = _named_operator(error)
        at = f" (at aten.{operator})" if operator and operator not in cause(error) else ""
        raise ExportError(
            f"{type(flat.module).__name__} could not be written as ONNX: {cause(error)}{at}.",
            "A file is written when every operator of the model exists in ONNX.",
            "Write that part with other operators, or see which formats take it with tessera export --try-all.",
            _line_of_operator(operator, program) or line_of(error),
        ) from error


def _is_of_the_optimizer(error: BaseException | None) -> bool:
    """Whether it was raised by what simplifies a finished translation."""
    from onnxscript import ir

    while error is not None:
        if isinstance(error, ir.passes.PassError):
            return True
        error = error.__cause__
    return False


def _named_operator(error: BaseException | None) -> str:
    """The operator that an error of the translation, or one that it came of, names; innermost first."""
    found = ""
    while error is not None:
        if named := _OPERATOR.search(str(error)):
            found = named[1]
        error = error.__cause__
    return found


def _integer_product(a: Any, b: Any) -> Any:
    """int8 ``[m, k] @ [k, n]`` -> int32, which torch has no translation for."""
    from onnxscript import opset18

    return opset18.MatMulInteger(a, b)


def _line_of_operator(operator: str, program: ExportedProgram) -> SourceLine | None:
    """The user's line of the first such operator of the model; of what it is decomposed into, where it has none."""
    for each in (program, program.run_decompositions()) if operator else ():
        for node in each.graph.nodes:
            if node.op == "call_function" and operator in str(node.target):
                return line_of_node(node)
    return None


def _decomposed(model: Any) -> dict[str, list[str]]:
    """Operators of the model that are several of ONNX's, each with those."""
    parts: dict[str, list[str]] = defaultdict(list)
    for node in model.graph.all_nodes():
        parts[node.metadata_props.get("pkg.torch.onnx.fx_node", "")].append(node.op_type)
    found: dict[str, list[str]] = {}
    for call, into in parts.items():
        name = call.partition("target=torch.ops.")[2].partition("]")[0].removesuffix(".default")
        if name and len(into) > 1:
            found.setdefault(name, list(dict.fromkeys(into)))
    return found


def _bytes(module: torch.nn.Module) -> int:
    tensors: list[torch.Tensor] = [*module.parameters(), *module.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors)


FORMAT = Format(
    name="ONNX",
    endings=(".onnx",),
    packages=("onnx", "onnxscript", "onnxruntime"),
    install="pip install onnx onnxscript onnxruntime",
    write=write_onnx,
    load=load_onnx,
    options=frozenset({"opset", "weights", "metadata"}),
)
