"""``Tensor["B", "S", 512]``: the annotation as it is written, and jaxtyping's as it is.

At run time it is ``Annotated[torch.Tensor, TensorSpec(...)]``, so that ``Optional``, ``list[...]``, dataclasses and
every tool that knows ``Annotated`` see a tensor. A type checker sees ``torch.Tensor``: mypy and pyright take all that
can stand in the brackets. Pyrefly reads text in them as names, so those must be in the file: ``B, S = dims("B S")``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import torch

from tessera.errors import AnnotationError
from tessera.shapes.size import Arithmetic, Dim, Size, read_size
from tessera.shapes.spec import AnySize, Between, OneOr, Place, Several, TensorSpec

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|meta)(:\d+)?$")


def read_spec(parts: Any) -> TensorSpec:
    """What stands between the brackets of ``Tensor[...]``.

    Raises:
        AnnotationError: something there is no size, dtype, device or range; or a second one of what can be there once.
    """
    places: list[Place] = []
    dtypes: list[torch.dtype] = []
    device, values = None, None
    for part in parts if isinstance(parts, tuple) else (parts,):
        if isinstance(part, torch.dtype):
            dtypes.append(part)
        elif isinstance(part, torch.device) or (isinstance(part, str) and _DEVICE.match(part)):
            device = torch.device(part)
        elif isinstance(part, Between):
            values = part
        else:
            places.append(_place(part))
    if sum(isinstance(place, Several) for place in places) > 1:
        raise AnnotationError(
            f"Tensor[{', '.join(str(place) for place in places)}] stands for several dimensions in two places.",
            'One "..." or one "*name" can be told from the sizes beside it, two cannot.',
            'Give the others their sizes, such as Tensor["B", ..., 512].',
        )
    shape_said = bool(places) or not (dtypes or device or values)
    return TensorSpec(tuple(places) if shape_said else None, tuple(dtypes), device, values)


def _place(part: Any) -> Place:
    if part is Ellipsis:
        return Several()
    if isinstance(part, bool) or part is None:
        raise _no_size(part)
    if isinstance(part, Arithmetic):
        return AnySize() if part == Dim("_") else part
    if isinstance(part, int):
        if part < 0:
            raise _no_size(part)
        return part
    if isinstance(part, TypeVar):
        return Dim(part.__name__)
    if isinstance(part, str):
        return place_of_text(part)
    raise _no_size(part)


def place_of_text(text: str) -> Place:
    """``"B"``, ``"_"``, ``"..."``, ``"*batch"``, ``"#B"`` or a computed size."""
    text = text.strip()
    if text == "...":
        return Several()
    if text == "_":
        return AnySize()
    if text.startswith("*") and text[1:].isidentifier():
        return Several(None if text[1:].startswith("_") else text[1:])
    if text.startswith("#"):
        return OneOr(read_size(text[1:]))
    return read_size(text)


def _no_size(part: Any) -> AnnotationError:
    return AnnotationError(
        f"{part!r} was written between the brackets of Tensor[...].",
        "There stand sizes (a name, a number, arithmetic, ...), a dtype, a device and a range of values.",
        'Write for example Tensor["B", "S", 512] or Tensor["B", 3, torch.float32].',
    )


class _Annotation(type):
    """Lets ``Tensor["B", 512]`` be written, and ``isinstance(x, Tensor)`` be asked of every tensor."""

    def __getitem__(cls, parts: Any) -> Any:
        return Annotated[torch.Tensor, read_spec(parts)]

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, torch.Tensor)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, torch.Tensor)


MYPY = False  # mypy takes this name for true, and then a tensor with anything in its brackets for any type
if MYPY:
    Tensor: Any = torch.Tensor
elif TYPE_CHECKING:

    class Tensor(torch.Tensor, Any, Protocol):  # pyright: ignore[reportGeneralTypeIssues]
        """What pyright sees: a tensor that every tensor fits and that fits everywhere, with anything in brackets."""

        def __class_getitem__(cls, parts: Any) -> Any: ...
else:

    class Tensor(metaclass=_Annotation):
        """A tensor, in annotations: ``Tensor["B", "S", 512]``; by itself one of which nothing is said.

        Between the brackets stand

        - sizes: a name (``"B"``, or ``B`` from ``tessera.dims`` or of a function's type parameters), a number,
          arithmetic (``"2*H"``, ``"S + 1"``, ``"B*S"``), ``"_"`` for any, ``...`` or ``"*batch"`` for any number of
          dimensions;
        - a dtype (``torch.bfloat16``, ``tessera.f32``), a device (``"cuda"``, ``torch.device(...)``);
        - the range of its values, ``tessera.between(0, 1)``.

        A name is the same number everywhere in one signature. What is declared is checked for all sizes at once by
        ``tessera.check`` and ``tessera check``, and at every call of a ``tessera.function``.

        Raises:
            AnnotationError: what stands there cannot be read.
        """


def spec_of(annotation: Any) -> TensorSpec | None:
    """What an annotation says of a tensor; None where it is not about one tensor."""
    if annotation is Tensor or (isinstance(annotation, type) and issubclass(annotation, torch.Tensor)):
        return TensorSpec(None)
    for said in getattr(annotation, "__metadata__", ()):
        if isinstance(said, TensorSpec):
            return said
    return _of_jaxtyping(annotation)


def _of_jaxtyping(annotation: Any) -> TensorSpec | None:
    # Known by its attributes: jaxtyping is not imported, nor need it be installed.
    text, names = getattr(annotation, "dim_str", None), getattr(annotation, "dtypes", None)
    array = getattr(annotation, "array_type", None)
    if not isinstance(text, str) or not (isinstance(array, type) and issubclass(array, torch.Tensor)):
        return None
    listed = names if isinstance(names, (list, tuple)) else ()
    dtypes = tuple(d for d in (getattr(torch, str(name), None) for name in listed) if isinstance(d, torch.dtype))
    places = tuple(_place_of_jaxtyping(word) for word in text.split())
    return TensorSpec(places, dtypes, kind=annotation.__name__.split("[")[0].lower() if len(dtypes) > 1 else "")


def _place_of_jaxtyping(word: str) -> Place:
    word = word.lstrip("?")
    if "=" in word:  # name=size: the name is for the reader
        word = word.split("=", 1)[1]
    if word.startswith("_"):
        return AnySize()
    return place_of_text(word)


__all__ = ["Size", "Tensor", "read_spec", "spec_of"]
