"""Files that were changed on the way: a runtime of ours reads them or refuses them with a clear error.

Every mutation runs in this process, so a crash would end the test.
"""

from __future__ import annotations

import random

import pytest
import torch

from tessera.errors import ExportError, WeightsError
from tessera.export.aot_inductor import load_package
from tessera.export.export import export
from tessera.nn.weights_file import read_weights

X = torch.randn(4, 3)
FEW, MANY = 300, 5000


def mutated(content: bytes, count: int):
    chance = random.Random(0)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(chance.choice([1, 1, 2, 8])):
            kind, at = chance.randrange(5), chance.randrange(max(1, len(changed)))
            if kind == 0:
                changed[at] = chance.randrange(256)
            elif kind == 1:
                del changed[at : at + chance.choice([1, 7, 4096])]
            elif kind == 2:
                changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 8])))
            elif kind == 3:
                changed[at : at + 8] = chance.choice([b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7])
            else:
                del changed[at:]
            if not changed:
                break
        yield bytes(changed)


def check_weights(folder, count):
    path = export(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)), folder / "m.safetensors").path
    whole = path.read_bytes()
    read = 0
    for content in mutated(whole, count):
        path.write_bytes(content)
        try:
            found = read_weights(path)
        except WeightsError:
            continue
        read += 1
        assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())
        assert sum(tensor.nbytes for tensor in found.values()) <= len(content)
    assert 0 < read < count


def test_weights(tmp_path):
    check_weights(tmp_path, FEW)


@pytest.mark.slow
def test_weights_many_times(tmp_path):
    check_weights(tmp_path, MANY)


@pytest.mark.slow
def test_packages_many_times(tmp_path, monkeypatch):
    """No changed package reaches torch's loader, which would run its code."""
    path = export(torch.nn.Linear(3, 2), tmp_path / "m.pt2", X, measure=False).path
    reached = []
    monkeypatch.setattr("tessera.export.aot_inductor._run", reached.append)
    whole, changed = path.read_bytes(), tmp_path / "changed.pt2"
    for content in mutated(whole, MANY):
        if content != whole:
            changed.write_bytes(content)
            with pytest.raises(ExportError):
                load_package(changed)
    assert reached == []
    load_package(path)
    assert reached == [path]
