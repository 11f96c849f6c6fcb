"""Data becomes a tensor where there is an accelerator, or else on the CPU."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import tessera
from tessera.errors import SettingError
from tessera.nn import tensor as placement


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (3, torch.int64),
        (2.5, torch.float32),
        (True, torch.bool),
        (1 + 2j, torch.complex64),
        ([], torch.float32),
        ([[1, 2], [3, 4]], torch.int64),
        ((1.5, 2), torch.float32),
        (np.float64(3.0), torch.float32),
        (np.arange(6.0).reshape(2, 3)[:, ::-1], torch.float32),
        (np.arange(3, dtype=">f4"), torch.float32),
        (np.arange(3, dtype=np.float16), torch.float16),
        (np.arange(3, dtype=np.uint8), torch.uint8),
        (np.zeros((2, 0)), torch.float32),
        ([np.ones(3), np.zeros(3)], torch.float32),
        ([torch.ones(2), torch.zeros(2)], torch.float32),
        (torch.ones(2, dtype=torch.float64), torch.float64),
    ],
    ids=str,
)
def test_values_and_dtypes(data, dtype):
    made = tessera.tensor(data)
    assert made.dtype == dtype
    assert made.device == tessera.tensor(0).device
    stacked = [np.asarray(part) for part in data] if isinstance(data, list) else data
    assert np.array_equal(made.cpu().numpy(), np.asarray(stacked))


def test_the_default_dtype_of_torch_is_taken():
    torch.set_default_dtype(torch.float64)
    try:
        assert tessera.tensor(np.ones(2)).dtype == torch.float64
        assert tessera.tensor(1j).dtype == torch.complex128
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("data", [np.ones(3, dtype=np.float32), torch.ones(3)], ids=type)
def test_data_is_copied(data):
    made = tessera.tensor(data, device="cpu")
    data[0] = 5
    assert made.tolist() == [1, 1, 1]


def test_it_has_no_history():
    assert not tessera.tensor(torch.ones(2, requires_grad=True)).requires_grad


def test_dtype_and_device_are_taken():
    made = tessera.tensor([1, 2], dtype=torch.float64, device="meta")
    assert (made.dtype, made.device.type, made.shape) == (torch.float64, "meta", (2,))


@pytest.mark.parametrize("data", [[[1], [1, 2]], "text", ["a"], None, [None], object(), {"a": 1}, 2**70], ids=range(8))
def test_what_holds_no_numbers_is_refused(data):
    with pytest.raises(SettingError, match="makes no tensor"):
        tessera.tensor(data)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 3.5])
def test_a_device_that_there_is_not_is_refused(device):
    with pytest.raises(SettingError, match="was given device="):
        tessera.tensor([1], device=device)


def test_the_choice_is_said_once(caplog):
    placement._default_device.cache_clear()
    with caplog.at_level(logging.INFO, logger="tessera"):
        tessera.tensor([1])
        tessera.tensor([2])
    (record,) = (r for r in caplog.records if "are placed on" in r.getMessage())
    assert ("accelerator that" in record.getMessage()) is torch.accelerator.is_available()
