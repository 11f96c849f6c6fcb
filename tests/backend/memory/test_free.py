import torch

from tessera.backend.memory import free
from tessera.backend.memory.free import free_memory

CPU = torch.device("cpu")


def test_a_container_may_have_less_than_the_machine(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(free, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(free, "_CGROUP", tmp_path)
    assert free_memory(CPU) == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) == 4000 << 10


def test_nobody_knows(tmp_path, monkeypatch):
    monkeypatch.setattr(free, "_MEMINFO", tmp_path / "nothing")
    monkeypatch.setattr(free, "_CGROUP", tmp_path)
    assert free_memory(CPU) is None
