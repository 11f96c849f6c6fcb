"""``tessera.model``: a class with layers and a ``forward`` becomes a model."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import torch

from tessera.errors import LayerError
from tessera.nn.deferred import read_all
from tessera.nn.forward_call import ForwardCall, user_line
from tessera.nn.losses import LossFunction
from tessera.nn.module import Module
from tessera.nn.prediction import Prediction
from tessera.nn.whole_steps import Step

T = TypeVar("T")


class Model(Module):
    """A Module that needs no ``super().__init__()``, and whose calls return a Prediction while it is training.

    In eval mode, under ``torch.no_grad()``, and inside other modules, transforms and compilers a call is that of a
    plain ``torch.nn.Module``. What is not a tensor is returned as the forward returned it.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        instance = super().__new__(cls)
        torch.nn.Module.__init__(instance)
        return instance

    def __init__(self) -> None:
        """All done in ``__new__``: done again here it would throw away layers that are set before ``super()``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or not self.training or not torch.is_grad_enabled():
            return super().__call__(*args, **kwargs)
        where = user_line()
        if where is None:
            return super().__call__(*args, **kwargs)
        call = ForwardCall(self, super().__call__, read_all(args), read_all(kwargs), where)
        if call.may_wait():
            call.wait()
            return Prediction.from_call(call, _train_step)
        output = call.run_now()
        return Prediction.from_call(call, _train_step) if _is_plain(output) else output


def model(cls: type[T]) -> type[T]:
    """Make a class with a ``forward`` a model; class decorator.

    The class need not inherit anything nor call ``super().__init__()``. The model is a ``tessera.nn.Module`` of the
    same name, with parameters, state_dict, ``fit``, ``export``, ``save``, ``load`` and ``summary``. While it is
    training, ``model(x)`` is a tensor that has ``loss(target)`` as well::

        loss = model(x).loss(y)
        optimizer.step(loss)  # gradients and update in one program

    Raises:
        LayerError: what is decorated is not a class, or has no ``forward``.
    """
    if not isinstance(cls, type) or not callable(getattr(cls, "forward", None)):
        raise LayerError(
            f"@tessera.model was put on {getattr(cls, '__name__', cls)!r}, which has no forward.",
            "It makes a model of a class that defines forward(self, ...).",
            "Write class Net: with def __init__(self) for its layers and def forward(self, x).",
        )
    if issubclass(cls, Model):
        return cls
    own = {name: vars(cls)[name] for name in ("__module__", "__qualname__", "__doc__", "__init__") if name in vars(cls)}
    if cls.__hash__ is None:  # a dataclass; torch keeps modules in sets, by identity
        own["__hash__"] = torch.nn.Module.__hash__
    return types.new_class(cls.__name__, (cls, Model), exec_body=lambda namespace: namespace.update(own))


def _train_step(
    module: torch.nn.Module,
    loss: LossFunction,
    optimizer: torch.optim.Optimizer,
    *,
    metrics: Mapping[str, Callable[[Any, Any], torch.Tensor]] | None = None,
) -> Step:
    """The door to the floor above; see ``tessera.train_step``."""
    from tessera.capture.train_step import train_step

    return train_step(module, loss, optimizer, metrics=metrics)


def _is_plain(output: Any) -> bool:
    """Tensors of other classes have methods of their own, which a Prediction would hide."""
    return type(output) in {torch.Tensor, torch.nn.Parameter}
