"""The same training in plain PyTorch, with torch.compile and with Tessera: time per step, compile time, last loss.

python -m examples.three_ways [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from rich.console import Console
from rich.table import Table

import tessera
from examples import digits, gpt

Batch = tuple[torch.Tensor, torch.Tensor]
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_WARM_UP, _BLOCK = 5, 5  # steps that do not count; steps in a row before the next one's turn


@dataclass
class Contender:
    """One way to train: a step, and what was measured of it in seconds."""

    name: str
    step: Step
    first_s: float = 0.0
    steps_s: list[float] = field(default_factory=list)
    loss: float = float("nan")

    @property
    def step_ms(self) -> float:
        """Median of the steps that count, milliseconds."""
        return 1000 * statistics.median(self.steps_s[_WARM_UP:])

    @property
    def compile_s(self) -> float:
        """What the first call took longer than others, seconds."""
        return max(0.0, self.first_s - self.step_ms / 1000)

    def train(self, batches: Sequence[Batch]) -> None:
        """Take one step for every batch."""
        for x, y in batches:
            started = time.perf_counter()
            self.loss = self.step(x, y).item()
            self.steps_s.append(time.perf_counter() - started)
            self.first_s = self.first_s or self.steps_s.pop()


def contenders(make_model: Callable[[], torch.nn.Module]) -> list[Contender]:
    """Eager, torch.compile and Tessera, each with a model and an AdamW of its own, all equal."""

    def by_hand(*, compiled: bool) -> Step:
        torch.manual_seed(0)
        model = make_model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        cross_entropy = tessera.nn.losses.resolve_loss("cross_entropy")

        def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return cross_entropy(model(x), y)

        loss_of = torch.compile(forward) if compiled else forward

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    eager, compiled = by_hand(compiled=False), by_hand(compiled=True)
    torch.manual_seed(0)
    model = make_model()
    ours = tessera.train_step(model, "cross_entropy", torch.optim.AdamW(model.parameters(), lr=1e-3))
    return [Contender("PyTorch eager", eager), Contender("torch.compile", compiled), Contender("Tessera", ours)]


def compare(make_model: Callable[[], torch.nn.Module], batches: Sequence[Batch]) -> list[Contender]:
    """Train every contender on the same batches, a few steps in turn, so that a busy machine is busy for all."""
    found = contenders(make_model)
    for first in range(0, len(batches), _BLOCK):
        for contender in found:
            contender.train(batches[first : first + _BLOCK])
    return found


def table(rows: dict[str, list[Contender]]) -> Table:
    """The contenders of every job as one table."""
    shown = Table(title="The same training, three ways", title_justify="left", title_style="bold")
    for name, justify in (("", "left"), ("ms per step", "right"), ("speed", "right"), ("compile", "right")):
        shown.add_column(name, justify="left" if justify == "left" else "right")
    shown.add_column("last loss", justify="right")
    for job, found in rows.items():
        eager = found[0]
        shown.add_row(f"[bold]{job}[/bold]")
        for contender in found:
            compiling = f"{contender.compile_s:.1f} s" if contender is not eager else ""
            speed = f"{eager.step_ms / contender.step_ms:.2f}x"
            shown.add_row(f"  {contender.name}", f"{contender.step_ms:.3g}", speed, compiling, f"{contender.loss:.6f}")
        shown.add_section()
    return shown


@contextmanager
def nothing_compiled_before() -> Iterator[None]:
    """An empty compile cache, so that what is called compile time is compile time."""
    name, before = "TORCHINDUCTOR_CACHE_DIR", os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def digit_batches(data: digits.Digits, steps: int) -> list[Batch]:
    """``steps`` batches of images and labels."""
    order = torch.randint(len(data.labels), (steps, digits.BATCH), generator=torch.Generator().manual_seed(2))
    return [(data.images[rows], data.labels[rows]) for rows in order]


def text_batches(corpus: gpt.Corpus, steps: int, length: int) -> list[Batch]:
    """``steps`` batches of bytes and the bytes after them."""
    x, y = gpt.windows(corpus.text, steps * gpt.BATCH, length, seed=2)
    return list(zip(x.split(gpt.BATCH), y.split(gpt.BATCH), strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both jobs and print the table."""
    parser = argparse.ArgumentParser("python -m examples.three_ways", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small model and a few steps only")
    quick = parser.parse_args(arguments).quick
    make_gpt = gpt.small if quick else gpt.GPT
    with nullcontext() if quick else nothing_compiled_before():
        rows = {
            "digits": compare(digits.DigitNet, digit_batches(digits.Digits.load(), 10 if quick else 300)),
            "GPT": compare(make_gpt, text_batches(gpt.Corpus.load(), 10 if quick else 30, make_gpt().length)),
        }
    Console().print(table(rows))


if __name__ == "__main__":
    main()
