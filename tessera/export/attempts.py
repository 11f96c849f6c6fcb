"""Which formats would take a model: every one of them is tried, and what it says is kept as a table."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from tessera.errors import TesseraError
from tessera.export.asked import Dims, Inputs
from tessera.export.export import export
from tessera.export.format import Format
from tessera.export.formats import all_formats, missing_packages


@dataclass(frozen=True)
class Attempt:
    """What one format said.

    Attributes:
        format: its name and ending.
        accepted: whether a file was written that does what the model does; None: its packages are not installed.
        reason: why, or what installs them.
        max_error: the largest difference of its answers.
    """

    format: str
    accepted: bool | None
    reason: str
    max_error: float | None = None


def try_all(module: torch.nn.Module, example_inputs: Inputs | None = None, dims: Dims | None = None) -> list[Attempt]:
    """Write ``module`` in every format, check each file, and keep none."""
    return [_attempt(form, module, example_inputs, dims) for form in all_formats()]


def table(attempts: list[Attempt]) -> str:
    """The attempts as text: the format, yes or no or what is missing, and why."""
    said = {True: "yes", False: "no", None: "not installed"}
    names = max(len(each.format) for each in attempts)
    words = max(len(said[each.accepted]) for each in attempts)
    return "\n".join(f"{each.format:<{names}}  {said[each.accepted]:<{words}}  {each.reason}" for each in attempts)


def _attempt(form: Format, module: torch.nn.Module, inputs: Inputs | None, dims: Dims | None) -> Attempt:
    name = f"{form.name} ({form.endings[0]})"
    if missing_packages(form):
        return Attempt(name, None, form.install)
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = export(module, Path(folder) / f"model{form.endings[0]}", inputs, dims, measure=False)
        except TesseraError as error:
            where = f" At {error.where}" if error.where else ""
            return Attempt(name, False, f"{error.received}{where}".replace(f"{folder}/", ""))
    return Attempt(name, True, report.reason, report.max_error)
