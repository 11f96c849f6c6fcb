"""One line from a model to a file, the format chosen by the file's ending."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tessera.errors import ExportError, TesseraError
from tessera.export.agreement import Agreement, compare
from tessera.export.asked import Dims, Inputs, read_example
from tessera.export.divergence import first_difference
from tessera.export.example import Example, words
from tessera.export.exported import Exported
from tessera.export.flat import FlatCall, buffers_as_they_were, left_out
from tessera.export.format import Format, Options, Runner
from tessera.export.formats import format_of, missing_packages, require
from tessera.export.kept import InARow, run_in_a_row
from tessera.export.speed import milliseconds
from tessera.export.state import with_state
from tessera.export.traced import cause, line_of
from tessera.train.modes import mode


def export(
    module: torch.nn.Module,
    path: str | os.PathLike[str],
    example_inputs: Inputs | None = None,
    dims: Dims | None = None,
    *,
    preprocessing: Callable[..., Any] | None = None,
    state: str | None = None,
    measure: bool = True,
    opset: int | None = None,
    weights: str | None = None,
    metadata: Mapping[str, str] | None = None,
    target: str | None = None,
    config: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> Exported:
    """Write ``module`` to ``path`` and check the file against the model.

    The ending chooses the format. The file holds the forward in eval mode; its own runtime runs it with fresh inputs at
    several sizes of every dimension that may change, and a float64 copy of the model says how far its answers may be
    from the model's. A file that disagrees never lies under the name asked for, nor does half a file.

    Args:
        module: any model; its mode and weights stay as they are.
        path: the file to write; missing folders are made.
        example_inputs: what the model is called with: a tensor, a tuple for several inputs, a dict for keyword
            arguments. Not needed for weights, nor for a model that was trained with ``fit``.
        dims: which dimensions may have another length in the file, by the input's name or in order, each with a name or
            a ``torch.export.Dim`` that says the largest: ``{"x": {0: "batch", 1: "time"}}``. Without it those that
            ``forward`` declares, else the first is ``batch``; ``({},)`` fixes all. Inputs that use one name have one
            length.
        preprocessing: makes the model's arguments of the example's and becomes part of the file.
        state: for a model that changes its buffers while it answers, as one with a key-value cache does. A file of
            ``.pte``, ``.pt2`` or ``.tessera`` keeps them as the model does. With ``"outputs"`` they are further inputs
            and outputs of the file, for the caller to pass on; with ``"constant"`` every call begins with the values of
            now.
        measure: whether to measure a call of the file, of the model, and of the model compiled.
        opset: ONNX's version of its operators, 18 at least.
        weights: ``"inside"`` the file or ``"beside"`` it.
        metadata: texts that the file carries.
        target: the device that the file is for.
        config: the arguments that the model's class is made with, kept beside weights.
        sizes: for a format of fixed sizes, as TFLite is: those that the file is for, ``{"B": (1, 8), "S": (16, 64)}``.
            Every combination is a signature of the file. Without it the example's sizes are the only ones.

    Returns:
        What was written and how far it is from the model: ``print`` it.

    Raises:
        ExportError: an unknown ending, no example, a model that cannot be written, or a file that disagrees.
        MissingDependencyError: the packages for the format are not installed.
    """
    wanted = Path(path)
    form = format_of(wanted)
    options = _checked(
        form,
        Options(opset=opset, weights=weights, metadata=metadata, target=target, config=config, sizes=sizes),
        wanted,
    )
    parts = [part for part in (module, preprocessing) if isinstance(part, torch.nn.Module)]
    with contextlib.ExitStack() as modes:
        for part in parts:
            modes.enter_context(mode(part, training=False))
        if form.instead is None or not missing_packages(form):
            require(form)
        flat, example, notes = _call(module, form, example_inputs, dims, preprocessing, state, sizes)
        if form.instead is not None and missing_packages(form):
            raise form.instead(example, wanted, lambda other, at: _export(other, flat, example, notes, at, options))
        return _export(form, flat, example, notes, wanted, options, measure=measure)


def _export(
    form: Format,
    flat: FlatCall,
    example: Example,
    notes: list[str],
    path: Path,
    options: Options,
    *,
    measure: bool = False,
) -> Exported:
    """Write, check, and give the file its name."""
    with _folder_beside(path) as folder:
        written = folder / path.name
        with buffers_as_they_were(flat.module, flat.kept):
            facts = _written(form, flat, example, written, options)
        if facts.largest:  # what the file says of itself is checked too
            example = dataclasses.replace(example, largest=facts.largest)
        found, run = _check(form, flat, example, written)
        if found.case is not None and not flat.kept:
            found = _explained(found, form, flat, example)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        with buffers_as_they_were(flat.module, flat.kept):
            measured = milliseconds(flat, run, example) if measure and found.accepted and run else {}
        kept = _kept(folder, path, accepted=found.accepted)
    if not found.runs:
        raise ExportError(
            f"{type(flat.module).__name__} was written to {kept}, which does not run. {found.reason}",
            f"An exported file runs in {form.name}'s own runtime, at every size that its dims allow.",
            "Leave out what the runtime does not have, such as a dtype, fix the sizes with dims=({},), or see which "
            "formats take the model with tessera export --try-all.",
        )
    if not found.accepted:
        raise ExportError(
            f"{type(flat.module).__name__} was written to {kept}, which does not agree with it. {found.reason}",
            "An exported file answers what the model answers in eval mode.",
            "Look for random numbers or sizes fixed in the code of forward, or fix all sizes with dims=({},).",
        )
    return Exported(
        kept,
        form.name,
        found.max_error,
        found.accepted,
        found.reason,
        size,
        facts.operators,
        facts.decomposed,
        (*notes, *facts.notes),
        measured,
    )


def _call(
    module: torch.nn.Module,
    form: Format,
    inputs: Inputs | None,
    dims: Dims | None,
    preprocessing: Callable[..., Any] | None,
    state: str | None,
    sizes: Mapping[str, Sequence[int]] | None,
) -> tuple[FlatCall, Example, list[str]]:
    """The call to export, and what there is to say of it."""
    if form.load is None:
        return FlatCall(module, (), {}), Example((), (), ()), []
    flat, example = read_example(module, inputs, dims, preprocessing)
    flat, example, notes = with_state(flat, example, state, keeps=form.keeps_state)
    if not form.takes_dynamic and (example.sizes or sizes):
        limited = example.limited(sizes or {})
        taken = "; ".join(words(each) for each in limited.only)
        notes.append(f"{form.name} has fixed sizes: this file takes {taken} and nothing else.")
        example = limited if sizes else example.fixed()
    with torch.no_grad(), buffers_as_they_were(flat.module, flat.kept):
        if absent := left_out(flat.answer(*example.tensors)):
            notes.append(f"Not in the file, because it is no tensor: {', '.join(absent)}.")
    return flat, example, notes


def _checked(form: Format, options: Options, path: Path) -> Options:
    """The options, where the format takes them."""
    for each in dataclasses.fields(options):
        value = getattr(options, each.name)
        if value is not None and each.name not in form.options:
            raise ExportError(
                f"{each.name}={value!r} was passed for {path.name!r}.",
                f"{form.name} has {', '.join(sorted(form.options)) or 'no options'}.",
                f"Leave {each.name} out.",
            )
    if options.weights not in (None, "inside", "beside"):
        raise ExportError(
            f"weights={options.weights!r} was passed.",
            "Weights are inside the file or beside it.",
            "Write weights='beside'.",
        )
    return options


def _written(form: Format, flat: FlatCall, example: Example, path: Path, options: Options) -> Any:
    try:
        return form.write(flat, example, path, options)
    except TesseraError:
        raise
    except Exception as error:
        raise ExportError(
            f"{type(flat.module).__name__} could not be written as {form.name}: {cause(error)}.",
            f"A file is written when every operator of the model exists in {form.name}.",
            "Write that part with other operators, or see which formats take it with tessera export --try-all.",
            line_of(error),
        ) from error


def _check(form: Format, flat: FlatCall, example: Example, path: Path) -> tuple[Agreement, Runner | None]:
    if form.load is None:
        return Agreement(0.0, True, "What was read back is the model's, bit for bit."), None
    try:
        run = form.load(path)
    except TesseraError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises, the file does not work
        return Agreement(float("inf"), False, f"It cannot be loaded: {cause(error)}.", runs=False), None
    if flat.kept:
        load = form.load
        return compare(InARow(flat), run_in_a_row(lambda: load(path)), example), run
    return compare(flat, run, example), run


def _explained(found: Agreement, form: Format, flat: FlatCall, example: Example) -> Agreement:
    """The same, with the first operator that differs."""
    try:
        difference = None if found.case is None else first_difference(form, flat, example, found.case)
    except Exception:  # noqa: BLE001 - looking for the reason never hides the verdict
        return found
    return found if difference is None else dataclasses.replace(found, reason=f"{found.reason} {difference}")


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A folder on the same disk, so that a finished file gets its name at once; removed with all that is left in it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ExportError(
            f"{str(path)!r} cannot be written: {error.strerror or error}.",
            "A file is written beside its name and then given it, so its folder has to take new files.",
            "Write a path in a folder of yours.",
        ) from error
    with folder as name:
        yield Path(name)


def _kept(folder: Path, path: Path, *, accepted: bool) -> Path:
    """Give the files of ``folder`` their names beside ``path``, that of the file itself last."""
    ending = "" if accepted else ".rejected"
    files = sorted(folder.iterdir(), key=lambda file: file.name == path.name)
    for file in files:
        file.replace(path.parent / (file.name + ending))
    return path.with_name(path.name + ending)
