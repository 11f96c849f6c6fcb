from __future__ import annotations

import contextlib
import threading

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import SettingError, WatchError


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn, self.mlp = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return x + self.mlp(self.attn(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


X = torch.ones(2, 3)


def hooks():
    from torch.nn.modules import module

    return len(module._global_forward_hooks) + len(module._global_forward_pre_hooks)


def test_outputs_and_gradients_are_recorded_in_their_order(net):
    with tessera.debug_mode() as debug:
        debug.watch("blocks.*.attn", action="record")
        net(X).sum().backward()
    assert [(hit.layer, hit.what) for hit in debug.hits] == [
        ("blocks.0.attn", "output"),
        ("blocks.1.attn", "output"),
        ("blocks.1.attn", "gradient"),
        ("blocks.0.attn", "gradient"),
    ]
    assert debug.hits[0].where.code == "return x + self.mlp(self.attn(x))"
    assert hooks() == 0


def test_it_stops_with_the_whole_text(net):
    nn.init.constant_(net.blocks[1].attn.weight, 1e5)
    nn.init.zeros_(net.blocks[1].attn.bias)
    with tessera.debug_mode() as debug:
        debug.watch("blocks.*.attn", max_abs=1e4)
        with pytest.raises(WatchError) as caught:
            net(X)
    assert "The output of the layer blocks.1.attn is float32[2, 3] " in str(caught.value)
    assert "watch('blocks.*.attn') stops at max_abs=10000." in str(caught.value)
    assert caught.value.where.code == "return x + self.mlp(self.attn(x))"
    assert hooks() == 0


def test_a_gradient_stops_too(net):
    with tessera.debug_mode() as debug:
        debug.watch("blocks.0.mlp", on="gradient", max_abs=1.0)
        loss = (net(X) * 1e3).sum()
        with pytest.raises(WatchError, match="The gradient of the layer blocks.0.mlp"):
            loss.backward()


def test_a_warning_goes_on(net):
    with tessera.debug_mode() as debug:
        debug.watch("blocks.0.attn", on="output", max_abs=0, action="warn")
        with pytest.warns(RuntimeWarning, match="blocks.0.attn"):
            net(X)


def test_a_breakpoint(net, monkeypatch):
    stops = []
    monkeypatch.setattr("sys.breakpointhook", lambda: stops.append(1))
    with tessera.debug_mode() as debug:
        debug.watch("blocks.0", on="output", max_abs=0, action="breakpoint")
        with pytest.warns(RuntimeWarning, match="blocks.0"):
            net(X)
    assert stops == [1]


def test_a_pattern_that_meets_nothing_is_told_with_the_nearest(net):
    debug = tessera.debug_mode()
    debug.watch("blocks.0.atn", max_abs=1)
    debug.__enter__()
    net(X)
    with pytest.raises(SettingError, match=r"Write for example watch\('blocks.0.attn'\)."):
        debug.__exit__(None, None, None)
    assert hooks() == 0


def test_steps_and_compiled_models_are_watched(net):
    fast = tessera.compile(net)
    step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.1))
    with tessera.debug_mode() as debug:
        debug.watch("blocks.1", on="output", action="record")
        fast(X)
        step(X, X)
    assert [hit.layer for hit in debug.hits] == ["blocks.1", "blocks.1"]


def test_other_threads_are_left_alone(net):
    with tessera.debug_mode() as debug:
        debug.watch("blocks.0", max_abs=0, on="output")
        thread = threading.Thread(target=lambda: net(X))
        thread.start()
        thread.join()
        assert debug.hits == []
        debug._watched.clear()
        debug._layers._watched.clear()


def test_a_layer_that_raises_leaves_the_others_their_names(net):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.after = nn.Identity()

        def forward(self, x):
            with contextlib.suppress(RuntimeError):
                self.inner(x)
            return self.after(x)

    with tessera.debug_mode() as debug:
        debug.watch("after", action="record")
        Odd()(X)
    assert [hit.layer for hit in debug.hits] == ["after"]
