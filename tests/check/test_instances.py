from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from tessera.check.finding import CheckReport, Finding
from tessera.check.instances import instances_of
from tessera.errors import SourceLine


@dataclasses.dataclass
class Config:
    width: int
    drop: float
    causal: bool


class Sized(nn.Module):
    def __init__(self, dim: int, num_heads, config: Config, hidden: int = 7):
        super().__init__()
        self.made = (dim, num_heads, config, hidden)
        self.weight = nn.Parameter(torch.empty(dim, dim))


class Unknown(nn.Module):
    def __init__(self, tokenizer: str):
        super().__init__()


class Refuses(nn.Module):
    def __init__(self, dim: int):
        raise ValueError("not that")


def test_sizes_are_examples_and_take_no_memory():
    seen = []

    def note(module, numbers):
        seen.append((module, numbers))
        return CheckReport(checked=["Sized.forward"])

    instances_of(Sized, note)
    ((module, numbers),) = seen
    dim, heads, config, hidden = module.made
    assert dim % heads == 0
    assert config == Config(192, 0.1, False)
    assert hidden == 7
    assert numbers == (dim, heads)
    assert type(module.weight.data).__name__ == "FakeTensor"


@pytest.mark.parametrize(("kind", "words"), [(Unknown, "'tokenizer'"), (Refuses, "ValueError: not that")])
def test_what_cannot_be_made_is_a_note(kind, words):
    report = instances_of(kind, lambda module, numbers: CheckReport(checked=["never"]))
    assert not report.checked
    assert words in report.notes[0]
    assert "check an instance of it" in report.notes[0]


class Heads(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.d, self.h = d, h


def test_other_numbers_are_tried_before_anything_is_said():
    def wrong_unless_it_divides(module, numbers):
        divides = module.d % module.h == 0
        finding = Finding("shape", "error", "Heads.forward", SourceLine("net.py", 1), "d is no multiple of h")
        return CheckReport(errors=[] if divides else [finding], checked=["Heads.forward"])

    assert instances_of(Heads, wrong_unless_it_divides).ok
    never = instances_of(Heads, lambda module, numbers: wrong_unless_it_divides(Heads(3, 2), numbers))
    assert len(never.errors) == 1


class Graded(nn.Module):
    def __init__(self, depth: int = 3):
        super().__init__()
        self.parts = nn.ModuleList(nn.Dropout(rate.item()) for rate in torch.linspace(0, 0.5, depth))
        self.out = nn.Linear(4, 4)


def test_a_constructor_that_reads_its_tensors_is_run_with_data_and_draws_no_random_numbers():
    seen = []
    before = torch.get_rng_state()
    instances_of(Graded, lambda module, _: seen.append(module) or CheckReport(checked=["Graded"]))
    assert [part.p for part in seen[0].parts] == [0, 0.25, 0.5]
    assert torch.equal(torch.get_rng_state(), before)
