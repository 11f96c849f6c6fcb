"""Names of hyper-parameters: an unknown one is an error that says which one is meant."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import ParamSpec, TypeVar

from tessera.errors import OptimizerError

_PICKS_AN_IMPLEMENTATION = ("foreach", "fused", "capturable", "differentiable")
_ELSEWHERE = {
    "learning_rate": "lr",
    "alpha": "lr",
    "beta1": "betas",
    "beta2": "betas",
    "b1": "betas",
    "b2": "betas",
    "beta": "momentum",
    "decay": "weight_decay",
    "l2": "weight_decay",
    "wd": "weight_decay",
    "epsilon": "eps",
}
"""What other libraries call them."""

P = ParamSpec("P")
T = TypeVar("T")


def check_keywords(name: str, function: Callable[..., object], given: Mapping[str, object]) -> None:
    """Raise when ``function`` has no argument of a name, and say which one is nearest.

    Args:
        name: of the optimizer, as the user writes it.
        function: takes the arguments.
        given: keyword arguments as they were passed.

    Raises:
        OptimizerError: one of them is unknown.
    """
    known = inspect.signature(function).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values()):
        return
    names = [each for each in known if each not in {"self", "params"}]
    for unknown, value in given.items():
        if unknown in known:
            continue
        meant = meant_elsewhere(unknown, names)
        close = [meant] if meant else difflib.get_close_matches(unknown, names, n=1)
        if unknown in _PICKS_AN_IMPLEMENTATION:
            fix = "Leave it out: it chooses one of torch's implementations, and here the compiler chooses."
        elif close:
            fix = f"Write {close[0]}=."
        else:
            fix = "Leave it out."
        raise OptimizerError(f"{name} was given {unknown}={value!r}.", f"It takes {', '.join(names)}.", fix)


def meant_elsewhere(unknown: str, names: Collection[str]) -> str:
    """Which of the names is called ``unknown`` in other libraries; "" for none."""
    meant = _ELSEWHERE.get(unknown, "")
    return meant if meant in names else ""


def names_checked(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, which raises `OptimizerError` for an unknown keyword where Python would raise `TypeError`."""
    known = inspect.signature(function).parameters.keys()

    @functools.wraps(function)
    def checked(*args: P.args, **given: P.kwargs) -> T:
        if not given.keys() <= known:
            check_keywords(function.__name__, function, given)
        return function(*args, **given)

    return checked
