from __future__ import annotations

import math

import pytest
import torch

from tessera.errors import ExportError
from tessera.export import load_model
from tessera.export import traced as traced_module
from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.traced import cause, line_of_node, operators, traced


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        return torch.cond(x.sum() > 0, torch.sin, torch.cos, (self.layer(x).relu(),))


def test_operators_of_branches_are_counted():
    found = operators(traced(*read_example(Net(), torch.randn(4, 3), None)))
    names = ("aten.linear", "aten.relu", "aten.sin", "aten.cos", "cond")
    assert {name: found[name] for name in names} == dict.fromkeys(names, 1)


def test_a_node_knows_its_line():
    program = traced(*read_example(Net(), torch.randn(4, 3), None))
    (relu,) = (node for node in program.graph.nodes if "relu" in str(node.target))
    where = line_of_node(relu)
    assert where is not None
    assert (where.file, "self.layer(x).relu()" in where.code) == (__file__, True)


def test_a_branch_on_a_value_is_named(capfd):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(ExportError, match="Branching could not be traced") as error:
        traced(*read_example(Branching(), torch.randn(4, 3), None))
    assert error.value.where is not None
    assert error.value.where.code == "return x * 2 if x.sum() > 0 else x"
    assert capfd.readouterr() == ("", "")


def test_a_size_is_never_fixed_silently():
    class Fixed(torch.nn.Module):
        def forward(self, x):
            return x.view(2, 6)

    with pytest.raises(ExportError, match="Fixed takes one size only"):
        traced(*read_example(Fixed(), torch.randn(4, 3), {"x": {0: "B"}}))
    assert traced(*read_example(Fixed(), torch.randn(4, 3), {}))


class Windows(torch.nn.Module):
    def forward(self, x):
        return x.unfold(1, 4, 1).mean(-1) if x.shape[1] >= 4 else x[:, :1]


def test_a_declared_smallest_size_decides_a_branch(tmp_path):
    pytest.importorskip("onnxruntime")
    x = torch.randn(2, 9)
    with pytest.raises(ExportError):
        export(Windows(), tmp_path / "any.onnx", x, {"x": {1: "S"}}, measure=False)
    report = export(Windows(), tmp_path / "m.onnx", x, {"x": {1: torch.export.Dim("S", min=4)}}, measure=False)
    assert report.accepted
    (answer,) = load_model(report.path)(x[:, :4])
    torch.testing.assert_close(answer, Windows()(x[:, :4]))


def test_the_innermost_cause_is_told():
    inner = ValueError("what is wrong.\nadvice")
    outer = RuntimeError("advice")
    outer.__cause__ = inner
    assert cause(outer) == "what is wrong"
    assert cause(ValueError()) == "ValueError"


class Numbers(torch.nn.Module):
    """Sizes that Python makes an int or a float of, in front of a layer that torch would run as one operator."""

    def __init__(self):
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x):
        first = torch.zeros(len(x), 1, 8)
        y = self.encoder(torch.cat([first, x * float(x.shape[1])], 1))
        return y[:, 0] / math.sqrt(x.shape[1])


def test_len_and_float_of_a_size_stay_open():
    module = Numbers().eval()
    flat, example = read_example(module, torch.randn(3, 5, 8), {"x": {0: "B", 1: "S"}})
    program = traced(flat, example)
    assert not [node for node in program.graph.nodes if "_transformer_encoder_layer_fwd" in str(node.target)]
    assert torch.backends.mha.get_fastpath_enabled()
    for shape in ((1, 2, 8), (4, 9, 8)):
        x = torch.randn(shape)
        torch.testing.assert_close(program.module()(x)[0], module(x))


def test_a_converters_own_lines_are_not_the_users():
    model = 'File "/somewhere/site-packages/transformers/models/x.py", line 1'
    converter = model.replace("transformers", "onnxscript")
    assert traced_module._is_the_users(__file__)
    assert not traced_module._CONVERTERS.search(model)
    assert traced_module._CONVERTERS.search(converter)
