"""Graphs that compilation would get wrong in silence are recognised, harmless neighbours are not."""

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

import tessera
from tessera import torch_internals
from tessera.backend.unsafe_graphs import (
    DOUBLE_ATTENTION,
    MULTILABEL_MARGIN,
    RECURRENT_DROPOUT,
    SHARED_MEMORY,
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
