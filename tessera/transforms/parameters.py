"""Derivatives with respect to the parameters of a module, in whatever function it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.errors import TransformError

Parameters = dict[str, torch.Tensor]


class WithParameters:
    """``function`` as one of the parameters of ``module``, which it calls: ``pure(parameters, *args)``.

    Buffers that a call changes, such as running means, are copies while it runs; ``keep`` writes them back.
    """

    def __init__(self, function: Callable[..., Any], module: torch.nn.Module, transform: str) -> None:
        if not isinstance(module, torch.nn.Module):
            raise TransformError(
                f"wrt={type(module).__name__} was passed to tessera.{transform}.",
                "It is a module, whose parameters the derivative is taken with respect to.",
                "Write wrt=model, or choose arguments of the function by argnums.",
            )
        self._holder, self._module, self._transform = _Holder(function, module), module, transform

    def parameters(self) -> Parameters:
        """Those that require gradients, by name.

        Raises:
            TransformError: there is none, or they are not made yet.
        """
        found: Parameters = {name: p for name, p in self._module.named_parameters() if p.requires_grad}
        if any(isinstance(p, torch.nn.UninitializedParameter) for p in found.values()):
            raise TransformError(
                f"tessera.{self._transform} was called with respect to a module that has not been called yet.",
                "Its parameters are made in its first call.",
                "Call it once on a batch before.",
            )
        if not found:
            raise TransformError(
                f"No parameter of {type(self._module).__name__} requires a gradient.",
                f"tessera.{self._transform} with wrt= is about the parameters that are trained.",
                "Write module.requires_grad_(True), or choose arguments of the function by argnums.",
            )
        return found

    def __call__(self, parameters: Parameters, *args: Any, **named: Any) -> tuple[Any, Parameters]:
        """The result, and the buffers that may have changed."""
        buffers = {n: b.clone() for n, b in self._module.named_buffers()} if self._module.training else {}
        swapped = {f"module.{name}": value for name, value in (parameters | buffers).items()}
        result = torch.func.functional_call(self._holder, swapped, args, named)
        return result, buffers

    def keep(self, buffers: Parameters) -> None:
        """Write back what a call has made of the buffers."""
        with torch.no_grad():
            for name, buffer in self._module.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])


class _Holder(torch.nn.Module):
    """Calls a function, with the module that it calls inside as a submodule."""

    def __init__(self, function: Callable[..., Any], module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self._called = (function,)  # in a tuple: a function that is a module is none of the parts

    def forward(self, *args: Any, **named: Any) -> Any:
        return self._called[0](*args, **named)
