"""What a training step is saved as: its compiled Programs, and in plain values all that Python would do around them.

Dynamo's code for a captured step gathers the inputs of the graph from the model and the batch, calls the graph, and
puts its outputs where they belong. That code is run once on stand-ins, and what it did is put down: each input is a
place in the batch or an expression such as ``module._modules['head']._parameters['weight']``.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.artefact.archive import Members
from tessera.artefact.contents import CannotTell, contents_hash
from tessera.artefact.descriptions import constant, describe, describe_tensor
from tessera.backend.portable_wrapper import CannotSave
from tessera.backend.saved_code import save_executable
from tessera.capture.assumptions import CannotFollow, Scope
from tessera.capture.bound_step import BoundStep
from tessera.capture.bound_update import BoundUpdate
from tessera.capture.dispatch import Capture
from tessera.capture.hyper_parameters import HyperParameters
from tessera.capture.number_guards import can_check

GIVEN = ("module", "loss", "metrics")  # the parameters of the captured function that are not data
BATCH = ("inputs", "targets", "named")  # and those that are


def save_program(
    capture: Capture, module: torch.nn.Module, given: Mapping[str, Any], members: Members
) -> dict[str, Any]:
    """One captured version of a step as plain values, its code among ``members``.

    Args:
        given: the captured function's parameters that are not the batch, by name.

    Raises:
        CannotSave: something that another process would not do alike.
    """
    circumstances = capture.circumstances
    if circumstances.problem:
        raise CannotSave(circumstances.problem)
    if not capture.only_calls:
        raise CannotSave("its forward or loss changes something in Python at every call")
    if any(map(torch_internals.has_module_hooks, module.modules())) or torch_internals.has_global_module_hooks():
        raise CannotSave("a layer has hooks")
    structure = circumstances.structure
    step, inputs, outputs = _replay(capture, given)
    places = _places(capture, given)
    batch = {id(leaf): ["batch", number] for number, leaf in enumerate(inputs.leaves)}
    bound = []
    for value in inputs.values:
        if not isinstance(value, torch.Tensor):
            raise CannotSave("the size of its batch is open, for it was called with several")
        if id(value) not in batch and id(value) not in places:
            raise CannotSave(f"it reads a tensor that is not part of the model: {describe_tensor(value)}")
        bound.append(batch.get(id(value)) or ["at", places[id(value)]])
    if any(bound[at][0] == "batch" for at in step.mutated):
        raise CannotSave("it writes to its batch")
    names = {id(p): name for name, p in module.named_parameters()}
    position = {id(value): at for at, value in enumerate(inputs.values)}
    return {
        "process": circumstances.process,
        "batch": {"structure": structure.written, "layouts": structure.layouts},
        "assumptions": [[each.path, each.described] for each in _assumptions(capture)],
        "inputs": bound,
        "loss": outputs[0],
        "metrics": outputs[1:],
        "graph_outputs": step.graph_outputs,
        "same": sorted(step.same.items()),
        "trained": [position[id(parameter)] for parameter in step.trained],
        "scaled": step.scaling is not None,
        "updates": [_update(update, names) for update in step.updates],
        "variants": [
            {"final": final, "extra": extra, **save_executable(executable, members)}
            for final, (executable, extra) in step.variants.items()
        ],
    }


class _Inputs:
    """What the code of a capture handed to its graph, and the stand-ins of the batch that were among it."""

    def __init__(self, values: Sequence[Any], leaves: Sequence[torch.Tensor]) -> None:
        self.values, self.leaves = values, leaves


def _replay(capture: Capture, given: Mapping[str, Any]) -> tuple[BoundStep, _Inputs, list[int]]:
    """The step that the code calls, what it hands to it, and which outputs are the loss and the metrics."""
    (name,) = torch_internals.called_graphs(capture.code)
    step = capture.names[name]
    if not isinstance(step, BoundStep):
        raise CannotSave("it is not one Program")
    structure = capture.circumstances.structure
    leaves = structure.stand_ins()
    outputs = [object() for _ in range(len(step.graph_outputs) + len(step.same))]
    handed: list[Any] = []

    def graph(*inputs: Any) -> list[Any]:
        handed.extend(inputs)
        return outputs

    run = types.FunctionType(capture.code, capture.names | {name: graph}, capture.code.co_name)
    loss, metrics = run(*given.values(), *structure.filled(leaves))
    numbers = {id(output): number for number, output in enumerate(outputs)}
    if any(id(value) not in numbers for value in (loss, *metrics)):
        raise CannotSave("a metric or the loss is not computed in the Program")
    return step, _Inputs(handed, leaves), [numbers[id(value)] for value in (loss, *metrics)]


def _places(capture: Capture, given: Mapping[str, Any]) -> dict[int, str]:
    """The expressions that lead to tensors, by the ``id`` of the tensor."""
    scope = Scope(given, capture.names, {})
    found: dict[int, str] = {}
    for assumption in _assumptions(capture):
        try:
            value = scope.follow(assumption.path)
        except CannotFollow:
            continue
        if isinstance(value, torch.Tensor):
            found.setdefault(id(value), assumption.path)
    return found


def _assumptions(capture: Capture) -> Iterator[Any]:
    """Those that are not about the batch, whose structure says it all."""
    for assumption in capture.circumstances.assumptions.those:
        if assumption.path.partition("[")[0].partition(".")[0] not in BATCH:
            yield assumption
        elif "." in assumption.path:
            raise CannotSave(f"it relies on {assumption.path}, a property of its batch")


def _update(update: BoundUpdate, names: Mapping[int, str]) -> dict[str, Any]:
    guards = [words for guard in update.guards for words in guard.in_words()]
    if not all(map(can_check, guards)):
        raise CannotSave("its update assumes something of a hyper-parameter that is no plain arithmetic")
    return {
        "parameters": [names[id(parameter)] for parameter in update.parameters],
        "slots": [[names[id(s.parameter)], s.name, describe_tensor(s.tensor)] for s in update.slots],
        "hyper_parameters": update.hyper_parameters.names,
        "guards": guards,
    }


def describe_model(module: torch.nn.Module) -> dict[str, Any]:
    """The names and layouts of a model's parameters and buffers, and which names mean one tensor."""
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    first: dict[int, str] = {}
    for name, tensor in tensors:
        first.setdefault(id(tensor), name)
    return {
        "class": type(module).__qualname__,
        "tensors": {name: describe_tensor(tensor) for name, tensor in tensors},
        "tied": {name: first[id(tensor)] for name, tensor in tensors if first[id(tensor)] != name},
    }


