"""The progress of one pass over data that trains nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tessera.terminal import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tessera.train.batches import Batch


@contextmanager
def progress_over(
    batches: Iterable[Batch], total: int | None, show: bool | None, *, name: str, console: Console | None = None
) -> Iterator[Iterator[Batch]]:
    """Inside, ``batches`` with a line that moves while they are taken.

    Args:
        total: how many there will be, if known.
        show: True shows it; None only on a terminal; False is silent. Where the output is no terminal there is no
            moving line, only one at the end.
        name: what is done, such as ``"predict"``.
        console: where to write; standard output by default.
    """
    console = console or Console()
    live = console.is_terminal and show is not False
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not live,
    )
    task = bar.add_task(name, total=total)
    taken, began = 0, time.perf_counter()

    def counted() -> Iterator[Batch]:
        nonlocal taken
        for batch in batches:
            yield batch
            taken += 1
            bar.advance(task)

    with bar:
        yield counted()
    if show is True:
        seconds = time.perf_counter() - began
        console.print(f"{name}: {taken:,} batches in {seconds:.1f} s", highlight=False, soft_wrap=True)
