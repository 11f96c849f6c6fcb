from __future__ import annotations

import torch

from tessera import Tensor
from tessera.check.rewrites import rewrites
from tessera.check.run import Plan, run
from tessera.check.surroundings import added, takes_what_is_joined
from tessera.shapes.signature import read_contract


def base_of(function):
    return run(function, read_contract(function), Plan({"B": 97, "S": 131}, {}, in_numbers=True), None)


def more_for(function, call_name: str, starts: str) -> list[float]:
    """What the first edit with such a text costs more, or less, of each call of a name."""
    base = base_of(function)
    found = []
    for call in base.history.calls:
        if call.name == call_name:
            rewrite = next((one for one in rewrites(call, [], base.world) if one.text.startswith(starts)), None)
            found.append(added(rewrite, call, base) if rewrite is not None else None)
    return found


def test_a_dimension_is_missed_where_an_item_was_taken():
    def of_item(x: Tensor["B", "S"]):
        last = x[:, -1]
        return torch.add(last, x)

    def of_sigmoid(x: Tensor["B"], y: Tensor["B", "S"]):
        gate = x.sigmoid()
        return torch.add(gate, y.T)

    text = ".unsqueeze(-1) of an operand of add"
    (more,) = more_for(of_item, "add", text) or [0]
    assert more > 0
    assert more_for(of_sigmoid, "add", text) == [0]


def test_letters_that_another_einsum_writes():
    def f(x: Tensor["B", "S"]):
        first = torch.einsum("bs->sb", x)
        return torch.einsum("bs->b", first)

    assert more_for(f, "einsum", '"bs->bs"')[0] < 0, "what comes of it is what the next one takes"
    assert more_for(f, "einsum", '"bs->s"')[1] == 0
    assert more_for(f, "einsum", '"sb->b"')[1] == 0, "what it takes stands elsewhere as well"


def test_a_weight_that_is_turned_round_as_another_one_is():
    def alike(x: Tensor["B", 4]):
        return torch.matmul(x @ FIRST.T, SECOND)

    def alone(x: Tensor["B", 4]):
        return torch.matmul(x @ FIRST, SECOND)

    text = ".transpose(-2, -1) of an operand of"
    assert more_for_last(alike, text) < 0
    assert more_for_last(alone, text) == 0


def more_for_last(function, starts: str) -> float:
    base = base_of(function)
    call = base.history.calls[-1]
    edits = [one for one in rewrites(call, [], base.world) if one.text.startswith(starts)]
    return added(edits[-1], call, base)  # of the second operand


FIRST, SECOND = (torch.nn.Parameter(torch.zeros(4, 4)) for _ in range(2))


def test_a_layer_that_takes_what_is_joined():
    class Joined(torch.nn.Module):
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.dim, self.mix, self.other = dim, torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x: Tensor["B", "S", 4]):
            return self.mix(torch.cat([x, self.other(x)], dim=self.dim).relu())

    for dim, whether in ((-1, True), (2, True), (1, False)):
        module = Joined(dim)
        base = run(module, read_contract(module.forward), Plan({"B": 97, "S": 131}, {}, in_numbers=True), module)
        assert takes_what_is_joined(module.mix, base) is whether
        assert not takes_what_is_joined(module.other, base)
