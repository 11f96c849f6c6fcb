"""A model as a text table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_HEADINGS = ("layer", "type", "output", "parameters", "trainable")


def summarize(module: torch.nn.Module, example_input: Any = None) -> str:
    """One line for each layer: path, type, output shape, own parameters, trainable ones; then the total.

    Args:
        module: stays as it is; with an example its forward runs once, in eval mode and without gradients.
        example_input: a tensor, a tuple for several inputs, or a dict for keyword arguments; without it there are no
            output shapes.
    """
    shapes = {} if example_input is None else _output_shapes(module, example_input)
    counted: set[int] = set()
    rows = []
    totals = [0, 0]
    for path, part in module.named_modules():
        fresh = [p for p in part.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, fresh))
        numbers = [sum(_size(p) for p in fresh), sum(_size(p) for p in fresh if p.requires_grad)]
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        rows.append((path or "(model)", type(part).__name__, shapes.get(part, ""), *map("{:,}".format, numbers)))
    return _table(rows, ("total", "", "", *map("{:,}".format, totals)))


def _output_shapes(module: torch.nn.Module, example: Any) -> dict[torch.nn.Module, str]:
    shapes: dict[torch.nn.Module, str] = {}

    def note(part: torch.nn.Module, _: Any, output: Any) -> None:
        shapes[part] = _shape(output)

    hooks = [part.register_forward_hook(note) for part in module.modules()]
    try:
        with _eval_mode(module), torch.no_grad(), torch.random.fork_rng():
            if isinstance(example, dict):
                module(**example)
            else:
                module(*(example if isinstance(example, tuple) else (example,)))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


@contextmanager
def _eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode; afterwards every part has its own mode back."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _shape(output: Any) -> str:
    if isinstance(output, torch.Tensor):
        return str(list(output.shape))
    if isinstance(output, (tuple, list)):
        return ", ".join(map(_shape, output))
    return type(output).__name__


def _size(parameter: torch.nn.Parameter) -> int:
    """Elements; 0 while a lazy layer does not know its shape."""
    return 0 if torch.nn.parameter.is_lazy(parameter) else parameter.numel()


def _table(rows: list[tuple[str, ...]], total: tuple[str, ...]) -> str:
    shown = [column for column in range(len(_HEADINGS)) if column != 2 or any(row[2] for row in rows)]
    widths = {column: max(len(row[column]) for row in (_HEADINGS, *rows, total)) for column in shown}
    rule = "-" * (sum(widths.values()) + 2 * (len(shown) - 1))

    def line(row: tuple[str, ...]) -> str:
        cells = (row[c].rjust(widths[c]) if c > 2 else row[c].ljust(widths[c]) for c in shown)
        return "  ".join(cells).rstrip()

    return "\n".join([line(_HEADINGS), rule, *map(line, rows), rule, line(total)])
