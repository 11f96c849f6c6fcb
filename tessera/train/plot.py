"""A training as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tessera.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tessera.train.history import History

_TRAINING, _MEAN, _VALIDATION, _BAD, _FAINT = "#7aa6cf", "#1f4e79", "#d9622b", "#c1272d", "#d0d4d9"
_MOST_POINTS = 4000  # some for each pixel; more steps become a band from the least to the most of a few each
_MOST_EPOCHS = 12  # marks on the axis
_NOTHING = np.array([])
_LOG_FROM = 20.0  # a range of values over so many times is told better by its logarithm


class _Curve(NamedTuple):
    """A curve of many steps, in as many points as the picture can show; ``[points]`` each."""

    step: np.ndarray
    least: np.ndarray
    most: np.ndarray
    mean: np.ndarray


def draw(history: History) -> Figure:
    """Loss, metrics and learning rates over the steps, a panel each, on one axis.

    The loss of every step is thin, its running mean thick; steps without a finite loss are marked. Validation results
    stand at their steps, training metrics at the ends of their epochs. A scale is logarithmic where that shows more.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, StrMethodFormatter
    except ImportError as error:
        raise MissingDependencyError(
            "History.plot was called, and matplotlib is not installed.",
            "It draws the picture.",
            "Install it with pip install 'tessera[plot]', or print(history).",
        ) from error
    panels = _panels(history)
    heights = [2.2, *[1.0] * (len(panels) - 1)]
    figure = Figure(figsize=(9, 1.1 + 1.45 * sum(heights)), dpi=120, layout="constrained")
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, panel) in zip(all_axes, panels.items(), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=_FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.02)
        axes.set_ylabel(name, parse_math=False)
        panel(axes)
        if len(handles := axes.get_legend_handles_labels()[0]):
            axes.legend(frameon=False, fontsize="small", loc="best", ncols=min(3, len(handles)))
    below = all_axes[-1]
    below.set_xlabel("step")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if len(steps := {1, len(history.loss), *history.validation_steps} - {0}) == 1:
        below.set_xlim(0, 1 + max(steps))
    _mark_epochs(history, all_axes[0], all_axes)
    _title(history, figure)
    return figure


def _panels(history: History) -> dict[str, Callable[[Axes], None]]:
    names = dict.fromkeys([*history.metrics, *(name for results in history.validation for name in results)])
    panels: dict[str, Callable[[Axes], None]] = {"loss": lambda axes: _draw_loss(history, axes)}
    for name in names:
        if name != "loss":
            panels[name] = lambda axes, name=name: _draw_metric(history, name, axes)  # type: ignore[misc]
    if history.learning_rates:
        panels["learning rate"] = lambda axes: _draw_rates(history.learning_rates, axes)
    return panels


