"""Few kernels, the same bits, also where tensors differ in size and layout or where one update reads another's."""

import itertools

import pytest
import torch
from torch import nn

import tessera
from tessera.backend import pipeline, runner
from tessera.backend.passes import gather_updates as gathering
from tessera.backend.passes.gather_updates import gather_updates
from tessera.backend.update_kernel import UPDATE_MANY
from tessera.backend.verify import verify
from tessera.program import COPY
from tests.backend.hand_made import targets, updating_program

RATE = torch.tensor(0.1)
SHAPES = [(3,), (40, 30), (1,), (7, 1100), (2, 3, 4), (512, 513), (5,), (2049,)]


@pytest.fixture
def all_sizes(monkeypatch):
    monkeypatch.setattr(gathering, "FEWEST", 2)
    monkeypatch.setattr(gathering, "SMALLEST", 0)


def tensors(shapes=SHAPES, **options):
    torch.manual_seed(0)
    return [torch.randn(shape, **options) for shape in shapes]


def writes(made):
    return [n for n in made.graph.nodes if n.op == "call_function" and n.target in (COPY, UPDATE_MANY)]


def after(made, *lists):
    """What the tensors of ``lists`` are after the Program ran."""
    inputs = [RATE, *(value.clone() for values in lists for value in values)]
    made.graph_module.recompile()
    made.graph_module(*inputs)
    return inputs


def momentum(rate, parameters, buffers, gradients):
    new = [0.9 * b + g for b, g in zip(buffers, gradients, strict=True)]
    return [p - rate * b for p, b in zip(parameters, new, strict=True)] + new


def test_one_formula_is_one_call_and_large_tensors_have_their_own():
    lists = tensors(), tensors(), tensors()
    made = updating_program(momentum, RATE, *lists)
    expected = after(made, *lists)
    assert gather_updates(made) == 2 * len(SHAPES)
    made.graph.eliminate_dead_code()
    verify(made)
    assert sorted(len(n.args[1]) for n in writes(made)) == [1, len(SHAPES) - 1]  # (512, 513) by itself
    assert targets(made) == [UPDATE_MANY, UPDATE_MANY]
    found = after(made, *lists)
    assert all(map(torch.equal, found, expected))
    assert gather_updates(made) == 0


def test_few_or_small_updates_stay_in_the_step():
    few = tensors(SHAPES[: gathering.FEWEST - 1])
    small = tensors([(3,)] * 20)
    for drawn in (few, small):
        made = updating_program(momentum, RATE, drawn, drawn, drawn)
        assert gather_updates(made) == 0
        assert UPDATE_MANY not in targets(made)


def test_formulas_are_kept_apart(all_sizes):
    def two_kinds(rate, parameters, gradients):
        pairs = list(zip(parameters, gradients, strict=True))
        return [p - rate * g for p, g in pairs[:4]] + [p - rate * g.sign() for p, g in pairs[4:]]

    lists = tensors(), tensors()
    made = updating_program(two_kinds, RATE, *lists)
    expected = after(made, *lists)
    assert gather_updates(made) == len(SHAPES)
    assert len({n.args[0] for n in writes(made)}) == 2
    assert all(map(torch.equal, after(made, *lists), expected))


@pytest.mark.parametrize("layouts", list(itertools.product([torch.contiguous_format, torch.channels_last], repeat=2)))
def test_every_element_meets_its_own_gradient(layouts, all_sizes):
    lists = [[t.contiguous(memory_format=f) for t in tensors([(4, 3, 5, 5)] * 3)] for f in layouts]
    made = updating_program(lambda rate, p, g: [a - rate * b for a, b in zip(p, g, strict=True)], RATE, *lists)
    expected = after(made, *lists)
    assert gather_updates(made) == 3
    assert all(map(torch.equal, after(made, *lists), expected))


def test_a_gradient_that_is_spread_out(all_sizes):
    parameters, gradients = tensors(), [torch.randn(1).expand(shape) for shape in SHAPES]
    made = updating_program(
        lambda rate, p, g: [a - rate * b for a, b in zip(p, g, strict=True)], RATE, parameters, gradients
    )
    expected = after(made, parameters, gradients)
    assert gather_updates(made) == len(SHAPES)
    assert all(map(torch.equal, after(made, parameters, gradients), expected))


def test_what_is_written_lies_alike(all_sizes):
    parameters = tensors([(4, 3, 5, 5)] * 3)
    state = [t.contiguous(memory_format=torch.channels_last) for t in parameters]
    made = updating_program(momentum, RATE, parameters, state, parameters)
    assert gather_updates(made) == 0


