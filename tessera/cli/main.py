"""The command `tessera`: which command was meant, and what is shown of an error."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from tessera import __version__
from tessera.cli import check, emit, export, info, report, train
from tessera.errors import TesseraError

_DESCRIPTION = "Trains models from a file, and says what Tessera found and did on this machine."
_EPILOG = "`tessera COMMAND --help` says more about each. Nothing is downloaded, and nothing is deleted."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    That is 0, 1 for an error (2 where a command says more by 1), 128 + the signal's number after an interruption.
    """
    parser = argparse.ArgumentParser(
        "tessera", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"tessera {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, check, info, report, emit, export):
        command.add_command(commands)
    found = parser.parse_args(arguments)
    try:
        return int(found.run(found))
    except TesseraError as error:
        if found.traceback:
            raise
        sys.stderr.write(f"tessera: {error}\n")
        return int(getattr(found, "code_of_error", 1))
    except KeyboardInterrupt:
        if found.traceback:
            raise
        sys.stderr.write("tessera: interrupted\n")
        return 128 + signal.SIGINT
