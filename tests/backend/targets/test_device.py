from __future__ import annotations

import pytest
import torch

from tessera.backend.targets.device import DEVICES, find_device
from tessera.errors import SettingError
from tessera.train.callbacks.peak_flops import published_peak


@pytest.mark.parametrize("name", sorted(DEVICES))
@pytest.mark.parametrize(("dtype", "tf32"), [(torch.bfloat16, False), (torch.float32, True), (torch.float32, False)])
def test_peaks_are_those_that_the_throughput_is_measured_against(name, dtype, tf32):
    device = DEVICES[name]
    published = published_peak(device.title, dtype, tf32=tf32)
    assert published is not None
    assert device.peak(dtype, product=True, tf32=tf32) == pytest.approx(published.flops)


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_a_description_is_plausible(name):
    device = DEVICES[name]
    assert device.name == name
    assert device.half > device.tf32 > device.single > device.double
    assert device.shared_memory % 1024 == 0
    assert device.architecture == f"sm_{device.capability[0]}{device.capability[1]}"
    assert device.source


def test_the_roofline_is_the_longer_of_the_two():
    device = find_device("H200")
    assert device.seconds(4.8e12, 0, device.single) == pytest.approx(1)
    assert device.seconds(4.8e12, 2 * device.half, device.half) == pytest.approx(2)
    assert device.peak(torch.float64, product=True) == device.double
    assert device.peak(torch.bfloat16) == device.single


@pytest.mark.parametrize(("wrong", "nearest"), [("h2000", "h200"), ("A10", "a100"), ("tpu", "h200"), (90, "h200")])
def test_another_name_is_an_error_with_the_nearest(wrong, nearest):
    with pytest.raises(SettingError) as raised:
        find_device(wrong)
    assert str(raised.value) == (
        f'target={wrong!r} was passed. A target is one of a100, b200, h100, h200, l4. Write target="{nearest}".'
    )
