"""`tessera export`: a model of a Python file in another format, checked; or which formats would take it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.errors import SettingError

if TYPE_CHECKING:
    import torch

_DESCRIPTION = """\
Writes a model to a file whose ending chooses the format, runs the file, and compares it with the model.

  tessera export model.py:build model.onnx
  tessera export model.py:build model.pt2 --dim input_ids:0=B --dim input_ids:1=S
  tessera export --try-all model.py:build    # which formats would take it, as a table; no file is kept
"""
_EPILOG = """\
model.py:build is a function without arguments. It returns the model; or the model and its example inputs, a tensor, a
tuple, or a dict of keyword arguments; or these two and dims. The file is imported, so what stands in it runs.
Exit code 1: the model was not exported; no file of that name was written.
"""
_DIM = re.compile(r"([\w.]+):(-?\d+)=(\w+)")


def add_command(commands: Any) -> None:
    """Add ``export`` to the commands of a parser."""
    parser = commands.add_parser(
        "export",
        help="write a model as ONNX, .pt2, ...; checked against the model",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="FILE.py:NAME", help="what builds the model")
    parser.add_argument("path", metavar="FILE", nargs="?", type=Path, help="the file to write")
    parser.add_argument("--try-all", action="store_true", help="try every format and print what each says")
    parser.add_argument(
        "--dim",
        metavar="INPUT:AXIS=NAME",
        action="append",
        default=[],
        help="a size that may change, for example x:0=B",
    )
    parser.add_argument("--measure", action="store_true", help="measure a call of the file and of the model as well")
    parser.add_argument("--traceback", action="store_true", help="show where in Tessera an error was raised")
    parser.set_defaults(run=_run)


def _run(found: argparse.Namespace) -> int:
    if found.try_all == (found.path is not None):
        raise SettingError(
            "tessera export was called with " + ("--try-all and a file" if found.try_all else "no file") + ".",
            "It writes one file, or tries all formats and keeps none.",
            f"Write tessera export {found.model} model.onnx, or tessera export --try-all {found.model}.",
        )
    module, inputs, dims = _built(found.model)
    dims = _dims(found.dim) or dims
    if found.try_all:
        from tessera.export.attempts import table, try_all

        attempts = try_all(module, inputs, dims)
        print(table(attempts))
        return 0 if any(each.accepted for each in attempts) else 1
    from tessera.export.export import export

    print(export(module, found.path, inputs, dims, measure=found.measure))
    return 0


def _built(reference: str) -> tuple[torch.nn.Module, Any, Any]:
    """The model, its example inputs and dims."""
    import torch

    from tessera.cli.config import Config, Entry
    from tessera.cli.objects import find_object

    place = Path.cwd() / "the command line"  # files are looked up from here
    build = find_object(Entry(Config(place, "", {}), ("build",), reference))
    made = build if isinstance(build, torch.nn.Module) or not callable(build) else build()
    parts = made if isinstance(made, tuple) and made else (made,)
    if not isinstance(parts[0], torch.nn.Module):
        raise SettingError(
            f"{reference} gave {type(parts[0]).__name__} {parts[0]!r:.80}.",
            "It names a model, or a function that returns one, alone or with its example inputs and dims.",
            "Write return model, inputs.",
        )
    if len(parts) > 2 and all(isinstance(part, torch.Tensor) for part in parts[1:]):
        return parts[0], parts[1:], None
    module, inputs, dims = (*parts, None, None)[:3]
    return module, inputs, dims


def _dims(given: list[str]) -> dict[str, dict[int, str]]:
    dims: dict[str, dict[int, str]] = {}
    for text in given:
        if (found := _DIM.fullmatch(text)) is None:
            raise SettingError(
                f"--dim {text} was passed.",
                "It names an input, a dimension of it by position, and how that is called.",
                "Write for example --dim x:0=B.",
            )
        dims.setdefault(found[1], {})[int(found[2])] = found[3]
    return dims
