"""Attention in spellings put together at random, against eager in float64; see ``attention/spellings.py``."""

import math

import pytest
import torch
from torch.nn import functional as F

import tessera
from tessera.backend.passes import fuse_attention as passed
from tessera.backend.passes.fuse_attention import fuse_attention
from tessera.backend.precision_choice import ATTENTION
from tessera.capture.emit import captured
from tests.backend.attention.captures import capture, fused
from tests.backend.attention.spellings import draw, function, gradients
from tests.backend.hand_made import targets

DRAW = torch.Generator().manual_seed(0)
Q, K, V = (torch.randn(2, 3, 6, 4, generator=DRAW) for _ in range(3))


def keeps_the_value(seed):
    made = draw(seed)
    spelled = function(made)
    matched, notes, run = fused(spelled, *made.inputs)
    assert matched == 1, (str(made), notes)
    ours, theirs = gradients(run, made.inputs), gradients(spelled, made.inputs)
    dead = theirs[0].isnan().any()  # a row that sees nothing: eager's gradients are not numbers either
    for one, other in zip(ours[:1] if dead else ours, theirs, strict=not dead):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9, equal_nan=True, msg=lambda m: f"{made}: {m}")


@pytest.mark.parametrize("seed", range(12))
def test_any_spelling_is_rewritten_and_keeps_its_value_and_gradients(seed):
    keeps_the_value(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 400))
def test_many_more_spellings(seed):
    keeps_the_value(seed)


def causal(q, k, v):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    return s.masked_fill(torch.ones(6, 6, dtype=torch.bool).triu(1), -math.inf).softmax(-1) @ v


@pytest.fixture
def always(monkeypatch):
    """However small the scores are."""
    monkeypatch.setattr(passed, "KEPT_SCORES", 0)
    monkeypatch.setattr(passed, "SCORES", 0)


@pytest.mark.usefixtures("always")
def test_it_fires_and_says_so_in_the_report():
    compiled = tessera.compile(causal)
    torch.testing.assert_close(compiled(Q, K, V), causal(Q, K, V))
    (record,) = [r for c in compiled.report.compilations for r in c.passes if r.name == "fuse_attention"]
    assert (record.promise, record.matches) == ("close", 1)
    assert record.operations_before != record.operations_after


def test_small_scores_stay_on_a_cpu_and_the_report_says_so():
    compiled = tessera.compile(causal)
    compiled(Q, K, V)
    assert "pass fuse_attention [close]: 0 matches" in str(compiled.report)
    assert "attention stays as it is written (1 of 1): its scores are 0.0 MiB" in str(compiled.report)


@pytest.mark.parametrize(("trained", "layers", "pays"), [(True, 1, False), (True, 2, True), (False, 2, False)])
def test_scores_that_are_kept_for_a_backward_count_together(trained, layers, pays, monkeypatch):
    size = 2 * 3 * 6 * 6 * 4
    monkeypatch.setattr(passed, "KEPT_SCORES", 2 * size)
    monkeypatch.setattr(passed, "SCORES", 2 * size)

    def function(q, k, v):
        for _ in range(layers):
            q = causal(q, k, v)
        return q

    found = capture(function, Q, K, V)
    found.abroad = False
    with torch.set_grad_enabled(trained):
        assert fuse_attention(found) == (layers if pays else 0)


def test_twice_is_once():
    found = capture(causal, Q, K, V)
    assert fuse_attention(found) == 1
    found.graph_module.graph.eliminate_dead_code()
    found.graph_module.recompile()
    assert fuse_attention(found) == 0


def test_it_holds_back_with_a_reason():
    matched, (note,), _ = fused(lambda q, k, v: F.dropout((q @ k.mT).softmax(-1), 0.1) @ v, Q, K, V)
    assert matched == 0
    assert "dropout" in note


def test_a_result_that_is_written_to_keeps_what_was_written():
    def function(q, k, v):
        out = causal(q, k, v)
        out[:, 0] = 1
        out.mul_(2)
        return out

    _, _, run = fused(function, Q, K, V)
    torch.testing.assert_close(run(Q, K, V), function(Q, K, V))


def test_an_operand_that_is_written_to_before_and_after_is_read_in_between():
    def function(q, k, v):
        q = q * 1
        q.add_(1)
        out = causal(q, k, v)
        q.sub_(5)
        return out + q

    _, _, run = fused(function, Q, K, V)
    torch.testing.assert_close(run(Q, K, V), function(Q, K, V))


def test_no_gradient_goes_where_none_went():
    def function(q, k, v):
        with torch.no_grad():
            s = q @ k.mT
        return s.softmax(-1) @ v

    leaves = [x.clone().requires_grad_() for x in (Q, K, V)]
    matched, notes, run = fused(function, *leaves)
    assert matched == 0
    assert "autograd or autocast changes" in notes[0]
    assert torch.autograd.grad(run(*leaves).sum(), leaves, allow_unused=True)[:2] == (None, None)


def test_a_checkpoint_keeps_its_body():
    def function(q, k, v):
        return torch.utils.checkpoint.checkpoint(causal, q, k, v, use_reentrant=False).sin()

    leaves = [x.clone().requires_grad_() for x in (Q, K, V)]
    _, _, run = fused(function, *leaves)
    torch.testing.assert_close(run(*leaves), function(*leaves))


@pytest.mark.usefixtures("always")
def test_every_layer_is_rewritten_and_trains_as_in_eager():
    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = torch.nn.Linear(12, 36), torch.nn.Linear(12, 12)

        def forward(self, x):
            q, k, v = self.qkv(x).view(2, 6, 3, 3, 4).permute(2, 0, 3, 1, 4)
            return x + self.out(causal(q, k, v).transpose(1, 2).reshape(2, 6, 12))

    torch.manual_seed(0)
    ours, theirs = (torch.nn.Sequential(Layer(), Layer()) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    x, y = (torch.randn(2, 6, 12, generator=DRAW) for _ in range(2))
    step = tessera.train_step(ours, "mse", torch.optim.SGD(ours.parameters(), 0.1))
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for _ in range(3):
        loss = F.mse_loss(theirs(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(step(x, y), loss.detach())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    (record,) = [record for record in step.report.compilations[-1].passes if record.name == "fuse_attention"]
    assert record.matches == 2


@pytest.mark.usefixtures("always")
def test_float64_stays():
    compiled = tessera.compile(causal)
    compiled(Q.double(), K.double(), V.double())
    assert "backward in float64" in str(compiled.report)


def test_a_gpu_that_is_not_here_gets_the_fused_operator_for_any_spelling():
    emitted, _ = captured(causal, Q, K, V)
    assert ATTENTION in targets(emitted)
