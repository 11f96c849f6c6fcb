"""What an optimizer is told to train: a module, parameters or groups of them, checked before anything is made."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from typing import Any

from torch import Tensor, nn

from tessera.errors import OptimizerError
from tessera.optim.keywords import meant_elsewhere

ParamGroup = dict[str, Any]
"""One parameter group, as torch keeps it: ``params`` and the hyper-parameters that hold for them."""

Parameters = nn.Module | Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[ParamGroup]


def parameter_groups(params: Parameters, *, named: bool = False) -> list[Any]:
    """The first argument of an optimizer as a list of parameters, ``(name, parameter)`` pairs or groups.

    Args:
        params: as the user passed it.
        named: of a module, keep the names.

    Raises:
        OptimizerError: a single tensor, what is no collection, or nothing to train.
    """
    if isinstance(params, Tensor):
        raise OptimizerError(
            f"A single tensor of shape {list(params.shape)} was passed to an optimizer.",
            "An optimizer takes a module, an iterable of parameters or a list of parameter groups.",
            "Write [tensor], or pass the module itself.",
        )
    if isinstance(params, str | bytes) or not isinstance(params, nn.Module | Iterable):
        raise OptimizerError(
            f"{params!r} was passed to an optimizer.",
            "An optimizer takes a module, an iterable of parameters or a list of parameter groups.",
            "Pass the module itself, such as Net() and not Net.",
        )
    if isinstance(params, nn.Module):
        groups: list[Any] = list(params.named_parameters() if named else params.parameters())
    else:
        groups = list(params)
    if not groups:
        source = f"A {type(params).__name__} without parameters" if isinstance(params, nn.Module) else "An empty list"
        raise OptimizerError(
            f"{source} was passed to an optimizer.",
            "An optimizer needs at least one parameter.",
            "Pass a module that has parameters; an iterator such as model.parameters() is empty once it has been used.",
        )
    return groups


def checked_group(group: ParamGroup, known: Mapping[str, Any], *, named: bool = False) -> ParamGroup:
    """A parameter group whose ``params`` is a list of distinct leaf tensors and whose names are not misspelt.

    Args:
        group: as the user wrote it; ``params`` may also be a module.
        known: the hyper-parameters of the optimizer. Other names are allowed, for torch's schedulers and users keep
            their own things in a group, unless they look like a misspelt one or are one's name in another library.
        named: of a module, keep the names.

    Raises:
        OptimizerError: a set, something that is not a leaf tensor, a tensor twice, or a misspelt name.
    """
    if not isinstance(group, dict) or "params" not in group:
        raise OptimizerError(
            f"{group!r} was passed as a parameter group.",
            'A parameter group is a dict with the key "params".',
            'Write for example {"params": model.head.parameters(), "lr": 1e-4}.',
        )
    params = group["params"]
    if isinstance(params, set | frozenset):
        raise OptimizerError(
            "A set of parameters was passed to an optimizer.",
            "Parameters come in an order that is the same in every run.",
            "Write a list instead.",
        )
    if isinstance(params, nn.Module):
        params = params.named_parameters() if named else params.parameters()
    group["params"] = [params] if isinstance(params, Tensor) else list(params)
    seen: set[Tensor] = set()
    for position, entry in enumerate(group["params"]):
        param = entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry
        _check_parameter(param, position)
        if param in seen:
            raise OptimizerError(
                f"The parameter at position {position} was passed twice in one group.",
                "Each parameter belongs to an optimizer once.",
                "Pass the module itself, or leave the second one out.",
            )
        seen.add(param)
    for name, value in group.items():
        if name not in known and (meant := _meant(name, value, known)):
            raise OptimizerError(
                f"A parameter group has the key {name!r}.",
                f"This optimizer's hyper-parameters are {', '.join(known)}.",
                f"Write {meant!r}.",
            )
    return group


def _meant(name: str, value: object, known: Collection[str]) -> str:
    """The hyper-parameter that a key stands for by mistake; "" where it is a key of the user's own."""
    if isinstance(value, Real) and not isinstance(value, bool) and (meant := meant_elsewhere(name, known)):
        return meant
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.85)
    # A longer name (`max_momentum`, `lr_scale`) is another name, not a misspelt one.
    return close[0] if close and close[0] not in name else ""


def _check_parameter(param: object, position: int) -> None:
    if not isinstance(param, Tensor):
        raise OptimizerError(
            f"{param!r} was passed as the parameter at position {position}.",
            "An optimizer trains tensors.",
            "Pass the module itself, or model.parameters().",
        )
    if not (param.is_leaf or param.retains_grad):
        raise OptimizerError(
            f"The parameter at position {position} is the result of a computation ({type(param.grad_fn).__name__}).",
            "An optimizer trains leaf tensors: only they keep a gradient.",
            "Write torch.nn.Parameter(tensor.detach()), or pass the tensor it was computed from.",
        )
