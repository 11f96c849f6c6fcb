from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tessera.errors import ExportError
from tessera.export import load_model, onnx_places
from tessera.export.onnx_places import check_places

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
TensorProto, helper = onnx.TensorProto, onnx.helper


@pytest.fixture
def folder(tmp_path):
    """One with a file beside the model, in a folder with a secret; links lead out of it."""
    made = tmp_path / "outer" / "model"
    (made / "inner").mkdir(parents=True)
    numbers = np.arange(4, dtype=np.float32).tobytes()
    for path in (made / "data", made / "inner" / "data", tmp_path / "outer" / "secret"):
        path.write_bytes(numbers)
    (made / "link").symlink_to("../secret")
    (made / "up").symlink_to("..")
    return made


def outside(location):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(nodes, initializers, output="y"):
    names = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", output)]
    return helper.make_graph(nodes, "g", names[:1], names[1:], initializers)


def constant(tensor, attribute="value"):
    node = helper.make_node("Constant", [], ["w"])
    node.attribute.add(name=attribute, type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    return node


ADD = helper.make_node("Add", ["x", "w"], ["y"])


def as_initializer(tensor):
    return graph([ADD], [tensor]), []


def as_constant(tensor):
    return graph([constant(tensor), ADD], []), []


def in_a_branch(tensor):
    branch, other = (helper.make_graph([ADD], "b", [], graph([], []).output, [tensor]) for _ in range(2))
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other)
    return graph([node], [helper.make_tensor("c", TensorProto.BOOL, [], [True])]), []


def in_a_function(tensor):
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "Plus", ["x"], ["y"], [constant(tensor), ADD], opsets)
    return graph([helper.make_node("Plus", ["x"], ["y"], domain="own")], []), [function]


WHERE = (as_initializer, as_constant, in_a_branch, in_a_function)


def written(folder, where, location):
    made, functions = where(outside(location))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    model = helper.make_model(made, functions=functions, opset_imports=opsets, ir_version=9)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize("where", WHERE, ids=lambda where: where.__name__)
@pytest.mark.parametrize("location", ["data", "./data", "inner/data", "inner/../data"])
def test_a_file_in_the_folder_is_read(folder, where, location):
    check_places(written(folder, where, location))


@pytest.mark.parametrize("where", WHERE, ids=lambda where: where.__name__)
@pytest.mark.parametrize("location", ["../secret", "/dev/zero", "link", "up/secret", "inner/../../secret"])
def test_a_file_elsewhere_is_not(folder, where, location):
    path = written(folder, where, location)
    with pytest.raises(ValueError, match=f"it names '{location}', which is not in the file's folder"):
        check_places(path)


@pytest.mark.parametrize("where", WHERE, ids=lambda where: where.__name__)
@pytest.mark.parametrize("location", ["*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"])
def test_an_address_is_no_place(folder, where, location):
    path = written(folder, where, location)
    with pytest.raises(ValueError, match="which is an address and no file"):
        check_places(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("offset", "-1"), ("offset", "4"), ("offset", str(2**63)), ("offset", "x"), ("length", "999"), ("length", "-1")],
)
def test_a_tensor_beyond_its_file(folder, key, value):
    model = onnx.load(written(folder, as_initializer, "data"), load_external_data=False)
    model.graph.initializer[0].external_data.add(key=key, value=value)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match="The runtime did not take this: "):
        load_model(folder / "m.onnx")


def test_the_door_says_so_before_the_runtime_looks(folder):
    path = written(folder, as_initializer, str(folder.parent / "secret"))
    with pytest.raises(ExportError, match=r"it names '/.*', which is not in the file's folder\. A file is loaded"):
        load_model(path)


def test_links_of_a_download_lead_to_one_folder(folder):
    """As a hub's cache has it: what looks like a folder are links into another one."""
    written(folder, as_initializer, "data")
    shown = folder.parent / "shown"
    shown.mkdir()
    for name in ("m.onnx", "data"):
        (shown / name).symlink_to(folder / name)
    check_places(shown / "m.onnx")


def test_what_names_no_file_is_not_parsed(folder, monkeypatch):
    monkeypatch.setattr(onnx_places, "_locations", lambda model: pytest.fail("it was"))
    own = helper.make_tensor("w", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    (folder / "m.onnx").write_bytes(helper.make_model(graph([ADD], [own])).SerializeToString())
    check_places(folder / "m.onnx")
    (folder / "empty.onnx").write_bytes(b"")
    check_places(folder / "empty.onnx")


def test_from_the_folder_itself(folder, monkeypatch):
    written(folder, as_initializer, "data")
    monkeypatch.chdir(folder)
    check_places(Path("m.onnx"))
    written(folder, as_initializer, "../secret")
    with pytest.raises(ValueError, match="not in the file's folder"):
        check_places(Path("m.onnx"))
