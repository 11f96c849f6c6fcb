"""What could stand in a pattern of axes that a package of the user's is given: ``"b s (h d) -> b h s d"`` for einops.

Its names are known to the package alone, so the text is what is edited. An equation of ``torch.einsum`` is edited where
it is called, see ``rewrites``.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from tessera.check.text_edit import TextEdit, edited

# In edits of one number, as in ``rewrites``.
ORDER = 1.0  # of the names of the result
GIVEN = 1.2  # of the names of what is given
_MOST = 4  # names of which every order is tried


def pattern_edits(call: ast.Call) -> Iterator[TextEdit]:
    """Edits of the patterns among the arguments of a call.

    Args:
        call: of any function.
    """
    if ast.unparse(call.func).rpartition(".")[2] == "einsum":
        return
    for arg in call.args:
        if isinstance(arg, ast.Constant) and isinstance(arg.value, str) and arg.value.count("->") == 1:
            left, right = (_groups(side) for side in arg.value.split("->"))
            known = [name for group in left for name in re.findall(r"\w+", group)]
            for other in _orders(right):
                yield _written(ORDER, arg, left, other)
            for other in _other_names(right, known):
                yield _written(ORDER + 0.04, arg, left, other)
            for other in _orders(left):
                yield _written(GIVEN, arg, other, right)


def _written(cost: float, arg: ast.Constant, left: list[str], right: list[str]) -> TextEdit:
    return edited(cost, arg, ast.Constant(f"{' '.join(left)} -> {' '.join(right)}"))


def _groups(side: str) -> list[str]:
    """``b s (h d)`` as ``b``, ``s`` and ``(h d)``."""
    return re.findall(r"\([^)]*\)|[^\s()]+", side)


def _orders(groups: list[str]) -> Iterator[list[str]]:
    """The groups in another order, the names inside of one group in another order."""
    if len(groups) <= _MOST:
        yield from (list(order) for order in itertools.permutations(groups) if list(order) != groups)
    else:
        for one, other in itertools.combinations(range(len(groups)), 2):
            swapped = list(groups)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            yield swapped
    for at, group in enumerate(groups):
        names = group.strip("()").split()
        for order in itertools.permutations(names) if 1 < len(names) <= _MOST else ():
            if list(order) != names:
                yield [*groups[:at], f"({' '.join(order)})", *groups[at + 1 :]]


def _other_names(groups: list[str], known: list[str]) -> Iterator[list[str]]:
    """Another name in place of one, one name more; for a reduction all that may be left."""
    missing = [name for name in known if not any(name in re.findall(r"\w+", group) for group in groups)]
    for name in missing:
        for at, group in enumerate(groups):
            if re.fullmatch(r"\w+", group):
                yield [*groups[:at], name, *groups[at + 1 :]]
        for at in range(len(groups) + 1):
            yield [*groups[:at], name, *groups[at:]]
    if len(known) <= _MOST + 1 and all(group in known for group in groups):  # what is left of a reduction
        for several in range(1, len(known)):
            yield from (list(some) for some in itertools.combinations(known, several) if list(some) != groups)
