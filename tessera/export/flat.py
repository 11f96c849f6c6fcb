"""A model as every format takes it: tensors by position in, a tuple of tensors out.

Keywords, nested inputs, constants and dataclasses of outputs are Python's; a file knows tensors. What becomes of them
is the same for all formats, and is here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """

    def __init__(
        self,
        module: torch.nn.Module,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        preprocessing: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.preprocessing = preprocessing
        self._leaves, self._nest = torch_internals.flattened((tuple(args), dict(kwargs)))
        self._leaves = [None if isinstance(leaf, torch.Tensor) else _Constant(leaf) for leaf in self._leaves]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the model answers: its tensors, in order."""
        return tuple(tensors_of(self.answer(*tensors)))

    def answer(self, *tensors: torch.Tensor) -> Any:
        """What the model returns."""
        rest = iter(tensors)
        args, kwargs = self._nest([next(rest) if leaf is None else leaf.value for leaf in self._leaves])
        if self.preprocessing is not None:
            made = self.preprocessing(*args, **kwargs)
            args, kwargs = ((), made) if isinstance(made, Mapping) else (_as_tuple(made), {})
        return self.module(*args, **kwargs)


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
