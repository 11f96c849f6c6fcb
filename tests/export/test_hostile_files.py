"""Files that were changed on the way, or made by somebody who wants to be let in: read as they are, or clearly refused.

`python -m tests.export.hostile.campaign` reads 5,000 of each format; what is read here are the first of those.
"""

from __future__ import annotations

import contextlib
import random
import zipfile

import pytest
import torch

from tessera.errors import ExportError, WeightsError
from tessera.export.aot_inductor import load_package
from tessera.export.export import export
from tessera.nn.weights_file import read_weights
from tests.export.hostile.campaign import Campaign
from tests.export.hostile.doors import DOORS, OTHER, RIGHT, UNTOLD
from tests.export.hostile.mutations import changed
from tests.export.hostile.pickles import payload
from tests.export.hostile.readers import FAILED, REFUSED, Reader

FEW, SOME, MANY = 60, 300, 5000
AT_ONCE = [name for name in DOORS if name.startswith(("safetensors", ".pt:", "checkpoint"))]  # nothing is compiled


@pytest.fixture(scope="module")
def campaign():
    with Campaign(seed=0) as running:
        yield running


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_few(campaign, name):
    _hold(campaign.run(name, range(FEW)), FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_more(campaign, name):
    if not DOORS[name].there:
        pytest.skip(f"{', '.join(DOORS[name].needs)} is not installed")
    _hold(campaign.run(name, range(SOME)), SOME)


def _hold(result, count):
    assert result.failures == []
    assert result.kinds.total() == count
    assert result.kinds[REFUSED] > count / 4
    assert set(result.kinds) <= {REFUSED, RIGHT, OTHER, UNTOLD}
    assert len(result.reasons) > 5  # the changes are of many kinds


@pytest.mark.slow
def test_packages_many_times(tmp_path, monkeypatch):
    """No changed package reaches torch's loader, which would run its code."""
    path = export(torch.nn.Linear(3, 2), tmp_path / "m.pt2", torch.randn(4, 3), measure=False).path
    reached = []
    monkeypatch.setattr("tessera.export.aot_inductor._run", reached.append)
    whole, other = path.read_bytes(), tmp_path / "changed.pt2"
    chance = random.Random(0)
    for _ in range(MANY):
        content = changed({"m.pt2": whole}, chance, str(tmp_path / "canary"))[0]["m.pt2"]
        if content != whole:
            other.write_bytes(content)
            with pytest.raises(ExportError):
                load_package(other)
    assert reached == []
    load_package(path)
    assert reached == [path]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # some payloads leave a file open
def test_the_payload_runs_where_it_is_trusted(tmp_path):
    """Else that none ran would say nothing."""
    chance = random.Random(0)
    for number in range(8):
        canary = tmp_path / str(number)
        with zipfile.ZipFile(tmp_path / "evil.pt", "w") as file:
            file.writestr("evil/data.pkl", payload(str(canary), chance))
            file.writestr("evil/version", b"3\n")
            file.writestr("evil/byteorder", b"little")
        with contextlib.suppress(TypeError):  # what some functions return is no key of a dict
            torch.load(tmp_path / "evil.pt", weights_only=False)
        assert canary.exists()
        canary.unlink()
        with pytest.raises(WeightsError):
            read_weights(tmp_path / "evil.pt")
        assert not canary.exists()


def test_a_reader_that_dies_is_a_failure(tmp_path):
    reader = Reader()
    try:
        good = tmp_path / "good"
        DOORS["checkpoint: load, inspect"].files(good)
        assert reader.read("checkpoint: load, inspect", good, good) == (RIGHT, "")
        reader._process.kill()
        kind, why = reader.read("checkpoint: load, inspect", good, good)
        assert kind == FAILED
        assert why.startswith("the process died")
    finally:
        reader.end()
