"""ONNX's own node cases, as PyTorch modules: a file of ours gives the answers that they expect, or is refused.

`python -m tests.export.node_cases.cases` goes through all of them and prints what was refused and why.
"""

from __future__ import annotations

import pytest
import torch

from tests.export.node_cases import cases
from tests.export.node_cases.cases import PASSED, WRONG, Graph, collected, exported, expressed, judged

SAMPLE = (
    "test_add_bcast",
    "test_argmax_negative_axis_keepdims_example",
    "test_attention_4d_gqa_causal",
    "test_basic_conv_with_padding",
    "test_batchnorm_epsilon",
    "test_convtranspose_dilations",
    "test_cumsum_1d_reverse_exclusive",
    "test_depthtospace_crd_mode_example",
    "test_gather_elements_negative_indices",
    "test_gemm_all_attributes",
    "test_gridsample_bicubic",
    "test_layer_normalization_4d_axis1",
    "test_logsoftmax_axis_1",
    "test_lstm_defaults",
    "test_maxpool_2d_ceil",
    "test_mod_mixed_sign_int32",
    "test_reduce_log_sum_exp_keepdims_random",
    "test_scatter_elements_with_reduction_max",
    "test_slice_neg_steps",
)


@pytest.fixture(scope="module")
def all_cases():
    return collected()


def named(all_cases, name):
    return next(case for case in all_cases if case.name == name)


def test_a_sample_of_operators(all_cases):
    some = [case for case in all_cases if case.name in SAMPLE]
    found = judged(some, together=len(SAMPLE))
    assert found.told == []
    assert found.kinds == {PASSED: len(SAMPLE)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's, of what the cases do on purpose
def test_all_of_them(all_cases):
    found = judged(all_cases)
    assert found.kinds[WRONG] == 0, found.told
    assert found.kinds[PASSED] > 10 * len(SAMPLE)


def test_what_is_no_case_of_torchs_is_not_counted(all_cases):
    assert expressed(named(all_cases, "test_gru_defaults")).kind == cases.OTHERWISE
    assert expressed(named(all_cases, "test_nonmaxsuppression_flipped_coordinates")).kind == cases.UNKNOWN
    assert expressed(named(all_cases, "test_sequence_insert_at_back")).kind == cases.NO_TENSORS


def test_a_wrong_answer_is_seen(all_cases, monkeypatch):
    graphs = [expressed(named(all_cases, name)) for name in ("test_sub", "test_neg")]
    monkeypatch.setattr(cases, "to_runtime", lambda tensor: right(tensor + 1))
    right = cases.from_runtime.__globals__["to_runtime"]
    sub, neg = exported(graphs)
    assert sub.kind == PASSED  # both of its inputs are moved
    assert neg.kind == WRONG
    assert "numbers differ" in neg.why


def test_what_does_not_depend_on_inputs_is_computed_once(all_cases):
    graph = Graph(named(all_cases, "test_reduce_sum_keepdims_random"))
    assert [tuple(tensor.shape) for tensor in graph.example] == [(3, 2, 2)]
    assert isinstance(graph.constants["axes"], cases.np.ndarray)
    torch.testing.assert_close(graph(*graph.example)[0], graph.expected[0])
