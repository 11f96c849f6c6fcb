from __future__ import annotations

import torch

from tessera import Tensor
from tessera.check.judge import could_not_run, declared_result, finding_of, has_own_dtype, refused
from tessera.check.run import Plan, run
from tessera.shapes.signature import read_contract


def judged(function, **dtypes):
    contract = read_contract(function)
    return run(function, contract, Plan({"B": 97, "S": 131}, {}, (), dtypes), None), contract


def test_a_functions_own_raise_is_a_refusal_and_torchs_is_not():
    def own(x: Tensor[B]):
        if x.dim() == 1:
            raise ValueError(
                "no vectors",
            )

    def asserted(x: Tensor[B]):
        assert x.dim() == 2

    def of_torch(x: Tensor[B]):
        return x @ torch.ones(3)

    assert refused(judged(own)[0])
    assert refused(judged(asserted)[0])
    assert not refused(judged(of_torch)[0])


def test_what_needs_data_proves_nothing():
    def f(x: Tensor[B]):
        return x.tolist()

    outcome, _ = judged(f)
    assert could_not_run(outcome) is not None


def test_the_operand_that_was_changed_last_is_blamed():
    def f(x: Tensor[B, S], y: Tensor[B, S]) -> Tensor[B, S]:
        early = x.t()
        late = torch.cat([y, y])
        return early + late

    outcome, contract = judged(f)
    finding = finding_of(outcome, contract)
    assert finding.where.code == "late = torch.cat([y, y])"
    assert finding.hurts.code == "return early + late"


def test_an_operator_that_is_not_known_speaks_for_itself_with_declared_names():
    def f(x: Tensor[B, S]):
        return torch.linalg.inv(x)

    outcome, contract = judged(f)
    finding = finding_of(outcome, contract)
    assert "linalg_inv does not take this" in finding.why
    assert finding.received == 'Tensor["B", "S"]'


def test_sizes_that_nobody_declared_are_not_blamed():
    def f(x: Tensor, y: Tensor["S", "B"]):
        return x.transpose(0, 1) + x + y

    outcome, contract = judged(f)
    assert finding_of(outcome, contract) is None


def test_a_new_name_in_the_result_may_be_anything():
    def f(x: Tensor[B, S]) -> Tensor[N, S]:
        return x

    outcome, contract = judged(f)
    assert declared_result(outcome, contract) is None


def test_the_line_of_the_return_that_ran():
    def f(x: Tensor[B, S]) -> Tensor[B]:
        if x.shape[0] > 5000:
            return x.sum(1)
        y = x.relu()
        return y  # noqa: RET504 - its line is what is tested

    outcome, contract = judged(f)
    assert declared_result(outcome, contract).where.code.startswith("return y")


def test_arguments_without_a_dtype_that_go_into_what_failed():
    def f(ids: Tensor[B], x: Tensor[B], n: Tensor[B, torch.float32]):
        return torch.ones(10, 4)[ids]

    outcome, contract = judged(f)
    assert has_own_dtype(outcome, contract) == ["ids"]
