from __future__ import annotations

import time

import pytest
import torch

import tessera
from tessera.backend import tuning
from tessera.backend.tuning import USUAL, choose, made_up, measured, resolve_tune, tuned
from tessera.errors import SettingError
from tests.backend.hand_made import program

X = torch.rand(8)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize(("given", "seconds"), [("30s", 30.0), ("2.5 s", 2.5), (3, 3.0), ("7", 7.0), (None, None)])
def test_the_time_that_may_be_spent(given, seconds):
    assert resolve_tune(given) == seconds


@pytest.mark.parametrize("given", ["soon", "-1s", -1, float("nan"), float("inf"), True, [3]])
def test_what_is_no_time_is_said(given):
    with pytest.raises(SettingError, match="tune="):
        resolve_tune(given)


def test_the_usual_way_stays_unless_another_is_clearly_faster():
    usual = [1.0, 1.1, 1.2]
    assert choose({USUAL: usual, "a": [0.99, 1.09, 1.19]}) == USUAL
    assert choose({USUAL: usual, "a": [0.5, 1.5, 1.6]}) == USUAL  # one lucky run
    assert choose({USUAL: usual, "a": [0.99, 0.99, 0.99]}) == USUAL  # the best of the usual is not beaten
    assert choose({USUAL: usual, "a": [0.8, 0.85, 0.9], "b": [0.7, 0.75, 0.8]}) == "b"
    assert choose({USUAL: usual}) == USUAL


def made(example=X):
    found = program(lambda x: (x.exp() * 2,), X)
    found.examples = [example]
    return found


def build_with(pauses: dict[str, float], log: list[str]):
    """Builds that sleep for as long as their way says; the way is what the options are by now."""

    def build():
        from torch._inductor import config

        way = next(
            name
            for name, options in reversed(tuning.WAYS.items())
            if all(getattr(config.cpp, key.removeprefix("cpp.")) == value for key, value in options.items())
        )
        log.append(way)
        return lambda inputs: time.sleep(pauses.get(way, 0.004))

    return build


@pytest.fixture
def ways(monkeypatch):
    some = {USUAL: {}, "fast": {"cpp.min_chunk_size": 4096}, "slow": {"cpp.simdlen": 256}}
    monkeypatch.setattr(tuning, "WAYS", some)
    return some


def test_the_fastest_is_kept_told_and_remembered(ways):
    log: list[str] = []
    build = build_with({"fast": 0.001, "slow": 0.008}, log)
    _, notes = tuned(made(), build, lambda run: run, 30)
    assert log == [USUAL, "fast", "slow"]
    assert notes[0].endswith("took fast")
    assert all(f"{way} " in notes[0] for way in ways)
    log.clear()
    _, notes = tuned(made(), build, lambda run: run, 30)
    assert log == ["fast"]
    assert notes == ["tuned before: fast"]


def test_a_budget_that_is_over_tries_nothing_further_and_remembers_nothing(ways):
    log: list[str] = []
    _, notes = tuned(made(), build_with({}, log), lambda run: run, 0)
    assert log == [USUAL]
    assert notes[1:] == ["not taken: fast: no time left", "not taken: slow: no time left"]
    tuned(made(), build_with({}, log), lambda run: run, 30)
    assert log[1:] == [USUAL, "fast", "slow"]


def test_a_way_that_fails_is_left_out(ways):
    plain = build_with({"slow": 0.008}, [])

    def build():
        from torch._inductor import config

        if config.cpp.min_chunk_size == 4096:
            raise RuntimeError("no such instruction")
        return plain()

    _, notes = tuned(made(), build, lambda run: run, 30)
    assert "took the usual way" in notes[0]
    assert notes[1] == "not taken: fast: RuntimeError: no such instruction"


def test_what_won_once_and_fails_now_is_not_insisted_on(ways):
    log: list[str] = []
    tuned(made(), build_with({"fast": 0.001}, log), lambda run: run, 30)
    plain = build_with({}, log)

    def build():
        from torch._inductor import config

        if config.cpp.min_chunk_size == 4096:
            raise RuntimeError("no such instruction")
        return plain()

    _, notes = tuned(made(), build, lambda run: run, 30)
    assert "fast: RuntimeError: no such instruction" in notes[-1]


def test_without_real_inputs_nothing_is_measured(ways):
    found = made()
    found.examples = []
    assert tuned(found, build_with({}, []), lambda run: run, 30)[1] == [
        "not tuned: there are no real inputs to measure with"
    ]


def test_inputs_are_made_up_where_there_are_none():
    found = program(lambda x, i: (x.t()[i],), torch.rand(3, 4).t(), torch.tensor([1]))
    halves, zero = made_up(found)
    assert torch.equal(halves, torch.full((4, 3), 0.5))
    assert halves.stride() == (1, 4)
    assert torch.equal(zero, torch.tensor([0]))
    assert type(halves) is torch.Tensor
    del found.placeholders[0].meta["val"]
    assert made_up(found) == []


def test_a_function_is_tuned_forward_and_backward(ways):
    fast = tessera.compile(lambda x: (x.sin() * x).sum(), tune="30s")
    x = torch.rand(64, requires_grad=True)
    fast(x).backward()
    torch.testing.assert_close(x.grad, x.cos() * x + x.sin())
    for compilation in fast.report.compilations:
        assert any(note.startswith("tuned: ") for note in compilation.notes)


def test_what_cannot_be_measured_is_compiled_the_usual_way(ways):
    def fails(inputs):
        raise RuntimeError("no input for it")

    run, notes = tuned(made(), lambda: fails, lambda run: run, 30)
    assert run is fails
    assert notes == ["not tuned: RuntimeError: no input for it"]


def test_inputs_and_the_random_stream_stay_as_they_are():
    x = torch.ones(3)
    state = torch.get_rng_state()
    measured({USUAL: lambda inputs: inputs[0].add_(torch.rand(3))}, [x])
    assert torch.equal(x, torch.ones(3))
    assert torch.equal(state, torch.get_rng_state())


def test_a_training_step_computes_the_same_tuned(monkeypatch):
    monkeypatch.setattr(tuning, "WAYS", {USUAL: {}, "shares": {"cpp.min_chunk_size": 4096}})
    results = []
    for tune in (None, "60s"):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        step = tessera.train_step(net, "mse", optimizer, tune=tune)
        x, y = torch.randn(32, 8), torch.randn(32, 2)
        results.append([step(x, y).item() for _ in range(3)])
    assert results[0] == pytest.approx(results[1], rel=1e-5)
    assert any(note.startswith("tuned: ") for note in step.report.compilations[0].notes)
