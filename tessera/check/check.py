"""``tessera.check``: is a function right for all sizes it declares? Answered without data, before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

from tessera.check.explore import explore
from tessera.check.finding import CheckReport, Finding
from tessera.errors import AnnotationError, SettingError, ShapeError, SourceLine
from tessera.nn.function import Function
from tessera.shapes.signature import Contract, read_contract


def check(target: Any) -> CheckReport:
    """Check annotated functions for all sizes at once.

    Every declared size is a symbol; the body runs on tensors that hold no data, on both sides of every ``if`` that a
    size, a bool argument or data decides. Whatever would tie a size to a number or to another size is an error, blamed
    on the line where the wrong size was born. Nothing of the target is changed.

    Args:
        target: a function or method with annotations (``Tensor["B", 512]``, jaxtyping's too), a ``tessera.function``, a
            module with an annotated ``forward`` or with such modules in it, or a Python module with any of these.

    Returns:
        A report with ``.errors`` and ``.warnings``, each with file, line, kind, message and fixes; ``.notes`` say what
        was taken for granted and what could not be checked.

    Raises:
        SettingError: the target is none of these.

    Example:
        >>> import torch, tessera
        >>> def head(x: tessera.Tensor["B", 512]) -> tessera.Tensor["B", 10]:
        ...     return x @ torch.zeros(256, 10)
        >>> len(tessera.check(head).errors)
        1
    """
    report = CheckReport()
    if isinstance(target, ModuleType):
        targets = list(annotated_in(target))
        for one in sorted(targets, key=_is_made_with_arguments):
            if not (inspect.isclass(one) and f"{one.__qualname__}.forward" in report.checked):  # as part of another
                report.merge(check(one))
        return report
    if isinstance(target, Function):
        return _check_one(target.trial, target.body, target if target.has_layers else None)
    if isinstance(target, torch.nn.Module):
        return _check_module(target)
    if inspect.isclass(target):
        return _check_class(target)
    if not callable(target):
        raise SettingError(
            f"tessera.check was given {target!r:.80}.",
            "It takes an annotated function, a tessera.function, a module, or a Python module with any of these in it.",
            "Write for example tessera.check(model).",
        )
    plain = inspect.unwrap(target)
    owner = getattr(target, "__self__", None)
    return _check_one(target, plain, owner if isinstance(owner, torch.nn.Module) else None)


def _is_made_with_arguments(target: Any) -> bool:
    """Whether an instance of it can only be made with numbers that are guessed."""
    if not inspect.isclass(target):
        return False
    parameters = inspect.signature(target).parameters.values()
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def _check_one(
    call: Callable[..., Any],
    annotated: Callable[..., Any],
    root: torch.nn.Module | None,
    own_numbers: tuple[int, ...] = (),
) -> CheckReport:
    contract = _contract(annotated)
    if isinstance(contract, Finding):
        return CheckReport([contract], checked=[contract.function])
    if root is not None and any(torch.nn.parameter.is_lazy(parameter) for parameter in root.parameters()):
        unmade = "some of its layers get their sizes in the first call; call it once"
        return CheckReport(notes=[f"{contract.name} was not checked: {unmade}."])
    if not contract.says_something:
        return CheckReport(notes=[f"{contract.name} was not checked: none of its annotations says a size of a tensor."])
    return explore(call, contract, root, own_numbers)


def _contract(function: Callable[..., Any]) -> Contract | Finding:
    try:
        return read_contract(function)
    except AnnotationError as error:
        where = error.where or SourceLine("<unknown>", 0)
        name = getattr(function, "__qualname__", repr(function))
        return Finding("annotation", "error", name, where, f"{error.received} {error.expected}", fixes=(error.fix,))


def _check_module(module: torch.nn.Module, own_numbers: tuple[int, ...] = ()) -> CheckReport:
    """The module's own ``forward`` if it is annotated, and those of the kinds of modules in it.

    Args:
        module: the module.
        own_numbers: what its constructor was given as examples; a declared name may stand for one of them.
    """
    report, kinds = CheckReport(), set[type]()
    for part in module.modules():
        if type(part) in kinds or is_library_class(type(part)):
            continue
        kinds.add(type(part))
        if isinstance(part, Function):
            report.merge(check(part))
        elif has_annotations(part.forward):
            report.merge(_check_one(part, part.forward, part, (*own_numbers, *_own_sizes(part))))
    if not report.checked and not report.notes:
        report.notes.append(f"{type(module).__name__} was not checked: no forward in it has an annotated argument.")
    return report


def _own_sizes(module: torch.nn.Module) -> set[int]:
    """Numbers that an instance was made with: sizes of its parameters, and numbers among its attributes."""
    tensors = [t for t in (*module.parameters(), *module.buffers()) if not torch.nn.parameter.is_lazy(t)]
    sizes = {size for tensor in tensors for size in tensor.shape}
    return {number for number in (*sizes, *vars(module).values()) if type(number) is int and number > 1}


def _check_class(kind: type) -> CheckReport:
    if not issubclass(kind, torch.nn.Module):
        return CheckReport(notes=[f"{kind.__name__} was not checked: it is no module."])
    from tessera.check.instances import instances_of

    return instances_of(kind, _check_module)


def has_annotations(function: Any) -> bool:
    """Whether a function has annotations that speak of a tensor's sizes."""
    contract = _contract(inspect.unwrap(function))
    return isinstance(contract, Finding) or contract.says_something


def is_library_class(kind: type) -> bool:
    """Whether a class is torch's or Tessera's own."""
    return kind.__module__.split(".")[0] == "torch" or (
        kind.__module__.startswith("tessera.") and not issubclass(kind, Function)
    )


def annotated_in(module: ModuleType) -> Iterator[Any]:
    """Everything in a Python module that can be checked and was written there."""
    seen = set[int]()
    for value in list(vars(module).values()):
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Function):
            if value.body.__module__ == module.__name__:
                yield value
        elif isinstance(value, torch.nn.Module):
            if type(value).__module__ == module.__name__:
                yield value
        elif inspect.isclass(value) and issubclass(value, torch.nn.Module):
            if value.__module__ == module.__name__ and any(
                has_annotations(part) for part in [value.forward] if inspect.isfunction(part)
            ):
                yield value
        elif inspect.isfunction(value) and _is_written_in(module, value) and has_annotations(value):
            yield value


def _is_written_in(module: ModuleType, function: Any) -> bool:
    return inspect.unwrap(function).__module__ == module.__name__


def raise_errors(report: CheckReport) -> None:
    """Raise what a report holds of errors.

    Raises:
        ShapeError: with the text of all of them.
    """
    if not report.errors:
        return
    first = report.errors[0]
    fix = f"Write {first.fixes[0]}." if first.fixes else "Mend the line, or declare what it does."
    text = "\n\n".join(map(str, report.errors))
    error = ShapeError(f"{first.function} is not what it declares.", first.why, fix, first.where, text)
    error.findings = tuple(report.errors)
    raise error
