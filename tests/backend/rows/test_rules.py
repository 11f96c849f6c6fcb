import pytest
import torch
import torch.nn.functional as F

from tessera.backend.rows.rules import SHARED, SUMMED, TRANSPOSED, Question, first_product, place
from tests.backend.hand_made import aten, program

ROWS, INNER = 24, 10
X = torch.randn(4, 6, INNER, dtype=torch.float64)
FLAT = torch.randn(ROWS, INNER, dtype=torch.float64)
INDEX = torch.randint(INNER, (4, 6, 1))
VECTOR, MATRIX = torch.randn(INNER, dtype=torch.float64), torch.randn(INNER, 3, dtype=torch.float64)


class Computed:
    """The rows from ``start`` to ``end`` of a graph whose inputs are ``values``, as the rules compute them."""

    def __init__(self, made, leads, values, bounds):
        self.start, self.end = bounds
        self.count = self.end - self.start
        self.leads, self.values, self.chunks = {}, dict(zip(made.placeholders, values, strict=True)), {}
        for node, lead in zip(made.placeholders, leads, strict=True):
            if lead != SHARED:
                self.leads[node] = lead
        for node in made.graph.nodes:
            if node.op == "call_function" and self.leads.keys().isdisjoint(node.all_input_nodes):
                args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self.values.__getitem__)
                self.values[node] = node.target(*args, **kwargs)
            elif node.op == "call_function":
                placed = place(Question(node, ROWS, self.leads.get))
                assert placed is not None, node.format_node()
                self.leads[node] = placed.lead
                self.chunks[node] = placed.compute(self)

    def __call__(self, node, lead):
        if node in self.chunks:
            assert self.leads[node] == lead
            return self.chunks[node]
        value = self.values[node]
        return value if lead == SHARED else value.flatten(0, lead - 1)[self.start : self.end]


def in_chunks(made, leads, values):
    """What each result is when the rows are computed 7 at a time, and its lead."""
    parts = [Computed(made, leads, values, (at, min(at + 7, ROWS))) for at in range(0, ROWS, 7)]
    for node in made.results:
        lead = parts[0].leads[node]
        chunks = [part.chunks[node] for part in parts]
        shape = node.meta["val"].shape
        if lead == SUMMED:
            yield lead, sum(chunks).reshape(shape)
        elif lead == TRANSPOSED:
            yield lead, torch.cat(chunks, 1)
        else:
            yield lead, torch.cat(chunks).reshape(shape)


