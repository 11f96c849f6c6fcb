"""What a value of a Program is for, and in which part of the job a node runs."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The meaning of one input or output of a Program."""

    PARAMETER = "parameter"
    BUFFER = "buffer"
    OPTIMIZER_STATE = "optimizer state"
    HYPER_PARAMETER = "hyper-parameter"
    ACCUMULATOR = "gradient accumulator"
    BATCH = "batch"
    SIZE = "size"
    LOSS = "loss"
    METRIC = "metric"
    RESULT = "result"


class Phase(StrEnum):
    """The part of the job a node belongs to, in the order in which a training step runs them."""

    FORWARD = "forward"
    BACKWARD = "backward"
    CLIP = "clip"
    UPDATE = "update"
    CHECK = "check"
