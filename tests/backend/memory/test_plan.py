import itertools

import pytest
import torch
from torch import nn

from tessera.backend.memory.liveness import Liveness
from tessera.backend.memory.plan import carry_out, cost_of, plans
from tests.backend.memory.steps import Residual, step_program

BATCH = torch.rand(512, 32), torch.rand(512, 32)


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    return step_program(Residual(6), BATCH)


def test_the_first_plan_drops_nothing_and_each_drops_more_than_the_one_before(made):
    found = list(plans(made))
    assert found[0].dropped == ()
    for earlier, later in itertools.pairwise(found):
        assert later.dropped[: len(earlier.dropped)] == earlier.dropped
        assert len(later.dropped) > len(earlier.dropped)
    assert min(plan.peak.size for plan in found) < 0.6 * found[0].peak.size


def test_the_peak_of_a_plan_is_that_of_the_program_that_carries_it_out(made):
    text = str(made.graph)
    for plan in list(plans(made))[::3]:
        assert Liveness(carry_out(made, plan).graph).peak().size == plan.peak.size
    assert str(made.graph) == text


def test_arithmetic_of_a_product_costs(made):
    costs = {str(node.target): cost_of(node) for node in made.graph.nodes if node.op == "call_function"}
    product = next(cost for name, cost in costs.items() if "mm" in name)
    assert product > max(cost for name, cost in costs.items() if "mm" not in name)
    assert cost_of(made.placeholders[0]) == 0


def test_a_program_without_a_backward_has_one_plan():
    small = step_program(nn.Linear(4, 4), (torch.rand(2, 4), torch.rand(2, 4)))
    assert [plan.dropped for plan in plans(small)] == [()]