@pytest.mark.parametrize(
    ("function", "lead"),
    [
        (lambda x, i, v, m: torch.tanh(x) * v + x.square(), 2),
        (lambda x, i, v, m: torch.where(x > 0, x, v), 2),
        (lambda x, i, v, m: x + v.view(1, 1, -1), 2),
        (lambda x, i, v, m: x.reshape(ROWS, INNER), 1),
        (lambda x, i, v, m: aten.permute(x.reshape(ROWS, INNER), [1, 0]), TRANSPOSED),
        (lambda x, i, v, m: aten.permute(aten.permute(x.reshape(ROWS, INNER), [1, 0]), [1, 0]), 1),
        (lambda x, i, v, m: x.unsqueeze(0), 3),
        (lambda x, i, v, m: x.unsqueeze(2).squeeze(2), 2),
        (lambda x, i, v, m: x.reshape(4, 6, 5, 2).permute(0, 1, 3, 2), 2),
        (lambda x, i, v, m: x.sum(-1, keepdim=True).expand(4, 6, INNER), 2),
        (lambda x, i, v, m: x.amax(-1), 2),
        (lambda x, i, v, m: x.argmax(-1, keepdim=True), 2),
        (lambda x, i, v, m: x.mean(2), 2),
        (lambda x, i, v, m: x.gather(-1, i), 2),
        (lambda x, i, v, m: x.scatter(2, i, -1.0), 2),
        (lambda x, i, v, m: x[..., 3], 2),
        (lambda x, i, v, m: x[..., 1:9:2], 2),
        (lambda x, i, v, m: x.cumsum(-1), 2),
        (lambda x, i, v, m: x.sum(), SUMMED),
        (lambda x, i, v, m: x.mean(), SUMMED),
        (lambda x, i, v, m: x.sum((0, 1)), SUMMED),
        (lambda x, i, v, m: x.mean((0, 1), keepdim=True), SUMMED),
        (lambda x, i, v, m: (x > 0).sum(), SUMMED),
        (lambda x, i, v, m: aten.mm(x.reshape(ROWS, INNER), m), 1),
        (lambda x, i, v, m: aten.mm(aten.permute(x.view(24, 10), [1, 0]), x.view(24, 10)), SUMMED),
        (lambda x, i, v, m: torch.ops.prims.convert_element_type(x, torch.float32).exp(), 2),
    ],
)
def test_chunks_together_are_the_whole(function, lead):
    values = [X, INDEX, VECTOR, MATRIX]
    made = program(lambda *inputs: (function(*inputs),), *values)
    ((found_lead, found),) = in_chunks(made, [2, 2, SHARED, SHARED], values)
    assert found_lead == lead
    torch.testing.assert_close(found, function(*values), rtol=1e-12, atol=1e-12)
    assert found.dtype == function(*values).dtype


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x.sum(0),
        lambda x, y: x.cumsum(1),
        lambda x, y: x.amax(),
        lambda x, y: x.flip(0),
        lambda x, y: x[1],
        lambda x, y: x.permute(1, 0, 2),
        lambda x, y: x.permute(0, 2, 1),
        lambda x, y: x.reshape(-1),
        lambda x, y: x.reshape(3, 80),
        lambda x, y: x + y[:1],
        lambda x, y: x.norm(),
        lambda x, y: torch.nn.functional.dropout(x),
        lambda x, y: torch.rand_like(x),
        lambda x, y: aten.bmm(x, y.transpose(1, 2)),
        lambda x, y: x.gather(0, torch.zeros(1, 6, INNER, dtype=torch.int64)),
    ],
)
def test_what_mixes_rows_has_no_place(function):
    made = program(lambda x, y: (function(x, y),), X, X.clone())
    leads = dict.fromkeys(made.placeholders, 2)
    for node in made.graph.nodes:
        if node.op == "call_function" and set(node.all_input_nodes) & leads.keys():
            placed = place(Question(node, ROWS, leads.get))
            if placed is None:
                return
            leads[node] = placed.lead
    pytest.fail("every operation was given a place")


def test_a_wide_operand_is_made_in_chunks_when_a_consumer_asks():
    def one_hot(index):
        return (torch.full((4, 6, INNER), 0.0).scatter(2, index, 1.0),)

    made = program(one_hot, INDEX)
    full, scatter = (n for n in made.graph.nodes if n.op == "call_function")
    assert place(Question(full, ROWS, {}.get)) is None
    placed = place(Question(scatter, ROWS, {}.get, 2))
    assert dict(placed.operands) == {full: 2, made.placeholders[0]: 2}
    zeros = place(Question(full, ROWS, {}.get, 2))
    chunk = Computed(program(lambda x: (x,), INDEX), [2], [INDEX], (3, 8))
    chunk.values = {made.placeholders[0]: INDEX}
    assert zeros.compute(chunk).shape == (5, INNER)
    chunk.chunks, chunk.leads = {full: zeros.compute(chunk)}, {full: 2}
    assert torch.equal(placed.compute(chunk), F.one_hot(INDEX.flatten(), INNER)[3:8].float())


def test_the_first_product_has_rows_and_a_shared_weight():
    made = program(lambda b, x, w: (torch.addmm(b, x, w),), torch.randn(3).double(), FLAT, MATRIX)
    (node,) = made.graph.find_nodes(op="call_function", target=aten.addmm.default)
    assert [lead for _, lead in first_product(node).operands] == [SHARED, 1, SHARED]
