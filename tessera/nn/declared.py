"""What the annotations of a ``tessera.function`` declare, kept with it and checked at every call."""

from __future__ import annotations

import builtins
import dis
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from tessera import torch_internals
from tessera.shapes.call import check_call, check_result
from tessera.shapes.seen_calls import SeenCalls
from tessera.shapes.signature import Contract, read_contract
from tessera.shapes.unify import Bindings

if TYPE_CHECKING:
    from tessera.nn.function import Function


_VERIFIED_LATER: ContextVar[bool] = ContextVar("verified_later", default=False)


@contextmanager
def verified_later() -> Iterator[None]:
    """Functions that are decorated within are not verified then: ``tessera check`` reports on all of a file at once."""
    token = _VERIFIED_LATER.set(True)
    try:
        yield
    finally:
        _VERIFIED_LATER.reset(token)


def declared_contract(body: Callable[..., Any], frame: FrameType) -> DeclaredContract | None:
    """The contract of a function; None where its annotations say nothing of tensors.

    Args:
        body: the function.
        frame: where it is defined: annotations that are kept as text may use its names.

    Raises:
        AnnotationError: an annotation of a tensor cannot be read.
    """
    plain = inspect.unwrap(body)
    if not getattr(plain, "__annotations__", None):
        return None
    as_text = any(isinstance(annotation, str) for annotation in plain.__annotations__.values())
    contract = read_contract(body, frame.f_locals if as_text else None)
    return DeclaredContract(contract, plain) if contract.says_something else None


class DeclaredContract:
    """A contract, and whether the body was checked against it.

    Attributes:
        contract: what is declared.
        verified: whether the body was checked, with whatever came of it.
    """

    def __init__(self, contract: Contract, body: Callable[..., Any]) -> None:
        self.contract, self._body = contract, body
        self.verified = False
        self._seen = SeenCalls(contract)

    @property
    def is_whole_at_decoration(self) -> bool:
        """Whether everything that the body names is there: a function below it in the file is not yet."""
        code = getattr(self._body, "__code__", None)
        if code is None or _VERIFIED_LATER.get():
            return False
        known = {*self._body.__globals__, *vars(builtins)}
        return all(name in known for name in _global_names(code)) and all(map(_is_filled, self._body.__closure__ or ()))

    def call(self, function: Function, run: Callable[[Any, Any], Any], args: Any, kwargs: Any) -> Any:
        """One call with arguments and result checked.

        Raises:
            ShapeError: they, or the body, are not what is declared.
        """
        seen = self._seen
        bound: Bindings | None
        if (last := seen.last(args, kwargs)) is not None:
            result = run(args, kwargs)
            if last.gives(result) or seen.fits(last.call, result):
                return result
            looked_at, bound = last.call, last.bound
        elif (bound := seen.bindings(looked_at := seen.looked_at(args, kwargs))) is not None:
            result = run(args, kwargs)
            if seen.fits(looked_at, result):
                seen.remember(looked_at, args, kwargs, result)
                return result
        elif torch_internals.fake_mode_of(torch_internals.tensors_in((args, kwargs))) is not None:
            bound = check_call(self.contract, args, kwargs)
            result = function.trial(*args, **kwargs)  # a check of a function that calls this one
        else:
            if not self.verified:
                function.verify()
            bound = check_call(self.contract, args, kwargs)
            result = run(args, kwargs)
        if bound is not None:
            check_result(self.contract, bound.copy(), result)
            seen.add(looked_at, bound, result)
        return result

    def __deepcopy__(self, _: Any) -> DeclaredContract:
        return self


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
