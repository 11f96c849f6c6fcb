"""What the user gave as example and sizes, as an ``Example`` and the model that takes it by position."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import AnnotationError, ExportError
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.formula import can_change
from tessera.shapes.call import check_call
from tessera.shapes.signature import Contract, read_contract
from tessera.shapes.size import Dim as DeclaredDim
from tessera.shapes.size import Size, read_size
from tessera.shapes.unify import Mismatch, tensors_of
from tessera.train.example_inputs import remembered_inputs

_NO_BOUND = 2**31
Inputs = torch.Tensor | Sequence[Any] | Mapping[str, Any]
Dims = Sequence[Any] | Mapping[str, Any]


def read_example(
    module: torch.nn.Module,
    inputs: Inputs | None,
    dims: Dims | None,
    preprocessing: Callable[..., Any] | None = None,
) -> tuple[FlatCall, Example]:
    """The call in ``inputs``, else the one ``module`` was last trained on.

    Without ``dims`` the declared sizes of an annotated ``forward`` have their names; without such the first dimension
    of every input that is as long as the first input's is called ``batch``.

    Raises:
        ExportError: there is no example, or its sizes are not what ``dims`` says.
        ShapeError: the example is not what ``forward`` declares.
    """
    if inputs is None:
        inputs = remembered_inputs(module)
    args: tuple[Any, ...] = (inputs,) if isinstance(inputs, torch.Tensor) else ()
    kwargs = dict(inputs) if isinstance(inputs, Mapping) else {}
    if isinstance(inputs, Sequence):
        args = tuple(inputs)
    args, kwargs = torch_internals.on_leaves(_apart, (args, kwargs))
    leaves = torch_internals.tensors_in((args, kwargs))
    if not leaves:
        held = [type(leaf).__name__ for leaf in (*args, *kwargs.values())]
        raise ExportError(
            f"example_inputs holds {', '.join(held) or 'nothing'}, and "
            f"{type(module).__name__} was not trained with fit before.",
            "An export follows one call of the model, so it needs the tensors of such a call.",
            "Write for example model.export('model.onnx', example_inputs=torch.randn(2, 784)).",
        )
    taker = module.forward if preprocessing is None else preprocessing
    parameters = _parameters(taker, args, kwargs)
    named = [(name, tensor) for key, value in parameters.items() for name, tensor in _tensors(value, key)]
    tensors = tuple(tensor for _, tensor in named)
    bounds: dict[str, tuple[int, int]] = {}
    formulas: dict[str, Size] = {}
    if dims is None:
        contract = _contract(taker)
        batch = [t for _, t in named]
        axes = _batch(batch) if contract is None else _declared(contract, args, kwargs, named, formulas)
    else:
        axes = _given(dims, parameters, named, bounds, formulas)
    example = Example(
        tensors,
        tuple(name for name, _ in named),
        tuple(axes),
        largest={name: most for name, (_, most) in bounds.items() if most < _NO_BOUND},
        formulas=formulas,
        smallest={name: least for name, (least, _) in bounds.items() if least > 1},
    )
    _check_sizes(example)
    return FlatCall(module, args, kwargs, preprocessing), example


def _apart(leaf: Any) -> Any:
    """A tensor that is passed twice is two inputs."""
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def _parameters(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name, in the order of the call."""
    try:
        bound = inspect.signature(function).bind_partial(*args)
        named: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if bound.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                named |= {f"{name}.{at}": each for at, each in enumerate(value)}
            else:
                named[name] = value
    except (TypeError, ValueError):  # the call itself will say; a function of C without a signature
        named = {f"input.{at}": each for at, each in enumerate(args)}
    return {**named, **kwargs}


