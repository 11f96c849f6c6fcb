"""``tessera.function``: a function that owns the layers in its body."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn, cast

import torch

from tessera import torch_internals
from tessera.errors import LayerError, OptimizerError
from tessera.nn.checked import uses_checked
from tessera.nn.declared import DeclaredContract, declared_contract
from tessera.nn.module import Module
from tessera.nn.own_layers import with_own_layers
from tessera.nn.running import RUNNING, running_call
from tessera.nn.structure import FirstCall, LaterCall, Structure

_FIRST_CALLS = threading.RLock()  # one at a time: two threads must not both make the layers


def function(body: Callable[..., Any]) -> Function:
    """Make a function a model that keeps its layers; decorator.

    Inside, ``tessera.nn.linear(x, 512)`` and its like, and modules that are made in the body, are made in the first
    call, with sizes, device and dtype taken from what they are given. Every later call uses them again, place by
    place: a loop has a layer for each round. Modules from elsewhere that the body calls, other functions among them,
    belong to it as well; called twice, such a module has one set of parameters, as in torch.

    The result is a ``tessera.nn.Module``: parameters, ``state_dict``, ``to``, ``train``, ``fit``, ``export`` and all
    else. It has its parameters after the first call, which ``fit`` makes when nobody did; a ``state_dict`` that is
    loaded before waits for its layers.

    Args:
        body: a function of tensors. Its layers and their order are the same in every call.

    What its annotations declare (``x: Tensor["B", "S", 512]``) is checked: the body for all sizes at once, here where
    all that it uses is there already, else in the first call; the arguments and the result in every call.

    Raises:
        LayerError: what is decorated is a class, a module or no function.
        AnnotationError: an annotation of a tensor cannot be read.
        ShapeError: the body cannot be right for all sizes that it declares.

    Example:
        >>> import torch, tessera
        >>> @tessera.function
        ... def classify(x):
        ...     x = tessera.nn.linear(x, 32).relu()
        ...     return tessera.nn.linear(tessera.dropout(x, 0.1), 10, name="head")
        >>> classify(torch.ones(8, 4)).shape
        torch.Size([8, 10])
        >>> [name for name, _ in classify.named_parameters()]
        ['linear.weight', 'linear.bias', 'head.weight', 'head.bias']
    """
    if not callable(body) or isinstance(body, (type, torch.nn.Module)):
        given = f"the class {body.__name__}" if isinstance(body, type) else f"a {type(body).__name__}"
        raise LayerError(
            f"@tessera.function was put on {given}.",
            "It makes a model of a function whose body asks for its layers.",
            "Write def net(x): under it; a class with a forward is for @tessera.model.",
        )
    contract = declared_contract(body, sys._getframe(1))  # noqa: SLF001 - names around it, for annotations kept as text
    made = Function(body, contract)
    if contract is not None and contract.is_whole_at_decoration:
        made.verify()
    return made


class Function(Module):
    """A function as a module: the layers that its body asks for are its submodules; see ``function``."""

    unmade: torch.nn.Parameter
    __name__: str

    def __init__(self, body: Callable[..., Any], contract: DeclaredContract | None = None) -> None:
        super().__init__()
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(body, name, type(body).__name__))
        self._body, self._contract = _Body(body), contract
        self._structure: Structure | None = None
        self._is_trial = False
        self._weights: dict[str, torch.Tensor] = {}  # that were loaded before there were layers
        self.register_parameter("unmade", _unmade(torch.empty(0)))

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._body.function)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the body.

        Raises:
            LayerError: the body asks for other layers than in the first call; nothing was changed.
        """
        if self._contract is not None and not torch.compiler.is_dynamo_compiling():
            return self._contract.call(self, self._run, args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args: Any, kwargs: Any) -> Any:
        if self._structure is None:
            if torch.compiler.is_dynamo_compiling():
                from tessera.nn import uncaptured

                return uncaptured.make(self._first_call, args, kwargs)
            return self._first_call(args, kwargs)
        call, before = LaterCall(self, self._structure.layers), running_call()
        RUNNING.running_call = call
        try:
            output = self._body(*args, **kwargs)
        finally:
            RUNNING.running_call = before
        call.check_finished()
        return output

    def _first_call(self, args: Any, kwargs: Any) -> Any:
        with _FIRST_CALLS:
            if self._structure is not None:  # another thread was first
                return self._run(args, kwargs)
            if not self._is_trial:
                self._refuse_without_data((args, kwargs))
                self._check_numbers(args, kwargs)
            self._body.prepare()
            asked = None if self.unmade.dtype == torch.get_default_dtype() else self.unmade.dtype
            call, before = FirstCall(self, self._weights, asked), running_call()
            RUNNING.running_call = call
            try:
                with call.watch():
                    output = self._body(*args, **kwargs)
            finally:
                RUNNING.running_call = before
            call.check_finished()
            if self._structure is not None:
                raise LayerError(
                    f"The function {self.__name__!r} calls itself in its first call.",
                    "A function has one set of layers, in one order.",
                    "Write a loop with the layers in it, or a function for each depth.",
                )
            del self.unmade
            for name, layer in call.modules.items():
                self.add_module(name, layer)
            self._structure, self._weights = Structure(tuple(call.structure)), {}
            return output

    @property
    def body(self) -> Callable[..., Any]:
        """The function that was decorated."""
        return self._body.function

    @property
    def has_layers(self) -> bool:
        """Whether the first call was made."""
        return self._structure is not None

    def verify(self) -> None:
        """Check the body against its annotations for all sizes at once; see ``tessera.check``.

        Raises:
            ShapeError: it cannot be right for all sizes that it declares.
        """
        from tessera.check.check import check, raise_errors

        if self._contract is not None and not self._contract.verified:
            self._contract.verified = True
            raise_errors(check(self))

    def _check_numbers(self, args: Any, kwargs: Any) -> None:
        """Before the first call, of a body that writes ``tessera.exp`` or its like: what they were known to be given.

        Raises:
            NumericsError: a number that such a function cannot take.
        """
        if uses_checked(self.body):
            from tessera.backend.ranges.warn import check_call

            check_call(self.trial, self.__name__, args, kwargs)

    def trial(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function on tensors without data, before it has layers too: then a copy gets them, and goes."""
        if self._structure is not None:
            return self._run(args, kwargs)
        with torch_internals.outside_of_modes():
            copy = Function(self.body)
        copy._is_trial = True
        return copy._run(args, kwargs)

    def _refuse_without_data(self, given: Any) -> None:
        tensors = torch_internals.tensors_in(given)
        if torch_internals.fake_mode_of(tensors) or any(tensor.is_meta for tensor in tensors):
            raise LayerError(
                f"The first call of the function {self.__name__!r} was made with tensors that hold no data.",
                "The first call makes the layers, on the device and in the dtype of what it is given.",
                f"Write {self.__name__}(batch) with a real batch before it is traced or exported.",
            )

    def _get_name(self) -> str:
        return self.__name__

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Function:
        if self._structure is not None:
            return super()._apply(fn, recurse)
        like = fn(torch.empty(0, device=self.unmade.device, dtype=self.unmade.dtype))
        self.unmade = _unmade(like)
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self._weights:
            destination.update({prefix + name: value for name, value in self._weights.items()})
        else:
            super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        if self._structure is not None:
            super()._load_from_state_dict(state_dict, prefix, *rest)
            return
        own = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        self._weights = {name: value.detach().clone() for name, value in own.items() if name != "unmade"}


class _Body:
    """The function that was decorated; found by its name again in another process."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = self.run = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)

    def prepare(self) -> _Body:
        """Once all names it uses are there: make it keep its layers."""
        self.run = with_own_layers(self.function)
        return self

    def __deepcopy__(self, _: Any) -> _Body:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self.function.__module__, self.function.__qualname__)


def _find(module: str, qualname: str) -> _Body:
    found: Any = sys.modules[module]
    for name in qualname.split("."):
        found = getattr(found, name)
    return _Body(found._body.function if isinstance(found, Function) else found).prepare()  # noqa: SLF001 - of this file


def _unmade(like: torch.Tensor) -> torch.nn.Parameter:
    kind: Any = _Unmade  # to mypy torch's lazy parameters are none
    return cast("torch.nn.Parameter", kind(device=like.device, dtype=like.dtype))


class _Unmade(torch.nn.UninitializedParameter):
    """Stands for the parameters before the first call; to all that know torch's lazy layers it is one of theirs.

    Its device and dtype are what ``to`` asked for.
    """

    @property
    def is_leaf(self) -> NoReturn:  # type: ignore[override]  # what every optimizer asks first
        """Raises: nothing could train it."""
        raise OptimizerError(
            "An optimizer was given the parameters of a tessera.function that has not been called yet.",
            "A function makes its parameters in its first call.",
            "Call it on a batch before the optimizer is made, or let fit do both.",
        )
