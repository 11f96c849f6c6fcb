"""Graphs that compilation would get wrong in silence are recognised, harmless neighbours are not."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

import tessera
from tessera import torch_internals
from tessera.backend.unsafe_graphs import (
    DOUBLE_ATTENTION,
    INFERENCE_TENSOR,
    MULTILABEL_MARGIN,
    OTHER_BITS,
    OVERLAPPING,
    PAST_AUTOGRAD,
    RECURRENT_DROPOUT,
    SHARED_MEMORY,
    TOO_LARGE,
    largest_float,
    refused_by_autograd,
    traced_wrongly,
    why_unsafe,
)


def captured(function, *inputs):
    graphs = []

    def keep(graph_module: fx.GraphModule, _):
        graphs.append(graph_module)
        return graph_module.forward

    with torch._dynamo.config.patch(allow_rnn=True):
        torch.compile(function, backend=keep, fullgraph=True)(*inputs)
    return graphs[0]


@pytest.mark.parametrize(
    ("layers", "dropout", "training", "reason"),
    [(2, 0.5, True, RECURRENT_DROPOUT), (2, 0.5, False, ""), (1, 0.0, True, ""), (2, 0.0, True, "")],
)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_dropout_between_recurrent_layers(kind, layers, dropout, training, reason):
    module = kind(3, 2, num_layers=layers, dropout=dropout).train(training)
    x = torch.zeros(4, 1, 3)
    assert why_unsafe(captured(module, x), [x]) == reason


def test_a_multilabel_margin_loss_with_fewer_labels_than_classes():
    loss, x, labels = nn.MultiLabelMarginLoss(), torch.randn(3, 5), torch.tensor([[3, 0, -1, 1, 2]] * 3)
    assert why_unsafe(captured(loss, x, labels), [x, labels]) == MULTILABEL_MARGIN
    torch.testing.assert_close(tessera.compile(loss)(x, labels), loss(x, labels))
    module = nn.Linear(5, 5)
    step = tessera.train_step(module, loss, torch.optim.SGD(module.parameters(), lr=0.1))
    expected = loss(module(x), labels).detach()
    torch.testing.assert_close(step(x, labels), expected)


def test_shared_memory_matters_only_where_it_is_written():
    base = torch.zeros(4)
    inputs = [base[:3], base[1:]]
    writes = captured(lambda a, b: a.add_(1) + b, torch.zeros(3), torch.zeros(3))
    reads = captured(lambda a, b: a + b, torch.zeros(3), torch.zeros(3))
    assert why_unsafe(writes, inputs) == SHARED_MEMORY
    assert why_unsafe(writes, [torch.zeros(3), torch.zeros(3)]) == ""
    assert why_unsafe(reads, inputs) == ""


def test_indexed_assignment_counts_as_a_write():
    def assign(a, b):
        a[0] = b[0]
        return b * 2

    base = torch.zeros(4)
    graph = captured(assign, torch.zeros(3), torch.zeros(3))
    assert why_unsafe(graph, [base[:3], base[1:]]) == SHARED_MEMORY


def test_attention_in_float64_runs_eagerly_where_torch_traces_it_wrongly():
    q = torch.randn(1, 2, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def attend(q):
        return F.scaled_dot_product_attention(q, q, q, is_causal=True)

    wrong = not torch_internals.traces_double_attention()
    assert why_unsafe(captured(attend, q), [q]) == (DOUBLE_ATTENTION if wrong else "")
    assert why_unsafe(captured(attend, q.detach().float()), [q]) == ""
    (expected,) = torch.autograd.grad(attend(q).sin().sum(), q)
    (found,) = torch.autograd.grad(tessera.compile(attend)(q).sin().sum(), q)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.ones(3).as_strided((2, 2), (1, 1)), OVERLAPPING),
        (torch.ones(10).as_strided((3, 3), (2, 1)), OVERLAPPING),
        (torch.ones(1, 3).expand(2, 3), OVERLAPPING),
        (torch.ones(2, 3).t(), ""),
        (torch.ones(4, 6)[::2, ::3], ""),
        (torch.ones(1, 1).expand(1, 1), ""),
        (torch.ones(0, 3), ""),
    ],
    ids=["diagonal", "windows", "expanded", "transposed", "strided", "of size one", "empty"],
)
def test_a_write_to_several_elements_in_one_place(tensor, reason):
    graph = captured(lambda x: x.add_(1), torch.ones(2, 2))
    assert why_unsafe(graph, [tensor]) == reason
    assert why_unsafe(captured(lambda x: x + 1, torch.ones(2, 2)), [tensor]) == ""


def test_a_write_to_memory_that_arguments_come_to_share():
    def write(x, y):
        x.add_(1)
        return y * 2

    compiled = tessera.compile(write)
    module = nn.Linear(2, 2)
    for share in (False, True, False, True):
        seen = []
        for function in (write, compiled):
            x = torch.ones(2, 3)
            y = x.view(3, 2).view(2, 3) if share else torch.ones(2, 3)
            seen.append((function(x, y), x))
        torch.testing.assert_close(seen[0], seen[1])
    step = tessera.train_step(module, lambda p, x, y: p.mean() * write(x, y).mean(), momentum(module), targets=2)
    for share in (False, True, False):
        x = torch.ones(2, 3)
        expected = module(torch.ones(1, 2)).mean().detach() * (4 if share else 2)
        torch.testing.assert_close(step(torch.ones(1, 2), x, x.view(2, 3) if share else torch.ones(2, 3)), expected)


def momentum(module):
    return torch.optim.SGD(module.parameters(), lr=0.0)


def test_inference_tensors_outside_of_inference_mode():
    with torch.inference_mode():
        x = torch.ones(3)
    reads, writes = (captured(f, torch.ones(3)) for f in (lambda x: x * 2, lambda x: x.add_(1)))
    assert refused_by_autograd(reads, [x]) == INFERENCE_TENSOR
    with torch.no_grad():
        assert refused_by_autograd(reads, [x]) == ""
        assert refused_by_autograd(writes, [x]) == INFERENCE_TENSOR
    with torch.inference_mode():
        assert refused_by_autograd(writes, [x]) == ""
    assert refused_by_autograd(writes, [torch.ones(3)]) == ""
    compiled = tessera.compile(lambda x: x.add_(1))
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        compiled(x)


def test_inference_tensors_may_be_read_where_something_else_is_written():
    with torch.inference_mode():
        x = torch.ones(3)
    writes_its_own = captured(lambda x: (x * 2).add_(1) * ((x > 0) & (x > 1)), torch.ones(3))
    through_a_view = captured(lambda x: x.view(3)[1:].add_(1), torch.ones(3))
    functional = captured(lambda x: F.relu(x, inplace=True), torch.ones(3))
    dropout = captured(lambda x: F.dropout(x, 0.5, True, True), torch.ones(3))
    not_functional = captured(lambda x: F.dropout(x, 0.5, True, False), torch.ones(3))
    with torch.no_grad():
        assert refused_by_autograd(writes_its_own, [x]) == refused_by_autograd(not_functional, [x]) == ""
        for each in (through_a_view, functional, dropout):
            assert refused_by_autograd(each, [x]) == INFERENCE_TENSOR


def test_a_model_that_adds_in_place_is_compiled_in_inference_mode():
    def model(x):
        y = x * 2
        y += 1
        return y * ((x > 0) & (x < 1))

    compiled = tessera.compile(model)
    with torch.inference_mode():
        x = torch.randn(4)
        torch.testing.assert_close(compiled(x), model(x))
    assert len(compiled.report.compilations) == 1
    assert not compiled.report.step_downs


def test_writes_that_autograd_does_not_see():
    def write(x):
        x.data[0] = 5.0
        return x * 2

    x = torch.ones(3, requires_grad=True)
    assert refused_by_autograd(captured(write, x), [x]) == PAST_AUTOGRAD
    assert refused_by_autograd(captured(lambda x: x.data * 2, x), [x]) == ""
    tessera.compile(write)(x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    assert x.detach().tolist() == [5, 1, 1]


def test_data_that_is_replaced():
    def replace(x, y):
        x.data = y * 2
        return x * 3

    x = torch.ones(3, requires_grad=True)
    assert refused_by_autograd(captured(replace, x, torch.ones(3)), [x]) == PAST_AUTOGRAD
    tessera.compile(replace)(x, torch.ones(3)).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]
    assert x.detach().tolist() == [2, 2, 2]


def test_numbers_that_a_tensor_cannot_hold():
    half, wide = torch.ones(3, dtype=torch.float16), torch.ones(3)
    clamped = captured(lambda x: x.clamp(max=1e5), wide)
    assert traced_wrongly(clamped) == ""
    next(iter(clamped.graph.nodes)).meta["example_value"] = half
    assert traced_wrongly(clamped) == TOO_LARGE.format(1e5, torch.float16)
    assert traced_wrongly(captured(lambda x: x * 1e39, wide)) == TOO_LARGE.format(1e39, torch.float32)
    fine = ((lambda x: x > 1e5, wide), (lambda x: (x > math.inf, x * 1e5), half), (lambda x: x > 1e39, wide.double()))
    for f, x in fine:
        assert traced_wrongly(captured(f, x)) == ""
    assert largest_float(captured(lambda x: x * 2, half)) == torch.finfo(torch.float32).max
    assert largest_float(captured(lambda x: x * 2, wide.double())) == torch.finfo(torch.float32).max


def test_a_write_to_what_is_seen_as_another_dtype():
    def writes(x):
        y = x.view(torch.int32) * 2
        x[:, 1:3] = 2
        return y

    def reads(x):
        return x.view(torch.int32) * 2

    def writes_another(x):
        return (x.view(torch.int32) * 2).add_(1)

    x = torch.arange(24).reshape(4, 6)
    found = [why_unsafe(captured(function, x.clone()), [x]) for function in (writes, reads, writes_another)]
    assert found == [OTHER_BITS, "", ""]


def test_bits_are_those_before_the_write():
    def function(x):
        y = x.view(torch.int32) * 2
        y.sub_(-4)
        x[:, 1:3] = 2
        return y.view(torch.int64)

    x = torch.arange(-12, 12).reshape(4, 6)
    assert torch.equal(tessera.compile(function)(x.clone()), function(x.clone()))
