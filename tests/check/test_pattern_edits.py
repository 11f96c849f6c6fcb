from __future__ import annotations

import ast
import sys

import pytest
import torch

import tessera
from tessera import Tensor
from tessera.check.pattern_edits import pattern_edits

# A package that is installed: many calls of torch for one of the user's, and an error of its own.
PACKAGE = """
def arranged(x, pattern):
    before, after = (side.split() for side in pattern.split("->"))
    if len(before) != x.dim():
        raise RuntimeError(f"{pattern} does not fit {x.dim()} dimensions")
    x = x.reshape(x.shape) * 1
    return x.sum([before.index(name) for name in before if name not in after]).permute(
        *[[name for name in before if name in after].index(name) for name in after]
    ) if len(after) < len(before) else x.permute(*[before.index(name) for name in after])
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "arranging.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(folder))
    yield __import__("arranging")
    sys.modules.pop("arranging")


def edits(code: str) -> list[str]:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    return [ast.literal_eval(edit.new) for edit in pattern_edits(call)]


def test_every_order_and_what_may_be_left_is_tried():
    some = edits('rearrange(x, "b s (h d) -> b s h d", h=8)')
    assert {"b s (h d) -> b h s d", "b s (d h) -> b s h d", "s b (h d) -> b s h d"} <= set(some)
    assert "b s (h d) -> b s h d" not in some
    assert "b c h w -> b c" in edits('reduce(x, "b c h w -> b h w", "mean")')
    assert "b n -> b n d" not in edits('repeat(x, "b n -> b n d", d=3)')


def test_an_equation_of_torchs_is_edited_where_it_is_called():
    assert edits('torch.einsum("bsd,de->bse", x, w)') == []


def test_the_users_line_is_blamed_and_not_that_of_the_package(package):
    def scores(q: Tensor["B", "S", 4, 8], k: Tensor["B", "T", 4, 8]) -> Tensor["B", 4, "S", "T"]:
        q = package.arranged(q, "b s h d -> b h s d")
        k = package.arranged(k, "b s h d -> b s h d")
        return q @ k.transpose(-2, -1)

    (finding,) = tessera.check(scores).errors
    assert finding.where.code == 'k = package.arranged(k, "b s h d -> b s h d")'
    assert finding.fixes[0].startswith("'b s h d -> b h s d' in place of")


def test_an_error_of_the_packages_own_is_at_the_users_line(package):
    def pooled(x: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C"]:
        return package.arranged(x, "b c h -> b c")

    (finding,) = tessera.check(pooled).errors
    assert finding.where.code == 'return package.arranged(x, "b c h -> b c")'


def test_what_is_right_gives_no_alarm(package):
    def right(x: Tensor["B", "C", "H", "W"], w: torch.Tensor) -> Tensor["B", "C"]:
        return package.arranged(x * w.shape[0], "b c h w -> b c")

    assert tessera.check(right).ok
