"""The way into and out of a state_dict: torch's format, plain numbers, and nothing changed before all is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.parameter_groups import ParamGroup
from tessera.optim.part import Part
from tessera.optim.schedules.plain import as_plain, from_plain
from tessera.optim.transformation import State, StateInit


def saveable(group: ParamGroup) -> ParamGroup:
    """A group of a state_dict with its schedules as dicts of numbers."""
    return {name: as_plain(value) for name, value in group.items()}


def readable(group: ParamGroup) -> ParamGroup:
    """The group that `saveable` was given."""
    return {name: from_plain(value) for name, value in group.items()}


def check_groups(saved: Mapping[str, Any], groups: Sequence[ParamGroup]) -> None:
    """Raise unless a state_dict has as many groups, of as many parameters, as the optimizer.

    Raises:
        OptimizerError: it is of another optimizer or is not a state_dict.
    """
    if not {"state", "param_groups"} <= saved.keys():
        raise OptimizerError(
            f"load_state_dict was given a dict with the keys {', '.join(map(repr, saved))}.",
            "The state_dict of an optimizer has the keys 'state' and 'param_groups'.",
            "Pass what optimizer.state_dict() returned; a model's goes to model.load_state_dict.",
        )
    theirs, ours = ([len(group["params"]) for group in these] for these in (saved["param_groups"], groups))
    if theirs != ours:
        raise OptimizerError(
            f"The state_dict has groups of {theirs} parameters.",
            f"This optimizer has groups of {ours} parameters.",
            "Make the optimizer with the same parameters in the same groups as the one that was saved.",
        )


def states_by_parameter(saved: Mapping[str, Any], groups: Sequence[ParamGroup]) -> dict[Tensor, dict[str, Any]]:
    """The saved state of each parameter, found by its position; what is None (as older torch has it) is left out."""
    positions = (position for group in saved["param_groups"] for position in group["params"])
    params = (param for group in groups for param in group["params"])
    return {
        param: {name: value for name, value in saved["state"].get(position, {}).items() if value is not None}
        for position, param in zip(positions, params, strict=True)
    }


def check_shapes(states: Mapping[Tensor, Mapping[str, Any]], parts: Sequence[Part]) -> None:
    """Raise unless each saved state tensor has the shape that the transformation makes.

    Raises:
        OptimizerError: the first that has not.
    """
    for part in parts:
        for position, param in enumerate(part.params):
            for name, make in part.inits(position).items():
                if name not in states[param]:
                    continue
                shape = torch.as_tensor(states[param][name]).shape
                made = make(torch.empty_like(param, device="meta"))
                if made is None:
                    continue
                expected = made.shape
                if shape != expected:
                    raise OptimizerError(
                        f"The state_dict has {name!r} of shape {list(shape)} for the parameter at position {position}, "
                        f"whose shape is {list(param.shape)}.",
                        f"{name!r} has the shape {list(expected)} there.",
                        "Make the optimizer with the same parameters in the same order as the one that was saved.",
                    )


def restored(inits: Mapping[str, StateInit], param: Tensor, saved: Mapping[str, Any], old: State) -> State:
    """The state of a parameter after loading: saved values in the tensors that were there before.

    A tensor that was there before and is not saved begins anew. Each has the dtype and device that the transformation
    makes: torch would cast a count to a bfloat16 parameter's dtype and lose it.
    """
    state = {}
    for name, make in inits.items():
        if name in saved or name in old:
            tensor = old[name] if name in old else make(param)
            value = torch.as_tensor(saved[name]) if name in saved else make(param)
            if tensor is not None and value is not None:
                state[name] = tensor.copy_(value)
    return state


def refill(table: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Replace all that a dict holds, and keep the dict, and the order of what it held before."""
    for gone in table.keys() - values.keys():
        del table[gone]
    table.update(values)
