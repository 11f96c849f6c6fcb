"""The update of any optimizer as a pure function of tensors.

The optimizer's own ``step`` runs once, on a stand-in whose parameters, gradients and state are fake tensors and whose
floats are symbols. What it does is recorded, made functional, and the symbols become 0-d float64 tensors. So the
arithmetic is the optimizer's own. Only optimizers of torch.optim and tessera.optim are recorded: a stranger's step may
keep Python state of its own (a counter, a list, a random draw), which a recording would freeze in silence.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.func import functionalize

from tessera import torch_internals
from tessera.capture.bound_update import BoundUpdate, StateSlot, is_replaced, make_state, parameters_of, state_slots
from tessera.capture.closure import ascends, needs_closure
from tessera.capture.hyper_parameters import HyperParameters
from tessera.capture.step_down import CannotCapture, NeedsEagerStep, line_of_error
from tessera.capture.tensorify import Tensorify, fix_numbers
from tessera.program import COPY

# (parameters, gradients, states, hyper-parameters) -> (new parameters, new states)
Apply = Callable[[list[Any], list[Any], list[Any], list[Any]], tuple[list[Any], list[Any]]]


@dataclass(frozen=True)
class Kind:
    """One recording, and for whom it holds.

    Attributes:
        members: each the positions of its parameters and of its slots; the recording updates one member.
    """

    apply: Apply
    members: list[tuple[list[int], list[int]]]


@dataclass
class Update(BoundUpdate):
    """How one optimizer updates some of its parameters.

    Attributes:
        kinds: what is done with whom; every parameter and every slot is in one member.
        ascend: likewise, to where the gradients of the update are taken; None for where the parameters are.
    """

    kinds: list[Kind]
    ascend: Apply | None = None

    def apply(
        self, params: list[Any], grads: list[Any], states: list[Any], hypers: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """The update on flat lists of tensors, pure; ``states`` is aligned with ``slots``."""
        new_params, new_states = list(params), list(states)
        for kind in self.kinds:
            for at, slots in kind.members:
                own = [params[i] for i in at], [grads[i] for i in at], [states[i] for i in slots]
                values, kept = kind.apply(*own, hypers)
                for i, value in zip(at, values, strict=True):
                    new_params[i] = value
                for i, value in zip(slots, kept, strict=True):
                    new_states[i] = value
        return new_params, new_states


def record_update(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]) -> Update:
    """Record how ``optimizer`` updates ``parameters`` (those of its own that have a gradient).

    Raises:
        NeedsEagerStep: the optimizer makes its state in its first ``step``.
        CannotCapture: its ``step`` does something no pure function of tensors does.
    """
    _refuse(optimizer)
    parameters = parameters_of(optimizer, parameters)
    make_state(optimizer, parameters)
    slots = state_slots(optimizer, parameters)
    hyper_parameters = HyperParameters(optimizer)
    kind: Any = type(optimizer)
    guards: list[torch_internals.SymbolGuards] = []

    def recorded(method: Callable[..., Any], at: Sequence[int], own: Sequence[int]) -> Apply:
        chosen = [parameters[i] for i in at], [slots[i] for i in own]
        graph_module, guard = _recorded(optimizer, *chosen, hyper_parameters, method)
        guards.append(guard)
        return _applied(graph_module, len(at))

    step = kind.update_parameters if ascends(optimizer) else inspect.unwrap(kind.step)
    kinds = [Kind(recorded(step, *members[0]), members) for members in _alike(optimizer, parameters, slots)]
    everything = range(len(parameters)), range(len(slots))
    ascend = recorded(kind.ascend, *everything) if ascends(optimizer) else None

    return Update(optimizer, parameters, slots, hyper_parameters, guards, kinds, ascend)


def _alike(
    optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter], slots: Sequence[StateSlot]
) -> list[list[tuple[list[int], list[int]]]]:
    """Members that one recording holds for: torch's optimizers update parameter by parameter, others all at once."""
    if not type(optimizer).__module__.startswith("torch.optim."):
        return [[(list(range(len(parameters))), list(range(len(slots))))]]
    own: dict[int, list[int]] = defaultdict(list)
    for i, slot in enumerate(slots):
        own[id(slot.parameter)].append(i)
    group_of = {id(p): i for i, group in enumerate(optimizer.param_groups) for p in group["params"]}
    kinds: dict[Any, list[tuple[list[int], list[int]]]] = defaultdict(list)
    for i, parameter in enumerate(parameters):
        state = optimizer.state.get(parameter, {})
        numbers = [(name, repr(value)) for name, value in state.items() if not isinstance(value, torch.Tensor)]
        tensors = [(slots[k].name, *_layout(slots[k].tensor)) for k in own[id(parameter)]]
        key = (group_of[id(parameter)], _layout(parameter), tuple(numbers), tuple(tensors))
        kinds[key].append(([i], own[id(parameter)]))
    return list(kinds.values())


