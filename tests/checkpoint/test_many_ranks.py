"""Sharded state of several processes, saved together and loaded by as many, fewer or more."""

from __future__ import annotations

import pytest
import torch

from tessera.checkpoint import inspect, load, restore
from tessera.checkpoint.finding import snapshots
from tests.checkpoint import jobs
from tests.checkpoint.jobs import launch, parts, train, whole

PARAMETERS = 6  # of the model; the rest of its state are buffers


def close(ours, theirs):
    return all(
        torch.allclose(torch.tensor(a), torch.tensor(b), rtol=1e-4, atol=1e-6)
        for a, b in zip(ours, theirs, strict=True)
    )


def test_two_ranks_save_and_one_process_loads(tmp_path):
    first, second = launch(jobs.save_sharded, tmp_path, 2)
    assert first["path"] == second["path"]
    assert inspect(tmp_path).ranks == 2
    state = load(tmp_path)
    assert [value.double().flatten().tolist() for value in state["model"].values()] == first["weights"]
    assert state["of_rank"] == {f"rank{n}": {"seed": n, "bits": state["of_rank"][f"rank{n}"]["bits"]} for n in range(2)}
    assert state["of_rank"]["rank1"]["bits"].tolist() == [1, 1, 1]
    model, optimizer = parts(0)
    assert restore(tmp_path, {"model": model, "optimizer": optimizer}).whole
    assert whole(model) == first["weights"]
    assert train(model, optimizer, 1) == pytest.approx(first["next"], rel=1e-4)
    assert close(whole(model), first["then"])


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_another_number_of_ranks_loads(tmp_path, ranks):
    saved = launch(jobs.save_sharded, tmp_path, 2)[0]
    for found in launch(jobs.restore_sharded, tmp_path, ranks):
        assert found["whole"]
        assert found["weights"] == saved["weights"]
        assert found["next"] == pytest.approx(saved["next"], rel=1e-4)
        assert close(found["then"], saved["then"])


def test_a_plain_value_that_differs_is_refused_on_every_rank(tmp_path):
    for said in launch(jobs.disagree, tmp_path, 2):
        assert said.startswith("'best' is 0.0 on rank 0 and 1.0 on rank 1.")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_for_one_rank_leaves_the_last_snapshot(tmp_path):
    for said, newest, names in launch(jobs.fail_on_one_rank, tmp_path, 2):
        assert "No space left on device (rank 1)" in said
        assert newest == "snapshot-000001"
        assert names == ["snapshot-000001"]


def test_what_one_rank_cannot_read_no_rank_loads(tmp_path):
    reasons, untouched = zip(*launch(jobs.damaged_for_one_rank, tmp_path, 2), strict=True)
    assert all(untouched)
    assert any("has changed since it was written" in reason for reason in reasons)


@pytest.mark.slow
def test_a_run_of_two_ranks_goes_on_where_it_was(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "uninterrupted").write_text("")
    whole_run = launch(jobs.resume_run, tmp_path / "whole", 2)
    begun = launch(jobs.resume_run, tmp_path / "cut", 2)
    ended = launch(jobs.resume_run, tmp_path / "cut", 2)
    for one, two, uninterrupted in zip(begun, ended, whole_run, strict=True):
        assert one[0] + two[0] == uninterrupted[0]
        assert two[1][:PARAMETERS] == uninterrupted[1][:PARAMETERS]
    assert ended[0][1] == whole_run[0][1]
    # BatchNorm here does not synchronise: its statistics are a rank's own, and those of rank 0 are saved, all of them.
    assert begun[0][1][PARAMETERS:] != begun[1][1][PARAMETERS:]
    saved = [value.double().flatten().tolist() for value in load(snapshots(tmp_path / "cut")[0])["model"].values()]
    assert saved == begun[0][1]
