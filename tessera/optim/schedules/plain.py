"""Built-in schedules as plain data, for a state_dict."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tessera.optim.schedules.constant import Constant
from tessera.optim.schedules.cosine_decay import CosineDecay
from tessera.optim.schedules.cosine_restarts import CosineRestarts
from tessera.optim.schedules.exponential_decay import ExponentialDecay
from tessera.optim.schedules.join import Join
from tessera.optim.schedules.linear import Linear
from tessera.optim.schedules.one_cycle import OneCycle
from tessera.optim.schedules.piecewise_constant import PiecewiseConstant
from tessera.optim.schedules.piecewise_linear import PiecewiseLinear
from tessera.optim.schedules.polynomial_decay import PolynomialDecay
from tessera.optim.schedules.reduce_on_plateau import ReduceOnPlateau
from tessera.optim.schedules.warmup_cosine_decay import WarmupCosineDecay

_BUILT_IN: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Constant,
        CosineDecay,
        CosineRestarts,
        ExponentialDecay,
        Join,
        Linear,
        OneCycle,
        PiecewiseConstant,
        PiecewiseLinear,
        PolynomialDecay,
        ReduceOnPlateau,
        WarmupCosineDecay,
    )
}


def as_plain(value: Any) -> Any:
    """A built-in schedule as a dict of its numbers, those inside it too; anything else as it is."""
    if _BUILT_IN.get(type(value).__name__) is type(value):
        settings = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"schedule": type(value).__name__} | {name: _inside(setting) for name, setting in settings.items()}
    return value


def _inside(setting: Any) -> Any:
    return tuple(map(as_plain, setting)) if isinstance(setting, tuple) else as_plain(setting)


def from_plain(value: Any) -> Any:
    """The schedule that `as_plain` made a dict of; anything else as it is."""
    if isinstance(value, dict) and value.get("schedule") in _BUILT_IN:
        settings = {name: setting for name, setting in value.items() if name != "schedule"}
        return _BUILT_IN[value["schedule"]](**{name: _outside(setting) for name, setting in settings.items()})
    return value


def _outside(setting: Any) -> Any:
    return tuple(map(from_plain, setting)) if isinstance(setting, tuple | list) else from_plain(setting)
