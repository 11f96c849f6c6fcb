"""Finds C++ kernels of Inductor's that write a whole vector where only a part of one is left.

A loop over numbers that are no multiple of the vector is split by an ``if`` into whole vectors and the rest. In some
nests of loops the store that ends a reduction is left outside the ``if``, and what lies behind the result in memory is
overwritten: torch issues 181618, 181690 and 181691 up to torch 2.12, 196681 in 2.13 too.
"""

from __future__ import annotations

import re

_LOOP = re.compile(
    r"for\(int64_t (?P<var>\w+)=[^;]*; (?P=var)<static_cast<int64_t>\((?P<size>.*)\);"
    r" (?P=var)\+=\(?static_cast<int64_t>\((?P<step>\d+)L?\)"
)
_GUARD = re.compile(r"if ?\(C10_(?:UN)?LIKELY\((?P<condition>.*)\)\)")
_STORE = re.compile(r"\.store\((?!tmpbuf|\w*arr)|^\s*\w*(?:_ptr|buf)\d*\[.*\] \+?= |\batomic_add\w*\(")


def writes_past_the_end(source: str) -> bool:
    """Whether a kernel in ``source``, the wrapper that Inductor wrote, stores whole vectors in the rest of a loop."""
    scopes: list[tuple[str, frozenset[str]]] = []  # of each open brace: the loop with a rest it is, the loops it splits
    opens: tuple[str, frozenset[str]] = ("", frozenset())
    for line in source.splitlines():
        if loop := _LOOP.search(line):
            size, step = loop["size"].removesuffix("L"), int(loop["step"])
            opens = (loop["var"] if step > 1 and not (size.isdigit() and int(size) % step == 0) else "", frozenset())
        elif guard := _GUARD.search(line):
            opens = ("", frozenset(re.findall(r"(\w+) >= ", guard["condition"])))
        elif _STORE.search(line):
            split = frozenset().union(*(split for _, split in scopes))
            if any(loop and loop not in split for loop, _ in scopes):
                return True
        for brace in re.findall(r"[{}]", line):
            if brace == "{":
                scopes.append(opens)
                opens = ("", frozenset())
            elif scopes:
                scopes.pop()
    return False
