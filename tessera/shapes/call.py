"""The contract at a call: do these arguments, and this result, fit what the function declares?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tessera.errors import ShapeError, SourceLine
from tessera.shapes.message import describe
from tessera.shapes.signature import Contract
from tessera.shapes.unify import Bindings, Mismatch, unify
from tessera.users_code import users_line


def check_call(contract: Contract, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Bindings | None:
    """Compare the arguments of a call with what is declared.

    Returns:
        What the names stand for; None where the arguments do not even fit the signature, which the call itself says.

    Raises:
        ShapeError: an argument is not what was declared.
    """
    try:
        bound = contract.signature.bind(*args, **kwargs)
    except TypeError:
        return None
    found = unify(contract.parameters, bound.arguments)
    if isinstance(found, Mismatch):
        raise mismatch_error(contract, found, users_line(sys._getframe(1)))  # noqa: SLF001 - the documented way
    return found


def check_result(contract: Contract, bound: Bindings, result: Any) -> None:
    """Compare a result with what is declared.

    Raises:
        ShapeError: it is something else.
    """
    if contract.returns is None:
        return
    found = unify({"return value": contract.returns}, {"return value": result}, bound)
    if isinstance(found, Mismatch):
        raise mismatch_error(contract, found, contract.where)


def mismatch_error(contract: Contract, mismatch: Mismatch, where: SourceLine | None) -> ShapeError:
    """The error of a mismatch, in full."""
    words = describe(mismatch)
    returned = mismatch.place.startswith("return value")
    at = f" at {where.file}:{where.line}" if where is not None else ""
    lines = [f"Type mismatch in {contract.name!r}:" if returned else f"Shape Error in {contract.name!r}{at}"]
    if where is not None and where.code and not returned:
        lines.append(f"    {where.code}")
    lines += [f"  Expected: {words.expected}", f"  {'Returned' if returned else 'Received'}: {words.received}"]
    lines.append(f"  {words.why}")
    if words.fixes:
        lines += ["  Possible fixes:", *(f"    {n}. {fix}" for n, fix in enumerate(words.fixes, 1))]
    given = f"{contract.name} {'returned' if returned else 'was given'} {words.received} for {mismatch.place!r}."
    fix = f"Write {words.fixes[0]}." if words.fixes else "Pass what is declared, or declare what is passed."
    error = ShapeError(given, f"Declared is {words.expected}.", fix, where, "\n".join(lines))
    error.mismatch = mismatch
    return error
