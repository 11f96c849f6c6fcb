"""What is measured beside the loss: functions that are averaged, and metrics with a state of their own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeGuard, runtime_checkable

import torch

from tessera.errors import SettingError
from tessera.train.named_metrics import AVERAGES, WITH_STATE

Metric = Callable[[Any, Any], torch.Tensor]


@runtime_checkable
class StatefulMetric(Protocol):
    """A metric that is more than an average, as torchmetrics has them: it sees every batch and answers at the end."""

    def update(self, prediction: Any, target: Any, /) -> None:
        """Take in one batch."""

    def compute(self) -> Any:
        """The result of all batches since the last ``reset``: one number, or a dict of several."""

    def reset(self) -> None:
        """Forget all batches."""


AnyMetric = Metric | StatefulMetric
Metrics = str | AnyMetric | Iterable[str | AnyMetric] | Mapping[str, str | AnyMetric] | None


def resolve_metrics(metrics: Metrics) -> dict[str, AnyMetric]:
    """The metrics by name.

    Args:
        metrics: one, several in a list, or a dict that names them. One is a function ``(prediction, target) -> 0-d
            tensor``, a name (``"accuracy"``, ``"top_5_accuracy"``, ``"mae"``, ``"perplexity"`` or that of a loss), or
            an object with ``update``, ``compute`` and ``reset`` such as torchmetrics has.

    Raises:
        SettingError: there is no metric of that name, it is neither, it has no name, or two have one.
    """
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        given = [(str(name), metric) for name, metric in metrics.items()]
    else:
        one = isinstance(metrics, str) or is_stateful(metrics) or callable(metrics) or not isinstance(metrics, Iterable)
        several: Any = [metrics] if one else metrics
        given = [(_name(metric), metric) for metric in several]
    found: dict[str, AnyMetric] = {}
    for name, metric in given:
        if name in found or name == "loss":
            raise SettingError(
                f"metrics has {'two' if name in found else 'one'} of the name {name!r}.",
                "Every result has a name of its own, and 'loss' is the loss.",
                "Name them in a dict: metrics={'a': ..., 'b': ...}.",
            )
        found[name] = _resolve(metric)
    return found


def is_stateful(metric: object) -> TypeGuard[StatefulMetric]:
    """Whether it sees every batch and answers at the end."""
    return isinstance(metric, StatefulMetric) and not isinstance(metric, type)


def step_metrics(metrics: Mapping[str, AnyMetric], *, held_out: bool) -> dict[str, Metric]:
    """Those that a training step measures: the functions.

    Metrics with state see held-out data only: what they keep does not belong into a program that runs many steps.

    Args:
        held_out: there is data for the others.

    Raises:
        SettingError: there is none.
    """
    others = [name for name, metric in metrics.items() if is_stateful(metric)]
    if others and not held_out:
        raise SettingError(
            f"metrics has {', '.join(map(repr, others))}, and no validation data was passed.",
            "A metric with state is measured on held-out data, from its first batch to its last.",
            "Pass validation=..., or a function (prediction, target) -> 0-d tensor, which training averages.",
        )
    return functions(metrics)


def functions(metrics: Mapping[str, AnyMetric]) -> dict[str, Metric]:
    """Those that are averaged."""
    return {name: metric for name, metric in metrics.items() if not isinstance(metric, StatefulMetric)}


def _resolve(metric: object) -> AnyMetric:
    if isinstance(metric, str):
        if metric in WITH_STATE:
            return WITH_STATE[metric]()
        if metric in AVERAGES:
            return AVERAGES[metric]
        names = [*AVERAGES, *WITH_STATE]
        nearest = difflib.get_close_matches(metric.lower(), names, n=1, cutoff=0.0)[0]
        raise SettingError(
            f"There is no metric named {metric!r}.",
            f"The names are {', '.join(names)}.",
            f"Write metrics={nearest!r}, or your own: metrics={{{metric!r}: lambda prediction, target: ...}}.",
        )
    if is_stateful(metric) or (callable(metric) and not isinstance(metric, type)):
        return metric
    what = f"the class {metric.__name__} itself" if isinstance(metric, type) else repr(metric)
    raise SettingError(
        f"metrics has {what}.",
        "A metric is a name, a function (prediction, target), or an object with update, compute and reset.",
        "Write for example metrics={'error': lambda prediction, target: (prediction - target).abs().mean()}.",
    )


def _name(metric: object) -> str:
    """What a metric is called that was passed without a name."""
    if isinstance(metric, str):
        return metric
    name = str(getattr(metric, "__name__", type(metric).__name__))
    if name == "<lambda>":
        raise SettingError(
            "metrics has a lambda without a name.",
            "Every result has a name.",
            "Name it in a dict: metrics={'error': lambda prediction, target: ...}.",
        )
    return name
