from __future__ import annotations

import pytest
import torch

from tessera import torch_internals
from tessera.backend.device_precision import on_device, uses_float16
from tessera.program import resolve_precision

CPU = torch.device("cpu")


@pytest.fixture
def processor(monkeypatch):
    """A processor with instructions for the given dtypes."""

    def has(*dtypes):
        found = {dtype: f"instructions for {dtype}" for dtype in dtypes}
        monkeypatch.setattr(torch_internals, "cpu_product_instructions", lambda: found)

    return has


def names(*asked):
    return [on_device(name, CPU).name for name in asked]


def test_what_the_device_has_is_taken(processor):
    processor(torch.bfloat16, torch.float16)
    assert names("auto", "bf16", "fp16", "fp32") == ["bf16", "bf16", "fp16", "fp32"]
    found = on_device("auto", CPU)
    assert found.dtype is torch.bfloat16
    assert found.why == "cpu has instructions for torch.bfloat16"


def test_what_it_lacks_falls_to_the_next_and_says_so(processor):
    processor(torch.bfloat16)
    assert names("fp8", "fp16", "tf32") == ["bf16", "bf16", "fp32"]
    assert on_device("fp16", CPU).why == "cpu has no fp16 products; cpu has instructions for torch.bfloat16"
    processor()
    assert names("auto", "fp8", "fp16", "bf16", "tf32") == ["fp32"] * 5
    assert on_device("fp8", CPU).why == "there are no fp8 products yet; cpu has no bf16 products"


def test_float16_is_met_where_a_rule_asks_for_it_and_the_device_has_it(processor):
    asked = resolve_precision({"default": "bf16", "head": "fp16"})
    processor(torch.bfloat16, torch.float16)
    assert uses_float16(asked, CPU)
    assert not uses_float16(resolve_precision("auto"), CPU)
    processor(torch.bfloat16)
    assert not uses_float16(asked, CPU)


def test_another_device_has_none():
    assert on_device("bf16", torch.device("meta")).dtype is torch.float32
