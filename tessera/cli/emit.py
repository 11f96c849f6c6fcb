"""`tessera emit`: the Triton kernels of a training step for a GPU, compiled on a machine that has none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tessera.errors import SettingError

_DESCRIPTION = """\
Compiles a training step or a model for a GPU that need not be here, and says what each kernel needs and costs.

  tessera emit model.py:build --target h200                # print the table
  tessera emit model.py:build --target l4 --out kernels    # write the kernels out to read
  tessera emit model.py:build --target a100 --check        # run them in Triton's interpreter, beside eager
"""
_EPILOG = """\
build is a function in your file that returns what is emitted and a batch for it, on the CPU:

  def build():
      net = Net()
      step = tessera.train_step(net, "cross_entropy", torch.optim.AdamW(net.parameters()))
      return step, torch.randn(64, 784), torch.randint(0, 10, (64,))

The folder holds each kernel as Triton (.py), PTX and machine code (.cubin), wrapper.py that calls them, index.md with
the table and the lines that each kernel comes from, and emission.json. Rooflines are lower bounds from published peaks;
--check takes as long as an interpreter does, so give it a small batch. Exit code 1: a kernel did not compile.
"""


def add_command(commands: Any) -> None:
    """Add ``emit`` to the commands of a parser."""
    parser = commands.add_parser(
        "emit",
        help="compile a training step for a GPU that is not here",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("build", metavar="FILE:NAME", help="a function that returns (step, *batch) or (model, *inputs)")
    parser.add_argument("--target", required=True, help="a100, l4, h100, h200 or b200")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write the kernels there")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--check", action="store_true", help="compare the kernels with eager, in Triton's interpreter")
    parser.add_argument("--traceback", action="store_true", help="show where in Tessera an error was raised")
    parser.set_defaults(run=_run)


def _run(found: argparse.Namespace) -> int:
    from tessera.backend.targets.device import find_device
    from tessera.backend.targets.files import write
    from tessera.capture.emit import check_emitted, emit

    find_device(found.target)
    function, *batch = _built(found.build)
    if found.check:
        difference = check_emitted(function, *batch, target=found.target)
        print(f"interpreted, the kernels differ from eager by {difference:.2g} of the largest element at most")
    emission = emit(function, *batch, target=found.target)
    print(emission.to_json() if found.json else emission)
    if found.out is not None:
        files = write(emission, found.out)
        if not found.json:
            print(f"{len(files)} files are in {found.out}; begin with {files[0]}")
    return 1 if emission.failed else 0


def _built(reference: str) -> tuple[Any, ...]:
    """What the user's function returned."""
    from tessera.cli.config import Config, Entry
    from tessera.cli.objects import find_object

    place = Path.cwd() / "the command line"  # files are looked up from here
    build = find_object(Entry(Config(place, "", {}), ("build",), reference))
    made = build() if callable(build) else build
    if not isinstance(made, tuple) or not made or not callable(made[0]):
        raise SettingError(
            f"{reference} gave {type(made).__name__} {made!r:.80}.",
            "It is a function that returns a tuple: a training step, a module or a function, and a batch for it.",
            "Write return step, inputs, labels.",
        )
    return made
