from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera


def trained(verify, loss="mse", steps=4):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    step = tessera.train_step(net, loss, torch.optim.AdamW(net.parameters(), lr=1e-2), verify=verify)
    draw, losses = torch.Generator().manual_seed(1), []
    for _ in range(steps):
        batch = [torch.randn(8, n, generator=draw) for n in (4, 1)]
        losses += [step(*batch)]
    return torch.stack(losses), net, step


def test_a_verified_step_trains_as_any_other():
    losses, net, step = trained("shadow")
    plain, other, _ = trained(None)
    torch.testing.assert_close(losses, plain)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    assert step.report.mismatches == []
    assert len(step.report.compilations) == 1


def test_a_step_that_was_captured_wrongly_goes_on_in_plain_pytorch():
    def loss(y, t):
        if torch.compiler.is_compiling():
            y = y * 1.01
        return (y - t).square().mean()

    with pytest.warns(RuntimeWarning, match="the capture makes it so"):
        _, _, step = trained("shadow", loss, steps=3)
    (mismatch,) = step.report.mismatches
    assert mismatch.where.code == "y = y * 1.01"


def test_a_bare_layer_of_torchs_is_blamed_on_the_users_call():
    def broken(program):
        output = program.graph.output_node().args[0][0]
        with program.graph.inserting_before(program.graph.output_node()):
            off = program.graph.call_function(torch.ops.aten.mul.Tensor, (output, 1.5))
        off.meta = dict(output.meta)
        program.graph.output_node().replace_input_with(output, off)
        return 1

    net = nn.Linear(4, 1)
    step = tessera.train_step(
        net,
        "mse",
        torch.optim.SGD(net.parameters(), lr=0.1),
        passes=[tessera.Pass("broken", "close", broken)],
        verify="shadow",
    )
    with pytest.warns(RuntimeWarning, match=r"test_shadowed_steps\.py:\d+  step\(torch\.ones"):
        step(torch.ones(3, 4), torch.ones(3, 1))
    (mismatch,) = step.report.mismatches
    assert mismatch.where.file == __file__
