from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

import tessera
from tessera import Tensor


def wrong_axis(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64]) -> Tensor["B"]:
    one_hot = nn.functional.one_hot(labels, logits.shape[0])
    return (logits * one_hot).sum(-1)


def kept_dimension(x: Tensor["B", "S"]) -> Tensor["B", "S"]:
    mean = x.mean(1)
    return x - mean


def one_letter(x: Tensor["B", "S", "D"], w: Tensor["D", "E"]) -> Tensor["B", "E"]:
    y = torch.einsum("bsd,de->bde", x, w)
    return y.mean(1) + torch.einsum("bsd,de->be", x, w).mean(0, keepdim=True)


def long_slice(logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.int64]) -> Tensor[()]:
    shifted = logits[:, :-1]
    targets = tokens[:, 2:]
    return nn.functional.cross_entropy(shifted.flatten(0, 1), targets.flatten())


class HalfProjected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(64, 128)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return (q @ k.mT).softmax(-1) @ v.view(x.shape)


class WrongBlocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleDict({"a": nn.Linear(32, n), "b": nn.Linear(n, n)}) for n in (48, 80)])

    def forward(self, x: Tensor["B", 32]) -> Tensor["B", 32]:
        for block in self.blocks:
            x = x + block["b"](block["a"](x).relu())
        return x


