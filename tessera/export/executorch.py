"""ExecuTorch: a `.pte` for phones and small devices, its products in XNNPACK or everything in portable kernels."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from tessera import torch_internals
from tessera.errors import ExportError
from tessera.export.apart import run_apart
from tessera.export.complex_pairs import in_real_numbers
from tessera.export.divided_sizes import remainders_by_quotients
from tessera.export.example import Example
from tessera.export.executorch_operators import UNKNOWN_TO_EXECUTORCH
from tessera.export.executorch_sums import add_in_own_type
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.plain_operators import in_plain_operators
from tessera.export.powers_of_sizes import multiply_for_powers
from tessera.export.refused import refused
from tessera.export.traced import quiet, traced

_TARGETS = ("xnnpack", "portable")
# XNNPACK's reshape takes one dimension that changes, and its partitioner asks too late: these go to portable kernels
# when it refuses.
_RESHAPING = frozenset(
    {
        torch.ops.aten.view.default,
        torch.ops.aten.reshape.default,
        torch.ops.aten.flatten.using_ints,
        torch.ops.aten.zeros_like.default,
        torch.ops.aten.to.dtype,
    }
)
_RESHAPES = frozenset({"view_copy.default", "unsqueeze_copy.default", "squeeze_copy.dim", "squeeze_copy.dims"})

# Behind a convolution of codes XNNPACK hands out dequantized numbers in the convolution's layout, as if they were in
# the model's. As a part of a product it dequantizes all the same.
_NOT_ALONE = frozenset({"dequantize_per_tensor.default"})


def write_executorch(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """Write the model; memory is planned for the largest sizes, which are chosen here where none were declared.

    ``options.target`` is ``"xnnpack"`` (the default), which leaves to portable kernels what XNNPACK cannot do, or
    ``"portable"``. A buffer that changes keeps its state from call to call, and begins as it is in the model.

    Raises:
        ExportError: an operator that has no kernel, or an unknown target.
    """
    target = _checked_target(options.target)
    program, scan = traced(flat, example), torch_internals.scan_operator()
    largest = _largest(example, program)
    if largest != example.largest or any(node.target is scan for node in program.graph.nodes):
        program = traced(flat, dataclasses.replace(example, largest=largest), all_rows=True)
    program = in_real_numbers(program, dataclasses.replace(example, largest=largest))
    program = in_plain_operators(_with_plain_weights(program), UNKNOWN_TO_EXECUTORCH)
    remainders_by_quotients(program)
    _let_views_copy(program)
    quantized = _is_quantized(program)
    if quantized:
        _load_quantized_kernels()
        program = _with_constants(program)
    lowered, without = _lowered(flat, program, target, quantized=quantized)
    plan = lowered.executorch_program.execution_plan[0]
    if absent := _without_kernel(plan):
        raise refused(flat, program, "ExecuTorch", LookupError(f"its runtime has no {', '.join(absent)}"))
    path.write_bytes(lowered.buffer)
    largest = _planned(plan, example, largest)
    notes = [
        f"Its memory is planned for {_listed(largest)} at most: declare other bounds with torch.export.Dim."
    ] * bool(largest)
    if without:
        notes.append(f"XNNPACK does not take {without}: that part runs in portable kernels.")
    if any(each.name.startswith("quantized_decomposed::") for each in plan.operators):
        notes.append("A runtime elsewhere takes it with ExecuTorch's quantized kernels (quantized_ops_lib) linked in.")
    return Written(operators=_operators(plan), notes=notes, largest=largest)


def load_executorch(path: Path) -> Runner:
    """The file in ExecuTorch's own runtime, in a process apart; state that it keeps begins anew with each loading.

    Raises:
        ExportError: the runtime does not take the file.
    """
    return run_apart(__name__, loader.__name__, path)


def loader() -> Callable[[Path], Runner]:
    """What loads a file in this process, which ends with the runtime when the file is damaged."""
    from executorch.runtime import Runtime, Verification

    _load_quantized_kernels()
    runtime = Runtime.get()

    def load_here(path: Path) -> Runner:
        program = runtime.load_program(path.read_bytes(), verification=Verification.InternalConsistency)
        program.load_method("forward")

        def run(example: Example) -> list[torch.Tensor]:
            method = program.load_method("forward")  # loaded once; alone it would outlive the program that it lives in
            answers = method.execute([tensor.contiguous() for tensor in example.tensors])
            return [answer.clone() for answer in answers if isinstance(answer, torch.Tensor)]

        return run

    return load_here


def _checked_target(target: str | None) -> str:
    if target is not None and target not in _TARGETS:
        raise ExportError(
            f"target={target!r} was passed for an ExecuTorch file.",
            f"Its kernels are those of one of {', '.join(_TARGETS)}.",
            f"Write target={_TARGETS[0]!r}, or leave it out.",
        )
    return target or _TARGETS[0]


def _largest(example: Example, program: ExportedProgram) -> dict[str, int]:
    """A bound for every size that may change: what was declared, else four times the example, within the model's."""
    bounds = {name: example.largest.get(name, max(16, 4 * size)) for name, size in example.sizes.items()}
    inputs = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT}
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in inputs]
    for node, axes in zip(placeholders, example.dims, strict=True):
        for axis, name in axes.items():
            symbol = getattr(getattr(node.meta["val"].shape[axis], "node", None), "expr", None)
            known = program.range_constraints.get(symbol)
            if known is not None and known.upper.is_Integer and name in bounds:
                bounds[name] = min(bounds[name], int(known.upper))
    return bounds


