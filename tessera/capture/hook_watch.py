"""Module hooks: while a module has none, torch's count of hooks is watched instead of six guards for each layer.

Dynamo can guard that the hook dictionaries of every layer are empty, at every call, or not look at all. A hook that
is registered raises one number in torch; while the number and the layers are the same, no layer got a hook.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from tessera import torch_internals

_OURS = ("G['__import_tessera_dot_", "G['only_captured']")  # nobody replaces functions of ours


class HookWatch:
    """Whether captures are still right about the hooks of the module that is the captured function's first argument.

    Args:
        name: of that argument.
    """

    def __init__(self, name: str) -> None:
        self._guarded_path = re.compile(rf"{name}(\._modules\['[^']*'\])*\.\w+_hooks(_with_kwargs)?")
        self._look(None)

    def begin(self, argument: object) -> None:
        """Look at ``argument`` before a capture, which then leaves out the guards on hooks if there are none."""
        self._look(argument if isinstance(argument, torch.nn.Module) else None)

    def holds(self) -> bool:
        """Whether nothing changed since ``begin``: hooks on no layer before, and on none now."""
        if self._count == torch_internals.hook_count():
            for module, children in self._children:
                if torch_internals.layers(module) != children:
                    break
            else:
                return True
        before = self._free, self._global
        self._look(self._module)
        return before == (self._free, self._global)

    def needed(self, guards: Sequence[torch_internals.Guard]) -> list[bool]:
        """Which guards a capture needs: a ``guard_filter_fn`` of torch.compile."""
        return [not self._is_known(guard) for guard in guards]

    def _is_known(self, guard: torch_internals.Guard) -> bool:
        if guard.guard_type == "EMPTY_NN_MODULE_HOOKS_DICT":
            return self._free and self._guarded_path.fullmatch(guard.name) is not None
        return guard.name.startswith(_OURS)

    def _look(self, module: torch.nn.Module | None) -> None:
        self._module, self._count = module, torch_internals.hook_count()
        modules = [] if module is None else list(module.modules())
        self._children = [(m, children) for m in modules if (children := torch_internals.layers(m))]
        self._free = module is not None and not any(map(torch_internals.has_module_hooks, modules))
        self._global = torch_internals.has_global_module_hooks()