def _tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors in the order in which torch flattens the nest, each with a name."""
    for at, tensor in torch_internals.tensors_by_place(value):
        yield ".".join((name, *at)), tensor


def _batch(tensors: Sequence[torch.Tensor]) -> list[dict[int, str]]:
    batch = next((len(t) for t in tensors if t.dim()), None)
    return [{0: "batch"} if t.dim() and len(t) == batch else {} for t in tensors]


def _contract(function: Callable[..., Any]) -> Contract | None:
    try:
        contract = read_contract(function)
    except (AnnotationError, TypeError, ValueError):  # told by tessera.check, or a builtin without a signature
        return None
    return contract if contract.names else None


def _declared(
    contract: Contract,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    named: Sequence[tuple[str, torch.Tensor]],
    formulas: dict[str, Size],
) -> list[dict[int, str]]:
    check_call(contract, args, kwargs)
    bound = contract.signature.bind(*args, **kwargs).arguments
    found: dict[int, dict[int, str]] = {}
    for name, expected in contract.parameters.items():
        for each in tensors_of(expected, bound.get(name), name) if name in bound else ():
            if not isinstance(each, Mismatch):
                places = each[1].aligned(each[2].dim()) or ()
                formulas |= {str(place): place for place in places if can_change(place)}
                free = {at: str(place) for at, place in enumerate(places) if isinstance(place, DeclaredDim)}
                computed = {at: str(place) for at, place in enumerate(places) if can_change(place)}
                found[id(each[2])] = {**free, **computed}
    return [found.get(id(tensor), {}) for _, tensor in named]


def _given(
    dims: Dims,
    parameters: Mapping[str, Any],
    named: Sequence[tuple[str, torch.Tensor]],
    bounds: dict[str, tuple[int, int]],
    formulas: dict[str, Size],
) -> list[dict[int, str]]:
    """What ``dims`` says of every tensor."""
    if isinstance(dims, Mapping):
        roots = {name.split(".")[0] for name in parameters}
        for name in dims:
            if name not in parameters and name not in roots and name not in dict(named):
                raise ExportError(
                    f"dims speaks of {name!r}.",
                    f"The example's inputs are {', '.join(each for each, _ in named)}.",
                    f"Write for example dims={{{named[0][0]!r}: {{0: 'batch'}}}}.",
                )
        of = dict(dims)
    else:
        if len(dims) != len(parameters):
            raise ExportError(
                f"dims has {len(dims)} entries, and the example {len(parameters)} inputs.",
                "There is one entry for each input, in order; {} is one whose sizes are all fixed.",
                "Write for example dims=({0: 'batch'}, {}).",
            )
        of = dict(zip(parameters, dims, strict=True))
    return [_axes(name, tensor, _said_of(name, of), bounds, formulas) for name, tensor in named]


def _said_of(name: str, of: Mapping[str, Any]) -> Any:
    """What is said of ``batch.ids``: under its own name, or under ``batch`` and there under ``ids``."""
    if name in of:
        return of[name]
    parts, here = name.split("."), of
    while parts:
        key: Any = parts.pop(0)
        if isinstance(here, (tuple, list)):
            here = here[int(key)] if key.isdigit() and int(key) < len(here) else {}
        elif isinstance(here, Mapping):
            here = here.get(key, here if _is_axes(here) and here is not of else {})
    return here


def _is_axes(said: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, int) for key in said)


def _axes(
    name: str, tensor: torch.Tensor, said: Any, bounds: dict[str, tuple[int, int]], formulas: dict[str, Size]
) -> dict[int, str]:
    axes: dict[int, str] = {}
    if not isinstance(said, Mapping) or not _is_axes(said):
        raise ExportError(
            f"dims says {said!r} of {name}.",
            "It says which dimensions of an input may have another length, by position, and what each is called.",
            f"Write for example dims={{{name!r}: {{0: 'batch'}}}}.",
        )
    for axis, called in said.items():
        if called is None:
            continue
        if not -tensor.dim() <= axis < tensor.dim():
            raise ExportError(
                f"dims speaks of dimension {axis} of {name}, whose shape in the example is {list(tensor.shape)}.",
                f"Its dimensions are counted from 0 to {tensor.dim() - 1}." if tensor.dim() else "It has none.",
                "Write the position of the dimension that may change.",
            )
        key = called if isinstance(called, str) else getattr(called, "__name__", str(called))
        if not key.isidentifier():
            formula = read_size(key)
            key = str(formula)
            if not can_change(formula):
                raise ExportError(
                    f"dims calls dimension {axis} of {name} {called!r}.",
                    "A size that may change is a name, or a sum, product or quotient of names and numbers.",
                    f"Write for example dims={{{name!r}: {{{axis}: '2*S'}}}}; leave a size that is fixed out.",
                )
            formulas[key] = formula
        else:
            least, most = bounds.get(key, (1, _NO_BOUND))
            bounds[key] = (max(least, _bound(called, "min", 1)), min(most, _bound(called, "max", _NO_BOUND)))
        axes[axis % tensor.dim()] = key
    return axes


def _bound(called: Any, name: str, otherwise: int) -> int:
    """That of one of torch's ``Dim``; without one it has a kind of infinity there."""
    found = getattr(called, name, None)
    return found if isinstance(found, int) else otherwise


def _check_sizes(example: Example) -> None:
    """One name is one length, and a formula gives what its dimension has."""
    seen: dict[str, tuple[str, int, int]] = {}
    computed = example.lengths(example.sizes)
    for name, tensor, axes in zip(example.names, example.tensors, example.dims, strict=True):
        for axis, called in axes.items():
            place = (name, axis, tensor.shape[axis])
            before = seen.setdefault(called, place)
            if before[2] != place[2]:
                raise ExportError(
                    f"{called} is {before[2]} in dimension {before[1]} of {before[0]} and {place[2]} in dimension "
                    f"{axis} of {name}.",
                    "Inputs that use one name have one length.",
                    "Pass an example whose sizes agree, or give one of the two another name.",
                )
            if called in example.formulas and computed.get(called) != place[2]:
                sizes = ", ".join(f"{each} {size}" for each, size in example.sizes.items()) or "no size"
                raise ExportError(
                    f"{called} is {place[2]} in dimension {axis} of {name}, and is {computed.get(called, 'unknown')} "
                    f"for {sizes}.",
                    "A size that is computed has the length that its formula gives.",
                    "Pass an example whose sizes agree, or give the dimension a name of its own.",
                )
            if place[2] < example.smallest.get(called, place[2]):
                raise ExportError(
                    f"{called} is {place[2]} in {name}.",
                    f"It was declared to be {example.smallest[called]} at least.",
                    "Pass a larger example, or declare a smaller size.",
                )
            if place[2] > example.largest.get(called, place[2]):
                raise ExportError(
                    f"{called} is {place[2]} in {name}.",
                    f"It was declared to be {example.largest[called]} at most.",
                    "Pass a smaller example, or declare a larger size.",
                )
