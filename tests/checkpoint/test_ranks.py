from __future__ import annotations

import pytest

from tessera.checkpoint.ranks import agree, by_rank, from_first, new_group, of_this_rank, rank_of
from tessera.errors import CheckpointError
from tests.checkpoint.jobs import launch


def test_a_process_on_its_own_agrees_with_itself():
    assert rank_of() == 0
    assert new_group() is None
    assert from_first(7) == 7
    agree(None)
    with pytest.raises(CheckpointError, match="broken"):
        agree(CheckpointError("It is broken.", "", ""))


def test_state_of_a_rank_stands_under_its_number():
    assert of_this_rank(by_rank(3)) == 3
    assert of_this_rank({"rank1": 3}) is None


def together(folder, ranks):
    group = new_group()
    own = CheckpointError("It is broken.", "", "") if rank_of(group) == 1 else None
    try:
        agree(own, group)
    except CheckpointError as error:
        return [from_first(10 + rank_of(), group), str(error)]
    return []


def test_all_ranks_have_the_number_of_the_first_and_the_error_of_any(tmp_path):
    first, second = launch(together, tmp_path, 2)
    assert first[0] == second[0] == 10
    assert first[1].startswith("1 of the other ranks could not load the snapshot.")
    assert second[1].startswith("It is broken.")
