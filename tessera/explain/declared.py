"""What sizes are called in functions that declare them: 8 is ``B`` where ``x: Tensor["B", "S", 512]`` was given 8 rows.

A number gets a name only where it can hardly be anything else: no other name, no number of the annotations and no size
of a layer that was running is the same.
"""

from __future__ import annotations

import contextlib
import dis
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import torch

from tessera.explain.stops import Stop
from tessera.shapes.signature import Contract, read_contract, specs_in
from tessera.shapes.unify import Bindings, unify

_NAMES: ContextVar[Mapping[int, str]] = ContextVar("names", default=MappingProxyType({}))


@contextlib.contextmanager
def sizes_named(names: Mapping[int, str]) -> Iterator[None]:
    """Within, texts call sizes by these names."""
    token = _NAMES.set(names)
    try:
        yield
    finally:
        _NAMES.reset(token)


def size_text(size: int) -> str:
    """``B=8``, or ``8`` where it has no name."""
    name = _NAMES.get().get(size)
    return str(size) if name is None else f"{name}={size}"


def declared_sizes(passed: Sequence[Stop]) -> dict[int, str]:
    """The names of sizes in the functions that an error passed through; what an inner function declares goes first.

    Args:
        passed: where their frames stopped, from the outermost.
    """
    found: dict[int, str] = {}
    taken = {size for stop in passed for size in _sizes_of_layer(stop.frame.f_locals.get("self"))}
    for at, stop in enumerate(passed):
        if stop.is_library or (contract := _contract(stop)) is None:
            continue
        bound = unify(contract.parameters, _arguments(passed, at, contract))
        if isinstance(bound, Bindings):
            sizes = [size for size in bound.sizes.values() if isinstance(size, int)]
            written = {size for spec in _specs(contract) for size in spec.places or () if isinstance(size, int)}
            found |= {
                size: name
                for name, size in bound.sizes.items()
                if size in sizes and size > 1 and sizes.count(size) == 1 and size not in taken | written
            }
    return found


def _specs(contract: Contract) -> Iterator[Any]:
    for expected in (*contract.parameters.values(), contract.returns):
        if expected is not None:
            yield from specs_in(expected)


def _contract(stop: Stop) -> Contract | None:
    """What the function of a frame declares."""
    owner, name = stop.frame.f_locals.get("self"), stop.code.co_name
    function = getattr(type(owner), name, None) if owner is not None else stop.frame.f_globals.get(name)
    function = getattr(function, "body", function)  # of a tessera.function
    plain = inspect.unwrap(function) if callable(function) else None
    if getattr(plain, "__code__", None) is not stop.code or not getattr(plain, "__annotations__", None):
        return None
    contract = read_contract(plain)  # type: ignore[arg-type]
    return contract if contract.says_something else None


def _arguments(passed: Sequence[Stop], at: int, contract: Contract) -> dict[str, Any]:
    """What a function was given: as its caller in torch holds it, else its variables that nothing was assigned to."""
    stop = passed[at]
    before = passed[at - 1] if at else None
    if before is not None and before.calls_a_module and "args" in before.frame.f_locals:
        given, named = before.frame.f_locals["args"], before.frame.f_locals.get("kwargs") or {}
        with contextlib.suppress(TypeError):
            parameters = [p for name, p in contract.signature.parameters.items() if name != "self"]
            return dict(contract.signature.replace(parameters=parameters).bind(*given, **named).arguments)
    assigned = {i.argval for i in dis.get_instructions(stop.code) if i.opname.startswith(("STORE_FAST", "DELETE_FAST"))}
    names = [name for name in contract.parameters if name not in assigned]
    return {name: stop.frame.f_locals[name] for name in names if name in stop.frame.f_locals}


def _sizes_of_layer(module: Any) -> set[int]:
    """Sizes of a module's own parameters, and numbers among its attributes: they may be equal by accident."""
    if not isinstance(module, torch.nn.Module):
        return set()
    parameters = [p for p in module.parameters() if not torch.nn.parameter.is_lazy(p)]
    numbers = {value for part in module.modules() for value in vars(part).values() if type(value) is int}
    return {size for parameter in parameters for size in parameter.shape} | numbers
