"""A run that may be killed and started again: ``python resumable.py FOLDER WORKERS``; writes its trace at the end."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import torch

import tessera

SAMPLES, BATCH, EPOCHS = 130, 8, 4


def noisy(sample, rng):
    """A random map that takes a while, so that there is something to kill."""
    time.sleep(0.0005)
    x, y = sample
    return x + torch.from_numpy(rng.normal(0, 0.1, x.shape)).float(), y


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 24), torch.nn.BatchNorm1d(24), torch.nn.ReLU(), torch.nn.Dropout(0.3),
            torch.nn.Linear(24, 3),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x) + 0.1 * torch.rand(())


def run(folder: Path | None, workers: int) -> tuple[list[float], str]:
    """Train; returns the losses and a hash of all state."""
    torch.manual_seed(0)
    x = torch.randn(SAMPLES, 6)
    y = (x.sum(1) > 0).long() + (x[:, 0] > 0).long()
    net = Net()
    loader = tessera.data.Loader(tessera.data.arrays((x, y)).map(noisy), BATCH, seed=3, workers=workers)
    schedule = tessera.optim.warmup_cosine_decay(0.0, 1e-2, warmup_steps=10, decay_steps=100)
    optimizer = tessera.optim.AdamW(net, lr=schedule)
    history = tessera.fit(
        net, loader, loss="cross_entropy", optimizer=optimizer, epochs=EPOCHS, accumulate=2, clip_norm=1.0, seed=5,
        validation=(x, y), early_stopping=50, metrics="accuracy", checkpoint=folder, save_every=3,
    )  # fmt: skip
    state = [*net.state_dict().values(), *(s for p in net.parameters() for s in optimizer.state[p].values())]
    content = b"".join(tensor.contiguous().numpy().tobytes() for tensor in state)
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in history.epochs]
    return history.loss, hashlib.sha256(content + json.dumps([rows, history.validation]).encode()).hexdigest()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    losses, digest = run(target, int(sys.argv[2]))
    written = target / ".trace"
    written.write_text(json.dumps([losses, digest]))
    written.replace(target / "trace.json")
