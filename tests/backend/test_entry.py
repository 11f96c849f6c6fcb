import pytest
import torch

from tessera.backend import entry
from tessera.backend.unsafe_graphs import RECURRENT_DROPOUT, SHARED_MEMORY
from tessera.program import Report


def curve(x, w):
    return torch.sin(x) * w + w.sum()


def test_torch_compile_takes_the_backend_and_follows_eager_with_gradients():
    x, w = torch.rand(3, 4), torch.rand(4, requires_grad=True)
    result = torch.compile(curve, backend=entry.tessera)(x, w)
    torch.testing.assert_close(result, curve(x, w))
    (grad,) = torch.autograd.grad(result.square().sum(), w)
    (expected,) = torch.autograd.grad(curve(x, w).square().sum(), w)
    torch.testing.assert_close(grad, expected)


def test_every_piece_is_in_the_report():
    report = Report("curve")
    x, w = torch.rand(3), torch.rand(3)
    result = torch.compile(curve, backend=entry.compile_pieces(report))(x, w)
    torch.testing.assert_close(result, curve(x, w))
    assert [compilation.program for compilation in report.compilations] == ["inference of curve"]
    assert report.step_downs == []


def test_a_piece_that_inductor_fails_on_runs_eagerly(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no luck today\nat some depth")

    monkeypatch.setattr(entry, "compile_program", fail)
    report = Report("curve")
    x, w = torch.rand(3), torch.rand(3, requires_grad=True)
    result = torch.compile(curve, backend=entry.compile_pieces(report))(x, w)
    assert torch.equal(result, curve(x, w))
    (grad,) = torch.autograd.grad(result.sum(), w)
    assert torch.equal(grad, torch.autograd.grad(curve(x, w).sum(), w)[0])
    assert report.compilations == []
    assert {(step.rung, step.reason) for step in report.step_downs} == {
        ("eager", f"{kind} of curve: RuntimeError: no luck today") for kind in ("forward", "backward")
    }


def test_what_fails_before_the_pieces_is_told_too(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no luck today\nat some depth")

    monkeypatch.setattr(entry, "why_mistraced", fail)
    report = Report("curve")
    x, w = torch.rand(3), torch.rand(3)
    assert torch.equal(torch.compile(curve, backend=entry.compile_pieces(report))(x, w), curve(x, w))
    (step,) = report.step_downs
    assert (step.rung, step.reason.partition(";")[0]) == ("eager", "RuntimeError: no luck today")


@pytest.mark.parametrize(("overlap", "reasons"), [(True, [SHARED_MEMORY]), (False, [])])
def test_a_write_to_one_of_two_inputs_that_share_memory_runs_eagerly(monkeypatch, overlap, reasons):
    monkeypatch.setattr(entry.torch_internals, "compile_graph_pieces", lambda graph, *_: graph.forward)

    def shift(a, b):
        a.add_(1)
        return a * b

    report = Report("shift")
    memory, other = torch.arange(6.0), torch.arange(6.0)
    result = torch.compile(shift, backend=entry.compile_pieces(report))(memory[:4], (memory if overlap else other)[2:])
    assert result.tolist() == ([3, 8, 12, 20] if overlap else [2, 6, 12, 20])
    assert [step.reason for step in report.step_downs] == reasons


def test_recurrent_dropout_is_that_of_torch():
    lstm = torch.nn.LSTM(2, 2, num_layers=2, dropout=0.5)
    report = Report("lstm")
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(lambda x: lstm(x)[0], backend=entry.compile_pieces(report))
        x = torch.rand(3, 1, 2)
        torch.manual_seed(1)
        result = compiled(x)
    torch.manual_seed(1)
    torch.testing.assert_close(result, lstm(x)[0])
    assert not report.step_downs


def test_recurrent_dropout_of_sizes_that_are_not_known_runs_eagerly():
    lstm = torch.nn.LSTM(2, 2, num_layers=2, dropout=0.5)
    report = Report("lstm")
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(lambda x: lstm(x)[0], backend=entry.compile_pieces(report), dynamic=True)
        x = torch.rand(3, 2, 2)
        torch.manual_seed(1)
        result = compiled(x)
    torch.manual_seed(1)
    assert torch.equal(result, lstm(x)[0])
    assert [step.reason for step in report.step_downs] == [RECURRENT_DROPOUT]


def test_what_becomes_a_view_of_what_was_given_is_a_copy():
    @torch.compile(backend=entry.tessera)
    def compiled(x):
        return torch.ones(3) * x[0], torch.ones(1, 3) * x.exp()[:1], x[0]

    for gradient in (False, True):
        given = torch.arange(6.0).reshape(2, 3).requires_grad_(gradient)
        first, second, view = compiled(given)
        where = {t.untyped_storage().data_ptr() for t in (first, second, given)}
        assert len(where) == 3
        assert view.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()


def test_a_result_and_its_view_stay_in_one_memory():
    def plain(x):
        y = x.exp()
        return y, y[0], torch.ones(3) * y[0], y

    compiled, given = torch.compile(plain, backend=entry.tessera), torch.arange(6.0).reshape(2, 3)
    places = [[t.untyped_storage().data_ptr() for t in called(given)] for called in (plain, compiled)]
    for result, row, copy, again in places:
        assert result == row == again
        assert copy != result


def test_a_number_that_changes_is_multiplied_by_alpha():
    def plain(x, number):
        return torch.add(x, number, alpha=3), x.sub(number, alpha=2), torch.rsub(x, number, alpha=2), number - x

    compiled, x = torch.compile(plain, backend=entry.tessera), torch.arange(3.0)
    for number in (2.0, 1.5, 0.25):
        torch.testing.assert_close(compiled(x, number), plain(x, number))
