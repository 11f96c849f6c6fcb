from __future__ import annotations

import itertools
import sys
import time

import torch
from torch import nn

from tessera import Tensor
from tessera.check.explore import explore
from tessera.shapes.signature import read_contract


def explored(function, **options):
    return explore(function, read_contract(function), **options)


def test_a_table_that_ends_is_a_condition_on_the_sizes():
    table = torch.zeros(64, 8)

    def f(x: Tensor[B, S, 8]) -> Tensor[B, S, 8]:
        return x + table[: x.shape[1]]

    report = explored(f)
    assert report.ok
    assert "right for small sizes alone" in report.notes[0]


def test_sides_that_only_several_conditions_lead_to():
    def f(x: Tensor[B, S]) -> Tensor[B, S]:
        if x.shape[0] > 200:  # noqa: SIM102 - one condition after another is what is tested
            if x.shape[1] == 512:
                if x.sum() > 0:
                    return x
                return x.t()  # BUG
        return x

    (finding,) = explored(f).errors
    assert finding.where.code == "return x.t()  # BUG"


def test_a_slow_machine_finds_the_same(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(time, "thread_time", lambda: next(clock) * 0.05)

    def f(x: Tensor[B, S]) -> Tensor[B, S]:
        if x.shape[0] > 200 and x.sum() > 0:
            return x.t()
        return x

    assert [finding.where.code for finding in explored(f).errors] == ["return x.t()"]


def test_long_runs_end(monkeypatch):
    monkeypatch.setattr(sys.modules[explore.__module__], "_MOST_WORK", 100)
    monkeypatch.setattr(sys.modules[explore.__module__], "_MOST_WORK_OF_SYMBOLS", 100)

    def f(x: Tensor[B]) -> Tensor[B]:
        for _ in range(500):
            x = x + 1
        return x

    (note,) = explored(f).notes
    assert "checked only in part" in note


def test_both_sides_of_a_condition_on_sizes_before_a_long_way(monkeypatch):
    monkeypatch.setattr(sys.modules[explore.__module__], "_MOST_WORK_OF_SYMBOLS", 100)

    def f(x: Tensor[B, S]) -> Tensor[B, S]:
        if x.shape[1] > 512 and x.sum() > 0:
            x = x[:, :512]  # BUG
        for _ in range(200):
            x = x + 1
        return x

    def right(x: Tensor[B, S]) -> Tensor[B, S]:
        y = x[:, :512] if x.shape[1] > 512 else x
        for _ in range(200):
            y = y + 1
        return x + y.sum(dim=1, keepdim=True)

    assert [finding.where.code for finding in explored(f).errors] == ["x = x[:, :512]  # BUG"]
    assert explored(right).ok


def test_symbols_are_asked_as_long_as_there_are_new_lines(monkeypatch):
    monkeypatch.setattr(sys.modules[explore.__module__], "_MOST_WORK_ON_SAME_LINES", 50)

    def asked(x: Tensor[B, S]) -> Tensor[B, S]:
        for _ in range(40):
            x = x + 1
        for _ in range(40):
            x = x * 2
        return x[:, :512] if x.shape[1] > 512 else x  # BUG

    def wrong(x: Tensor[B, S]) -> Tensor[B, S]:
        for _ in range(200):
            x = x + 1
        return x.t()  # BUG

    assert [finding.where.code for finding in explored(asked).errors] == [
        "return x[:, :512] if x.shape[1] > 512 else x  # BUG"
    ]

    def unseen(x: Tensor[B, S]) -> Tensor[B, S]:
        for _ in range(200):
            x = x + 1
        return x[:, :512] if x.shape[1] > 512 else x

    assert not explored(asked).notes
    assert [finding.where.code for finding in explored(wrong).errors] == ["return x.t()  # BUG"]
    (note,) = explored(unseen).notes
    assert "of an `if` on a size there one side was seen" in note


def test_an_edit_that_breaks_the_other_side_mends_nothing():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(2 * 9, 4)

        def forward(self, x: Tensor["B", 9], both: bool = True) -> Tensor["B", 4]:
            h = torch.cat([x, x], dim=-1)
            if not both:
                h = h[:, :9]
            return self.out(h)

    module = Joined()
    (finding,) = explore(module, read_contract(module.forward), module).errors
    assert finding.where.code == "h = h[:, :9]"


def test_where_a_slice_is_cut_short_it_is_judged_by_short_sizes():
    table = torch.zeros(128, 8)

    def f(x: Tensor[B, S, 8]) -> Tensor["B", "S+1", 8]:
        n = x.shape[1]
        places = table[:n]
        return torch.cat([x[:, :1], x], dim=1) + places

    (finding,) = explored(f).errors
    assert finding.where.code == "places = table[:n]"


def test_sizes_that_must_be_equal_are_tried_equal():
    def f(x: Tensor[B, S]) -> Tensor[B, S]:
        if x.shape[0] == x.shape[1]:
            return x[0]
        return x

    (finding,) = explored(f).errors
    assert finding.where.code == "return x[0]"


def test_a_name_may_stand_for_a_number_that_the_module_was_made_with():
    import torch

    weight = torch.zeros(192, 192)

    def f(x: Tensor["B", "D"]) -> Tensor["B", "D"]:
        return x @ weight

    def turned(x: Tensor["B", "D"]) -> Tensor["D", "B"]:
        return x.t() @ weight

    assert not explored(f).ok
    report = explored(f, own_numbers=(192,))
    assert report.ok
    assert report.notes[0].endswith("f: D is the module's own 192")
    assert not explored(turned, own_numbers=(192,)).ok, "what was moved into the wrong place is no such size"


def test_what_comes_first_in_arguments_and_results_is_no_size_of_the_modules():
    def experts(x: Tensor["N", 16]) -> Tensor["N", 16]:
        each = torch.einsum("nd,edf->enf", x, torch.zeros(8, 16, 16))
        return torch.einsum("ne,ned->nd", x[:, :8], each)

    def given(x: Tensor["D", 16]) -> Tensor[16]:
        return torch.einsum("di,d->i", x, torch.zeros(8))

    assert not explored(experts, own_numbers=(8,)).ok
    assert explored(given, own_numbers=(8,)).ok


def test_an_argument_that_cannot_be_made_is_a_note():
    def f(x: Tensor[B], model) -> Tensor[B]:
        return model(x)

    report = explored(f)
    assert report.ok
    assert "'model'" in report.notes[0]


def test_a_size_that_another_divides():
    def f(x: Tensor[B, D], heads: Tensor[H]) -> Tensor[B, H, D // H]:
        return x.view(x.shape[0], heads.shape[0], x.shape[1] // heads.shape[0])

    report = explored(f)
    assert report.ok
    assert "D is a multiple of H" in report.notes[0]


def test_a_transform_that_takes_numbers_is_checked_in_large_sizes():
    import torch

    def log_mel(wave: Tensor[B, L], bank: Tensor[201, 80]) -> Tensor[B, F, 80]:
        frames = wave.unfold(1, 400, 160)
        return torch.fft.rfft(frames, dim=-1).abs() @ bank

    def turned(wave: Tensor[B, L], bank: Tensor[201, 80]) -> Tensor[B, F, 80]:
        frames = wave.unfold(1, 400, 160)
        return bank @ torch.fft.rfft(frames, dim=-1).abs()

    report = explored(log_mel)
    assert report.ok
    assert any("right for large sizes alone" in note for note in report.notes)
    (finding,) = explored(turned).errors
    assert finding.where.code.startswith("return bank @")


def test_a_name_is_not_the_modules_number_where_the_annotation_writes_that_number():
    import torch

    class Scale(torch.nn.Module):
        def __init__(self, channels=64):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(channels))

        def forward(self, x: Tensor[B, 64, H, W]) -> Tensor[B, 64, H, W]:
            return x * self.scale

    module = Scale()
    report = explore(module, read_contract(module.forward), module, [64])
    assert [finding.where.code for finding in report.errors] == ["return x * self.scale"]


def test_a_name_is_not_the_modules_number_where_a_slice_ends():
    import torch

    class Position(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.zeros(64, 26))

        def forward(self, x: Tensor[B, S, 26]) -> Tensor[B, S, 26]:
            return x + self.table[: x.shape[0]]

    module = Position()
    report = explore(module, read_contract(module.forward), module, [64, 26])
    assert [finding.where.code for finding in report.errors] == ["return x + self.table[: x.shape[0]]"]


def test_a_small_size_that_is_a_number_of_the_program_by_chance_makes_nothing_right():
    def weighed(x: Tensor["B", 13, "H", "W"]) -> Tensor["B", 13, "H", "W"]:
        return x * x.mean(dim=(2, 3))[:, None, None]  # 13 is among the small sizes

    assert explore(weighed, read_contract(weighed)).errors
