from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.data import Loader, arrays
from tessera.errors import BatchError
from tests.data.functions import plain


def test_a_batch_has_the_structure_and_the_dtypes():
    data = {"x": torch.arange(6).half().reshape(3, 2), "more": (np.arange(3, dtype=np.uint8), [torch.arange(3)])}
    (batch,) = Loader(data, 3, shuffle=False)
    assert batch["x"].dtype == torch.float16
    assert batch["more"][0].dtype == torch.uint8
    assert plain(batch) == {"x": [[0, 1], [2, 3], [4, 5]], "more": [[0, 1, 2], [[0, 1, 2]]]}


def test_a_batch_is_a_copy():
    x, y = torch.arange(4), np.arange(4)
    for batch in Loader((x, y), 4):
        batch[0].zero_()
        batch[1].zero_()
    assert x.tolist() == y.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_kind_of_memory_reaches_the_workers(tmp_path, workers):
    np.save(tmp_path / "x.npy", np.arange(20, dtype=np.int16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    changed = np.memmap(tmp_path / "x.npy", np.int16, "c", mapped.offset, (10, 2))
    changed += 100  # in memory alone
    data = {
        "mapped": mapped[:10],  # a part of a mapped file does not know its own place
        "whole": mapped.reshape(10, 2),
        "changed": changed,
        "no bytes": torch.ones(10, 0),
        "transposed": np.asfortranarray(np.arange(20).reshape(10, 2)),
        "strided": torch.arange(20)[::2],
        "wanting grad": torch.ones(10, requires_grad=True),
        "scalars": torch.arange(10).bool(),
    }
    with Loader(data, 4, workers=workers, worker_kind="process") as loader:
        found = {name: torch.cat([batch[name] for batch in loader]) for name in data}
        rows = next(iter(loader))
    assert sorted(found["mapped"].tolist()) == list(range(10))
    assert sorted(found["whole"].flatten().tolist()) == list(range(20))
    assert sorted(found["changed"].flatten().tolist()) == list(range(100, 120))
    assert found["no bytes"].shape == (10, 0)
    assert torch.equal(rows["strided"] // 2, rows["mapped"].long())
    assert rows["transposed"][:, 0].tolist() == rows["strided"].tolist()


UNFIT = {
    "text": np.array(["a", "b"]),
    "objects": np.array([1, None], object),
    "dates": np.array(["2026-01-01"], "M8[D]"),
    "byte order": np.arange(2, dtype=np.dtype("i4").newbyteorder()),
    "masked": np.ma.masked_array([1.0, 2.0], mask=[False, True]),
    "sparse": torch.eye(2).to_sparse(),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_cannot_become_a_tensor(kind):
    with pytest.raises(BatchError, match=r"^Data with a part of shape \[.*\] was passed, and (its|some)"):
        arrays((torch.ones(len(UNFIT[kind])), UNFIT[kind]))


def test_memory_is_shared_and_a_change_before_the_start_is_seen():
    x = np.zeros(8)
    x[:] = 5
    with Loader(x, 4, workers=2, worker_kind="process") as loader:
        assert all((batch == 5).all() for batch in loader)


def test_a_row_is_named():
    assert arrays(torch.arange(5)).source.name(3) == "row 3 of the arrays"
    assert arrays((torch.zeros(5, 2), np.arange(5))).describe()["source"] == {
        "kind": "arrays",
        "parts": ["float32 [5, 2]", "int64 [5]"],
    }
