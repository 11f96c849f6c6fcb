"""The one place that errors pass on their way from torch to the user; ``README.md`` beside it says what happens here.

A door is ``try: ... except Exception as error: explain(error, args, kwargs); raise``: it costs nothing until something
goes wrong. What comes out is the same object, so every ``except`` clause that fits what torch raises fits it still.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tessera import torch_internals
from tessera.errors import TesseraError
from tessera.explain.declared import declared_sizes, sizes_named
from tessera.explain.failure import Explanation
from tessera.explain.rules.table import explanation_of
from tessera.explain.scene import Scene, scene
from tessera.explain.stops import Stop, stops
from tessera.explain.text import full_text, place_text

_RETOLD = (RuntimeError, IndexError, ValueError, TypeError, AssertionError, AttributeError)  # their text is args[0]


@torch_internals.left_alone
def explain(error: Exception, args: Sequence[Any] = (), named: Mapping[str, Any] | None = None) -> None:
    """Tell ``error`` in Tessera's words, in place, if torch raised it; what the user raised stays as it is.

    Its text becomes the explanation, which ends with the text it had; ``error.explanation`` has the parts. Where no
    rule knows what is wrong, the text stays and a note says the line and the layer. Frames of torch and Tessera are
    taken out of the traceback.

    Args:
        error: just caught, still to be raised.
        args: what the door was called with; ``named`` likewise.
    """
    _forget_the_compiler(error)
    if isinstance(error, TesseraError):
        return
    # An explanation that fails must not hide what it was to explain.
    with contextlib.suppress(Exception):
        if explanation(error) is None:
            if getattr(error, "__notes__", None):  # of an inner door, or the user's own
                return
            found = scene(error, args, named or {})
            if not found.is_torchs:
                return
            _tell(error, found)
        error.__traceback__ = _of_the_users(stops(error), error.__traceback__)


def _forget_the_compiler(error: BaseException) -> None:
    """Leave out that a compiler had failed before the same call failed eagerly."""
    context = error.__context__
    if error.__cause__ is None and context is not None and any(stop.is_compilers for stop in stops(context)):
        error.__context__ = None


def explanation(error: BaseException) -> Explanation | None:
    """What ``explain`` found out about an error, if it did."""
    found = getattr(error, "explanation", None)
    return found if isinstance(found, Explanation) else None


def _tell(error: Exception, found: Scene) -> None:
    said, path = str(error), found.failure.path
    answer = None
    if isinstance(error, _RETOLD) and len(error.args) == 1:
        names: dict[int, str] = {}
        with contextlib.suppress(Exception):  # an annotation that cannot be read names nothing
            names = declared_sizes(stops(error))
        with contextlib.suppress(Exception), sizes_named(names):  # a rule that fails knows nothing
            answer = explanation_of(found.failure)
    if answer is not None:
        error.args = (full_text(answer, found.user, path, said),)
        vars(error)["explanation"] = replace(answer, said=said)
    else:
        place, code = place_text(found.user, path)
        error.add_note("\n".join([place, *(f"    {line}" for line in code)]))


def _of_the_users(passed: list[Stop], whole: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback without frames of torch and Tessera; all of it where nothing would be left."""
    trace = None
    for stop in reversed(passed):
        if not stop.is_library:
            trace = types.TracebackType(trace, stop.frame, stop.instruction, stop.line)
    return trace or whole


def passed_compiled_code(error: BaseException) -> bool:
    """Whether no line of the user's is on the way: compiled code raised it."""
    return all(stop.is_library for stop in stops(error))
