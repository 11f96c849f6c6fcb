"""What a GPU that is not here answers when torch asks for its properties."""

from __future__ import annotations

from tessera.backend.targets.device import Device


class Properties:
    """A device by the names that torch uses."""

    def __init__(self, device: Device) -> None:
        self.name = device.title
        self.major, self.minor = device.capability
        self.multi_processor_count = device.processors
        self.max_threads_per_multi_processor = device.threads
        self.max_threads_per_block = 1024
        self.regs_per_multiprocessor = 1 << 16
        self.warp_size = 32
        self.shared_memory_per_block_optin = device.shared_memory
        self.shared_memory_per_multiprocessor = device.shared_memory + 1024  # a block keeps one KiB to itself
        self.shared_memory_per_block = 48 << 10
        self.L2_cache_size = device.level2
        self.total_memory = device.memory
