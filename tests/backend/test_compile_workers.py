import os

import pytest

from tessera.backend import compile_workers
from tessera.backend.compile_workers import COMPILER_BYTES, free_bytes

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "cores", "workers"), [(64 * GIB, 8, 8), (3 * GIB, 8, 3), (GIB // 2, 8, 1), (0, 2, 1), (None, 4, 4)]
)
def test_as_many_as_cores_and_memory_allow(monkeypatch, free, cores, workers):
    monkeypatch.setattr(compile_workers, "free_bytes", lambda: free)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert compile_workers.compile_workers() == workers
    assert COMPILER_BYTES == GIB


def test_the_container_may_have_less_than_the_system(tmp_path):
    meminfo, cgroup = tmp_path / "meminfo", tmp_path / "cgroup"
    cgroup.mkdir()
    assert free_bytes(meminfo, cgroup) is None
    meminfo.write_text("MemTotal:  999 kB\nMemAvailable:    8388608 kB\n")
    assert free_bytes(meminfo, cgroup) == 8 * GIB
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text(f"{GIB}\n")
    assert free_bytes(meminfo, cgroup) == 8 * GIB
    (cgroup / "memory.max").write_text(f"{3 * GIB}\n")
    assert free_bytes(meminfo, cgroup) == 2 * GIB
    (cgroup / "memory.current").write_text(f"{4 * GIB}\n")
    assert free_bytes(meminfo, cgroup) == 0
