from __future__ import annotations

import dataclasses
import inspect
import sys
import typing

import pytest
import torch
from torch import nn

import tessera
from tessera import Tensor, dims
from tessera.check.check import annotated_in, check, raise_errors
from tessera.errors import SettingError, ShapeError

B, S, D, H = dims("B S D H")


def line_of(function, marker="# BUG"):
    lines, first = inspect.getsourcelines(function)
    return first + next(at for at, line in enumerate(lines) if marker in line)


def test_promise_b1_a_wrong_result_is_a_type_mismatch():
    def wrong(x: Tensor[B, 512]) -> Tensor[B, 256]:
        return x

    (finding,) = check(wrong).errors
    assert (
        str(finding)
        .replace("test_promise_b1_a_wrong_result_is_a_type_mismatch.<locals>.", "")
        .startswith('Type mismatch in \'wrong\':\n  Expected: Tensor["B", 256]\n  Returned: Tensor["B", 512]\n')
    )


def test_promise_b1_attention_is_right_for_all_sizes():
    def attention(q: Tensor[B, H, S, D], k: Tensor[B, H, S, D], v: Tensor[B, H, S, D]) -> Tensor[B, H, S, D]:
        scores = q @ k.transpose(-2, -1)
        return scores @ v

    report = check(attention)
    assert report.ok
    assert report.checked
    assert not report.notes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(3)])
        self.blocks[1] = nn.Linear(64, 32)
        self.calls = 0

    def forward(self, x: Tensor[B, 64]) -> Tensor[B, 64]:
        self.calls += 1
        for block in self.blocks:
            x = block(x)  # BUG
        return x


def test_a_loop_over_layers_names_the_layer_and_the_module_stays_as_it_was():
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    (finding,) = check(net).errors
    assert finding.hurts.line == line_of(Net.forward)
    assert finding.layer == "blocks.2.0"
    assert net.calls == 0
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_both_sides_of_every_if_are_checked():
    def of_size(x: Tensor[B, S]) -> Tensor[B]:
        if x.shape[1] > 500:
            return x.sum(0)  # BUG
        return x.sum(1)

    def of_argument(x: Tensor[B, S], flip: bool = False) -> Tensor[B, S]:
        if flip:
            return x.t()  # BUG
        return x

    def of_data(x: Tensor[B, S]) -> Tensor[B]:
        if x.max() > 0:
            return x.sum(1)
        return x.sum(0)  # BUG

    def of_nothing(x: Tensor[B, S], bias: Tensor[S] | None = None) -> Tensor[B, S]:
        if bias is None:
            return x.t()  # BUG
        return x + bias

    for function in (of_size, of_argument, of_data, of_nothing):
        (finding,) = check(function).errors
        assert finding.line == line_of(function), function


def test_blame_goes_to_where_the_wrong_size_was_born():
    def f(x: Tensor[B, S, 512], w: Tensor[512, 10]) -> Tensor[B, 10]:
        h = x.mean(0)  # BUG
        h = h.relu() + 1
        return h @ w

    (finding,) = check(f).errors
    assert finding.line == line_of(f)
    assert finding.hurts.code == "return h @ w"


def test_contracts_hold_between_functions():
    @tessera.function
    def inner(x: Tensor[B, 8]) -> Tensor[B, 4]:
        return tessera.nn.linear(x, 4)

    def outer(x: Tensor[B, S, 8]) -> Tensor[B, S, 4]:
        return inner(x)  # BUG

    (finding,) = check(outer).errors
    assert (finding.kind, finding.line) == ("call", line_of(outer))


def test_what_a_function_refuses_itself_is_no_finding():
    def f(x: Tensor[B, S], y: Tensor[B, T]) -> Tensor[B, S]:
        assert x.shape == y.shape
        if x.shape[1] > 1024:
            raise ValueError("too long")
        return x + y

    assert check(f).ok


def test_sizes_that_divide_are_taken_for_granted_and_said():
    def f(x: Tensor[B, S, D]) -> Tensor[B, 4, S, D // 4]:
        b, s, d = x.shape
        return x.view(b, s, 4, d // 4).transpose(1, 2)

    report = check(f)
    assert report.ok
    assert any("D is a multiple of 4" in note for note in report.notes)


@dataclasses.dataclass
class Batch:
    ids: Tensor[B, S, torch.int64]
    mask: Tensor[B, S, torch.bool]


class Out(typing.NamedTuple):
    pooled: Tensor[B, 16]
    tokens: Tensor[B, S, 16]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 16)

    def forward(self, batch: Batch) -> Out:
        x = self.embed(batch.ids).masked_fill(~batch.mask.unsqueeze(-1), 0)
        return Out(x.mean(1), x)


def test_records_are_made_and_read():
    assert check(Encoder()).ok


def test_a_dict_has_every_key_that_is_asked_for():
    def f(batch: dict[str, Tensor[B, 4]]) -> Tensor[B, 8]:
        return torch.cat([batch["left"], batch["right"]], -1)

    assert check(f).ok


def test_a_class_is_made_with_examples_and_its_names_stand_for_them():
    class Head(nn.Module):
        def __init__(self, dim: int, classes: int):
            super().__init__()
            self.linear = nn.Linear(dim, classes)

        def forward(self, x: Tensor[B, dim]) -> Tensor[B, classes]:
            return self.linear(x)

    assert check(Head).ok


def test_dtypes_that_nobody_declared_are_found_out():
    embedding = nn.Embedding(100, 16)

    def f(ids: Tensor[B, S], keep: Tensor[B, S]) -> Tensor[B, S, 16]:
        return embedding(ids).masked_fill(~keep.unsqueeze(-1), 0)

    report = check(f)
    assert report.ok
    assert not report.notes


def test_what_needs_data_is_a_note():
    def f(x: Tensor[B]) -> Tensor[B]:
        return torch.from_numpy(x.numpy())

    report = check(f)
    assert report.ok
    assert "was checked only up to" in report.notes[0]


def test_unpacking_too_few_sizes_is_found():
    def f(x: Tensor[B, S, 8]) -> Tensor[B, S, 8]:
        b, s = x.shape  # BUG
        return x.view(b, s, 8)

    (finding,) = check(f).errors
    assert (finding.kind, finding.line) == ("python", line_of(f))


def test_a_squeeze_of_everything_is_a_warning():
    def f(x: Tensor[B, 1, D]) -> Tensor[B, D]:
        return x.squeeze()

    (warning,) = check(f).warnings
    assert "B and D too where it is 1" in warning.why


def test_printing_and_random_numbers_are_as_before(capsys):
    def f(x: Tensor[B]) -> Tensor[B]:
        print(x.shape)
        return torch.dropout(x, 0.5, train=True)

    state = torch.get_rng_state()
    assert check(f).ok
    assert torch.equal(state, torch.get_rng_state())
    assert capsys.readouterr().out == ""


def test_a_module_of_python_is_checked_whole():
    module = sys.modules[__name__]
    assert [value.__name__ for value in annotated_in(module)] == ["Net", "Encoder"]
    assert [finding.layer for finding in check(module).errors] == ["blocks.2.0"]


def test_raise_errors():
    def wrong(x: Tensor[B, 512]) -> Tensor[B, 256]:
        return x

    with pytest.raises(ShapeError, match="Type mismatch") as caught:
        raise_errors(check(wrong))
    assert caught.value.findings[0].kind == "return"
    raise_errors(check(line_of))


@pytest.mark.parametrize("target", [3, None, "net"])
def test_what_cannot_be_checked_is_said(target):
    with pytest.raises(SettingError, match="It takes an annotated function"):
        check(target)
