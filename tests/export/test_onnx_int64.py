"""Graphs as onnxscript writes them, rewritten and run: onnxruntime's own answers are wrong of some of these numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tessera.export.onnx_int64 import compute_exactly

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
INT64, INT32, FLOAT, BOOL = (getattr(onnx.TensorProto, each) for each in ("INT64", "INT32", "FLOAT", "BOOL"))

HARD = [0, 1, -1, 5, 2**31 - 1, 2**31, 2**31 + 1, -(2**31) - 1, 2**32 - 1, 2**53 + 1, -(2**62), 2**63 - 1, -(2**63)]
ONE, OTHER = (np.array(each) for each in zip(*itertools.product(HARD, HARD), strict=True))
TABLE = np.random.default_rng(0).choice(HARD, (2, 50, 3))


def rewritten(op, inputs, kind=INT64, *, before=(), names=("x", "y"), **attributes):
    """The operators and the answer of a graph of one operator, after the rewriting."""
    from onnxscript import ir

    constants = [
        onnx.numpy_helper.from_array(each, f"c{at}") for at, each in enumerate(attributes.pop("constants", ()))
    ]
    given = dict(zip(names, inputs, strict=False))
    types = {np.dtype(np.int64): INT64, np.dtype(np.int32): INT32, np.dtype(bool): BOOL, np.dtype(np.float32): FLOAT}
    named = [attributes.pop("first", "x"), *[each for each in given if each != "x"], *[each.name for each in constants]]
    graph = onnx.helper.make_graph(
        [*before, onnx.helper.make_node(op, named, ["z"], **attributes)],
        "g",
        [
            onnx.helper.make_tensor_value_info(name, types[each.dtype], [f"{name}{at}" for at in range(each.ndim)])
            for name, each in given.items()
        ],
        [onnx.helper.make_tensor_value_info("z", kind, None)],
        constants,
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    model = ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(made))
    compute_exactly(model)
    written = ir.serde.serialize_model(model)
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    return [node.op_type for node in written.graph.node], session.run(None, given)[0]


@pytest.mark.parametrize(("op", "right"), [("Max", np.maximum), ("Min", np.minimum)])
def test_the_larger_and_the_smaller(op, right):
    operators, found = rewritten(op, (ONE, OTHER))
    assert op not in operators
    np.testing.assert_array_equal(found, right(ONE, OTHER))


@pytest.mark.parametrize(("least", "most"), [(-5, -2), (0, 2**31), (-(2**40), 2**53 + 1), (9, 4)])
def test_bounds(least, most):
    operators, found = rewritten("Clip", (ONE,), constants=[np.array(least), np.array(most)])
    assert "Clip" not in operators
    np.testing.assert_array_equal(found, np.minimum(np.maximum(ONE, least), most))


def test_signs():
    operators, found = rewritten("Sign", (ONE,))
    assert "Sign" not in operators
    np.testing.assert_array_equal(found, np.sign(ONE))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2,), (0, -1), ()], ids=str)
@pytest.mark.parametrize(
    ("op", "right"), [("ReduceMax", np.max), ("ReduceMin", np.min), ("ReduceSum", np.sum), ("ReduceProd", np.prod)]
)
def test_reductions(op, right, axes, keepdims):
    constants = [np.array(axes)] if axes else []
    _, found = rewritten(op, (TABLE,), constants=constants, keepdims=keepdims)
    with np.errstate(over="ignore"):
        expected = right(TABLE, axis=axes or None, keepdims=bool(keepdims))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("op", "right"), [("ReduceSum", np.sum), ("ReduceProd", np.prod)])
def test_int32_goes_round(op, right):
    table = TABLE.astype(np.int32)
    _, found = rewritten(op, (table,), INT32, constants=[np.array([1])], keepdims=0)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, right(table, axis=1, dtype=np.int32))


def test_a_sum_of_nothing():
    _, found = rewritten("ReduceSum", (TABLE[:, :0],), constants=[np.array([1])], keepdims=0)
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


def test_what_is_right_is_left():
    """Floats, and sums of masks."""
    assert rewritten("Max", (ONE.astype(np.float32), OTHER.astype(np.float32)), FLOAT)[0] == ["Max"]
    wider = onnx.helper.make_node("Cast", ["x"], ["wide"], to=INT64)
    operators, found = rewritten("ReduceSum", (TABLE > 3,), before=[wider], first="wide", constants=[np.array([1])])
    assert operators == ["Cast", "ReduceSum"]
    np.testing.assert_array_equal(found, (TABLE > 3).sum(1, keepdims=True))
    changing = rewritten("Max", (ONE.astype(np.int32), OTHER.astype(np.int32)), INT32)
    assert changing[0] == ["Max"]
