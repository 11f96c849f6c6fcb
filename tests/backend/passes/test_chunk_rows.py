import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera
from tessera.backend.passes import chunk_rows as module
from tessera.backend.passes.chunk_rows import chunk_rows
from tessera.backend.rows.chunked import IN_CHUNKS
from tests.backend.hand_made import program, run, targets

WORDS = 150


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """What is worth it begins at a size that a test can afford."""
    monkeypatch.setattr(module, "SMALLEST", 1 << 10)
    monkeypatch.setattr(module, "CHUNK", 1 << 12)


def flat(prediction, target):
    return prediction.flatten(0, 1), target.flatten()


def focal(prediction, target):
    loss = F.cross_entropy(*flat(prediction, target), reduction="none")
    return ((1 - torch.exp(-loss)).square() * loss).mean()


def weighted(prediction, target):
    weight = torch.linspace(0.5, 2, WORDS, dtype=prediction.dtype)
    return F.cross_entropy(*flat(prediction, target), weight=weight, ignore_index=3)


LOSSES = {
    "cross-entropy": lambda p, y: F.cross_entropy(*flat(p, y)),
    "label smoothing": lambda p, y: F.cross_entropy(*flat(p, y), label_smoothing=0.1, ignore_index=3),
    "class weights": weighted,
    "sum": lambda p, y: F.cross_entropy(*flat(p, y), reduction="sum"),
    "each by itself": lambda p, y: (F.cross_entropy(*flat(p, y), reduction="none") * torch.arange(24)).mean(),
    "by hand": lambda p, y: -(F.log_softmax(p, -1) * F.one_hot(y, WORDS)).sum(-1).mean(),
    "soft-capping": lambda p, y: F.cross_entropy(*flat(5 * torch.tanh(p / 5), y)),
    "float32": lambda p, y: F.cross_entropy(*flat(p.float(), y)),
    "z-loss": lambda p, y: F.cross_entropy(*flat(p, y)) + 1e-3 * torch.logsumexp(p, -1).square().mean(),
    "focal": focal,
    "binary": lambda p, y: F.binary_cross_entropy_with_logits(p, F.one_hot(y, WORDS).to(p.dtype)),
    "squares": lambda p, y: F.mse_loss(p, F.one_hot(y, WORDS).to(p.dtype)),
}
WHOLE = {
    "normalised by all": lambda p, y: (p / p.norm()).square().square().sum(),
    "over the sequence": lambda p, y: p.softmax(1).square().sum(),
    "dropout": lambda p, y: F.cross_entropy(*flat(F.dropout(p), y)),
}


class Words(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(50, 8), nn.LayerNorm(8), nn.Linear(8, WORDS, bias=bias)

    def forward(self, index):
        return self.head(self.norm(torch.tanh(self.embed(index))))


def matches_beside_eager(loss, bias, tolerance=1e-9):
    """Two steps of training beside the same by hand; returns how many regions the first was given."""
    torch.manual_seed(0)
    model = Words(bias).double()
    twin = copy.deepcopy(model)
    ours, theirs = (torch.optim.SGD(m.parameters(), lr=0.1) for m in (model, twin))
    metrics = {"right": lambda p, y: (p.argmax(-1) == y).double().mean()}
    step = tessera.train_step(model, loss, ours, metrics=metrics, clip_norm=1.0)
    batches = [(torch.randint(50, (4, 6)), torch.randint(WORDS, (4, 6))) for _ in range(2)]
    torch.manual_seed(1)
    found = [(step(x, y), step.metrics["right"]) for x, y in batches]
    torch.manual_seed(1)
    for (x, y), (ours_loss, right) in zip(batches, found, strict=True):
        theirs.zero_grad()
        prediction = twin(x)
        expected = loss(prediction, y)
        expected.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        theirs.step()
        torch.testing.assert_close(ours_loss, expected.detach(), rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(right, metrics["right"](prediction, y))
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=tolerance, atol=tolerance)
    assert step.report.rung.startswith("whole step")
    (record,) = [r for c in step.report.compilations for r in c.passes if r.name == "chunk_rows"]
    assert "left out" not in record.note
    return record.matches


@pytest.mark.parametrize("name", LOSSES)
def test_a_training_step_keeps_its_value(name):
    tolerance = 1e-5 if name == "float32" else 1e-9
    assert matches_beside_eager(LOSSES[name], bias=len(name) % 2 == 0, tolerance=tolerance) == 1


@pytest.mark.parametrize("name", WHOLE)
def test_logits_that_are_needed_whole_are_left_alone(name):
    assert matches_beside_eager(WHOLE[name], bias=True) == 0


def test_users_that_stood_before_the_last_operand_follow_the_call():
    x, w, late = torch.randn(24, 4), torch.randn(4, 64), torch.randn(24)

    def function(x, w, late):
        logits = x @ w
        loss = logits.logsumexp(1).mean()
        scaled = loss * 2
        share = late.exp() / late.exp().sum()
        return scaled, ((logits.exp() * share.unsqueeze(1)) @ w.t())

    made = program(function, x, w, late)
    before = run(made, x, w, late)
    assert chunk_rows(made) == 1
    assert IN_CHUNKS in targets(made)
    torch.testing.assert_close(run(made, x, w, late), before)
    assert chunk_rows(made) == 0


def test_small_and_narrow_products_are_left_alone(monkeypatch):
    x, w = torch.randn(24, 4), torch.randn(4, 64)
    for name, value in (("SMALLEST", 24 * 64 * 4 + 1), ("RATIO", 17)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert chunk_rows(program(lambda x, w: ((x @ w).exp().sum(),), x, w)) == 0
    assert chunk_rows(program(lambda x, w: ((x @ w).exp().sum(),), x, w)) == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(2048, 256), (1000, 125), (1009, 145)],
    ids=["eighths", "eighths that are odd", "a prime number"],
)
def test_chunks_are_alike_where_they_can_be(rows, expected):
    product = torch.fx.Graph().placeholder("logits")
    product.meta["val"] = torch.empty(rows, 100, device="meta")
    assert module._rows_at_a_time(product, -(-product.meta["val"].nbytes // 7)) == expected
