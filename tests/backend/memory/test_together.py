import torch
from torch import nn

import tessera
from tests.backend.memory.steps import Residual


def test_a_step_with_a_budget_lives_in_an_arena_and_says_its_peak():
    torch.manual_seed(0)
    model = Residual(1, width=256, wide=1024)
    step = tessera.train_step(
        model, nn.functional.mse_loss, torch.optim.SGD(model.parameters(), lr=0.1), memory_budget=1.0
    )
    x, y = torch.rand(512, 256), torch.rand(512, 256)
    losses = [step(x, y) for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
    (compiled,) = step.report.compilations
    assert f"Allocates {compiled.predicted_peak / 2**20:.4g} MiB at its peak, predicted" in str(step.report)
    assert 0.8 * compiled.predicted_peak < compiled.measured_peak < 1.5 * compiled.predicted_peak
