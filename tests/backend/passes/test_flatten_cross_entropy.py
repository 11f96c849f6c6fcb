import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tessera
from tessera.backend.passes import chunk_rows
from tessera.backend.passes.flatten_cross_entropy import flatten_cross_entropy
from tests.backend.attention.captures import capture

DRAW = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 6, 50, generator=DRAW, dtype=torch.float64)
TARGET = torch.randint(50, (4, 6), generator=DRAW)
WEIGHT = torch.rand(50, generator=DRAW, dtype=torch.float64)
FORMS = {
    "mean": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "weights": {"weight": WEIGHT, "ignore_index": 3},
    "smoothing": {"label_smoothing": 0.2, "ignore_index": int(TARGET[0, 0])},
    "all": {"weight": WEIGHT, "label_smoothing": 0.1, "reduction": "sum", "ignore_index": 7},
}


def rewritten(function, *inputs):
    captured = capture(function, *inputs)
    matched = flatten_cross_entropy(captured)
    captured.graph_module.recompile()
    return matched, captured


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "turn", [lambda p: p.transpose(1, 2), lambda p: p.movedim(-1, 1), lambda p: p.mT.clone().mT.mT]
)
def test_every_option_keeps_its_value_and_gradient(form, turn):
    options = {k: v for k, v in FORMS[form].items() if k != "weight"}
    weighted = "weight" in FORMS[form]

    def function(p, y, w):
        return F.cross_entropy(turn(p), y, w if weighted else None, **options)

    matched, captured = rewritten(function, LOGITS, TARGET, WEIGHT)
    lies_last = turn(LOGITS).movedim(1, -1).is_contiguous()
    assert matched == lies_last
    leaves = [LOGITS.clone().requires_grad_() for _ in range(2)]
    (ours,) = captured.graph_module(*_inputs(captured, leaves[0]))
    theirs = function(leaves[1], TARGET, WEIGHT)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(one.sum(), leaf)[0] for one, leaf in zip((ours, theirs), leaves, strict=True)]
    torch.testing.assert_close(*gradients)


def _inputs(captured, logits):
    return [logits if value.dim() == 3 else value for value in captured.inputs]


@pytest.mark.parametrize(
    "near",
    [
        lambda p, y: F.cross_entropy(p.flatten(0, 1), y.flatten()),  # rows already
        lambda p, y: F.cross_entropy(p, p.softmax(1)),  # probabilities
        lambda p, y: F.cross_entropy(p.mT.contiguous(), y),  # classes do not lie last
        lambda p, y: F.cross_entropy(p.mT, y, reduce=False),
    ],
)
@pytest.mark.filterwarnings("ignore:size_average and reduce")
def test_near_misses_stay(near):
    assert rewritten(near, LOGITS, TARGET)[0] == 0


def test_logits_of_this_form_are_chunked_and_train_as_in_eager(monkeypatch):
    monkeypatch.setattr(chunk_rows, "SMALLEST", 1 << 10)
    monkeypatch.setattr(chunk_rows, "CHUNK", 1 << 12)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(20, 8), nn.Tanh(), nn.Linear(8, 150)).double()
    twin = copy.deepcopy(model)
    step = tessera.train_step(
        model, lambda p, y: F.cross_entropy(p.transpose(1, 2), y), torch.optim.SGD(model.parameters(), 0.1)
    )
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    for _ in range(2):
        x, y = (torch.randint(size, (4, 6), generator=DRAW) for size in (20, 150))
        loss = F.cross_entropy(twin(x).transpose(1, 2), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(step(x, y), loss.detach())
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    matches = {record.name: record.matches for record in step.report.compilations[-1].passes}
    assert matches["flatten_cross_entropy"] == matches["chunk_rows"] == 1
