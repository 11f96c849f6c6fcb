"""What only moves, repeats or leaves out values."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.rules.expected import Expected

MOVES = {
    "view": lambda x: x.view(2, 2, 8),
    "permute": lambda x: x.permute(1, 0),
    "transpose": lambda x: x.transpose(0, 1).contiguous(),
    "slice": lambda x: x[1:3, ::2],
    "select": lambda x: x[0],
    "gather": lambda x: x.gather(1, torch.zeros(4, 1, dtype=torch.int64)),
    "index": lambda x: x[torch.tensor([0, 1])],
    "expand": lambda x: x[None].expand(3, 4, 8),
    "repeat": lambda x: x.repeat(2, 1),
    "split": lambda x: x.split(2)[1],
    "chunk": lambda x: x.chunk(2, 1)[0],
    "flip": lambda x: x.flip(0),
    "cat": lambda x: torch.cat([x, x]),
    "stack": lambda x: torch.stack([x, x]),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_values_stay_what_they_are(move):
    Expected("", move, -1, 2, (-1, 2)).check()


def test_a_border_adds_its_value():
    Expected("", lambda x: torch.nn.functional.pad(x, (1, 1)), 0, 2, (0, 2), (0.5, 2)).check()
    Expected("", torch.tril, 0, 2, (0, 2), (0.5, 2)).check()


def test_a_cast_to_whole_numbers_cuts_off():
    Expected("", lambda x: x.int(), -1, 2, (-1, 2), (-1.5, 2.5)).check()
    Expected("", lambda x: x.bool(), 0, 1, (0, 1), (-1, 2)).check()


@pytest.mark.parametrize(
    ("moved", "dim"),
    [(lambda p: p.T, 0), (lambda p: p[None], 2), (lambda p: p.view(2, 2, 8), 2), (lambda p: p[:2], 1),
     (lambda p: p[0], 0), (lambda p: p.permute(1, 0)[:, None], 0), (lambda p: torch.cat([p, p]), 1),
     (lambda p: torch.stack([p, p]), 2), (lambda p: p.expand(3, 4, 8), 2)],
    ids=range(9),
)  # fmt: skip
def test_rows_are_followed(moved, dim):
    Expected("", lambda x: moved(x.softmax(1)).sum(dim), 0.125, 1, (0.125, 1), None).check()


@pytest.mark.parametrize(
    ("moved", "dim"),
    [(lambda p: p, 0), (lambda p: p[:, :4], 1), (lambda p: p.view(8, 4), 1), (lambda p: p[:, ::2], 1)],
    ids=range(4),
)
def test_rows_that_are_no_longer_whole_are_forgotten(moved, dim):
    case = Expected("", lambda x: moved(x.softmax(1)).sum(dim), 0.125, 1, (0.125, 1), None)
    with pytest.raises(AssertionError):
        case.check()
