import pytest
import torch
from torch import nn

import tessera
from tessera.backend.stability.expressions import expressions
from tessera.backend.stability.reading import Reader
from tessera.backend.stability.sampling import LOW, USUAL, CannotTry, is_inaccurate, of_rules
from tests.backend.attention.captures import capture

X, Y = torch.randn(4, 6, requires_grad=True), torch.randn(4, 6, requires_grad=True)


def tried(function, *inputs, demand=USUAL):
    """Whether each expression of a function is inaccurate."""
    captured = capture(function, *inputs)
    reader = Reader(captured.graph_module)
    for node in captured.graph_module.graph.nodes:
        reader.read(node)
    return [is_inaccurate(one, demand) for one in expressions(captured.graph_module.graph, reader, set())]


def layer_norm(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)


def safe_softmax(x):
    e = (x - x.amax(-1, keepdim=True).detach()).exp()
    return e / e.sum(-1, keepdim=True)


def rotary(x, y):
    return x[:, :3] * y[:, :3].cos() - x[:, 3:] * y[:, :3].sin()


def positions(x):
    return torch.sin(x * 10.0 * 3.14159) + x


WRONG = {
    "small": lambda x: x.exp() - 1 - x,
    "large": lambda x: x / (x.exp() + 1) * (x.exp() + 3),
    "of nearly equal ones": lambda x, y: x.tanh() - y.tanh(),
    "of an offset": lambda x: (x**3).mean(-1) - 3 * x.mean(-1) * (x**2).mean(-1) + 2 * x.mean(-1) ** 3,
    "of probabilities": lambda x: (1 - x.sigmoid().square()).log() * 2,
}
RIGHT = {
    "layer norm": layer_norm,
    "rms norm": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "softmax": safe_softmax,
    "log-softmax and its exponential": lambda x: (x / 0.5).log_softmax(-1).exp(),
    "polynomial": lambda x: x + x**2 + x**3,
    "rotary": rotary,
    "positions": positions,
    "huber": lambda x, y: torch.where((x - y).abs() < 1, 0.5 * (x - y) ** 2, (x - y).abs() - 0.5),
    "lerp": lambda x, y: x + 0.9 * (y - x),
    "swish": lambda x: x * torch.sigmoid(1.7 * x),
    "density": lambda x, y: torch.exp(-0.5 * ((x - y) / 0.7) ** 2),
}


@pytest.mark.parametrize("name", [*WRONG, *RIGHT])
def test_what_is_inaccurate(name):
    function = (WRONG | RIGHT)[name]
    assert any(tried(function, *(X, Y)[: function.__code__.co_argcount])) == (name in WRONG)


def test_where_an_exponential_overflows_in_the_gradient_alone_a_rule_mends_it_and_float64_only_later():
    def swish(x):
        return x / (1 + (-x).exp())

    assert tried(swish, X) == [False]
    assert tried(swish, X, demand=of_rules(USUAL)) == [True]


def test_what_a_rounding_of_the_inputs_would_change_is_not_wrong():
    def squares(x, y):
        return x * x - y * y

    def remainder(x):
        return x.exp() - 1

    assert tried(squares, X, Y) == [False]
    assert tried(remainder, X) == [True]


def test_nothing_is_known_of_what_has_no_answer_for_most_inputs():
    with pytest.raises(CannotTry):
        tried(lambda x, y: (x * y - 1e7).sqrt() + x, X, Y, demand=of_rules(USUAL))
    assert tried(lambda x, y: (x.exp() - y.exp()).log(), X, Y, demand=of_rules(USUAL)) == [True]  # for a quarter


def test_the_exponent_of_a_power_is_a_count_where_it_is_one_number():
    def corrected(x, step):
        return x / (1 - 0.99**step)

    assert tried(corrected, X, torch.tensor(3.0)) == [False]
    assert tried(corrected, X, Y) == [True]


def test_large_inputs_are_tried_in_small():
    assert tried(lambda x: (x.atan() - x).sum(-1), torch.randn(300, 70)) == [True]


def test_sizes_that_are_written_down_shrink_with_the_input():
    x = torch.randn(300, 70)
    assert tried(lambda x: (x.atan() - x).view(70, 300), x) == [True]
    assert tried(lambda x: ((x.atan() - x).sum(0) / 300).expand(5, 70) * x[:1, 35:36], x) == [True]
    assert tried(lambda x: (x * x).sum(1) / 70 - (x.sum(1) / 70) ** 2 + x.mean(1), x) == [False]  # of 4 as of 70


def test_what_cannot_be_tried_says_so():
    with pytest.raises(CannotTry):
        tried(lambda x: x.atan() - x, torch.randn([2] * 11))


def test_a_rounding_error_is_what_somebody_wants():
    assert tried(lambda x: (x * x * x).sqrt() - x.abs() * x.abs().sqrt(), X.detach()) == [False]


def test_a_weight_is_of_the_size_of_weights():
    assert tried(WRONG["large"], X) == [True]
    assert tried(WRONG["large"], nn.Parameter(torch.randn(4, 6))) == [False]


def test_nobody_elses_random_numbers_are_drawn():
    before = torch.get_rng_state()
    tried(WRONG["small"], X)
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_switched_on_around_does_not_matter(recwarn):
    with torch.device("meta"), torch.autocast("cpu", torch.bfloat16):
        assert tried(WRONG["small"], X) == [True]
    assert not recwarn.list


def test_weights_of_a_kind_of_their_own_stay():
    codes = tessera.quantize(nn.Linear(32, 32), target="int8", measure=None)
    function = tessera.compile(lambda x, w: (x.tanh() - x).sum() + (w * x).sum())
    x, weight = torch.full((32, 32), 1e-3), codes.weight
    wanted = (x.double().tanh() - x.double()).sum() + (weight * x).double().sum()
    torch.testing.assert_close(function(x, weight), wanted.float(), rtol=1e-3, atol=0)


def test_a_table_of_numbers_is_tried_as_it_is():
    assert tried(lambda x: x[:, :2] * (torch.tensor([0.5, 2.0]).exp() - 1), X) == [False]
    assert tried(lambda x, y: x * (y.exp() - 1), X, Y) == [True]


def test_low_precision_is_tried_as_it_stands_and_computed_in_float32():
    x = torch.randn(4, 6, dtype=torch.float16)
    captured = capture(lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5), x)
    reader = Reader(captured.graph_module)
    for node in captured.graph_module.graph.nodes:
        reader.read(node)
    (one,) = expressions(captured.graph_module.graph, reader, set(), torch.float16)
    assert is_inaccurate(one, LOW[torch.float16])
    assert not is_inaccurate(one, LOW[torch.float16], torch.float32)
