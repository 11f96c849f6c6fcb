"""The optimizer of a config: one by its name, or a chain of transformations; a hyper-parameter may be a schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera import optim
from tessera.cli.calls import arguments, call
from tessera.cli.config import Entry, nearest
from tessera.cli.objects import find_object, is_reference
from tessera.optim import schedules
from tessera.optim.keywords import check_keywords

_NO_SCHEDULES = {"Schedule", "ReduceOnPlateau"}  # the types; what is written is reduce_on_plateau
_NO_OPTIMIZERS = {"Optimizer", "GradientTransformation", "chain", *vars(schedules)}


def _public(module: Any, but: set[str]) -> dict[str, Callable[..., Any]]:
    return {
        name: one
        for name, one in vars(module).items()
        if name not in but and callable(one) and not name.startswith("_")
    }


SCHEDULES = _public(schedules, _NO_SCHEDULES)
OPTIMIZERS = _public(optim, _NO_OPTIMIZERS)


def read_optimizer(entry: Entry, module: torch.nn.Module) -> Any:
    """What ``tessera.fit`` takes as its optimizer, for the parameters of ``module``.

    A table is one optimizer: ``{name = "AdamW", lr = 1e-3}``. An array of them is a chain, in order:
    ``[{name = "clip_by_global_norm", max_norm = 1.0}, {name = "adamw", lr = 1e-3}]``. A table with a key ``schedule``
    is a schedule, wherever a hyper-parameter may be one.

    Raises:
        SettingError: an unknown name; the nearest one is suggested.
        OptimizerError: an invalid hyper-parameter; the line of the config is named.
    """
    if isinstance(entry.value, list):
        if not entry.value:
            raise entry.error(
                f"{entry.name} is an empty array.",
                "A chain has at least one transformation, and one that makes steps of gradients.",
                'Write for example [[optimizer]] with name = "adamw".',
            )
        with entry.blamed():
            return optim.chain(*(_transformation(one) for _, one in entry.items()))
    table, make = _named(entry)
    if isinstance(make, type) and not issubclass(make, optim.Optimizer):
        return _made(make, table, module.parameters())  # torch's
    over = (module,) if isinstance(make, type) or is_reference(table["name"].value) else ()
    return _made(make, table, *over)


def _transformation(entry: Entry) -> Any:
    """A member of a chain."""
    table, make = _named(entry)
    if isinstance(make, type) and issubclass(make, torch.optim.Optimizer):
        lower = [name for name, one in OPTIMIZERS.items() if not isinstance(one, type)]
        raise table["name"].error(
            f"{table['name'].value!r} is an optimizer, and stands in a chain.",
            "A chain is made of transformations, whose names are in lower case.",
            nearest(table["name"].value, lower),
        )
    return _made(make, table)


def _named(entry: Entry) -> tuple[Entry, Callable[..., Any]]:
    """The table of an optimizer, and what its name stands for."""
    if isinstance(entry.value, str):
        entry = Entry(entry.config, entry.keys, {"name": entry.value})
    table = entry.table('An optimizer is a table: {name = "AdamW", lr = 1e-3}.')
    if "name" not in table:
        raise table.error(
            f"[{table.name}] has no name.",
            "The name says which optimizer or transformation it is.",
            'Write for example name = "AdamW".',
        )
    name = table["name"]
    return table, find_object(name) if is_reference(name.value) else _look_up(name, OPTIMIZERS, "optimizer")


def _made(make: Callable[..., Any], table: Entry, *over: object) -> Any:
    return _called(make, table.without("name"), table["name"].value, *over)


def _called(make: Callable[..., Any], table: Entry, name: str, *over: object) -> Any:
    function = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    for key, one in table.items():
        with one.blamed():  # knows what other libraries call a hyper-parameter
            check_keywords(name, function, {str(key): one.value})
    values = arguments(make, table) | {str(key): _value(one) for key, one in table.items() if _nested(one.value)}
    return call(make, table, *over, values=values)


def _value(entry: Entry) -> Any:
    """A hyper-parameter: schedules and transformations in it are made, pairs are tuples."""
    if isinstance(entry.value, list):
        return tuple(_value(one) for _, one in entry.items())
    if not isinstance(entry.value, dict):
        return entry.value
    if "schedule" in entry:
        make = _look_up(entry["schedule"], SCHEDULES, "schedule")
        return _called(make, entry.without("schedule"), entry["schedule"].value)
    if "name" in entry:
        return _transformation(entry)
    return {str(key): _value(one) for key, one in entry.items()}


def _nested(value: object) -> bool:
    return isinstance(value, (dict, list))


def _look_up(entry: Entry, known: dict[str, Callable[..., Any]], what: str) -> Callable[..., Any]:
    if isinstance(entry.value, str) and entry.value in known:
        return known[entry.value]
    names = sorted(known)
    raise entry.error(
        f"There is no {what} {entry.value!r}.",
        f"The names are those of tessera.optim: {', '.join(names)}.",
        nearest(str(entry.value), names),
    )
