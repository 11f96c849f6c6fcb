"""Weights of a model to a file and back, all or nothing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from tessera.errors import WeightsError
from tessera.nn.weights_file import read_weights, write_weights

# Put before every name by torch.compile and by DistributedDataParallel, whichever of them is around the other.
_WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")
_SHOWN = 5


def save_weights(module: torch.nn.Module, path: str | os.PathLike[str]) -> None:
    """Save parameters and buffers as safetensors, under the names of ``state_dict()``.

    A tensor with several names (tied weights) is saved once, under the first of them.

    Raises:
        WeightsError: ``path`` does not end in ``.safetensors`` or cannot be written, or some state is not a tensor.
    """
    tensors: dict[str, torch.Tensor] = {}
    saved: set[int] = set()
    for name, value in _state(module).items():
        if not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"{name} of {type(module).__name__} is a {type(value).__name__}.",
                "A safetensors file holds tensors and nothing else.",
                "Return a tensor from the module's get_extra_state.",
            )
        if id(value) not in saved:
            saved.add(id(value))
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
    write_weights(path, tensors)


def load_weights(module: torch.nn.Module, path: str | os.PathLike[str], *, strict: bool = True) -> list[str]:
    """Load what ``read_weights`` reads into ``module``. Everything is checked before the first weight is written.

    Floating-point weights are converted to the model's dtype, as ``load_state_dict`` does.

    Args:
        module: keeps its parameters, tied ones too; only their values change.
        path: file or folder.
        strict: whether both sides must have the same names and shapes; otherwise what fits is loaded.

    Returns:
        The names in the file that were loaded.

    Raises:
        WeightsError: the file cannot be read, or does not fit; the model is as it was.
    """
    own = _state(module)
    given = _without_wrapper(read_weights(path), own)
    misfits = {name: reason for name in given if name in own and (reason := _misfit(given[name], own[name]))}
    misfits |= _untied(given, own, misfits)
    fitting = {name: value for name, value in given.items() if name not in misfits}
    missing, unexpected = _rehearse(module, fitting, path)
    there = {id(own[name]) for name in given if name in own}
    missing = [name for name in missing if id(own.get(name)) not in there]
    if strict and (missing or unexpected or misfits):
        raise WeightsError(
            f"{Path(path).name} does not fit {type(module).__name__}: "
            + "; ".join(filter(None, (_listed("missing", missing), _listed("unexpected", unexpected), _wrong(misfits))))
            + ".",
            "Every parameter and buffer needs a tensor of its name and shape, and none may be left over; "
            "the model is as it was.",
            "Load it into the model it was saved from, or write load(path, strict=False) to take what fits.",
        )
    module.load_state_dict(fitting, strict=False)
    return [name for name in fitting if name not in unexpected]


def _state(module: torch.nn.Module) -> dict[str, Any]:
    """The state_dict, with the parameters themselves, once it is there in memory."""
    state = module.state_dict(keep_vars=True)
    for name, value in state.items():
        if torch.nn.parameter.is_lazy(value) or getattr(value, "is_meta", False):
            raise WeightsError(
                f"{name} of {type(module).__name__} has no memory yet.",
                "Weights are saved from and loaded into tensors that exist.",
                'Call the model on a batch first, or model.to_empty(device="cpu") for one on the meta device.',
            )
    return state


def _without_wrapper(given: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` under the names of the model that was wrapped when it was saved."""
    for wrapper in _WRAPPERS:
        if given and not own.keys() & given.keys() and all(name.startswith(wrapper) for name in given):
            given = {name.removeprefix(wrapper): value for name, value in given.items()}
    return given


def _misfit(given: Any, own: Any) -> str:
    """Why a value cannot become the value of a tensor of the model; "" when it can."""
    if not isinstance(own, torch.Tensor):
        return ""
    if not isinstance(given, torch.Tensor):
        return f"a {type(given).__name__}, not a tensor"
    if given.is_nested:
        return "a nested tensor, which has no one shape"
    if given.shape != own.shape:
        return f"{list(given.shape)} in the file, {list(own.shape)} in the model"
    if (given.is_floating_point(), given.is_complex()) != (own.is_floating_point(), own.is_complex()):
        return f"{given.dtype} in the file, {own.dtype} in the model"
    return _uncopyable(given, own)


def _uncopyable(given: torch.Tensor, own: torch.Tensor) -> str:
    """Why no value of ``given`` can be written into ``own``, as one without memory or a quantized one; "" when it can.

    One value is tried, for to find it out while they are written would leave half of the model changed.
    """
    first = (slice(0, 1),) * own.dim()
    try:
        torch.empty_like(own[first]).copy_(given[first])
    except (RuntimeError, NotImplementedError) as error:
        return f"{given.layout} of {given.dtype} on {given.device}: {_sentence(error)}"
    return ""


def _sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def _untied(given: Mapping[str, Any], own: Mapping[str, Any], misfits: Mapping[str, str]) -> dict[str, str]:
    """Names that share one tensor in the model, and have different values in the file."""
    first: dict[int, str] = {}
    untied = {}
    for name in given:
        if name in own and name not in misfits and isinstance(own[name], torch.Tensor):
            before = first.setdefault(id(own[name]), name)
            if before != name and not _same_bytes(given[before], given[name]):
                untied[name] = f"tied to {before} in the model, different in the file"
    return untied


def _same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors of one shape hold the same, NaN and dtypes without arithmetic included."""
    return a.dtype == b.dtype and torch.equal(*(each.flatten().view(torch.uint8) for each in (a, b)))


def _rehearse(
    module: torch.nn.Module, given: Mapping[str, Any], path: str | os.PathLike[str]
) -> tuple[list[str], list[str]]:
    """``load_state_dict`` on stand-ins without memory.

    Returns:
        The names missing and unexpected, once the modules' own hooks have renamed old keys and filled in new ones.
    """
    holders = [holder for part in module.modules() for holder in (vars(part)["_parameters"], vars(part)["_buffers"])]
    originals = [dict(holder) for holder in holders]
    stand_ins: dict[int, torch.Tensor] = {}
    tensors = {name: value for name, value in given.items() if isinstance(value, torch.Tensor)}
    try:
        for holder in holders:
            for name, tensor in holder.items():
                holder[name] = None if tensor is None else stand_ins.setdefault(id(tensor), _weightless(tensor))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is copied into a stand-in is the point
            missing, unexpected = module.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise WeightsError(
            f"{Path(path).name} does not fit {type(module).__name__}: {' '.join(str(error).split())}.",
            "Every weight is checked before the first is written, and the model is as it was.",
            "Load it into the model it was saved from.",
        ) from error
    finally:
        for holder, original in zip(holders, originals, strict=True):
            holder.clear()
            holder.update(original)
    return [name for name in missing if name not in given], unexpected


def _weightless(tensor: torch.Tensor) -> torch.Tensor:
    stand_in = torch.empty_like(tensor, device="meta")
    return torch.nn.Parameter(stand_in, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else stand_in


def _listed(what: str, names: Iterable[str]) -> str:
    names = list(names)
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more})" if names else ""


def _wrong(misfits: Mapping[str, str]) -> str:
    return _listed("of another kind", [f"{name}: {reason}" for name, reason in misfits.items()])
