"""Changed files by the thousand, through every door, each read in a process that may die of it.

    python -m tests.export.hostile.campaign --count 5000 --seed 0
    python -m tests.export.hostile.campaign --count 500 --only .onnx --only .pte

A reader ends in a Tessera error of three sentences, or with what the file holds. Anything else is a failure: another
error, a process that died or hung or took a gigabyte, a file that appeared somewhere.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.export.hostile.doors import DOORS, SECRET
from tests.export.hostile.mutations import Files, changed
from tests.export.hostile.readers import FAILED, Reader


@dataclass
class Result:
    kinds: collections.Counter = field(default_factory=collections.Counter)
    failures: list = field(default_factory=list)
    reasons: collections.Counter = field(default_factory=collections.Counter)


class Campaign:
    """Reads changed files; a reader that failed is replaced."""

    def __init__(self, seed: int, say=None) -> None:
        self._seed, self._say, self._reader = seed, say, None

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._end()

    def run(self, name: str, numbers) -> Result:
        """Read the changed files of these numbers through one door."""
        result = Result()
        with tempfile.TemporaryDirectory() as top:
            base = Path(top) / "outside" / "of" / "it"
            good = DOORS[name].files(base / "good")
            for number in numbers:
                chance = random.Random(f"{self._seed} {name} {number}")
                files, words = changed(good, chance, str(Path(top) / "canary"))
                self._reader = self._reader or Reader()
                kind, why = self._reader.read(name, base / "good", _laid(base / "read", files))
                if appeared := _strange(Path(top), files):
                    kind, why = FAILED, f"{appeared} appeared"
                result.kinds[kind] += 1
                result.reasons[" ".join(why.split()[:12])] += 1
                if kind == FAILED:
                    result.failures.append(f"{name} number {number} ({words}): {why}")
                    self._end()
                    if self._say:
                        self._say(result.failures[-1])
        return result

    def _end(self) -> None:
        if self._reader:
            self._reader.end()
        self._reader = None


def _laid(folder: Path, files: Files) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if any(name.endswith(".onnx") for name in files):  # which can name other files
        (folder / "link").symlink_to("../secret")
        (folder / "up").symlink_to("..")
        (folder.parent / "secret").write_bytes(SECRET)
    return folder


def _strange(top: Path, files: Files) -> str:
    """A file that nobody wrote here."""
    base = top / "outside" / "of" / "it"
    for folder, _, names in os.walk(top):
        if Path(folder).is_relative_to(base / "good"):
            continue
        for name in names:
            path = Path(folder) / name
            if path.is_symlink() or path == base / "secret":
                continue
            if not (path.is_relative_to(base / "read") and str(path.relative_to(base / "read")) in files):
                path.unlink()
                return str(path.relative_to(top))
    return ""


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", metavar="TEXT", help="doors with this in their name")
    chosen = parser.parse_args(argv)
    failed = 0
    with Campaign(chosen.seed, say=lambda line: _say(f"  FAILED {line}")) as campaign:
        for name, door in DOORS.items():
            if chosen.only and not any(text in name for text in chosen.only):
                continue
            if not door.there:
                _say(f"{name:32} not installed: {', '.join(door.needs)}")
                continue
            began = time.perf_counter()
            result = campaign.run(name, range(chosen.count))
            failed += len(result.failures)
            counts = ", ".join(f"{kind} {count}" for kind, count in result.kinds.most_common())
            died = sum(count for reason, count in result.reasons.items() if "was ended by" in reason)
            lost = f"; {died} of them brought a process apart down" if died else ""
            _say(f"{name:32} {chosen.count} changed files: {counts}{lost} ({time.perf_counter() - began:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
