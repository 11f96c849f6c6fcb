from __future__ import annotations

import copy

import onnxruntime
import pytest
import torch

from tessera.errors import ExportError
from tessera.export.asked import read_example
from tessera.export.example import Example
from tessera.export.export import export
from tessera.export.formats import format_of
from tessera.export.state import with_state


class Cache(torch.nn.Module):
    """A sum over all calls, kept in place, and the number of calls, kept by a new tensor each time."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.total += x.sum(0)
        self.calls = self.calls + 1
        return x + self.total


X = torch.randn(4, 3)


def test_a_model_with_a_memory_is_not_exported_without_a_choice(tmp_path):
    model = Cache()
    with pytest.raises(ExportError) as error:
        export(model, tmp_path / "m.onnx", X)
    assert str(error.value) == (
        "Cache changes its buffers while it answers: total, calls. A file has no memory from one call to the next: it "
        "would answer every call as if it were the first. Write state='outputs', and the file takes them as further "
        "inputs and gives their new values as further outputs; or state='constant', and every call begins with their "
        "values of now; or export to .pte or .pt2, whose files have a memory."
    )
    assert (model.total.tolist(), model.calls.item()) == ([0, 0, 0], 0)
    assert list(tmp_path.iterdir()) == []


def test_the_memory_is_passed_on_by_the_caller(tmp_path):
    model = Cache()
    report = export(model, tmp_path / "m.onnx", X, state="outputs", measure=False)
    assert "Pass the outputs total.next, calls.next on as total, calls." in report.notes
    assert model.calls.item() == 0
    session = onnxruntime.InferenceSession(report.path)
    assert [each.name for each in session.get_outputs()] == ["output", "total.next", "calls.next"]
    state = {"total": torch.zeros(3).numpy(), "calls": torch.tensor(0).numpy()}
    for x in torch.randn(3, 5, 3):
        answer, total, calls = session.run(None, {"x": x.numpy(), **state})
        state = {"total": total, "calls": calls}
        torch.testing.assert_close(torch.from_numpy(answer), model(x))
    assert calls == 3


def test_every_call_is_the_first(tmp_path):
    model = Cache()
    report = export(model, tmp_path / "m.onnx", X, state="constant", measure=False)
    assert "Every call begins with the values of now of the buffers total, calls." in report.notes
    session = onnxruntime.InferenceSession(report.path)
    for _ in range(2):
        (answer,) = session.run(None, {"x": X.numpy()})
        torch.testing.assert_close(torch.from_numpy(answer), X + X.sum(0))
    assert model.calls.item() == 0


@pytest.mark.parametrize("ending", [".pt2", ".pte"])
@pytest.mark.filterwarnings("ignore")  # ExecuTorch's own
def test_a_file_with_a_memory_keeps_it(tmp_path, ending):
    if ending == ".pte":
        pytest.importorskip("executorch.exir")
    model = Cache()
    model.total += 2
    report = export(model, tmp_path / f"m{ending}", X, measure=False)
    assert "It keeps total, calls from call to call, and begins with the values of now." in report.notes
    assert (model.total.tolist(), model.calls.item()) == ([2, 2, 2], 0)
    for _ in range(2):  # each loading begins anew
        run, twin = format_of(report.path).load(report.path), copy.deepcopy(model)
        for x in torch.randn(3, 5, 3):
            torch.testing.assert_close(run(Example((x,), ("x",), ({},)))[0], twin(x))


def test_a_model_without_a_memory_is_as_it_was():
    flat, example = read_example(torch.nn.BatchNorm1d(3).eval(), X, None)
    assert with_state(flat, example, "outputs") == (flat, example, [])


def test_another_choice():
    flat, example = read_example(Cache(), X, None)
    with pytest.raises(ExportError, match="state='kept' was passed. Buffers that a call changes are"):
        with_state(flat, example, "kept")
