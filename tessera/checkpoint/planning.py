"""What torch.distributed.checkpoint asks before it saves: which rank writes what, and what all ranks agree on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, WriteItem

from tessera.checkpoint.staging import StagedTensors
from tessera.checkpoint.values import Json
from tessera.errors import StateError


class SnapshotPlanner(DefaultSavePlanner):
    """Plans staged tensors as torch does, each part once, by the lowest rank that has it; merges other values.

    Args:
        staged: what is written; `_save_state_dict` gets its copies as the state.
        values: this rank's values, as ``Flattening`` writes them. They come out of the plan as the metadata's
            ``planner_data``, those of all ranks in one.
    """

    def __init__(self, staged: StagedTensors, values: Json) -> None:
        super().__init__(
            flatten_state_dict=False,
            flatten_sharded_tensors=False,
            # Buffers such as BatchNorm's may differ between ranks: all of them are of one rank, not a mixture.
            dedup_save_to_lowest_rank=True,
        )
        self._staged, self._values = staged, values

    def create_local_plan(self) -> SavePlan:
        whole = {name: copy for name, copy in self._staged.copies.items() if name not in self._staged.parts}
        self.state_dict = whole
        plan = super().create_local_plan()
        parts = [item for items in self._staged.parts.values() for item in items]
        self.plan = dataclasses.replace(plan, items=plan.items + parts, planner_data=self._values)
        return self.plan

    def create_global_plan(self, all_plans: list[SavePlan]) -> tuple[list[SavePlan], Metadata]:
        values = all_plans[0].planner_data
        for rank, plan in enumerate(all_plans[1:], start=1):
            values = merged(values, plan.planner_data, rank)
        plans, metadata = super().create_global_plan(
            [dataclasses.replace(plan, planner_data=None) for plan in all_plans]
        )
        metadata.planner_data = values
        return plans, metadata

    def resolve_data(self, write_item: WriteItem) -> Tensor:
        return self._staged.copies[write_item.index.fqn]


def merged(values: Json, of_rank: Json, rank: int, name: str = "") -> Json:
    """The values of several ranks as one: keys that only some ranks have, and values that are the same on all.

    Raises:
        StateError: a value differs.
    """
    if json.dumps(values) == json.dumps(of_rank):  # `==` takes 1, 1.0 and True for the same
        return values
    if isinstance(values, Mapping) and isinstance(of_rank, Mapping):
        (tag,), (other,) = values, of_rank
        ours, theirs = values[tag], of_rank[other]
        if tag == other == "dict":
            both = {key: merged(ours[key], theirs[key], rank, f"{name}.{key}") for key in ours if key in theirs}
            return {"dict": {**ours, **theirs, **both}}
        if tag == other == "ordered_dict" and ours.get("metadata") == theirs.get("metadata"):
            return {"ordered_dict": {**ours, "items": merged(ours["items"], theirs["items"], rank, name)}}
    raise StateError(
        f"{name.removeprefix('.')!r} is {_shown(values)} on rank 0 and {_shown(of_rank)} on rank {rank}.",
        "A checkpoint of several ranks holds each value once, so it is the same on all of them.",
        'Reduce it over the ranks first, or keep it under a key of the rank: {f"rank{rank}": value}.',
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
