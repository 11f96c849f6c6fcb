"""Why a job cannot be captured whole, raised inside the capture and turned into a line of the Report by the ladder."""

from __future__ import annotations

import traceback

from tessera.errors import SourceLine
from tessera.program.provenance import line_of_trace
from tessera.users_code import is_library


class CannotCapture(Exception):
    """This job, or this piece of it, cannot be part of one Program.

    Args:
        reason: what stands in the way.
        instead: what the user could write instead.
        where: the user's line, when it is known.
    """

    def __init__(self, reason: str, instead: str = "", where: SourceLine | None = None) -> None:
        super().__init__(reason)
        self.reason, self.instead, self.where = reason, instead, where


class NeedsEagerStep(CannotCapture):
    """The optimizer makes its state in its first step: that one step runs eagerly, the next one is captured."""


class NotCaptured(CannotCapture):
    """Dynamo left a function alone that it was to capture whole, and would run it."""


class RunsEagerly(CannotCapture):
    """No piece of this call can be compiled: it runs as plain PyTorch."""


class RunsEagerlyOnce(CannotCapture):
    """What this call was given is for plain PyTorch; others are not touched by it."""


def line_of_error(error: BaseException) -> SourceLine | None:
    """The innermost line outside torch, Tessera and Python itself that ``error`` passed through, if there is one."""
    place = line_of_trace("".join(traceback.format_tb(error.__traceback__)))
    return None if place is None or is_library(place.file) else place