def _draw_loss(history: History, axes: Axes) -> None:
    losses = np.array(history.loss, dtype=np.float64)
    finite = np.isfinite(losses)
    steps, validation = _validation(history, "loss")
    seen = validation[np.isfinite(validation)]
    if finite.any():
        curve = _thinned(losses)
        points = len(losses) <= 60
        if len(losses) > _MOST_POINTS:
            label = "every step, least to most"
            axes.fill_between(curve.step, curve.least, curve.most, color=_TRAINING, alpha=0.45, lw=0, label=label)
        else:
            marker = "o" if points else ""
            axes.plot(curve.step, curve.least, color=_TRAINING, lw=0.7, marker=marker, ms=3, label="every step")
        if not points:
            axes.plot(curve.step, curve.mean, color=_MEAN, lw=1.8, label="running mean")
        seen = np.concatenate([seen, losses[finite]])
    if len(validation):
        axes.plot(steps, validation, color=_VALIDATION, lw=1.2, marker="o", markersize=4, label="validation")
        _mark_best(steps, validation, axes)
    if len(seen) > 1:
        _scale(seen, axes, inside=validation[np.isfinite(validation)])
    if not finite.all():
        at = np.flatnonzero(~finite) + 1
        shown = at[:: -(-len(at) // _MOST_POINTS)]
        top = axes.get_xaxis_transform()
        axes.plot(shown, np.full(len(shown), 0.97), "x", color=_BAD, transform=top, label=f"not finite: {len(at):,}")
    if not len(seen):
        axes.set_yticks([])
    if not len(losses) and not len(validation):
        axes.text(0.5, 0.5, "no step was taken", ha="center", va="center", transform=axes.transAxes, color="gray")


def _draw_metric(history: History, name: str, axes: Axes) -> None:
    ends = {epoch["epoch"]: end for epoch, end in zip(history.epochs, _ends(history), strict=True)}
    pairs = [(ends[epoch["epoch"]], epoch[name]) for epoch in history.epochs if name in epoch]
    if pairs:
        at, values = zip(*pairs, strict=True)
        axes.plot(at, values, color=_MEAN, lw=1.2, marker="o", markersize=4, label="training, by epoch")
    steps, validation = _validation(history, name)
    if len(validation):
        axes.plot(steps, validation, color=_VALIDATION, lw=1.2, marker="o", markersize=4, label="validation")


def _draw_rates(rates: Mapping[str, Sequence[tuple[int, float]]], axes: Axes) -> None:
    for name, kept in rates.items():
        steps, values = zip(*kept, strict=True) if kept else ((), ())
        axes.plot(steps, values, lw=1.4, marker="" if len(kept) > 1 else "o", label=name if len(rates) > 1 else None)
    _scale(np.array([rate for kept in rates.values() for _, rate in kept]), axes, from_times=1000.0)


def _validation(history: History, name: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = zip(history.validation_steps, history.validation, strict=True)
    found = np.array([(step, results[name]) for step, results in pairs if name in results], dtype=np.float64)
    steps, values = found.reshape(-1, 2).T
    return steps, np.where(np.isfinite(values), values, np.nan)


def _mark_best(steps: np.ndarray, values: np.ndarray, axes: Axes) -> None:
    if np.isfinite(values).sum() < 2:
        return
    best = np.nanargmin(values)
    label = f"lowest: {values[best]:.4g} at step {int(steps[best]):,}"
    axes.plot(steps[best], values[best], "o", ms=9, mfc="none", mec=_VALIDATION, mew=1.4, linestyle="", label=label)


def _thinned(losses: np.ndarray) -> _Curve:
    """The curve in buckets of equally many steps; the mean is over a window of a fortieth of all steps."""
    values = np.where(np.isfinite(losses), losses, np.nan)
    bucket = -(-len(values) // _MOST_POINTS)
    step = np.arange(0, len(values), bucket)
    least, most = (pick.reduceat(values, step) for pick in (np.fmin, np.fmax))
    half = max(1, len(values) // 80)
    known = np.isfinite(values)
    total, count = (np.concatenate([[0.0], np.cumsum(x)]) for x in (np.where(known, values, 0.0), known))
    low, high = np.maximum(step - half, 0), np.minimum(step + half + 1, len(values))
    here = count[high] - count[low]
    mean = np.divide(total[high] - total[low], here, out=np.full(len(step), np.nan), where=here > 0)
    return _Curve(step + 1, least, most, mean)


def _scale(values: np.ndarray, axes: Axes, *, inside: np.ndarray = _NOTHING, from_times: float = _LOG_FROM) -> None:
    """A logarithm for values over several powers of ten; else the few that are far out do not squeeze all others.

    Args:
        values: ``[points]``, all of them finite.
        inside: those that have to be seen.
    """
    low, high = np.quantile(values, [0.01, 0.99]) if len(values) else (0.0, 0.0)
    low, high = min([low, *inside]), max([high, *inside])
    if low > 0 and values.min() > 0 and high / low > from_times:
        axes.set_yscale("log")
    elif high > low and values.max() - values.min() > 8 * (high - low):
        margin = (high - low) / 4
        axes.set_ylim(max(low - margin, values.min() - margin), min(high + margin, values.max() + margin))


def _ends(history: History) -> list[int]:
    """The last step of every epoch."""
    return np.cumsum([epoch["steps"] for epoch in history.epochs], dtype=np.int64).tolist()


def _mark_epochs(history: History, top: Axes, all_axes: Iterable[Axes]) -> None:
    ends = _ends(history)
    if len(ends) < 2:
        return
    apart = -(-len(ends) // _MOST_EPOCHS)
    numbers = [int(epoch["epoch"]) for epoch in history.epochs]
    marked = {number: end for number, end in zip(numbers, ends, strict=True) if number % apart == 0}
    for axes in all_axes:
        for end in marked.values():
            axes.axvline(end, color=_FAINT, lw=0.8, zorder=0)
    above = top.secondary_xaxis("top")
    above.set_xticks(list(marked.values()), [f"{number:,}" for number in marked])
    above.tick_params(length=0, labelsize="small", labelcolor="gray")
    above.spines["top"].set_visible(False)
    above.set_xlabel("epoch", fontsize="small", color="gray")


def _title(history: History, figure: Figure) -> None:
    reason = textwrap.shorten(history.stopped or "still training", 300)
    figure.suptitle(textwrap.fill(reason, 95), x=0.01, ha="left", fontsize="medium", parse_math=False)