def _planned(plan: Any, example: Example, wanted: Mapping[str, int]) -> dict[str, int]:
    """The bounds that memory was planned for: a pass may have narrowed one that was chosen here."""
    found = dict(wanted)
    for at, axes in zip(plan.inputs, example.dims, strict=True):
        for axis, name in axes.items():
            if name in found and name not in example.largest:
                found[name] = min(found[name], plan.values[at].val.sizes[axis])
    return found


def _with_plain_weights(program: ExportedProgram) -> ExportedProgram:
    """The same with weights that lie row by row: its convolutions take no others beside inputs that do."""
    other = {
        name: tensor.detach().contiguous()
        for name, tensor in program.state_dict.items()
        if isinstance(tensor, torch.Tensor) and not tensor.is_contiguous()
    }
    if not other:
        return program
    for name, tensor in other.items():
        parameter = isinstance(program.state_dict[name], torch.nn.Parameter)
        program.state_dict[name] = torch.nn.Parameter(tensor, requires_grad=False) if parameter else tensor
    named = {spec.arg.name for spec in program.graph_signature.input_specs if spec.target in other}
    for node in program.graph.find_nodes(op="placeholder"):
        if node.name in named:
            node.meta["val"] = node.meta["val"].contiguous()
    return program.run_decompositions({})  # so that what comes of them knows


def _let_views_copy(program: ExportedProgram) -> None:
    """Copy what attention answers before it is viewed: decomposed attention lays it out as no view can take it."""
    aten = torch.ops.aten
    layouts = (
        aten.transpose.int,
        aten.permute.default,
        aten.contiguous.default,
        aten.view.default,
        aten.reshape.default,
    )
    passed_on = {*layouts, aten.to.dtype, aten.clone.default}
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.find_nodes(op="call_function", target=aten.view.default):
                source = viewed = node.args[0]
                while source.target in passed_on:
                    source = source.args[0]
                if source.target is aten.scaled_dot_product_attention.default:
                    with module.graph.inserting_before(node):
                        layout: dict[str, Any] = {"memory_format": torch.contiguous_format}
                        copied = module.graph.call_function(aten.clone.default, (viewed,), layout)
                    copied.meta = dict(viewed.meta)
                    node.replace_input_with(viewed, copied)


def _is_quantized(program: ExportedProgram) -> bool:
    """Whether numbers are kept as codes by the operators that XNNPACK knows."""
    return any(torch_internals.is_quantized(node.target) for node in program.graph.nodes)


def _load_quantized_kernels() -> None:
    """Make the runtime here, and what checks operators for it, know those operators."""
    with quiet():
        import executorch.kernels.quantized  # noqa: F401 - which is all that it does


def _with_constants(program: ExportedProgram) -> ExportedProgram:
    """Scales and codes as constants of the shape that is used: XNNPACK looks for them right before a product."""
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    return constant_prop_pass(program, custom_skip_targets=targets - _RESHAPING)


