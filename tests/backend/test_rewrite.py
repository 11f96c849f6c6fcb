from dataclasses import FrozenInstanceError

import pytest
import torch

from tessera.backend.rewrite import Pass
from tests.backend.hand_made import aten, program, run


def exp_to_log(made):
    nodes = made.graph.find_nodes(op="call_function", target=aten.exp.default)
    for node in nodes:
        node.target = aten.log.default
    return len(nodes)


EXP_TO_LOG = Pass("exp_to_log", "close", exp_to_log)


def test_a_pass_rewrites_in_place_and_counts_its_matches():
    x = torch.tensor([1.0, 2.0])
    made = program(lambda x: (torch.exp(x), torch.exp(x + 1)), x)
    assert EXP_TO_LOG.apply(made) == 2
    assert torch.equal(run(made, x)[1], torch.log(x + 1))
    assert EXP_TO_LOG.apply(made) == 0


def test_a_pass_is_a_constant():
    with pytest.raises(FrozenInstanceError):
        EXP_TO_LOG.promise = "bitwise"
