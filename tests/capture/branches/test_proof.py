from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F

from tessera.capture.branches import proof
from tessera.capture.branches.choice import choose

X = torch.arange(6.0).reshape(2, 3)


def reason(function, *args):
    """Why what is captured of ``function`` may do more than compute; and how many copies are left in its branches."""
    found = []

    def look(graph_module, inputs):
        try:
            found.append("returned" if proof.prove(graph_module) else "")
        except proof.Unsafe as error:
            found.append(str(error))
        branches = [m.graph for name, m in graph_module.named_children() if name.startswith("cond")]
        found.append(sum(n.target in ("clone", torch.clone) for graph in branches for n in graph.nodes))
        return graph_module.forward

    torch.compile(function, backend=look, fullgraph=True)(*args)
    return found


def is_safe(function, *args):
    return reason(function, *args)[0] == ""


def both(x, true, false):
    return choose(x.sum() > 0, lambda own: true(), lambda own: false())


def test_branches_that_compute_are_safe_and_need_no_copies():
    assert reason(lambda x: both(x, lambda: x * 2, lambda: x - 1), X) == ["", 0]


def test_what_is_handed_on_may_be_used_and_may_not_leave():
    assert reason(lambda x: both(x, lambda: x, lambda: x - 1) * 2, X) == ["", 1]
    assert "returned" in reason(lambda x: both(x, lambda: x, lambda: x - 1), X)[0]
    assert "returned" in reason(lambda x: both(x, lambda: x[0], lambda: x[1]).view(3), X)[0]

    def with_its_source(x):
        h = x * 2
        return h, both(x, lambda: h, lambda: h - 1)

    assert "returned" in reason(with_its_source, X)[0]
    assert is_safe(lambda x: with_its_source(x)[1], X)


def test_what_is_handed_on_through_two_branches_may_not_leave():
    def nested(x):
        return both(x, lambda: both(x * 2, lambda: x, lambda: x + 1), lambda: x - 1)

    assert "returned" in reason(nested, X)[0]
    assert is_safe(lambda x: nested(x) + 1, X)


def test_what_is_handed_on_may_not_be_written_to():
    def written(x):
        y = both(x, lambda: x, lambda: x - 1)
        y.add_(1)
        return y * 2

    def source_written(x):
        y = both(x, lambda: x, lambda: x - 1)
        x.add_(1)
        return y * 2

    def other_written(x):
        y = both(x, lambda: x, lambda: x - 1)
        z = x * 3
        z.add_(1)
        return y * z

    assert "written to" in reason(written, X.clone())[0]
    assert "written to" in reason(source_written, X.clone())[0]
    assert is_safe(other_written, X.clone())


def owning(x, y):
    def true(own):
        h = own(y)
        h += 1
        return h

    return choose(x.sum() > 0, true, lambda own: y * 2)


def test_a_variable_may_be_changed_in_place_if_nobody_else_has_it():
    assert is_safe(lambda x: owning(x, x * 2), X)
    assert "what was given" in reason(lambda x: owning(x, x) * 2, X)[0]

    def read_on(x):
        y = x * 2
        return owning(x, y) + y

    def seen_by_a_view(x):
        y = x * 2
        view = y[0]
        return owning(x, y) + view

    assert "by another name" in reason(read_on, X)[0]
    assert "by another name" in reason(seen_by_a_view, X)[0]


def test_a_branch_may_not_write_to_what_was_there():
    def writes(x, y):
        with torch.no_grad():
            return both(x, lambda: y.add_(1) * 2, lambda: y * 2)

    assert "writes to" in reason(lambda x: writes(x, x * 3), X)[0]


def test_a_branch_returns_each_tensor_once():
    def twice(x):
        a, b = both(x, lambda: (x * 2,) * 2, lambda: (x, x + 1))
        return a + b

    assert "one tensor twice" in reason(twice, X)[0]


def test_random_numbers_are_drawn_beside_branches_only():
    assert "random" in reason(lambda x: both(x, lambda: x * torch.rand(3), lambda: x - 1), X)[0]
    assert "random" in reason(lambda x: both(x, lambda: F.dropout(x * 2), lambda: x - 1), X)[0]
    assert is_safe(lambda x: both(x, lambda: F.dropout(x * 2, training=False), lambda: x - 1), X)
    assert is_safe(lambda x: both(x, lambda: x * 2, lambda: x - 1) + torch.rand(3), X)
    assert "Python's" in reason(lambda x: both(x, lambda: x * 2, lambda: x - 1) + random.randint(1, 3), X)[0]


def test_a_gradient_flows_whichever_branch_is_taken():
    w, v = (torch.ones(3, requires_grad=True) for _ in range(2))
    said = reason(lambda x: both(x, lambda: x * w, lambda: x * v), X)[0]
    assert "whose gradient is None" in said
    assert is_safe(lambda x: both(x, lambda: x * w, lambda: x - w), X)
    assert is_safe(lambda x: both(x, lambda: x * w, lambda: x * v) + w * v, X)
    assert not is_safe(lambda x: both(x, lambda: x * w, lambda: x * v) + w, X)
    assert not is_safe(lambda x: both(x, lambda: x * w, lambda: x + w.detach()), X)
    assert not is_safe(lambda x: both(x, lambda: x * w, lambda: torch.zeros_like(w) + x), X)

    def by_two_ways(x):
        one, other = w * 2, w.exp()
        return both(x, lambda: x * one, lambda: x * other)

    def of_two_results(x):
        a, b = both(x, lambda: (x * w, x * v), lambda: (x - w, x - v))
        return a * 2 + b

    def swapped(x):
        a, _ = both(x, lambda: (x * w, x * v), lambda: (x - v, x - w))
        return a * 2

    assert is_safe(by_two_ways, X)
    assert is_safe(of_two_results, X)
    assert not is_safe(swapped, X)
    with torch.no_grad():
        assert is_safe(lambda x: both(x, lambda: x * w, lambda: x * v), X)


@pytest.mark.parametrize("give", [lambda x: (x * 2).t(), lambda x: (x * 2)[:1]], ids=["layout", "shape"])
def test_results_that_differ_are_refused(give):
    square = torch.ones(3, 3)
    try:
        said = reason(lambda x: both(x, lambda: give(x), lambda: x * 3).sum(), square)[0]
    except RuntimeError as error:  # torch itself refuses it
        said = str(error)
    assert said


def test_other_kinds_are_refused():
    assert "complex" in reason(lambda x: both(x, lambda: (x * 1j).abs() + 1, lambda: x * 2), X)[0]
    assert "transform" in reason(torch.func.vmap(lambda x: both(x, lambda: x * 2, lambda: x - 1)), X)[0]


def test_what_the_user_wrote_with_cond_is_the_users():
    assert proof.prove(torch.fx.symbolic_trace(lambda x: x + 1)) == []
    w = torch.ones(3, requires_grad=True)
    assert is_safe(lambda x: torch.cond(x.sum() > 0, lambda: x * w, lambda: x * 2, ()), X)
