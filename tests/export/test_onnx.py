from __future__ import annotations

import warnings

import onnx
import onnxruntime
import pytest
import torch

from tessera.errors import ExportError
from tessera.export.export import export

X = torch.randn(4, 3)


def run(path, *inputs) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
    return torch.from_numpy(session.run(None, feed)[0])


def test_any_batch_size_answers_as_the_model(tmp_path, capfd):
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 2)
    )
    module(torch.randn(64, 3) * 2 + 1)  # statistics of its own
    module[2].eval()
    with warnings.catch_warnings(action="error"):
        exported = export(module, tmp_path / "model.onnx", X, None, measure=False)
    assert [part.training for part in module.modules()] == [True, True, True, False, True]
    assert exported.accepted
    assert exported.max_error < 1e-5
    module.eval()
    for size in (1, 3, 100):
        x = torch.randn(size, 3)
        torch.testing.assert_close(run(exported.path, x), module(x).detach())
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert capfd.readouterr() == ("", "")


def test_a_model_that_is_written_in_other_operators_warns_of_nothing(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    with warnings.catch_warnings(action="error"):
        assert export(module, tmp_path / "model.onnx", torch.randn(2, 1, 8, 8), None, measure=False).accepted


def test_an_example_of_one_sample_is_enough(tmp_path):
    module = torch.nn.Linear(3, 2)
    exported = export(module, tmp_path / "model.onnx", X[:1], None, measure=False)
    torch.testing.assert_close(run(exported.path, X), module(X).detach())


def test_keyword_inputs_and_dims_by_name(tmp_path):
    class Scores(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(10, 4)

        def forward(self, tokens, *, mask):
            return (self.embedding(tokens) * mask.unsqueeze(-1)).sum(1)

    module = Scores()
    inputs = {"tokens": torch.randint(0, 10, (2, 6)), "mask": torch.ones(2, 6)}
    dims = {name: {0: "batch", 1: "time"} for name in inputs}
    exported = export(module, tmp_path / "model.onnx", inputs, dims, measure=False)
    assert "batch 2, time 7" in exported.reason
    tokens, mask = torch.randint(0, 10, (3, 9)), torch.rand(3, 9)
    torch.testing.assert_close(run(exported.path, tokens, mask), module(tokens, mask=mask).detach())


def test_several_outputs(tmp_path):
    class Both(torch.nn.Module):
        def forward(self, x):
            return {"sum": x.sum(1), "best": x.argmax(1)}

    exported = export(Both(), tmp_path / "model.onnx", X, None, measure=False)
    assert exported.max_error < 1e-6


def test_all_sizes_may_be_fixed(tmp_path):
    class Pairs(torch.nn.Module):
        def forward(self, x):
            return x.view(2, 2, 3).sum(1)

    with pytest.raises(ExportError, match="Pairs takes one size only"):
        export(Pairs(), tmp_path / "model.onnx", X, None, measure=False)
    exported = export(Pairs(), tmp_path / "model.onnx", X, ({},), measure=False)
    assert exported.reason.endswith("(the example).")


def test_a_file_that_disagrees_is_rejected(tmp_path):
    class Random(torch.nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    (tmp_path / "model.onnx").write_bytes(b"an older one")
    with pytest.raises(ExportError) as error:
        export(Random(), tmp_path / "model.onnx", X, None, measure=False)
    text = str(error.value)
    assert text.startswith(
        f"Random was written to {tmp_path / 'model.onnx.rejected'}, which does not agree with it. The model itself "
    )
    assert text.endswith(
        "An exported file answers what the model answers in eval mode. "
        "Look for random numbers or sizes fixed in the code of forward, or fix all sizes with dims=({},)."
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.rejected"]
    assert (tmp_path / "model.onnx").read_bytes() == b"an older one"


def test_a_model_that_cannot_be_traced(tmp_path):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    module = Branching()
    with pytest.raises(ExportError) as error:
        export(module, tmp_path / "model.onnx", X, None, measure=False)
    assert str(error.value).startswith("Branching could not be traced: ")
    assert module.training
    assert list(tmp_path.iterdir()) == []


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 16)
        self.head = torch.nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(self.embedding(ids).cumsum(1))


@pytest.mark.parametrize("weights", ["inside", "beside"])
def test_weights_and_metadata(tmp_path, weights):
    ids = torch.randint(0, 50, (2, 3))
    exported = export(
        Tied(),
        tmp_path / "model.onnx",
        (ids,),
        {"ids": {0: "B", 1: "S"}},
        weights=weights,
        metadata={"author": "me"},
        opset=21,
        measure=False,
    )
    files = ["model.onnx", "model.onnx.data"] if weights == "beside" else ["model.onnx"]
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    model = onnx.load(exported.path)
    assert {each.key: each.value for each in model.metadata_props}["author"] == "me"
    assert [each.version for each in model.opset_import if not each.domain] == [21]
    assert [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim] == ["B", "S"]
    large = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2 and 50 in tensor.dims]
    assert len({tuple(sorted(tensor.dims)) for tensor in large}) == 1
    assert exported.size == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert exported.operators["CumSum"] == 1


@pytest.mark.parametrize("opset", [17, 999])
def test_an_opset_that_is_not_there(tmp_path, opset):
    with pytest.raises(ExportError, match=f"opset={opset} was passed. .* are 18 to ") as error:
        export(torch.nn.Linear(3, 2), tmp_path / "model.onnx", X, opset=opset)
    assert error.value.fix == "Write opset=20, or leave it out."


def test_a_size_that_python_looked_at_is_named(tmp_path):
    class Looking(torch.nn.Module):
        def forward(self, x):
            return x + 1 if x.shape[0] == 1 else x.exp()

    with pytest.raises(ExportError, match="another path than the model at aten.add.Tensor at .*test_onnx.py") as error:
        export(Looking(), tmp_path / "model.onnx", X, measure=False)
    assert "With batch 1 " in str(error.value)


@pytest.mark.parametrize("name", ["_linalg_eigh", "bessel_j0"])
def test_an_operator_that_onnx_has_not_is_named_with_its_line(tmp_path, name):
    class Special(torch.nn.Module):
        def forward(self, x):
            y = x @ x.mT
            if name == "bessel_j0":
                return torch.special.bessel_j0(y)
            return torch.linalg.eigvalsh(y)

    with pytest.raises(ExportError, match=f"could not be written as ONNX: .*{name}") as error:
        export(Special(), tmp_path / "m.onnx", torch.randn(2, 3, 3))
    assert error.value.where is not None
    assert error.value.where.code.startswith("return torch.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["bool", "float"])
def test_a_position_that_sees_nothing_is_zeros_as_in_torch(tmp_path, dtype):
    """The example's mask has no such row, so the check of the file would not tell."""

    class Attention(torch.nn.Module):
        def forward(self, q, mask):
            return torch.nn.functional.scaled_dot_product_attention(q, q, q, mask)

    q, seen = torch.randn(2, 2, 4, 8), torch.ones(2, 1, 4, 4, dtype=torch.bool)
    mask = seen if dtype == "bool" else torch.zeros(seen.shape)
    report = export(Attention(), tmp_path / "m.onnx", (q, mask), dims=({}, {}), measure=False)
    mask = mask.clone()
    mask[0, 0, 1] = False if dtype == "bool" else -torch.inf
    answer = run(report.path, q, mask)
    assert answer[0, :, 1].abs().max() == 0.0
    torch.testing.assert_close(answer, Attention()(q, mask))


def test_what_breaks_the_optimizer_is_written_without_it(tmp_path, monkeypatch):
    from onnxscript import ir

    whole = torch.onnx.export

    def breaking(*args, optimize, **kwargs):
        if optimize:
            raise RuntimeError("step 3 of 3") from ir.passes.PassError("folding failed")
        return whole(*args, optimize=optimize, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", breaking)
    assert export(Tied(), tmp_path / "m.onnx", torch.randint(0, 50, (2, 3)), measure=False).accepted


def test_an_operator_whose_translation_breaks_is_named_with_its_line(tmp_path, monkeypatch):
    from onnxscript.function_libs.torch_lib.ops import core

    def broken(*_):
        raise TypeError("that is no number")

    monkeypatch.setattr(core.op, "CumSum", broken)
    with pytest.raises(ExportError) as error:
        export(Tied(), tmp_path / "m.onnx", torch.randint(0, 50, (2, 3)), measure=False)
    assert error.value.received == "Tied could not be written as ONNX: that is no number (at aten.cumsum)."
    assert error.value.where is not None
    assert error.value.where.code == "return self.head(self.embedding(ids).cumsum(1))"
