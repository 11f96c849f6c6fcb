"""What a forward reads besides its code, as it is at one moment."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch


class Snapshot:
    """Attributes of a module and of all modules in it, and how often each tensor has been changed in place.

    It notices an attribute that is set, a training mode that is switched, a parameter or buffer that is replaced, and an
    in-place change of a parameter, buffer or input. It does not notice a list that is appended to, or memory changed
    behind torch's back (through NumPy).
    """

    def __init__(self, module: torch.nn.Module, inputs: Sequence[torch.Tensor] = ()) -> None:
        self._module, self._inputs = module, inputs
        self._attributes: list[object] = []
        self._tensors = list(inputs)
        modules = [module]
        while modules:  # module.modules() takes several times as long, and this runs at every call
            parts = vars(modules.pop())
            self._attributes += parts.values()
            for kind in ("_parameters", "_buffers"):
                self._attributes += parts[kind].values()
                self._tensors += [tensor for tensor in parts[kind].values() if tensor is not None]
            modules += [child for child in parts["_modules"].values() if child is not None]
        self._versions = [version(tensor) for tensor in self._tensors]

    def same_attributes(self, later: Snapshot) -> bool:
        """Whether nothing was set on the modules in between."""
        return len(self._attributes) == len(later._attributes) and all(
            map(operator.is_, self._attributes, later._attributes)
        )

    def devices(self) -> list[torch.device]:
        """Where the tensors are."""
        return list({tensor.device for tensor in self._tensors})

    def change(self) -> str:
        """What has changed since, as subject and verb of a sentence; "" when nothing has."""
        now = Snapshot(self._module, self._inputs)
        if not self.same_attributes(now):
            return "an attribute, a parameter or the training mode of the model was set"
        changed = [place for place, count in enumerate(self._versions) if now._versions[place] != count]
        return f"{self._name(changed[0])} was changed in place" if changed else ""

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
