from __future__ import annotations

from tessera.backend.targets.absent import Properties
from tessera.backend.targets.device import DEVICES


def test_torchs_names_are_there():
    found = Properties(DEVICES["l4"])
    assert (found.major, found.minor, found.multi_processor_count) == (8, 9, 58)
    assert found.shared_memory_per_block_optin == 99 * 1024
    assert found.max_threads_per_multi_processor == 1536
    assert found.warp_size == 32
    assert found.total_memory == 24 * 10**9
