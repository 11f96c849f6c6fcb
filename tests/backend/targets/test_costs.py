from __future__ import annotations

import pytest
import torch
from torch import fx

from tessera.backend.targets.costs import calls_of, kernels_of
from tessera.backend.targets.cubin import Resources
from tessera.backend.targets.device import DEVICES
from tessera.backend.targets.schedules import Compiled
from tessera.torch_internals import Launch, TritonBinary, TritonOutput

DEVICE = DEVICES["h200"]


def graph_nodes() -> list[fx.Node]:
    graph = fx.Graph()
    x = graph.placeholder("x")
    nodes = [
        graph.call_function(torch.ops.aten.sin.default, (x,)),
        graph.call_function(torch.ops.aten.mul.Tensor, (x, x)),
    ]
    nodes[0].meta["stack_trace"] = 'File "/home/me/model.py", line 7, in forward'
    return nodes


def output() -> TritonOutput:
    sine, product = graph_nodes()
    launches = [
        Launch("triton", "small", 4800, 1, torch.float32, [product]),
        Launch("triton", "large", 480000, 1, torch.float32, [product, sine]),
        Launch("triton", "small", 4800, 1, torch.float32, [sine]),
        Launch("library", "mm", 0, 10**9, torch.bfloat16, []),
        Launch("library", "mm", 0, 10**9, torch.float32, []),
        Launch("host", "host", 4, 1, torch.float32, []),
    ]
    return TritonOutput({"small": "", "large": "", "broken": ""}, launches)


def test_kernels_with_their_launches_needs_and_lines():
    binary = TritonBinary({"XBLOCK": 64}, 4, 2, 128, "", b"")
    made = output()
    made.launches.append(Launch("triton", "broken", 0, 0, None, []))
    compiled = {"small": Compiled([binary], [Resources(40, 8)]), "large": Compiled(), "broken": Compiled(error="no")}
    large, small, broken = kernels_of(made, compiled, DEVICE)
    assert (large.name, small.name, broken.error) == ("large", "small", "no")
    assert small.launches == 2
    assert small.seconds == pytest.approx(1e-9)
    assert (small.schedules[0].registers, small.schedules[0].spilled_bytes) == (40, 8)
    assert small.operations == ["aten.mul", "aten.sin"]
    assert [line.split("  ")[0] for line in large.lines] == ["/home/me/model.py:7"]


@pytest.mark.parametrize("tf32", [False, True])
def test_products_count_at_the_peak_of_their_precision(tf32):
    (call,) = calls_of(output(), DEVICE, tf32=tf32)
    single = DEVICE.tf32 if tf32 else DEVICE.single
    assert (call.name, call.launches, call.flops) == ("mm", 2, 2 * 10**9)
    assert call.seconds == pytest.approx(1e9 / DEVICE.half + 1e9 / single)