def _layout(tensor: torch.Tensor) -> tuple[Any, ...]:
    return (tensor.dtype, tensor.device, tuple(tensor.shape), tensor.stride())


def _recorded(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[torch.nn.Parameter],
    slots: Sequence[StateSlot],
    hyper_parameters: HyperParameters,
    method: Callable[[torch.optim.Optimizer], Any],
) -> tuple[fx.GraphModule, torch_internals.SymbolGuards]:
    problems = []
    for branch_free in (False, True):
        try:
            return _record(optimizer, parameters, slots, hyper_parameters, method, branch_free)
        except NeedsEagerStep:
            raise
        except Exception as error:  # whatever a stranger's step raises means that it cannot be recorded
            problems.append(error)
    raise CannotCapture(
        f"the update of {type(optimizer).__name__} cannot be recorded: {_first_line(problems[0])}",
        "Write its step as arithmetic on tensors, without .item(), math.sqrt or an if on their values.",
        line_of_error(problems[0]),
    ) from problems[0]


def _applied(recorded: fx.GraphModule, count: int) -> Apply:
    def apply(params: list[Any], grads: list[Any], states: list[Any], hypers: list[Any]) -> tuple[list[Any], list[Any]]:
        new = Tensorify(recorded).run(*params, *grads, *states, *hypers)
        return list(new[:count]), list(new[count:])

    return apply


def _refuse(optimizer: torch.optim.Optimizer) -> None:
    """Refuse optimizers whose step is more than arithmetic on their own tensors."""
    kind = type(optimizer).__name__
    strangers = [
        c for c in type(optimizer).__mro__ if c.__module__.partition(".")[0] not in ("torch", "tessera", "builtins")
    ]
    if strangers:
        raise CannotCapture(
            f"{kind} is defined in {strangers[0].__module__}, and its step may keep Python state of its own",
            "Write it as a gradient transformation: tessera.optim.Optimizer(model, transformation).",
        )
    if is_replaced(optimizer):
        raise CannotCapture(f"the step of this {kind} was replaced on the object itself")
    if torch_internals.has_step_hooks(optimizer):
        raise CannotCapture(
            f"{kind} has step hooks, which see gradients that one Program never stores",
            "Remove the hooks, or do their work after the training step.",
        )
    if needs_closure(optimizer) and not ascends(optimizer):
        raise CannotCapture(f"{kind} evaluates the loss several times in one step")
    for name in ("capturable", "differentiable"):
        if any(group.get(name) for group in optimizer.param_groups):
            raise CannotCapture(f"{kind} was made with {name}=True", f"Leave {name} out: a Program needs no such mode.")


