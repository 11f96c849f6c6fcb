"""Without a C++ compiler everything runs as plain PyTorch, and says so once."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import copy
import torch
import torch.nn.functional as F
import tessera

net = torch.nn.Linear(4, 2)
x, y = torch.randn(6, 4), torch.randn(6, 2)
fast, twin = tessera.compile(net), copy.deepcopy(net)
fast(x).sum().backward()
twin(x).sum().backward()
assert torch.equal(net.weight.grad, twin.weight.grad)
print(fast.report)

step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.1))
optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = F.mse_loss(twin(x), y)
    loss.backward()
    optimizer.step()
    assert torch.equal(step(x, y), loss.detach())
print(step.report)
"""
REASON = "stepped down to eager: no working C++ compiler was found\n    Install g++ (Debian: apt install g++)."


def test_it_is_said_once_and_the_results_are_those_of_eager(tmp_path):
    settings = {"CXX": str(tmp_path / "g++"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    subjects = ("Linear", "training step of Linear")
    assert run.stdout == "".join(f"{subject}: eager\n  {REASON}\n" for subject in subjects)
    assert run.stderr == "".join(f"{subject}: {REASON}\n" for subject in subjects)
