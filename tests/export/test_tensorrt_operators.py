from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from tessera.export.tensorrt_operators import CONSTANT_INPUTS, OPERATORS, problems


def model(*nodes, constants=()):
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor(name, TensorProto.INT64, [1], [0]) for name in constants],
    )
    return helper.make_model(graph)


def test_the_table_names_operators_of_onnx():
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    assert {name for name in OPERATORS if name not in known} <= {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}
    assert OPERATORS.issuperset(CONSTANT_INPUTS)


@pytest.mark.parametrize(
    ("node", "constants", "found"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), (), []),
        (
            helper.make_node("Unique", ["x"], ["y"]),
            (),
            ["Unique is not among the operators that TensorRT's parser documents"],
        ),
        (
            helper.make_node("Relu", ["x"], ["y"], domain="mine"),
            (),
            ["mine::Relu is not among the operators that TensorRT's parser documents"],
        ),
        (helper.make_node("ReduceSum", ["x", "a"], ["y"]), ("a",), []),
        (
            helper.make_node("ReduceSum", ["x", "a"], ["y"]),
            (),
            ["input 1 of ReduceSum is computed, and TensorRT's parser wants a constant there"],
        ),
        (helper.make_node("ReduceSum", ["x"], ["y"]), (), []),
        (
            helper.make_node("GRU", ["x", "w", "r"], ["y"], layout=1),
            (),
            ["GRU has its batch first, and TensorRT's parser wants time first"],
        ),
    ],
    ids=["documented", "unknown", "other domain", "constant axes", "computed axes", "no axes", "layout"],
)
def test_what_the_parser_does_not_document(node, constants, found):
    assert [problem for problem, _ in problems(model(node, constants=constants))] == found


def test_branches_are_looked_into():
    branch = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["b"])],
        "b",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    assert len(list(problems(model(node)))) == 1
