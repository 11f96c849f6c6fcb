"""Why a model could not be traced, in the user's words: the sizes that its code fixes and the line that fixes them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable

from tessera.errors import ExportError, SourceLine
from tessera.export.example import Example
from tessera.users_code import users_line

_FIXED = re.compile(r"size\(\)\[(\d+)\] as dynamic but your code specialized it to be a constant \((\d+)\)")
_INPUT = re.compile(r"L\['tensors'\]\[(\d+)\]\.$")
_SYMBOLS = "torch.fx.experimental.symbolic_shapes"  # whose log says when a symbol becomes a number


def fixed_sizes(error: BaseException, example: Example) -> list[str]:
    """What torch.export says of sizes that were to stay symbols: ``B (dimension 0 of x) is fixed to 2``."""
    text = str(error)
    found = []
    for match in _FIXED.finditer(text):
        place = _INPUT.search(text[: match.start()])
        axis, size = int(match[1]), match[2]
        if place is not None and axis in example.dims[int(place[1])]:
            at = int(place[1])
            found.append(f"{example.dims[at][axis]} (dimension {axis} of {example.names[at]}) is fixed to {size}")
    return list(dict.fromkeys(found))


def size_error(name: str, fixed: list[str], again: Callable[[], object]) -> ExportError:
    """The error for sizes that the model fixes; ``again`` traces it once more, to see which line does."""
    return ExportError(
        f"{name} takes one size only, where another was to be possible: {'; '.join(fixed)}.",
        "A size that may change is never written into the code as a number, nor looped over, nor compared with one.",
        "Write the size as x.shape[0], or -1 in a view, on that line; or fix it by leaving it out of dims.",
        fixing_line(again),
    )


def fixing_line(again: Callable[[], object]) -> SourceLine | None:
    """The user's line under which a size first becomes a number while ``again`` traces."""
    logger, watch = logging.getLogger(_SYMBOLS), _Watch()
    level, logger_handlers = logger.level, [*logger.handlers]
    propagate, logger.propagate = logger.propagate, False
    logger.handlers[:] = [watch]
    logger.setLevel(logging.INFO)
    try:
        again()
    except Exception:  # noqa: BLE001 - it has failed before
        return watch.line
    finally:
        logger.setLevel(level)
        logger.handlers[:], logger.propagate = logger_handlers, propagate
    return watch.line


class _Watch(logging.Handler):
    """Looks at the stack when the log says that a symbol is one number from now on."""

    line: SourceLine | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.line is None and "range_refined_to_singleton" in record.getMessage():
            self.line = users_line(sys._getframe())  # noqa: SLF001 - the documented way
