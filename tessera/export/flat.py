"""A model as every format takes it: tensors by position in, a tuple of tensors out.

Keywords, nested inputs, constants and dataclasses of outputs are Python's; a file knows tensors. What becomes of them
is the same for all formats, and is here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import ExportError


class FlatCall(torch.nn.Module):
    """``module`` called with the tensors of one call by position.

    Args:
        module: the model.
        args, kwargs: of the call; what is no tensor in them is kept as it is.
        preprocessing: what makes the model's arguments of the call's; it becomes part of the file.
        carried: names of buffers that a call changes. They change in a copy, and are answered behind the model's own
            answers where they are taken as inputs.
        as_inputs: whether they are inputs, behind the call's; else every call begins with the values they have now.
        kept: names of buffers that a call changes, and that the file keeps from call to call as the model does.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        preprocessing: Callable[..., Any] | None = None,
        carried: Sequence[str] = (),
        *,
        as_inputs: bool = False,
        kept: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.module = module
        self.preprocessing = preprocessing
        self.carried, self.as_inputs, self.kept = tuple(carried), as_inputs, tuple(kept)
        self._leaves, self._nest = torch_internals.flattened((tuple(args), dict(kwargs)))
        self._leaves = [None if isinstance(leaf, torch.Tensor) else _Constant(leaf) for leaf in self._leaves]

    def carrying(self, buffers: Sequence[str], *, as_inputs: bool) -> FlatCall:
        """The same call with buffers that change in a copy."""
        return FlatCall(self.module, *self._arguments(), self.preprocessing, buffers, as_inputs=as_inputs)

    def keeping(self, buffers: Sequence[str]) -> FlatCall:
        """The same call with buffers that the file keeps."""
        return FlatCall(self.module, *self._arguments(), self.preprocessing, kept=buffers)

    def _arguments(self) -> tuple[Any, Any]:
        return self._nest([_PLACE if leaf is None else leaf.value for leaf in self._leaves])

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the model answers: its tensors, in order."""
        answer, buffers = self._call(*tensors)
        return (*tensors_of(answer), *buffers)

    def answer(self, *tensors: torch.Tensor) -> Any:
        """What the model returns."""
        return self._call(*tensors)[0]

    def output_names(self, *tensors: torch.Tensor) -> list[str]:
        """A name for each tensor that it gives."""
        return [*output_names(self.answer(*tensors)), *(f"{name}.next" for name in self.carried if self.as_inputs)]

    def _call(self, *tensors: torch.Tensor) -> tuple[Any, list[torch.Tensor]]:
        rest = iter(tensors)
        args, kwargs = self._nest([next(rest) if leaf is None else leaf.value for leaf in self._leaves])
        if self.preprocessing is not None:
            made = self.preprocessing(*args, **kwargs)
            args, kwargs = ((), made) if isinstance(made, Mapping) else (_as_tuple(made), {})
        if not self.carried:
            return self.module(*args, **kwargs), []
        given = rest if self.as_inputs else (self.module.get_buffer(name) for name in self.carried)
        buffers = {name: value.clone() for name, value in zip(self.carried, given, strict=True)}
        answer = torch.func.functional_call(self.module, buffers, args, kwargs)
        return answer, list(buffers.values()) if self.as_inputs else []


def changing_buffers(flat: FlatCall, *tensors: torch.Tensor) -> list[str]:
    """The names of the model's buffers that a call changes; they have the values from before again."""
    names = [name for name, _ in flat.module.named_buffers()]
    with buffers_as_they_were(flat.module, names) as before:
        flat.answer(*tensors)
        now = {name: flat.module.get_buffer(name) for name in names}
        return [
            name
            for name, (buffer, value) in before.items()
            if now[name] is not buffer or not torch.equal(_bits(now[name]), _bits(value))
        ]


@contextmanager
def buffers_as_they_were(
    module: torch.nn.Module, names: Sequence[str]
) -> Iterator[dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """Within, calls may change these buffers; afterwards they are the same tensors with the same values again.

    It gives each with a copy of its values.
    """
    before = {name: (module.get_buffer(name), module.get_buffer(name).clone()) for name in names}
    try:
        yield before
    finally:
        with torch.no_grad():
            for name, (buffer, value) in before.items():
                holder, _, last = name.rpartition(".")
                if module.get_buffer(name) is not buffer or not torch.equal(_bits(buffer), _bits(value)):
                    buffer.copy_(value)
                    setattr(module.get_submodule(holder), last, buffer)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)  # NaN is equal to itself here


_PLACE = torch.empty(0)  # where a tensor of the call is to stand


@dataclasses.dataclass(frozen=True)
class _Constant:
    value: Any


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def tensors_of(answer: Any) -> Iterator[torch.Tensor]:
    """The tensors in what a model returned: a tensor, or a tuple, list, dict or dataclass of such."""
    for _, value in _named(answer, ""):
        if isinstance(value, torch.Tensor):
            yield value


def output_names(answer: Any) -> list[str]:
    """A name for each of these tensors: ``logits``, ``hidden.0``; ``output`` where the model returns one tensor."""
    names = [name or "output" for name, value in _named(answer, "") if isinstance(value, torch.Tensor)]
    names = [f"output.{name}" if name[0].isdigit() else name for name in names]
    if len(set(names)) != len(names):
        raise ExportError(
            f"The model's outputs are called {', '.join(names)}.",
            "Every output has a name of its own.",
            "Return a dict with other keys.",
        )
    return names


def left_out(answer: Any) -> list[str]:
    """Names, with the type, of what a model returned that is no tensor and not None: no file holds it."""
    return [
        f"{name or 'output'} ({type(value).__name__})"
        for name, value in _named(answer, "")
        if value is not None and not isinstance(value, torch.Tensor)
    ]


def _named(answer: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The parts of an answer that have no parts of their own."""

    def inner(pairs: Any) -> Iterator[tuple[str, Any]]:
        for key, value in pairs:
            yield from _named(value, f"{name}.{key}" if name else str(key))

    if isinstance(answer, Mapping):
        yield from inner(answer.items())
    elif isinstance(answer, tuple) and hasattr(answer, "_asdict"):
        yield from inner(answer._asdict().items())  # noqa: SLF001 - the documented way
    elif isinstance(answer, (tuple, list)):
        yield from inner(enumerate(answer))
    elif dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        yield from inner((field.name, getattr(answer, field.name)) for field in dataclasses.fields(answer))
    else:
        yield name, answer
