from __future__ import annotations

import torch
from torch import nn

from tests.check.edited import after, edits


def test_a_count_is_one_more_grows_from_turn_to_turn_or_goes_along_two_sides():
    names = {"n": 8, "step": 2, "i": 3}
    text = "def f(n, step):\n    count = n // step\n    return [g(n + step) for i in range(3)]"
    found = edits(text, names)
    assert {"n // step + 1 in place of n // step", "i * step in place of step"} <= set(found)
    assert (
        after(text, "(n // step) ** 2 in place of n // step", names).splitlines()[1] == "    count = (n // step) ** 2"
    )
    assert "n + 1 + 1 in place of n + 1" not in edits("def f(n):\n    return g(n + 1)", names)


def test_what_a_function_of_the_users_is_given_may_be_a_number():
    found = edits("def f(self, n):\n    return self.parts(n) + torch.zeros(n)", {"n": 3})
    assert found["7 in place of n"].line == 2
    assert "7 in place of n" not in edits("def f(n):\n    return torch.zeros(n)", {"n": 3})


def test_what_an_object_gave_is_summed_in_the_line_that_asked_it():
    policy = torch.distributions.Normal(torch.zeros(2, 3), torch.ones(3))
    text = "def f(policy, x):\n    p = policy.log_prob(\n        x)\n    return p"
    names = {"policy": policy, "p": torch.zeros(2, 3), "x": torch.zeros(2, 3)}
    found = edits(text, names)
    assert found["policy.log_prob(x).sum(-1) in place of policy.log_prob(x)"].line == 2
    assert not any(".sum(" in shown for shown in edits("def f(x, y):\n    p = x.add(y)\n    return p", names))


def test_what_is_counted_of_a_name_in_another_line_stands_for_it():
    text = "def f(self, n, r):\n    self.a = Linear(n, n // r)\n    self.b = Linear(n, n)"
    found = edits(text, {"n": 24, "r": 4})
    assert found["n // r in place of n"].line == 3
    assert not any("n // r" in shown for shown in edits("def f(n, r):\n    return Linear(n, r)", {"n": 24, "r": 4}))


def test_a_layer_is_given_what_is_last_second_and_gives_it_back():
    names = {"self": nn.ModuleDict({"norm": nn.GroupNorm(2, 4)}), "x": torch.zeros(2, 3, 4)}
    found = edits("def f(self, x):\n    return self.norm(x + x)", names)
    turned = "self.norm((x + x).transpose(1, 2)).transpose(1, 2) in place of self.norm(x + x)"
    assert found[turned].line == 2
    assert not any("permute" in shown for shown in edits("def f(g, x):\n    return g(x)", names))
