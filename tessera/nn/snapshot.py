"""What a forward reads besides its code, as it is at one moment."""

from __future__ import annotations

import operator
from collections.abc import Sequence
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
        self._tensors = list(inputs)
        modules = [module]
        while modules:  # module.modules() takes several times as long, and this runs at every call
            attributes = vars(modules.pop())
            parameters, buffers, parts = (attributes[kind] for kind in ("_parameters", "_buffers", "_modules"))
            self._holders += (attributes, parameters, buffers, parts)
            self._tensors += [t for t in (*parameters.values(), *buffers.values()) if t is not None]
            modules += [part for part in reversed(parts.values()) if part is not None]
        self._held = self._values()
        self._versions = [version(tensor) for tensor in self._tensors]

    def devices(self) -> list[torch.device]:
        """Where the tensors are."""
        return list({tensor.device for tensor in self._tensors})

    def attributes_changed(self) -> bool:
        """Whether something was set on the module or on a part of it since."""
        now = self._values()
        return len(now) != len(self._held) or not all(map(operator.is_, now, self._held))

    def change(self) -> str:
        """What has changed since, as subject and verb of a sentence; "" when nothing has."""
        if self.attributes_changed():
            return "an attribute, a parameter or the training mode of the model was set"
        for place, tensor in enumerate(self._tensors):
            if version(tensor) != self._versions[place]:
                return f"{self._name(place)} was changed in place"
        return ""

    def _values(self) -> list[Any]:
        return list(chain.from_iterable(map(dict.values, self._holders)))

    def _name(self, place: int) -> str:
        if place < len(self._inputs):
            return f"input {place}"
        named = [*self._module.named_parameters(), *self._module.named_buffers()]
        return next(repr(name) for name, tensor in named if tensor is self._tensors[place])


def version(tensor: torch.Tensor) -> int:
    """How often ``tensor`` has been changed in place."""
    try:
        return tensor._version  # noqa: SLF001 - torch's count has no other name
    except RuntimeError:  # made in inference mode: not counted, and not changed in place outside of it
        return 0
