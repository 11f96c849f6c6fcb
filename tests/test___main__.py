from __future__ import annotations

import subprocess
import sys

from tessera import __version__


def tessera(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "tessera", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_runs_and_help_loads_no_torch():
    for arguments, shown in ((["--help"], "usage: tessera"), (["--version"], __version__), (["train", "-h"], "--set")):
        done = tessera(*arguments)
        assert done.returncode == 0
        assert shown in done.stdout
        imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
        assert "tessera.cli.main" in imported  # the list is a list of imports
        assert not {"torch", "numpy", "rich"} & set(imported)
