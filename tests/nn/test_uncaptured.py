"""What is left to Python while Dynamo captures."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

from tessera.nn import uncaptured


def test_outside_of_a_capture_it_is_the_plain_call():
    assert uncaptured.make(max, 1, 2) == 2
    line = inspect.currentframe().f_lineno + 1
    assert uncaptured.written_at() == f"{__file__}:{line}"
    assert uncaptured.training_mode()


@pytest.mark.parametrize("call", [uncaptured.written_at, uncaptured.training_mode])
def test_it_breaks_the_graph(call):
    with pytest.raises(RuntimeError, match="captured"):
        torch.compile(lambda x: (x + 1, call()), fullgraph=True, backend="eager")(torch.ones(1))


def test_a_function_runs_without_dynamo():
    code = (
        "import sys, torch, tessera\n"
        "net = tessera.function(lambda x: tessera.dropout(tessera.nn.linear(x, 2)))\n"
        "net(torch.ones(1, 2)), net(torch.ones(1, 2))\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