@pytest.mark.parametrize(
    ("target", "code", "noticed"),
    [
        (wrong_axis, "one_hot = nn.functional.one_hot(labels, logits.shape[0])", "return (logits * one_hot).sum(-1)"),
        (kept_dimension, "mean = x.mean(1)", "return x - mean"),
        (long_slice, "targets = tokens[:, 2:]", "cross_entropy"),
        (HalfProjected, "self.qkv = nn.Linear(64, 128)", "v.view(x.shape)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_line_of_the_smallest_edit_is_blamed_and_the_line_that_notices_is_told(target, code, noticed):
    (finding,) = tessera.check(target() if isinstance(target, type) else target).errors
    assert finding.where.code == code
    assert noticed in finding.hurts.code
    assert str(finding.hurts) in str(finding)


class TurnedInVain(nn.Module):
    def __init__(self, bins: int = 21, bands: int = 8) -> None:
        super().__init__()
        self.register_buffer("bank", torch.zeros(bands, bins))

    def forward(self, power: Tensor["B", 21, "T"]) -> Tensor["B", 8, "T"]:
        return self.bank.T @ power


def test_a_call_less_in_the_line_that_fails_is_no_turn_less():
    (finding,) = tessera.check(TurnedInVain()).errors
    assert finding.where.code == "return self.bank.T @ power"
    assert finding.fixes[0].startswith("self.bank in place of self.bank.T")


class Prompted(nn.Module):
    def __init__(self, prompts: int = 12, width: int = 64) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(prompts, width))

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        x = torch.cat([self.prompts.expand(x.shape[0], -1, -1), x], dim=1)
        return x[:, self.prompts.shape[1] :]


def test_no_size_is_written_where_a_name_is_given_for_it_alone():
    (finding,) = tessera.check(Prompted()).errors
    assert finding.where.code == "return x[:, self.prompts.shape[1] :]"


def test_the_edit_is_the_first_fix_and_names_its_line():
    (finding,) = tessera.check(kept_dimension).errors
    assert finding.fixes[0] == f"mean with keepdim=True, in line {finding.line}"
    (finding,) = tessera.check(HalfProjected()).errors
    assert finding.fixes[0] == f"Linear(out_features=192), in line {finding.line}"


def test_a_module_that_is_used_meanwhile_stays_as_it_is():
    module = HalfProjected()
    before = {name: (id(part), dict(vars(part))) for name, part in module.named_modules()}
    assert not tessera.check(module).ok
    assert {name: (id(part), dict(vars(part))) for name, part in module.named_modules()} == before


def test_what_no_edit_mends_is_told_as_it_was_found():
    def hopeless(x: Tensor["B", 3], y: Tensor["S", 5]) -> Tensor["B", "S"]:
        return (x + y).sum()

    (finding,) = tessera.check(hopeless).errors
    assert finding.where.code == "return (x + y).sum()"
    assert finding.hurts is None


def test_layers_that_one_line_made_are_made_otherwise_together():
    report = tessera.check(WrongBlocks())
    assert [error.where.code.split(" = ")[0] for error in report.errors] == ["self.blocks"]


def test_an_edit_that_only_leads_another_way_mends_nothing():
    def branches(x: Tensor["B", "S"]) -> Tensor["B", "S"]:
        if x.shape[1] == 512:
            return x.t()
        return x * 2

    (finding,) = tessera.check(branches).errors
    assert finding.where.code == "return x.t()"


def joined(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return first @ second.transpose(-2, -1)


def swapped(q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "E"]) -> Tensor["B", "S", "E"]:
    scores = joined(k, q)
    return scores.softmax(-1) @ v


def too_few(x: Tensor["B", "T"]) -> Tensor["B", "T-3", 4]:
    columns = [x[:, i : x.shape[1] - 3 + i] for i in range(3)]
    return torch.stack(columns, dim=-1)


def declared_wrong(
    a: Tensor["B", "N"],
    b: Tensor["M", "B"],
) -> Tensor["B", "N+M"]:
    return torch.cat([a, b], dim=1)


class Growing(nn.Module):
    def __init__(self, sizes: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, size in enumerate(sizes):
            before = 4 if i == 0 else sizes[i - 2]
            layers += [nn.Linear(before, size), nn.ReLU()]
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor["B", 4]) -> Tensor["B", 32]:
        return self.net(x)


@pytest.mark.parametrize(
    ("target", "code", "fix"),
    [
        (swapped, "scores = joined(k, q)", "joined(q, k) in place of joined(k, q)"),
        (too_few, "columns = [x[:, i : x.shape[1] - 3 + i] for i in range(3)]", "4 in place of 3"),
        (declared_wrong, 'b: Tensor["M", "B"],', 'b: Tensor["B", "M"]'),
        (Growing, "before = 4 if i == 0 else sizes[i - 2]", "1 in place of 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_python_computed_and_what_was_declared_is_mended_too(target, code, fix):
    (finding,) = tessera.check(target() if isinstance(target, type) else target).errors
    assert finding.where.code == code
    assert finding.fixes[0] == f"{fix}, in line {finding.line}"


def test_an_edit_that_leaves_an_argument_without_use_is_not_the_first():
    def score(x: Tensor["B", 6], y: Tensor["B", 6], old: Tensor["B"]) -> Tensor[()]:
        new = (x - y).abs()
        ratio = (new - old).exp()
        return ratio.mean()

    (finding,) = tessera.check(score).errors
    assert finding.fixes[0].startswith(".unsqueeze(-1) of an operand of sub")  # and not y in place of old


def test_a_line_that_may_be_wrong_as_well_is_told():
    (finding,) = tessera.check(long_slice).errors
    assert finding.others[0].code == "shifted = logits[:, :-1]"


def test_no_edit_that_empties_a_tensor_mends():
    def shifted(ids: Tensor["B", "S"]) -> Tensor["B", "S"]:
        begin = torch.zeros(ids.shape[0], 1)
        return torch.cat([begin, ids], dim=1)

    (finding,) = tessera.check(shifted).errors
    assert finding.where.code == "return torch.cat([begin, ids], dim=1)"


def test_sizes_that_depend_on_data_are_no_hindrance():
    def parted(x: Tensor["N", "D"], label: Tensor["N", torch.int64]) -> Tensor["D"]:
        high, low = x[label > 0], x[label < 1]
        return high.mean(0) + low.mean(0) + x.mean(1)

    (finding,) = tessera.check(parted).errors
    assert finding.where.code == "return high.mean(0) + low.mean(0) + x.mean(1)"
    assert finding.fixes[0] == f"x.mean(0) in place of x.mean(1), in line {finding.line}"


def test_what_was_found_is_told_where_looking_for_edits_fails(monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(sys.modules["tessera.check.repair"], "candidates", fails)
    (finding,) = tessera.check(kept_dimension).errors
    assert finding.where.code in ("mean = x.mean(1)", "return x - mean")


def test_a_loop_that_ends_before_the_turn_that_raises_mends_nothing():
    def grows(x: Tensor["B", 5], w: Tensor[5, 7]) -> Tensor["B", 7]:
        for _ in range(2):
            x = x @ w
        return x

    (finding,) = tessera.check(grows).errors
    assert "range" not in finding.where.code


def test_labels_with_a_dimension_too_many_are_found():
    def loss(logits: Tensor["B", "B"]) -> Tensor[()]:
        labels = torch.arange(logits.shape[0])
        return nn.functional.cross_entropy(logits, labels[None])

    (finding,) = tessera.check(loss).errors
    assert finding.where.code == "return nn.functional.cross_entropy(logits, labels[None])"


def test_the_other_of_two_lines_that_look_alike_has_the_name():
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.key = nn.Linear(48, 24)
            self.value = nn.Linear(48, 24)

        def forward(self, x: Tensor["B", "N", 24], y: Tensor["B", "M", 48]) -> Tensor["B", "N", 24]:
            k = self.key(y)
            v = self.value(x)
            return (x @ k.mT).softmax(-1) @ v

    (finding,) = tessera.check(Cross()).errors
    assert finding.where.code == "v = self.value(x)"


def test_what_asks_for_data_is_mended_too():
    def chosen(x: Tensor["B", "D"], w: Tensor["D", "E"]) -> Tensor["B", "E"]:
        if x.sum() > 0:
            x = x * 2
        return x @ w.t()

    (finding,) = tessera.check(chosen).errors
    assert finding.fixes[0].endswith(f"in line {finding.line}")
    assert finding.where.code == "return x @ w.t()"


def test_two_that_are_laid_out_alike_for_each_other_speak_against_an_edit():
    def masked(values: Tensor["B", "S"], lengths: Tensor["B", torch.int64]) -> Tensor["B", "S"]:
        steps = torch.arange(values.shape[0])
        return values * (steps[None, :] < lengths[:, None])

    (finding,) = tessera.check(masked).errors
    assert finding.where.code == "steps = torch.arange(values.shape[0])"


class EvenKernel(nn.Module):
    def __init__(self, dim: int = 8, kernel: int = 4) -> None:
        super().__init__()
        self.mix = nn.Conv1d(dim, dim, kernel, padding=kernel // 2)

    def forward(self, x: Tensor["B", 8, "T"]) -> Tensor["B", 8, "T"]:
        return x + self.mix(x)


@pytest.mark.slow
def test_a_default_may_be_what_is_wrong():
    (finding,) = tessera.check(EvenKernel()).errors
    assert finding.where.code.startswith("def __init__")
    assert finding.fixes[0].startswith(("3 in place of 4", "5 in place of 4"))


class OneTooMany(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.price = nn.Parameter(torch.zeros(20, 5))

    def forward(self, x: Tensor["B", 20, 5]) -> Tensor["B", 20]:
        return (x @ self.price).relu()


def test_a_parameter_may_have_a_dimension_too_many():
    (finding,) = tessera.check(OneTooMany()).errors
    assert finding.where.code.startswith("self.price")
    assert "price of [5]" in finding.fixes[0]


class Masked(nn.Module):
    def __init__(self, at: tuple[Any, ...]) -> None:
        super().__init__()
        self.at = at
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 1)

    def forward(self, x: Tensor["B", 6, 8]) -> Tensor["B", 8]:
        return self.body(x, mask=torch.ones(6, 6).triu(1).bool())[self.at]


def test_what_a_layer_of_torchs_looks_for_in_a_mask_ends_no_run():
    report = tessera.check(Masked((slice(None), -1)))
    assert report.ok
    assert not report.notes


def log_prob(mean: Tensor["B", "A"], action: Tensor["B", "A"]) -> Tensor["B"]:
    return torch.distributions.Normal(mean, torch.ones_like(mean)).log_prob(action).sum(-1)


def wrong_log_prob(mean: Tensor["B", "A"], action: Tensor["B", "A"]) -> Tensor["B"]:
    return torch.distributions.Normal(mean, torch.ones_like(mean)).log_prob(action)


def test_what_a_distribution_makes_sure_of_ends_no_run():
    report = tessera.check(log_prob)
    assert (report.errors, report.notes) == ([], [])
    (finding,) = tessera.check(wrong_log_prob).errors
    assert finding.received == 'Tensor["B", "A"]'


@pytest.mark.slow
def test_nor_does_it_where_something_is_wrong():
    report = tessera.check(Masked((-1,)))
    assert [finding.received for finding in report.errors] == ["Tensor[6, 8]"]
    assert not report.notes


def counted(x: Tensor["B", "S"]) -> tuple[Tensor["B", torch.int64], Tensor["B"]]:
    whole = x.sum(1)
    mean = x.mean(1)
    return whole, mean


def test_a_dtype_that_was_forgotten_is_blamed_on_the_line_that_made_what_is_only_named_later():
    (finding,) = tessera.check(counted).errors
    assert finding.where.code == "whole = x.sum(1)"