def describe_optimizer(optimizer: torch.optim.Optimizer, module: torch.nn.Module) -> dict[str, str]:
    """What of an optimizer is part of the Program, in words: all but the numbers that are inputs of it.

    Raises:
        CannotSave: what it computes cannot be told.
    """
    names = {id(p): name for name, p in module.named_parameters()}
    described = {"class": describe(type(optimizer))}
    own = {key: value for key, value in vars(optimizer).items() if key not in _TORCHS_OWN}
    try:
        if type(optimizer).__module__.partition(".")[0] == "tessera":
            described["formula"] = contents_hash(own)
        for number, group in enumerate(optimizer.param_groups):
            described[f"parameters of group {number}"] = json.dumps([names.get(id(p), "") for p in group["params"]])
        for number, settings in enumerate(HyperParameters(optimizer).structure()):
            described |= {f"{key} of group {number}": _setting(value) for key, value in settings.items()}
    except CannotTell as error:
        raise CannotSave(f"the optimizer holds {error}") from error
    return described


# What torch's base class keeps on every optimizer and no update depends on.
_TORCHS_OWN = {
    *("state", "param_groups", "defaults", "step", "_hook_for_profile", "_zero_grad_profile_name", "_opt_called"),
    *("_step_count", "_patch_step_function", "_warned_capturable_if_run_uncaptured"),
    *(f"_optimizer_{name}_hooks" for name in ("step_pre", "step_post")),
    *(f"_optimizer_{name}_{when}_hooks" for name in ("state_dict", "load_state_dict") for when in ("pre", "post")),
}


def _setting(value: Any) -> str:
    return constant(value) or f"{describe(value)} {contents_hash(value)}"