def _lowered(flat: FlatCall, program: ExportedProgram, target: str, *, quantized: bool) -> tuple[Any, str]:
    """The lowered program, and what XNNPACK had to be kept from."""
    problems: list[tuple[str, Exception]] = []
    for without, partitioners in _attempts(target, quantized=quantized):
        try:
            with quiet(), torch.no_grad(), _any_batch():
                return _lower(copy.deepcopy(program), partitioners), "; ".join(text for text, _ in problems)
        except Exception as error:  # noqa: BLE001 - a backend may raise anything; the next attempt asks less of it
            problems.append((without, error))
    last = problems[-1][1]
    raise refused(flat, program, "ExecuTorch", last) from last


@contextmanager
def _any_batch() -> Iterator[None]:
    """Within, the kernel of a convolution is not chosen by its batch.

    oneDNN's is for 16 and more, and so is NNPACK's: the passes trace with the example's batch, which would bound the
    file's by 15.
    """
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        yield


def _attempts(target: str, *, quantized: bool) -> Iterator[tuple[str, list[Any]]]:
    """Partitioners, from those that ask most of XNNPACK to none; each with what the next does without.

    XNNPACK multiplies integers where calibrated codes go in and come out. Of what is left over it takes the products
    of numbers, with weights that are dequantized before.
    """
    if target == "xnnpack":
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
        from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        every = [each for each in ALL_PARTITIONER_CONFIGS if each.target_name not in _NOT_ALONE]
        fewer = [each for each in every if each.target_name not in _RESHAPES]
        floats: dict[str, Any] = {
            "config_precisions": ConfigPrecisionType.FP32,
            "force_non_static_weights_for_f32_linear": True,
        }
        for without, configs in (("reshapes of several sizes that change", every), ("this model", fewer)):
            rest = [XnnpackPartitioner(configs=configs, **floats)] if quantized else []
            yield without, [XnnpackPartitioner(configs=configs), *rest]
    yield "", []


def _lower(program: ExportedProgram, partitioners: list[Any]) -> Any:
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

    # Its own check takes the length of what a split gives, which makes a number of the first dimension for the whole
    # file; what the check is for, the comparison with the model finds.
    unchecked = EdgeCompileConfig(_check_ir_validity=False)

    def planned(program: ExportedProgram, **more: Any) -> Any:
        # Without the pass a buffer that changes begins as zeros, whatever it is in the model. It looks for parts of
        # names, and torch.export's name for any buffer begins so.
        config = ExecutorchBackendConfig(passes=[InitializedMutableBufferPass(["b_"])], **more)
        edge = to_edge_transform_and_lower(
            program,
            transform_passes=[add_in_own_type, multiply_for_powers],
            partitioner=partitioners or None,
            compile_config=unchecked,
        )
        return edge.to_executorch(config)

    lowered = planned(copy.deepcopy(program))
    return planned(program, remove_view_copy=False) if _has_views_beyond_their_memory(lowered) else lowered


def _has_views_beyond_their_memory(lowered: Any) -> bool:
    """Whether a view could be larger than what it views: its largest size is bounded term by term, so not at its best.

    Such a file is not loaded. (Relative positions are shifted so: the last two dimensions, exchanged in a view.)
    """
    for node in lowered.exported_program().graph.nodes:
        if getattr(node.target, "__name__", "") == "view" and len(node.args) == 2:
            base, view = node.args[0].meta.get("spec"), node.meta.get("spec")
            if hasattr(base, "nbytes") and hasattr(view, "nbytes") and view.nbytes() > base.nbytes():
                return True
    return False


def _without_kernel(plan: Any) -> list[str]:
    """Operators of a plan that the runtime here does not have."""
    from executorch.extension.pybindings.portable_lib import _get_operator_names

    known = set(_get_operator_names())
    wanted = [(each, f"{each.name}.{each.overload}" if each.overload else each.name) for each in plan.operators]
    return [each.name for each, full in wanted if full not in known]


def _operators(plan: Any) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for chain in plan.chains:
        for instruction in chain.instructions:
            call = instruction.instr_args
            if hasattr(call, "op_index"):
                counts[plan.operators[call.op_index].name] += 1
            elif hasattr(call, "delegate_index"):
                counts[plan.delegates[call.delegate_index].id] += 1
    return dict(counts.most_common())


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


FORMAT = Format(
    name="ExecuTorch",
    endings=(".pte",),
    packages=("executorch.exir", "executorch.runtime"),
    install="pip install executorch",
    write=write_executorch,
    load=load_executorch,
    keeps_state=True,
    options=frozenset({"target"}),
)
