from __future__ import annotations

import pytest
import torch

from tessera.checkpoint.manifest import Manifest, StoredTensor
from tessera.checkpoint.matching import Match, check_whole, match, renamed
from tessera.errors import CheckpointError

MANIFEST = Manifest(
    {},
    {
        "w": StoredTensor("float32", (2, 3), ()),
        "n": StoredTensor("int64", (), ()),
        "h": StoredTensor("bfloat16", (2, 3), ()),
        "c": StoredTensor("complex64", (2, 3), ()),
    },
    {},
)


def entry(name):
    return {"tensor": name}


def test_the_four_kinds_are_told_apart():
    own = {"a": torch.ones(2, 3), "b": torch.ones(3, 2), "c": torch.ones(2, 3), "new": torch.ones(1), "opt": object()}
    saved = {"a": entry("h"), "b": entry("w"), "c": entry("c"), "old": entry("w"), "opt": {"dict": {}}}
    found = match(saved, own, MANIFEST)
    assert found.matched == ("a", "opt")
    assert found.missing == ("new",)
    assert found.left_over == ("old",)
    assert found.misfits == {
        "b": "[2, 3] in the snapshot, [3, 2] here",
        "c": "complex64 in the snapshot, float32 here",
    }
    assert not found.whole
    assert str(found).splitlines() == [
        "matched 2",
        "missing 1: new",
        "left over 1: old",
        "does not fit 2: b ([2, 3] in the snapshot, [3, 2] here), c (complex64 in the snapshot, float32 here)",
    ]


def test_a_count_is_no_weight_and_a_number_is_no_tensor():
    own = {"a": torch.tensor(1.0), "b": torch.tensor(1.0), "c": torch.tensor(3)}
    found = match({"a": entry("n"), "b": 3.0, "c": entry("n")}, own, MANIFEST)
    assert found.matched == ("c",)
    assert set(found.misfits) == {"a", "b"}


def test_one_name_of_a_tied_tensor_is_enough():
    tied = torch.ones(2, 3)
    found = match({"b": entry("w")}, {"a": tied, "b": tied, "c": torch.ones(2, 3)}, MANIFEST)
    assert found.missing == ("c",)


def test_names_are_changed_in_order():
    found = renamed({"ema.x": 1, "model.y": 2}, {r"^ema\.": "model.", r"\.x$": ".z"})
    assert found == {"model.z": 1, "model.y": 2}
    assert renamed({"a": 1}, None) == {"a": 1}


def test_two_entries_never_become_one():
    with pytest.raises(CheckpointError, match="model.x, which another entry"):
        renamed({"model.x": 1, "ema.x": 2}, {r"^ema\.": "model."})


@pytest.mark.parametrize(("pattern", "replacement"), [("(", ""), ("a", r"\3")])
def test_what_is_no_pattern_is_told(pattern, replacement):
    with pytest.raises(CheckpointError, match="as re.sub takes them"):
        renamed({"a": 1}, {pattern: replacement})


def test_what_is_whole_passes_and_the_rest_lists_the_first_names():
    check_whole(Match(("a",), (), ()), "x")
    with pytest.raises(CheckpointError, match=r"missing 25: n0, n1, .* and 15 more.") as caught:
        check_whole(Match((), tuple(f"n{n}" for n in range(25)), ()), "x")
    assert "n12" not in str(caught.value)
