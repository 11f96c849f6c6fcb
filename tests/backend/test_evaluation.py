from __future__ import annotations

import torch

from tessera import torch_internals
from tessera.backend.evaluation import Judge, evaluate, moved_inputs
from tessera.program import COPY, Program, Role, Value


def program(function, *inputs, results=1):
    fake = torch_internals.new_fake_mode()
    graph_module = torch_internals.trace(
        function, *[torch_internals.fake_copy(fake, x) for x in inputs], decompose=False
    )
    named = [Value(f"x{i}", Role.BATCH) for i in range(len(inputs))]
    return Program("job", graph_module, named, [Value("y", Role.RESULT)] * results)


def job(x, w):
    y = x / 3
    w.copy_(w + y)
    return (y @ w,)


X, W = torch.linspace(0, 1, 4).reshape(2, 2), torch.ones(2, 2)


def test_values_exact_values_and_what_is_written():
    made = program(lambda x, w: (x / 3 + w,), X, W)
    found = evaluate(made, [X, W])
    (result,) = found.results()
    assert torch.equal(result, X / 3 + W)
    end = found.ends()["result", 0]
    torch.testing.assert_close(found.exact[end], X.double() / 3 + 1, rtol=1e-15, atol=0)


def test_inputs_and_random_stream_stay_as_they_are():
    made = program(lambda x: (x + torch.rand(2),), X)
    copies = made.graph.find_nodes(op="call_function", target=COPY)
    assert not copies
    before, random = X.clone(), torch.get_rng_state()
    first, second = evaluate(made, [X]), evaluate(made, [X], exactly=False)
    assert torch.equal(X, before)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(first.results()[0], second.results()[0])


def test_a_write_is_told_and_not_made():
    made = program(job, X, W)
    found = evaluate(made, [X, W])
    assert torch.equal(W, torch.ones(2, 2))
    assert torch.equal(found.written[1], W + X / 3)


def test_what_rounding_explains():
    made = program(lambda x: ((x / 3).sum(),), torch.linspace(0, 1, 1000))
    inputs = [torch.linspace(0, 1, 1000)]
    plain = evaluate(made, inputs)
    judge, end = Judge(plain, inputs, 0.0), plain.ends()["result", 0]
    assert judge.off(end, plain.values[end] * (1 + 1e-6)) is None
    assert judge.off(end, plain.values[end] * 1.001) is not None
    assert Judge(plain, inputs, 2**-7).off(end, plain.values[end] * 1.001) is None
    assert judge.of(plain).off(end, torch.tensor(float("nan"))) is not None


def test_a_cancelling_sum_may_be_off_by_what_its_inputs_round():
    inputs = [torch.tensor([1e6, 1.0, -1e6, 1e-3])]
    made = program(lambda x: (x.sum() - 1.001,), *inputs)
    plain = evaluate(made, inputs)
    assert Judge(plain, inputs, 0.0).off(plain.ends()["result", 0], plain.results()[0] + 0.1) is None


def test_moved_inputs_move_by_about_one_rounding():
    x, n = torch.ones(1000), torch.arange(3)
    moved, same = moved_inputs([x, n])
    assert 1e-8 < (moved - x).abs().mean() < 1e-6
    assert same is n
