"""A folder with a model, data and a config, imported and forgotten again; Tessera's cache folder is another one."""

from __future__ import annotations

import sys
import textwrap

import pytest

NET = """
    import pathlib
    import torch

    class Net(torch.nn.Module):
        def __init__(self, hidden=8):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(4, hidden), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(hidden, 3)
            )

        def forward(self, x):
            return self.layers(x)

    built = Net(5)

    def train(samples=32):
        random = torch.Generator().manual_seed(0)
        x = torch.randn(samples, 4, generator=random)
        return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()

    held_out = (torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64))

    def error(prediction, target):
        return (prediction.argmax(-1) != target).float().mean()

    def at(path: str | pathlib.Path, text: str = ""):
        return path, text
"""
CONFIG = """
    model = "net.py:Net"
    data = "net.py:train"
    loss = "cross_entropy"

    [optimizer]
    name = "SGD"
    lr = 0.1

    [fit]
    epochs = 2
    seed = 3
    progress = false
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder; ``project / "run.toml"`` is the config."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    (tmp_path / "net.py").write_text(textwrap.dedent(NET))
    (tmp_path / "run.toml").write_text(textwrap.dedent(CONFIG))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def entry(project):
    """Makes the root entry of a config that says what is passed."""
    from tessera.cli.config import read_config

    def read(text: str, *overrides: str):
        path = project / "other.toml"
        path.write_text(textwrap.dedent(text))
        return read_config(path, overrides).root

    return read
