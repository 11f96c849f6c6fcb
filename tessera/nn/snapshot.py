"""What a forward reads besides its code, as it is at one moment."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch


class Snapshot:
    """Attributes of a module and of all modules in it, and how often each tensor has been changed in place.

    It notices an attribute that is set, a training mode that is switched, a parameter or buffer that is replaced, and
    an in-place change of a parameter, buffer or input. It does not notice a list that is appended to, or memory that
    is changed behind torch's back (through NumPy).
    """

    def __init__(self, module: torch.nn.Module, inputs: Sequence[torch.Tensor] = ()) -> None:
        self._module, self._inputs = module, inputs
        self._holders: list[dict[str, Any]] = []
        tensors: list[torch.Tensor | None] = list(inputs)
        modules = [module]
        for part in modules:  # module.modules() takes several times as long, and this runs at every call
            attributes = vars(part)
            parameters, buffers, parts = attributes["_parameters"], attributes["_buffers"], attributes["_modules"]
            self._holders += (attributes, parameters, buffers, parts)
            tensors += parameters.values()
            tensors += buffers.values()
            modules += [inner for inner in parts.values() if inner is not None]
        self._tensors = [tensor for tensor in tensors if tensor is not None]
        self._held = list(self._values())
        self._versions = _versions(self._tensors)

    def devices(self) -> list[torch.device]:
        """Those besides the CPU that have random numbers of their own."""
        return [device for device in {tensor.device for tensor in self._tensors} if device.type not in {"cpu", "meta"}]

    def attributes_changed(self) -> bool:
        """Whether something was set on the module or on a part of it since."""
        same = all(map(operator.is_, self._values(), self._held))
        return not same or sum(map(len, self._holders)) != len(self._held)

    def change(self) -> str:
        """What has changed since, as subject and verb of a sentence; "" when nothing has."""
        if self.attributes_changed():
            return "an attribute, a parameter or the training mode of the model was set"
        now = _versions(self._tensors)
        if now == self._versions:
            return ""
        place = next(place for place, (old, new) in enumerate(zip(self._versions, now, strict=True)) if old != new)
        return f"{self._name(place)} was changed in place"

    def _values(self) -> Iterator[Any]:
        return chain.from_iterable(map(dict.values, self._holders))

    def _name(self, place: int) -> str:
        if place < len(self._inputs):
            return f"input {place}"
        named = [*self._module.named_parameters(), *self._module.named_buffers()]
        return next(repr(name) for name, tensor in named if tensor is self._tensors[place])


def _versions(tensors: Sequence[torch.Tensor]) -> list[int]:
    try:
        return [tensor._version for tensor in tensors]  # noqa: SLF001 - as below, and without a call for each
    except RuntimeError:
        return [version(tensor) for tensor in tensors]


def version(tensor: torch.Tensor) -> int:
    """How often ``tensor`` has been changed in place."""
    try:
        return tensor._version  # noqa: SLF001 - torch's count has no other name
    except RuntimeError:  # made in inference mode: not counted, and not changed in place outside of it
        return 0
