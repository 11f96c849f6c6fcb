from __future__ import annotations

import json

import pytest

from tessera.data.cursor import Cursor
from tessera.data.saved_state import read, state
from tessera.errors import DataStateError

IDENTITY = {"seed": 3, "shuffle": True, "data": {"source": {"kind": "tokens", "files": [["a.bin", 10]]}, "stages": []}}
SAVED = state(2, Cursor(50, 7), IDENTITY)


def test_it_comes_back_through_json():
    assert read(json.loads(json.dumps(SAVED)), IDENTITY) == (2, Cursor(50, 7))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "seed is 3 here and was 4"),
        ({"shuffle": False}, "shuffle is True here and was False"),
        ({"data": None}, "data is {'source'.* here and was None"),
        (
            {"data": {"source": {"kind": "tokens", "files": [["a.bin", 11]]}, "stages": []}},
            r"data\.source\.files\[0\]\[1\] is 10 here and was 11",
        ),
        (
            {"data": {"source": {"kind": "parquet", "files": [["a.bin", 10]], "rows": 1}, "stages": ["map"]}},
            r".*kind is 'tokens' here and was 'parquet'; .*rows is None here and was 1; .*stages is \[\] here and was",
        ),
    ],
)
def test_what_differs_is_said(change, words):
    with pytest.raises(DataStateError, match=f"belongs to another order: {words}"):
        read({**SAVED, **change}, IDENTITY)


@pytest.mark.parametrize("found", [None, 3, {}, {"position": 1}, {**SAVED, "more": 1}, {**SAVED, "version": 2}])
def test_what_is_no_state(found):
    with pytest.raises(DataStateError, match=r"^load_state_dict got .* It takes what state_dict\(\) returned"):
        read(found, IDENTITY)


@pytest.mark.parametrize("name", ["epoch", "position", "offset"])
@pytest.mark.parametrize("value", [-1, 1.5, "1", None])
def test_damaged_numbers(name, value):
    with pytest.raises(DataStateError, match="damaged"):
        read({**SAVED, name: value}, IDENTITY)
