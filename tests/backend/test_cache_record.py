"""The Report says whether a compilation came out of the cache, and what was new if it did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from tessera import torch_internals
from tessera.backend import cache_record
from tessera.backend.cache_record import CacheRecord, key_of
from tessera.program import Precision
from tests.backend.hand_made import program


@pytest.fixture(autouse=True)
def _own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def counts(monkeypatch):
    found = {"hit": 0, "miss": 0}
    monkeypatch.setattr(torch_internals, "cache_counts", lambda: dict(found))
    return found


def tanh(*shape):
    return program(lambda x: (torch.tanh(x).sum(-1),), torch.ones(*shape))


def compiled(made, counts, **more):
    record = CacheRecord(made)
    for kind, number in more.items():
        counts[kind] += number
    return record.note()


def test_what_was_new(counts, monkeypatch):
    assert compiled(tanh(2, 3), counts, miss=1).endswith("anew: nothing of this name was compiled before")
    assert compiled(tanh(2, 3), counts, hit=1) == "cache: hit (1 parts)"
    assert compiled(tanh(2, 3), counts, miss=1).endswith("it was compiled before, and the cache has it no more")
    assert compiled(tanh(4, 3), counts, miss=1).endswith("since the most similar one shapes changed")
    assert "1 of 3 parts were compiled anew: since" in compiled(tanh(5, 3), counts, miss=1, hit=2)
    other = program(lambda x: (torch.sin(x).sum(-1),), torch.ones(2, 3))
    assert compiled(other, counts, miss=1).endswith("since the most similar one graph changed")
    lowered = tanh(2, 3)
    lowered.precision = Precision("bf16")
    assert compiled(lowered, counts, miss=1).endswith("precision was fp32 and is bf16 changed")
    assert compiled(tanh(2, 3), counts) == "cache: not used"
    here = cache_record.environment()
    monkeypatch.setattr(cache_record, "environment", lambda: here | {"torch": "3.0", "python": "cp399"})
    assert f"torch was {here['torch']} and is 3.0, Python was {here['python']} and is cp399 changed" in compiled(
        tanh(2, 3), counts, miss=1
    )


def test_only_the_last_few_are_kept(counts):
    for rows in range(1, cache_record.KEPT + 3):
        compiled(tanh(rows), counts, miss=1)
    assert len(cache_record._RECORDS.get("hand-made")) == cache_record.KEPT


@pytest.mark.parametrize("content", ["", "[]", '{"hand-made": 3}', '{"hand-made": [1, null]}', "\0"], ids=range(5))
def test_records_that_are_damaged_are_none(counts, tmp_path, content):
    folder = tmp_path / "tessera"
    folder.mkdir()
    (folder / "compiled.json").write_text(content)
    assert compiled(tanh(2), counts, miss=1).endswith("nothing of this name was compiled before")
    assert json.loads((folder / "compiled.json").read_text())["hand-made"] == [key_of(tanh(2))]


PROGRAM = """
import torch, tessera
torch.set_num_threads(1)
fast = tessera.compile(lambda x: torch.tanh(x) * {factor}, mode="inference")
fast(torch.ones({rows}, 3))
print([note for each in fast.report.compilations for note in each.notes if note.startswith("cache:")])
"""


@pytest.mark.slow
def test_in_processes_of_their_own(tmp_path):
    def told(factor, rows):
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
        command = [sys.executable, "-c", PROGRAM.format(factor=factor, rows=rows)]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert "nothing of this name was compiled before" in told(2, 3)
    assert "cache: hit" in told(2, 3)
    assert "shapes changed" in told(2, 4)
    assert "graph changed" in told(2.5, 3)
