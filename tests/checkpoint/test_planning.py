from __future__ import annotations

import pytest
import torch

from tessera.checkpoint.planning import SnapshotPlanner, merged
from tessera.checkpoint.staging import Stager
from tessera.checkpoint.values import Flattening, unflatten
from tessera.errors import StateError
from tests.checkpoint.samples import same


def flat(value):
    return Flattening().flatten(value, "x")


def plan(tensors, values=None):
    planner = SnapshotPlanner(Stager().stage(tensors), flat(values))
    planner.set_up_planner({}, is_coordinator=True)
    return planner, planner.create_local_plan()


def test_ranks_keep_what_only_they_have():
    ours, theirs = {"a": 1, "rng": {"rank0": [1]}}, {"a": 1, "rng": {"rank1": [2]}}
    both = unflatten(merged(flat(ours), flat(theirs), 1), {})
    assert both == {"a": 1, "rng": {"rank0": [1], "rank1": [2]}}


@pytest.mark.parametrize("theirs", [2, 1.0, "1", None, [1], {"b": 1}, float("nan"), (1,)])
def test_a_value_that_differs_is_refused_by_name(theirs):
    with pytest.raises(StateError, match="'state.a' is 1 on rank 0 and .* on rank 3"):
        merged(flat({"state": {"a": 1}}), flat({"state": {"a": theirs}}), 3)


def test_arrays_are_compared_by_what_they_hold():
    import numpy as np

    same_array = merged(flat({"a": np.arange(3)}), flat({"a": np.arange(3)}), 1)
    assert same_array["dict"]["a"]["array"]["shape"] == [3]
    with pytest.raises(StateError, match="'a'"):
        merged(flat({"a": np.arange(3)}), flat({"a": np.arange(3) + 1}), 1)


def test_state_dicts_are_merged_entry_by_entry():
    ours, theirs = torch.nn.Linear(2, 1).state_dict(), torch.nn.Linear(2, 1).state_dict()
    theirs["extra"] = 3
    both = merged(flat(ours), flat(theirs), 1)
    assert list(both["ordered_dict"]["items"]["dict"]) == ["weight", "bias", "extra"]


def test_a_tensor_on_several_ranks_is_written_by_the_lowest():
    ours, theirs = torch.ones(3), torch.ones(3)
    first, plan0 = plan({"a": ours, "b": ours.clone()})
    _, plan1 = plan({"a": theirs, "c": theirs.clone()})
    plans, metadata = first.create_global_plan([plan0, plan1])
    assert [[item.index.fqn for item in one.items] for one in plans] == [["a", "b"], ["c"]]
    assert set(metadata.state_dict_metadata) == {"a", "b", "c"}
    assert same(first.resolve_data(plans[0].items[0]), ours)