def _record(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[torch.nn.Parameter],
    slots: Sequence[StateSlot],
    hyper_parameters: HyperParameters,
    method: Callable[[torch.optim.Optimizer], Any],
    branch_free: bool,
) -> tuple[fx.GraphModule, torch_internals.SymbolGuards]:
    """Trace ``method``, the optimizer's ``step`` for most, on a stand-in.

    ``branch_free`` asks torch.optim for its ``capturable`` formulas, which count steps in a tensor instead of branching
    on the count; most optimizers need no such branch and are recorded by their plain formulas.
    """
    fake_mode = torch_internals.new_fake_mode()
    numbers = [
        torch_internals.symbolic_float(fake_mode, f"hyper_parameter_{i}", value)
        for i, value in enumerate(hyper_parameters.values)
    ]
    own_tensors = hyper_parameters.tensors[len(numbers) :]
    count, slots_of = len(parameters), defaultdict(list)
    for index, slot in enumerate(slots):
        slots_of[id(slot.parameter)].append((index, slot.name))
    owner = {id(p): i for i, p in enumerate(parameters)}

    def step(*flat: Any) -> tuple[Any, ...]:
        params, grads = flat[:count], flat[count : 2 * count]
        states, hypers = flat[2 * count : 2 * count + len(slots)], flat[2 * count + len(slots) :]
        stand_in = object.__new__(type(optimizer))
        stand_in.__dict__.update({k: v for k, v in optimizer.__dict__.items() if k != "step"})
        stand_in.state = defaultdict(dict)
        stand_in.param_groups = hyper_parameters.groups_with(hypers)
        updated = list(states)
        for group, real in zip(stand_in.param_groups, optimizer.param_groups, strict=True):
            group["params"] = [params[owner[id(p)]] for p in real["params"] if id(p) in owner]
            if "param_names" in real:  # of those that take part
                group["param_names"] = [
                    n for n, p in zip(real["param_names"], real["params"], strict=True) if id(p) in owner
                ]
            group |= {key: False for key in ("foreach", "fused", "differentiable") if key in group}
            if branch_free and "capturable" in group:
                group["capturable"] = True
        tables = []
        for parameter, param, grad in zip(parameters, params, grads, strict=True):
            param.grad = grad
            table = dict(optimizer.state.get(parameter, {}))
            for index, name in slots_of[id(parameter)]:
                value = states[index]
                if branch_free and value.dim() == 0 and value.is_floating_point():
                    value = value.to(torch.float64)  # eager computes with counts and the like as Python numbers
                table[name] = value
            stand_in.state[param] = table
            tables.append((parameter, param, dict(table)))
        with torch.no_grad():
            method(stand_in)
        for parameter, param, before in tables:
            after = stand_in.state[param]
            _refuse_new_state(optimizer, before, after)
            for index, name in slots_of[id(parameter)]:
                updated[index] = after[name]
        new_states = [
            value.to(slot.tensor.dtype) if value.dtype != slot.tensor.dtype else value
            for value, slot in zip(updated, slots, strict=True)
        ]
        return (*params, *new_states)

    fakes = [torch_internals.fake_copy(fake_mode, p.detach()) for p in parameters]
    fakes += [torch_internals.fake_copy(fake_mode, torch.empty_like(p).detach()) for p in parameters]
    fakes += [torch_internals.fake_copy(fake_mode, slot.tensor.detach()) for slot in slots]
    with torch_internals.answer_is_compiling(branch_free):
        own_fakes = [torch_internals.fake_copy(fake_mode, tensor.detach()) for tensor in own_tensors]
        recorded = torch_internals.trace(functionalize(step), *fakes, *numbers, *own_fakes)
    for copy in recorded.graph.find_nodes(op="call_function", target=COPY):
        recorded.graph.erase_node(copy)  # the new values are returned; the Program decides what is written where
    for copied in recorded.graph.find_nodes(op="call_function", target=torch.ops.aten.copy.default):
        old, new = (n.meta["val"] for n in copied.all_input_nodes)
        if old.shape == new.shape and old.dtype == new.dtype and old.device == new.device:
            copied.replace_all_uses_with(copied.all_input_nodes[1])  # a write to state that is itself made functional
    fix_numbers(recorded)
    return recorded, torch_internals.SymbolGuards(fake_mode, numbers)


def _refuse_new_state(optimizer: torch.optim.Optimizer, before: dict[str, Any], after: dict[str, Any]) -> None:
    name = type(optimizer).__name__
    if after.keys() != before.keys():
        raise NeedsEagerStep(f"{name} makes its state in its first step")
    for key, value in after.items():
        if not isinstance(value, torch.Tensor) and value is not before[key] and not _equal(value, before[key]):
            raise CannotCapture(f"{name} counts in the Python number state[{key!r}]")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _equal(a: object, b: object) -> bool:
    return type(a) is type(b) and bool(a == b)
