import pytest
import torch

from tessera.capture.branches import choice

TRUE, FALSE = torch.tensor(True), torch.tensor(False)


@pytest.mark.parametrize("decides", [True, False, 1, 0, [], [0], None, TRUE, FALSE, torch.tensor([2.0])], ids=str)
def test_outside_of_a_capture_it_is_a_plain_if(decides):
    ran = []
    result = choice.choose(decides, lambda own: ran.append(own(5)) or "true", lambda own: "false")
    assert result == ("true" if decides else "false")
    assert ran == ([5] if decides else [])


@pytest.mark.parametrize("first", [0, 2, "", "a", TRUE, FALSE], ids=str)
@pytest.mark.parametrize("second", [0, 3, TRUE, FALSE], ids=str)
def test_and_and_or_are_those_of_python(first, second):
    assert choice.last(first, lambda: second, True) is (first and second)
    assert choice.last(first, lambda: second, False) is (first or second)
    assert bool(choice.both(first, lambda: second)) == bool(first and second)
    assert bool(choice.either(first, lambda: second)) == bool(first or second)
    assert choice.truth(first, False) == (not first)


def test_the_second_is_asked_only_where_it_matters():
    def fails():
        raise AssertionError

    assert not choice.both(FALSE, fails)
    assert choice.either(TRUE, fails)
    assert choice.last(0, fails, True) == 0


def test_a_branch_hands_out_copies_and_only_tensors():
    x = torch.ones(2)
    handed = choice.handed_out({"a": [x, (x,)]})
    assert torch.equal(handed["a"][1][0], x)
    assert handed["a"][0] is not x
    with pytest.raises(TypeError, match="a branch returns a float"):
        choice.handed_out((x, 1.0))
    assert choice.own(1.0) == 1.0
    assert choice.own(x) is not x
