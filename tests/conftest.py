"""What every test starts from: one seed, one thread, a cache folder apart, no compiled code of another test."""

from __future__ import annotations

import sys

import pytest
import torch


@pytest.fixture(autouse=True)
def _same_start(tmp_path_factory, monkeypatch):
    # The last Report is kept there: not in the home of whoever runs the tests.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.manual_seed(0)
    torch.set_num_threads(1)  # as many workers as cores: a pool of threads in each would only get in the others' way
    yield
    if "torch._dynamo" in sys.modules:  # else resetting would be the first to load the compiler
        torch.compiler.reset()


@pytest.fixture
def low_precision_products(monkeypatch):
    """Any machine that runs the test has instructions for bf16 and fp16, as far as Tessera knows."""
    every = dict.fromkeys((torch.bfloat16, torch.float16), "instructions")
    monkeypatch.setattr("tessera.torch_internals.cpu_product_instructions", lambda: every)
