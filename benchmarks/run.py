"""One run: every family of rows in order, one table."""

from __future__ import annotations

import argparse
import datetime as dt
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks import (
    budget,
    call,
    checkpoint,
    compilations,
    compile_time,
    curves,
    data,
    declared,
    first_step,
    fit,
    gpt,
    gpt_alone,
    images,
    import_time,
    lstm,
    machine,
    minilm,
    mlp,
    optim,
    quantization,
    xor,
)
from benchmarks.plan import Plan, on_stderr
from benchmarks.row import Part, Row
from benchmarks.table import table

Families = Mapping[str, Callable[[Plan], Part]]

FAMILIES: Families = {
    "xor": xor.measure,
    "mlp": mlp.measure,
    "call": call.measure,
    "compilations": compilations.measure,
    "declared": declared.measure,
    "compile_time": compile_time.measure,
    "curves": curves.measure,
    "fit": fit.measure,
    "checkpoint": checkpoint.measure,
    "data": data.measure,
    "optim": optim.measure,
    "images": images.measure,
    "lstm": lstm.measure,
    "alone": gpt_alone.measure,
    "budget": budget.measure,
    "first_step": first_step.measure,
    "gpt": gpt.measure,  # so late because max-autotune may have what time the others leave
    "minilm": minilm.measure,
    "quantization": quantization.measure,
    "import": import_time.measure,
}
RESULTS = Path(__file__).parent / "results"


def arguments(description: str, families: Families) -> argparse.ArgumentParser:
    """The command line of a run."""
    parser = argparse.ArgumentParser(description=description)
    names = ", ".join(families)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument(
        "--only", type=partial(_names, families), default=tuple(families), metavar="NAMES", help=f"some of: {names}"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to write the table; without it, a quick or partial run is printed only"
    )
    return parser


def run(plan: Plan, chosen: argparse.Namespace, families: Families) -> None:
    """Measure, print the table and write it."""
    head, load = machine.describe(plan.device), machine.load()
    part = measure(plan, {name: families[name] for name in chosen.only})
    head["load"] = f"{load} before, {machine.load()} at the end (processes that want a core, the run's own among them)"
    shown = table(head, part)
    print(shown)
    whole = not chosen.quick and set(chosen.only) == set(families)
    folder = chosen.folder or (RESULTS if whole else None)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / machine.file_name(plan.device, dt.datetime.now(dt.UTC).date())
        path.write_text(shown, encoding="utf-8")
        plan.say(f"written to {path}")


def measure(plan: Plan, families: Families) -> Part:
    """All rows of the families. One that fails, or that there is no time for, is a row that says so."""
    part = Part()
    for name, family in families.items():
        plan.say(name)
        if plan.left_s <= 0:
            part += Part([Row(name, "all of it", "no time was left", target="all", met=None)])
            continue
        torch.compiler.reset()  # nothing that another family compiled counts against torch.compile's limits
        try:
            found = family(plan)
        except Exception as error:  # noqa: BLE001 - the other families go on, and the table says what failed
            plan.say("".join(traceback.format_exception(error)))
            found = Part([Row(name, "all of it", f"failed: {type(error).__name__}", target="all", met=False)])
        for row in found.rows:  # should the run not come to its end, this much is known
            plan.say(f"  {row.work}: {row.peer}: {row.ours} | {row.theirs} | {row.ratio} {row.target}")
        part += found
    return part


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m benchmarks``: on the CPU."""
    chosen = arguments("Tessera beside its peers on the CPU.", FAMILIES).parse_args(argv)
    run(Plan(quick=chosen.quick, say=on_stderr()), chosen, FAMILIES)


def _names(families: Families, text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in families]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not one of {', '.join(families)}")
    return names
