import copy

import pytest
import torch
from torch import nn

import tessera
from tessera import torch_internals
from tessera.backend.inductor import compile_program
from tessera.backend.passes.outline_regions import outline_regions
from tests.backend.hand_made import program, run, targets

REGION = torch_internals.call_subgraph()
D, SIZE = 32, 19  # features, operations of a layer
X, WEIGHTS = torch.rand(256, D), [torch.rand(D, D) / D for _ in range(6)]


def layer(x, w, scale=0.5):
    h = torch.mm(torch.tanh(x), w)
    mean = h.mean(1, keepdim=True)
    spread = (h - mean).square().mean(1, keepdim=True)
    y = (h - mean) * torch.rsqrt(spread + 1e-5)
    return x + scale * torch.sigmoid(y) * torch.relu(y) - torch.cos(y) * torch.erf(y)


def deep(x, *weights):
    for w in weights:
        x = layer(x, w)
    return (x,)


def test_layers_are_called_and_not_repeated():
    made = program(deep, X, *WEIGHTS)
    before = run(made, X, *WEIGHTS)
    found = outline_regions(made)
    assert found >= len(WEIGHTS) - 1
    assert targets(made).count(REGION) == found
    assert made.notes == [f"{found} x block of {SIZE} operations, compiled once"]
    assert torch.equal(run(made, X, *WEIGHTS)[0], before[0])
    assert outline_regions(made) == 0


def test_inductor_compiles_the_layer_once():
    inputs = [X.double(), *(w.double() for w in WEIGHTS)]
    executable = compile_program(program(deep, *inputs))
    assert executable.wrapper.source.count("def region_0(") == 1
    assert executable.wrapper.source.count("= region_0(") >= len(WEIGHTS) - 1
    torch.testing.assert_close(executable.call(list(inputs))[0], deep(*inputs)[0])


def test_a_constant_that_differs_parts_the_layers():
    def function(x, *weights):
        for i, w in enumerate(weights):
            x = layer(x, w, scale=0.5 if i < 3 else 0.25)
        return (x,)

    weights = [*WEIGHTS, *WEIGHTS]
    made = program(function, X, *weights)
    before = run(made, X, *weights)
    assert outline_regions(made) > 0
    torch.testing.assert_close(run(made, X, *weights)[0], before[0], rtol=0, atol=0)


def test_every_value_that_somebody_reads_leaves_its_layer():
    def function(x, *weights):
        kept = []
        for w in weights:
            x = layer(x, w)
            kept.append(x.t())
        return (*kept, kept[0] + kept[2])

    made = program(function, X, *WEIGHTS)
    before = run(made, X, *WEIGHTS)
    assert outline_regions(made) > 0
    for now, then in zip(run(made, X, *WEIGHTS), before, strict=True):
        assert torch.equal(now, then)


def test_one_weight_for_all_layers():
    made = program(lambda x, w: deep(x, *[w] * 6), X, WEIGHTS[0])
    before = run(made, X, WEIGHTS[0])
    assert outline_regions(made) >= 5
    assert torch.equal(run(made, X, WEIGHTS[0])[0], before[0])


def few(x, *weights):
    return deep(x, *weights[:2])


def of_different_shapes(x, *weights):
    for i, w in enumerate(weights):
        x = layer(torch.cat([x, x[: i + 1]]), w)
    return (x,)


def without_a_product(x, *weights):
    for w in weights:
        x = (
            layer(x, w)
            if w is weights[0]
            else torch.cos(torch.sin(x).exp() + w[0]).relu().tanh().neg().abs().sqrt() + 1
        )
    return (x,)


@pytest.mark.parametrize("function", [few, of_different_shapes, without_a_product], ids=lambda f: f.__name__)
def test_holds_back(function):
    made = program(function, X, *WEIGHTS)
    before = targets(made)
    assert outline_regions(made) == 0
    assert targets(made) == before


class Deep(nn.Module):
    """A stack of layers: ``[batch, D]`` -> ``[batch, 5]``."""

    def __init__(self, *, dropout=0.0, frozen=None, shared=False):
        super().__init__()
        layers = [nn.Sequential(nn.LayerNorm(D), nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D)) for _ in range(6)]
        self.layers = nn.ModuleList(layers[:1] * 6 if shared else layers)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(D, 5)
        if frozen is not None:
            self.layers[frozen].requires_grad_(False)

    def forward(self, x):
        for part in self.layers:
            x = x + self.dropout(part(x))
        return self.head(x)


class Residual(nn.Module):
    """Convolutions with batch norm: ``[batch, 3, height, width]`` -> ``[batch, 5]``."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
            for _ in range(5)
        )

    def forward(self, x):
        x = self.stem(x)
        for part in self.layers:
            x = torch.relu(x + part(x))
        return self.head(x.mean((2, 3)))


ROWS = torch.randn(32, D, dtype=torch.float64)
TRAINED = {
    "layers": (Deep, ROWS),
    "dropout": (lambda: Deep(dropout=0.3), ROWS),
    "one frozen": (lambda: Deep(frozen=2), ROWS),
    "shared weights": (lambda: Deep(shared=True), ROWS),
    "convolutions": (Residual, torch.randn(4, 3, 8, 8, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "dropout")) for n in TRAINED])
def test_training_with_regions_is_training_without(name):
    build, x = TRAINED[name]
    torch.manual_seed(0)
    ours = build().double()
    eager, y = copy.deepcopy(ours), torch.randint(5, (len(x),))
    step = tessera.train_step(ours, "cross_entropy", torch.optim.SGD(ours.parameters(), lr=0.1))
    optimizer = torch.optim.SGD(eager.parameters(), lr=0.1)
    torch.manual_seed(1)
    for _ in range(3):
        step(x, y)
    torch.manual_seed(1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(eager(x), y).backward()
        optimizer.step()
    assert "compiled once" in str(step.report)
    for now, then in zip(ours.state_dict().values(), eager.state_dict().values(), strict=True):
        torch.testing.assert_close(now, then)
