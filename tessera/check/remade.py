"""A module made once more: with which arguments its constructor was called, as far as that can be told."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tessera import torch_internals
from tessera.check.budget import Budget
from tessera.check.run import put_back
from tessera.check.visited import Place, visited
from tessera.check.world import TakesTooLong

_MOST = 40  # times that it is tried
_OF_EACH = 100  # operations that this takes, about
_MOST_NUMBERS = 100_000_000  # in the weights of a module that is made with memory
_MOST_CALLS = 20_000  # of torch in one constructor: a number of layers may be guessed too large
_TIMES = 3  # as many as the module itself took, where that is known


@dataclass(frozen=True)
class Remade:
    """How a module was made.

    Attributes:
        given: the arguments of its constructor, but for what they are by default.
        names: of the functions that this goes through, the local names of each.
        lines: the file, line and instruction that made each part, by its path.
        calls: of torch in the constructor.
        mode: within which its tensors are made.
    """

    given: dict[str, Any]
    names: Mapping[Place, Mapping[str, Any]]
    lines: Mapping[str, tuple[str, int, int]]
    calls: int = 0
    mode: Callable[[], Any] = torch_internals.new_fake_mode

    def again(self, kind: Any) -> nn.Module | None:
        """A module of ``kind`` made with the same arguments; None where that raises, or takes much longer."""
        return remade(kind, dict(self.given), _Counted(_TIMES * self.calls + _MOST_CALLS // 10), self.mode)


class _Counted(TorchFunctionMode):
    """While it is entered, ends what calls torch too often; nothing is filled with numbers, which takes long.

    Attributes:
        left: calls.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TakesTooLong
        if _only_fills(func, args):
            return args[0]
        return func(*args, **(kwargs or {}))


def _only_fills(func: Any, args: Any) -> bool:
    """Whether a call gives a tensor other numbers and does nothing else, whatever its shape is."""
    if not args or not isinstance(args[0], torch.Tensor):
        return False
    fans = getattr(func, "__module__", "") == "torch.nn.init" and args[0].dim() > 1  # they want two dimensions
    return fans or getattr(func, "__name__", "") in _FILL


_FILL = {"uniform_", "normal_", "trunc_normal_", "constant_", "ones_", "zeros_", "fill_", "zero_"}


def how_made(module: nn.Module, sizes: Sequence[int], work: Budget) -> Remade | None:
    """Make one with the same parameters as ``module`` and see how that goes; None where that cannot be done.

    Args:
        module: of a class of the user's.
        sizes: numbers that an argument may be.
        work: what it takes is spent from.
    """
    if (given := arguments_of(module, sizes, work)) is None:
        return None
    for mode in _modes(module):
        counted = _Counted(_MOST_CALLS)
        with visited() as seen:
            made = remade(type(module), given, counted, mode)
        if made is not None and _looks(made) == _looks(module):
            parameters = inspect.signature(type(module)).parameters
            given = {name: value for name, value in given.items() if parameters[name].default is not value}
            return Remade(given, seen.names, seen.made_by(made), _MOST_CALLS - counted.left, mode)
    return None


def _modes(module: nn.Module) -> list[Callable[[], Any]]:
    """How tensors may be made, the quickest first: without memory, also for any device, and as they are.

    What reads them, ``[rate.item() for rate in torch.linspace(0, 0.1, depth)]``, wants the last.
    """
    small = sum(parameter.numel() for parameter in module.parameters()) < _MOST_NUMBERS
    return [_without_memory, torch_internals.new_fake_mode, *([_as_they_are] if small else [])]


def _without_memory() -> Any:
    return torch.device("meta")


def _as_they_are() -> Any:
    return torch.random.fork_rng(devices=[])


def arguments_of(module: nn.Module, sizes: Sequence[int], work: Budget) -> dict[str, Any] | None:
    """Arguments with which the class of ``module`` makes one with the same parameters; None where none are found.

    Args:
        module: of a class of the user's.
        sizes: numbers that an argument may be.
        work: what it takes is spent from.
    """
    kind: Any = type(module)
    wanted = _looks(module)
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return None
    choices: dict[str, list[Any]] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        choices[parameter.name] = list(_values(parameter, module, sizes))
    for values in itertools.islice(itertools.product(*choices.values()), _MOST):
        if work.is_over():
            return None
        work.spend(_OF_EACH)
        given = dict(zip(choices, values, strict=True))
        tried = (remade(kind, given, mode=mode) for mode in _modes(module))
        if any(made is not None and _looks(made) == wanted for made in tried):
            return given
    return None


def remade(
    kind: Any,
    given: dict[str, Any],
    counted: _Counted | None = None,
    mode: Callable[[], Any] = torch_internals.new_fake_mode,
) -> nn.Module | None:
    """A module whose weights hold nothing; None where its constructor raises, or calls torch too often."""
    try:
        with put_back(None), mode(), counted or _Counted(_MOST_CALLS):
            made = kind(**given)
    except (Exception, TakesTooLong):  # noqa: BLE001 - the user's constructor may raise anything
        return None
    return made if isinstance(made, nn.Module) else None


def _values(parameter: inspect.Parameter, module: nn.Module, sizes: Sequence[int]) -> Iterator[Any]:
    """What an argument may have been, the likeliest first: what is kept under its name, the default, a size."""
    kept = vars(module).get(parameter.name, vars(module).get(f"_{parameter.name}", parameter.empty))
    if kept is not parameter.empty and not isinstance(kept, nn.Module):
        yield kept
    if parameter.default is not parameter.empty:
        yield parameter.default
        return
    kind = parameter.annotation
    if isinstance(kind, str):
        kind = vars(inspect.getmodule(type(module))).get(kind, kind)
    if inspect.isclass(kind) and dataclasses.is_dataclass(kind):
        yield from (value for part in module.modules() for value in vars(part).values() if isinstance(value, kind))
        try:
            yield kind()
        except TypeError:  # it has fields without a default
            return
    elif kind in (int, "int", parameter.empty):
        yield from sizes


def _looks(module: nn.Module) -> list[tuple[str, Any]]:
    """What tells one from another: the shapes of parameters and the numbers that are kept."""
    shapes: list[tuple[str, Any]] = [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    for path, part in module.named_modules():
        shapes += [
            (f"{path}.{n}", value) for n, value in sorted(vars(part).items()) if type(value) in (int, float, tuple)
        ]
    return shapes
