"""The progress of a training on the terminal: one moving line, and one line that stays for every epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Self

import torch

from tessera.backend.compile_progress import silently
from tessera.terminal import (
    BarColumn,
    Column,
    Console,
    Progress,
    ProgressColumn,
    Task,
    Text,
    TextColumn,
    TimeRemainingColumn,
)
from tessera.train.history import format_value

_REFRESH_S = 0.1
_LINES = 20  # of a longer training only every so many epochs leaves a line


class ProgressBar:
    """Shows a training while it runs.

    Args:
        show: True shows it; None only on a terminal; False is silent. Where the output is no terminal there is no
            moving line, only those that stay.
        epochs: how many there will be, if known.
        steps: how many there will be in all, if known.
        console: where to write; standard output by default.
    """

    def __init__(
        self, show: bool | None, epochs: int | None, steps: int | None, console: Console | None = None
    ) -> None:
        self._console = console or Console()
        live = self._console.is_terminal and show is not False
        self._lines = live or show is True
        self._epochs, self._due = epochs, 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            _Steps(table_column=Column(no_wrap=True)),
            _Rate(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            # Last, and cut where the terminal ends: the line stays one line.
            TextColumn("{task.fields[results]}", table_column=Column(no_wrap=True, ratio=1)),
            expand=True,
            console=self._console,
            auto_refresh=False,
            transient=True,
            disable=not live,
        )
        self._quiet = silently() if live else nullcontext()  # one moving line is enough
        self._task = self._bar.add_task("compiling", total=steps, results="")

    def __enter__(self) -> Self:
        self._quiet.__enter__()
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._quiet.__exit__(kind, error, trace)

    def advance(self, done: int, epoch: int, results: Mapping[str, torch.Tensor]) -> None:
        """Show that ``done`` steps are behind; reads the last of each of ``results`` ten times a second at most."""
        if self._bar.disable or time.perf_counter() < self._due:
            return
        self._bar.update(
            self._task,
            completed=done,
            description=self._epoch(epoch),
            results="  ".join(f"{name} {value.reshape(-1)[-1].item():.4g}" for name, value in results.items()),
            refresh=True,
        )
        self._due = time.perf_counter() + _REFRESH_S

    def close_epochs(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Leave a line with the results of each of ``epochs``."""
        every = max(1, (self._epochs or 1) // _LINES)
        for results in epochs if self._lines else ():
            epoch = int(results["epoch"])
            if epoch % every and epoch != self._epochs:
                continue
            shown = [f"{name} {format_value(name, v)}" for name, v in results.items() if name not in _IN_OWN_WORDS]
            line = [self._epoch(epoch), *shown, f"{results['seconds']:.1f} s"]
            self._console.print("  ".join(line), highlight=False, soft_wrap=True)

    def _epoch(self, epoch: int) -> str:
        return f"epoch {epoch}/{self._epochs}" if self._epochs else f"epoch {epoch}"


_IN_OWN_WORDS = ("epoch", "steps", "seconds")


class _Steps(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = f"/{int(task.total):,}" if task.total is not None else ""
        return Text(f"step {int(task.completed):,}{total}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} steps/s" if task.speed else "")
