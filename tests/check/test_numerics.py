from __future__ import annotations

import torch

import tessera
from tessera import Tensor, between
from tessera.check.numerics import numerics_findings
from tessera.check.run import Plan, run
from tessera.shapes.signature import read_contract


def found(function):
    contract = read_contract(function)
    outcome = run(function, contract, Plan({"B": 97, "D": 131}, {}), None, records=True)
    assert outcome.error is None
    recorded = list(numerics_findings(function, contract, outcome))
    outcome.world.recording.give_up()
    assert list(numerics_findings(function, contract, outcome)) == recorded
    return recorded


def test_an_unstable_loss_is_a_warning_at_its_line():
    def loss(x: Tensor["B", "D"]) -> Tensor["B", "D"]:
        p = torch.softmax(x, -1)
        return torch.log(p)

    (finding,) = found(loss)
    assert (finding.kind, finding.severity) == ("numerics", "warning")
    assert finding.where.code == "return torch.log(p)"
    assert "log_softmax" in finding.fixes[0]
    assert tessera.check(loss).warnings == [finding]


def test_declared_ranges_are_known():
    def known(x: Tensor["B", between(0, 1)]) -> Tensor["B"]:
        return torch.exp(x * 200)

    def unknown(x: Tensor["B"]) -> Tensor["B"]:
        return torch.exp(x)

    assert found(known)[0].where.code == "return torch.exp(x * 200)"
    assert found(unknown) == []
