from __future__ import annotations

import copy
import inspect
import json
import logging

import pytest
import torch

import tessera
from tessera.errors import SettingError
from tessera.profile.profile import profile

X, Y = torch.randn(64, 32), torch.randint(0, 10, (64,))


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(32, 128), torch.nn.Linear(128, 10)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.second(x)


LINES = inspect.getsourcelines(Net.forward)
FIRST, SECOND = LINES[1] + 1, LINES[1] + 2


@pytest.fixture(scope="module")
def of_a_step():
    torch.manual_seed(0)
    net = Net()
    step = tessera.train_step(net, "cross_entropy", torch.optim.Adam(net.parameters()))
    step(X, Y)
    before = copy.deepcopy((net.state_dict(), torch.get_rng_state()))
    found = profile(step, X, Y, min_time_s=0.05)
    after = copy.deepcopy((net.state_dict(), torch.get_rng_state()))
    step(X, Y)
    return step, before, after, found


def test_lines_of_the_users_file_have_time_bytes_and_flops(of_a_step):
    *_, found = of_a_step
    lines = {line.where.line: line for line in found.lines if line.where and line.where.file == __file__}
    assert {FIRST, SECOND} <= set(lines)
    first = lines[FIRST]
    # Forward, and of the backward the gradient of the weight: the batch needs none.
    assert first.flops >= 2 * 2 * 64 * 32 * 128
    assert lines[SECOND].flops >= 3 * 2 * 64 * 128 * 10
    assert {"forward", "backward"} <= set(first.phases)
    assert sum(first.phases.values()) == pytest.approx(first.milliseconds)
    assert all(line.milliseconds > 0 and line.num_bytes > 0 and line.roofline > 0 for line in lines.values())
    assert all(name in {call.name for call in found.records} for line in found.lines for name in line.calls)
    assert 0.5 * found.compiled_milliseconds < sum(line.milliseconds for line in found.lines) <= found.milliseconds
    assert any(line.place == "(update)" for line in found.lines)


def test_everything_is_put_back(of_a_step):
    step, (weights, random), (weights_after, random_after), _ = of_a_step
    assert all(torch.equal(value, weights_after[name]) for name, value in weights.items())
    assert torch.equal(random, random_after)
    assert len(step.report.compilations) == 1  # the step behind the profile was no new capture


def test_the_report_has_what_was_measured(of_a_step):
    step, *_, found = of_a_step
    (made,) = step.report.compilations
    assert made.milliseconds > 0
    assert sum(call.milliseconds for call in made.calls) <= made.milliseconds * 1.5
    assert made.share_of_peak > 0
    assert "measured" in made.peak
    assert found.records == made.calls


def test_it_is_told_as_text_and_json(of_a_step):
    *_, found = of_a_step
    text = str(found)
    assert text.startswith("TrainStep: ")
    assert f"test_profile.py:{FIRST}  x = torch.tanh(self.first(x))" in text
    told = json.loads(found.to_json())
    assert told["calls"] == found.calls
    assert len(told["lines"]) == len(found.lines)
    assert max(told["memory"]["training step of Net"]) > 4 * 64 * 128


def test_two_are_compared_and_one_is_traced(of_a_step, tmp_path):
    *_, found = of_a_step
    same = found.compare(found)
    assert all(one.before == one.after for one in same.lines)
    found.save_trace(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_the_peak_that_was_reached_is_logged(of_a_step, caplog):
    step, *_ = of_a_step
    with caplog.at_level(logging.INFO, "tessera"):
        profile(step, X, Y, min_time_s=0)
    assert any(m.startswith("Achieved ") and "% of peak FLOPS: " in m and "measured" in m for m in caplog.messages)


def test_eager_code_has_its_lines():
    def work(x):
        y = x @ x.t()
        return torch.softmax(y, -1)

    _, start = inspect.getsourcelines(work)
    found = profile(work, X, min_time_s=0.02)
    lines = {line.where.line: line for line in found.lines if line.where}
    assert lines[start + 1].calls == ["aten.mm"]
    assert lines[start + 1].flops == 2 * 64 * 32 * 64
    assert lines[start + 2].calls == ["aten._softmax"]
    assert found.compiled_milliseconds == 0


def test_lines_are_known_where_sizes_are_not():
    def work(x):
        y = x @ x.t()
        return torch.nn.functional.gelu(y).sum(-1)

    fast = tessera.compile(work)
    for rows in (3, 5, 9):
        fast(torch.randn(rows, 4))
    found = profile(fast, torch.randn(11, 4), min_time_s=0)
    _, start = inspect.getsourcelines(work)
    lines = {line.where.line: line for line in found.lines if line.where}
    assert lines[start + 1].calls == ["extern_kernels.mm"]
    assert lines[start + 2].milliseconds > 0


def test_a_module_runs_as_it_serves():
    class Watching(torch.nn.Module):
        def forward(self, x):
            assert not self.training
            assert not torch.is_grad_enabled()
            return x.exp()

    module = Watching()
    profile(module, X, min_time_s=0)
    assert module.training


def test_a_block_adds_up_compiled_and_eager():
    fast = tessera.compile(lambda x: torch.tanh(x) * 2)
    with profile() as found:
        for _ in range(3):
            fast(X)
        X.sort()
    assert found.calls == 1
    names = {name for line in found.lines for name in line.calls}
    assert "aten.sort" in names
    assert any(name.startswith("cpp_fused") for name in names)
    assert str(found).startswith("block: ")
    assert fast(X).shape == X.shape


def test_an_error_passes_and_leaves_nothing_behind():
    fast = tessera.compile(lambda x: torch.tanh(x) * 2)
    fast(X)

    def fails(x):
        fast(x)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        profile(fails, X)
    with pytest.raises(KeyError), profile() as found:
        raise KeyError
    assert str(found) == "block: not run yet"
    torch.testing.assert_close(fast(X), torch.tanh(X) * 2)


@pytest.mark.parametrize(("arguments", "named"), [((None, X), {}), ((), {"x": X}), ((len, X), {"min_time_s": -1})])
def test_what_makes_no_sense_is_said(arguments, named):
    with pytest.raises(SettingError):
        profile(*arguments, **named)
