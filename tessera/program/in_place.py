"""Which operations write to their first tensor, told by their name."""

from __future__ import annotations

import keyword

_OPERATORS = {  # of Python's module operator
    *("iadd", "iand", "ifloordiv", "ilshift", "imatmul", "imod", "imul"),
    *("ior", "ipow", "irshift", "isub", "itruediv", "ixor"),
}


def is_in_place(name: str) -> bool:
    """Whether an operation of that name does: ``add_``, ``__iadd__``, ``iadd``, ``setitem``; ``and_`` does not.

    Python's own functions have an underscore behind what would be a keyword.
    """
    if name.startswith("_"):
        return name.startswith("__i") and name.strip("_") in _OPERATORS
    if name.endswith("_"):
        return not keyword.iskeyword(name[:-1])
    return name in _OPERATORS or name == "setitem"
