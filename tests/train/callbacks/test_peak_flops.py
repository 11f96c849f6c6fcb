from __future__ import annotations

import time

import pytest
import torch

from tessera.train.callbacks.peak_flops import peak_flops, published_peak


@pytest.mark.parametrize(
    ("name", "dtype", "tf32", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", torch.bfloat16, False, 989.5),
        ("NVIDIA H100 80GB HBM3", torch.float32, False, 67),
        ("NVIDIA H100 80GB HBM3", torch.float32, True, 494.5),
        ("NVIDIA H100 PCIe", torch.float16, False, 756),
        ("NVIDIA H100 NVL", torch.bfloat16, False, 835.5),
        ("NVIDIA H200", torch.bfloat16, False, 989.5),
        ("NVIDIA H200 NVL", torch.bfloat16, False, 835.5),
        ("NVIDIA B200", torch.bfloat16, False, 2250),
        ("NVIDIA A100-SXM4-40GB", torch.bfloat16, False, 312),
        ("NVIDIA A100 80GB PCIe", torch.float32, True, 156),
        ("NVIDIA A10", torch.bfloat16, False, 125),
        ("NVIDIA L4", torch.bfloat16, False, 121),
        ("NVIDIA L40S", torch.bfloat16, False, 362),
        ("Tesla T4", torch.float16, False, 65),
        ("Tesla T4", torch.float32, True, 8.1),
        ("Tesla V100-SXM2-16GB", torch.float16, False, 125),
        ("Tesla V100-PCIE-16GB", torch.float16, False, 112),
    ],
)
def test_published(name, dtype, tf32, tera):
    peak = published_peak(name, dtype, tf32=tf32)
    assert peak.flops == tera * 1e12
    assert peak.source.startswith(f"{name}, ")
    assert "data sheet, 20" in peak.source


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", torch.bfloat16),  # a part of the device
        ("NVIDIA A10G", torch.bfloat16),
        ("NVIDIA GH200 480GB", torch.bfloat16),
        ("NVIDIA GeForce RTX 4090", torch.bfloat16),
        ("Tesla V100-SXM2-16GB", torch.bfloat16),  # it has no such units
        ("NVIDIA H100 PCIe", torch.float64),
    ],
)
def test_unknown(name, dtype):
    assert published_peak(name, dtype, tf32=False) is None


def test_a_processor_is_measured():
    began, random = time.perf_counter(), torch.get_rng_state()
    peak = peak_flops(torch.device("cpu"), torch.float32)
    assert time.perf_counter() - began < 3
    assert 1e8 < peak.flops < 1e15
    assert peak.source == ("measured: the fastest product of 1024 x 1024 matrices, float32, on this CPU with 1 threads")
    assert torch.equal(torch.get_rng_state(), random)


def test_there_is_no_peak_of_whole_numbers_or_of_no_device():
    assert peak_flops(torch.device("cpu"), torch.int64) is None
    assert peak_flops(torch.device("meta"), torch.float32) is None
