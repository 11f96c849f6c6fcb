import torch

from tessera.backend.stability.expressions import LARGEST, MANY, expressions, is_running_total
from tessera.backend.stability.reading import Reader
from tests.backend.attention.captures import capture

X, Y = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)


def found(function, *inputs):
    """The names of what each expression of a function calls."""
    captured = capture(function, *inputs)
    reader = Reader(captured.graph_module)
    for node in captured.graph_module.graph.nodes:
        reader.read(node)
    return [
        [getattr(n.target, "__name__", n.target) for n in one.nodes]
        for one in expressions(captured.graph_module.graph, reader, set())
    ]


def test_it_ends_and_begins_at_products_of_matrices():
    assert found(lambda x, y: (((x @ y.T).exp() - 1).log() @ y).cos().sin(), X, Y) == [
        ["exp", "sub", "log"],
        ["cos", "sin"],
    ]


def test_what_decides_is_part_of_it():
    assert found(lambda x: torch.where(x > 0, x.exp() - 1, x), X) == [["gt", "exp", "sub", "where"]]


def test_a_softmax_of_scaled_scores_is_a_layer():
    assert found(lambda x, y: (x @ y.T / 2.0 + y[:, :3]).softmax(-1) @ y, X, Y) == []
    assert found(lambda x: x.exp().softmax(-1), X) != []


def test_one_rounding_is_no_expression():
    assert found(lambda x: (x.abs() + 1).relu(), X) == []


def test_squares_that_are_added_up_lose_nothing():
    def rms_norm(x, y):
        x = x + y + y.abs()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * y

    assert found(rms_norm, X, Y) == []
    assert found(lambda x: x + (x * x + 1).sqrt(), X) != []


def test_sums_of_products_of_what_is_given_are_layers():
    assert found(lambda x, y: x * y + y * x.flip(0) + 0.5 * (x - y), X, Y) == []
    assert found(lambda x, y: x * y[0] - x.flip(0) * y[1], X, Y) == []


def test_roundings_to_whole_numbers_are_meant():
    assert found(lambda x: (x / 0.1).round() * 0.1 - x, X) == []


def test_what_is_computed_for_its_rounding_errors_is_left():
    assert found(lambda x: ((x + 0.3) - x) * 2.0 / x, X) == []


def test_what_is_written_to_is_left():
    def function(x):
        y = x.exp() - 1
        y.log_()
        return y * 2 / x

    assert all("exp" not in one for one in found(function, X))


def test_another_dtype_is_where_it_begins():
    assert found(lambda x: (x.bfloat16().float().exp() - 1) / 3, X) == [["exp", "sub", "truediv"]]


def test_a_mode_is_where_it_begins():
    def function(x):
        with torch.no_grad():
            p = x.exp() - 1
        return p.log() / p

    assert sorted(found(function, X)) == [["exp", "sub"], ["log", "truediv"]]


def test_one_that_is_too_large_is_not_looked_at():
    def function(x):
        for _ in range(LARGEST + 1):
            x = x.sin()
        return x

    assert found(function, X) == []


def test_a_running_total_is_of_many_that_nobody_else_sees():
    def graph_of(function):
        nodes = capture(function, X.detach()).graph_module.graph.nodes
        return tuple(node for node in nodes if node.op.startswith("call"))

    def total(x, count=MANY + 1):
        found = x[0, 0]
        for _ in range(count - 1):
            found = found + x[1, 1]
        return found

    def residuals(x):
        for _ in range(MANY):
            x = x + x.tanh()
        return x

    assert is_running_total(graph_of(total))
    assert not is_running_total(graph_of(lambda x: total(x, MANY - 1)))
    assert not is_running_total(graph_of(residuals))
