"""`tessera train`: a run from a config or a script. The same command again goes on with it."""

from __future__ import annotations

import argparse
import os
from itertools import count
from pathlib import Path
from typing import Any

from tessera.errors import SettingError

_DESCRIPTION = """\
Trains what a config file says, or runs a script.

  tessera train digits.toml                            # begin, or go on where the last run ended
  tessera train digits.toml --set fit.epochs=20        # the same with another value
  tessera train digits.toml --dry-run                  # say what it would do
  tessera train train.py --epochs 20                   # a script, with arguments of its own
"""
_EPILOG = """\
a config:
  model = "net.py:Net"                # a class, a function that builds it, or a module; [model] with a name and its
                                      # arguments, too: {name = "net.py:Net", hidden = 64}
  data = "net.py:train"               # likewise; or {source = "parquet", path = "train/*.parquet", batch_size = 64,
                                      # workers = 2, map = "net.py:prepare"}: arguments of tessera.data.Loader
                                      # over one of tessera.data's sources
  validation = "net.py:held_out"
  loss = "cross_entropy"              # or "net.py:loss", or "own" for a model that returns it
  metrics = "accuracy"                # or ["accuracy", "net.py:error"]
  device = "cuda"                     # where the model goes; it stays where it was built by default

  [optimizer]                         # [[optimizer]] several times is a chain: clip_by_global_norm, adamw, ...
  name = "AdamW"
  lr = {schedule = "warmup_cosine_decay", init_value = 0.0, peak_value = 1e-3, warmup_steps = 100, decay_steps = 1000}

  [fit]                               # arguments of tessera.fit
  epochs = 10
  seed = 0
  save_every = 200                    # steps; snapshots go to runs/<name of the config>, checkpoint = false: nowhere

  [[callbacks]]
  name = "CSVLogger"
  path = "log.csv"

Paths are relative to the config, also those of --set. Ctrl-C and SIGTERM save a snapshot and end the run; the exit code
is 128 + the number of the signal then.
"""


def add_command(commands: Any) -> None:
    """Add ``train`` to the commands of a parser."""
    parser = commands.add_parser(
        "train",
        help="train from a config or a script; the same command again resumes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="FILE", type=Path, help="config.toml or script.py")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a value of the config, as TOML; many times"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be run: model, data, steps, optimizer")
    parser.add_argument("--fresh", action="store_true", help="begin anew; the run before is moved aside, never deleted")
    parser.add_argument("--traceback", action="store_true", help="show where in Tessera an error was raised")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="arguments of the script")
    parser.set_defaults(run=lambda found: _run(found, parser))


def _run(found: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if found.path.suffix == ".py":
        if found.set or found.dry_run or found.fresh:
            raise SettingError(
                f"--set, --dry-run or --fresh was passed before {found.path}.",
                "They are for config files; what a script does is its own.",
                f"Write tessera train {found.path}, and after it the script's own arguments.",
            )
        from tessera.cli.script import run_script

        return run_script(found.path, found.arguments)
    if found.path.suffix != ".toml":
        raise SettingError(
            f"{found.path} was passed.",
            "A run is a config, whose name ends in .toml, or a script, whose name ends in .py.",
            "Write for example tessera train config.toml.",
        )
    if found.arguments:  # options of ours that stand behind the file
        found = parser.parse_args([*found.arguments, str(found.path)], found)
        if found.arguments:
            parser.error(f"unrecognized arguments: {found.path}")
    return _train(found.path, found)


def _train(path: Path, options: argparse.Namespace) -> int:
    from tessera.cli.config import read_config
    from tessera.cli.job import read_job
    from tessera.cli.plan import plan, standing

    config = read_config(path.absolute(), options.set)
    job = read_job(config)
    if options.dry_run:
        print(plan(config, job))
        return 0
    if options.fresh and job.folder is not None and job.folder.exists():
        if config.path.is_relative_to(os.path.abspath(job.folder)):  # noqa: PTH100 - a link stays what it is called
            raise SettingError(
                f"--fresh was passed, and the run's folder {job.folder} is the one that {config.path.name} is in.",
                "--fresh moves the whole folder of a run aside.",
                'Give the run a folder of its own, as in checkpoint = "runs/a".',
            )
        print(f"the run before is in {_set_aside(job.folder)} now")
    print(f"checkpoint: {standing(job)}")
    history = job.run()
    print(history.stopped)
    return 0 if history.interrupted is None else 128 + history.interrupted


def _set_aside(folder: Path) -> Path:
    """Rename a run's folder to the first free of ``name.1``, ``name.2``, ..."""
    for number in count(1):
        aside = folder.with_name(f"{folder.name}.{number}")
        if not aside.exists():
            return folder.rename(aside)
    raise AssertionError
