from __future__ import annotations

import pytest
import torch

import tessera
from tessera.train.modes import buffers_kept, mode


def model() -> torch.nn.Sequential:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    net[1].eval()  # as someone does who fine-tunes with frozen statistics
    return net


@pytest.mark.parametrize("training", [True, False])
def test_every_part_gets_its_mode_back(training):
    net = model()
    with mode(net, training=training):
        assert [part.training for part in net.modules()] == [training] * 4
    assert [part.training for part in net.modules()] == [True, True, False, True]


def test_also_after_an_error():
    net = model()
    with pytest.raises(KeyError), mode(net, training=False):
        raise KeyError
    assert [part.training for part in net.modules()] == [True, True, False, True]


def test_buffers_are_kept_after_an_error_only():
    net = torch.nn.BatchNorm1d(2)
    before = net.running_mean.clone()
    with pytest.raises(RuntimeError, match="shape"), buffers_kept(net):
        net(torch.randn(4, 2) + 3) @ torch.zeros(3, 3)
    assert torch.equal(net.running_mean, before)
    assert net.num_batches_tracked == 0
    with buffers_kept(net):
        net(torch.randn(4, 2) + 3)
    assert not torch.equal(net.running_mean, before)


def test_an_error_of_torchs_is_told_with_layer_and_fix():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(5, 2))
    with pytest.raises(RuntimeError, match=r"(?s)\(1\) at .*Why: A linear layer.*1\. nn\.Linear\(4, 2\)"):
        tessera.predict(net, torch.ones(2, 3))