def ahead(rate, parameters, others, gradients):
    """The second list follows the first as it was before the step."""
    new = [p - rate * g for p, g in zip(parameters, gradients, strict=True)]
    return new + [0.5 * o + 0.5 * p for o, p in zip(others, parameters, strict=True)]


def swapped(rate, parameters, others, gradients):
    """Each list becomes what the other was."""
    return [o + rate * g for o, g in zip(others, gradients, strict=True)] + [p * 1 for p in parameters]


def transposed(rate, parameters, others, gradients):
    return [p - rate * g for p, g in zip(parameters, gradients, strict=True)] + [p.view(p.shape) for p in parameters]


@pytest.mark.parametrize("function", [ahead, swapped, transposed])
def test_nobody_reads_a_value_that_was_just_written(function, all_sizes):
    lists = tensors(), tensors(), tensors()
    made = updating_program(function, RATE, *lists)
    expected = after(made, *lists)
    gather_updates(made)
    made.graph.eliminate_dead_code()
    verify(made)
    assert all(map(torch.equal, after(made, *lists), expected))


def test_a_count_that_the_loop_reads_as_it_was_is_left_alone(all_sizes):
    def counted(rate, parameters, counts):
        return [p - rate * c for p, c in zip(parameters, counts, strict=True)] + [c + 1 for c in counts]

    lists = tensors(), [torch.tensor(float(i)) for i in range(len(SHAPES))]
    made = updating_program(counted, RATE, *lists)
    expected = after(made, *lists)
    gather_updates(made)
    made.graph.eliminate_dead_code()
    assert all(map(torch.equal, after(made, *lists), expected))


def test_counts_of_their_own_are_counted_once_a_step(all_sizes):
    def corrected(rate, parameters, counts, gradients):
        new = [c + 1 for c in counts]
        steps = [rate / (1 - torch.pow(0.9, c)) for c in new]
        return [p - s * g for p, s, g in zip(parameters, steps, gradients, strict=True)] + new

    lists = tensors(), [torch.tensor(float(i)) for i in range(len(SHAPES))], tensors()
    made = updating_program(corrected, RATE, *lists)
    expected = after(made, *lists)
    assert gather_updates(made) == 2 * len(SHAPES)
    made.graph.eliminate_dead_code()
    assert targets(made) == [UPDATE_MANY] * 2
    for found, wanted in zip(after(made, *lists), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 30), nn.LayerNorm(30), nn.Tanh(), nn.Linear(30, 3))


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3, stride=2), nn.Flatten(), nn.LazyLinear(3))


def test_convolutions_train_as_in_eager(all_sizes):
    draw = torch.Generator().manual_seed(1)
    x, y = torch.randn(8, 3, 9, 9, generator=draw), torch.randn(8, 3, generator=draw)
    compiled, eager = convolutions(), convolutions()
    compiled(x), eager(x)
    eager.load_state_dict(compiled.state_dict())
    step = tessera.train_step(compiled, "mse", torch.optim.SGD(compiled.parameters(), lr=0.1))
    optimizer = torch.optim.SGD(eager.parameters(), lr=0.1)
    for _ in range(3):
        step(x, y)
        optimizer.zero_grad()
        nn.functional.mse_loss(eager(x), y).backward()
        optimizer.step()
    for found, expected in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def two_groups(module):
    matrices, vectors = ([p for p in module.parameters() if (p.dim() > 1) is wanted] for wanted in (True, False))
    return torch.optim.Adam([{"params": matrices, "lr": 0.1}, {"params": vectors}], amsgrad=True)


CASES = {
    "SGD": (lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True), {"clip_norm": 0.1}),
    "two groups": (two_groups, {}),
    "NAdam": (lambda m: torch.optim.NAdam(m.parameters(), lr=0.01, weight_decay=0.1), {"check_finite": True}),
    "AdamW": (lambda m: tessera.optim.AdamW(m, lr=0.01), {"clip_norm": 0.1, "accumulate": 2}),
}


@pytest.mark.parametrize(("make", "options"), CASES.values(), ids=CASES)
def test_training_keeps_its_bits(make, options, all_sizes, monkeypatch):
    def trained():
        module = small_net()
        step = tessera.train_step(module, "mse", make(module), **options)
        torch.manual_seed(1)
        losses = [step(torch.randn(8, 40), torch.randn(8, 3)) for _ in range(5)]
        return step, [*losses, *(p.detach() for p in module.parameters())]

    step, found = trained()
    assert any(p.name == "gather_updates" and p.matches for c in step.report.compilations for p in c.passes)
    others = tuple(p for p in pipeline.PIPELINE if p is not gathering.GATHER_UPDATES)
    monkeypatch.setattr(runner.run_pipeline, "__defaults__", (others, ()))
    _, expected = trained()
    assert all(map(torch.equal, found, expected))
