"""The page: every pass, in the order in which they run."""

from __future__ import annotations

from tessera.backend.passes.merge_duplicates import MERGE_DUPLICATES

PIPELINE = (
    MERGE_DUPLICATES,  # the same computation twice becomes once
)
