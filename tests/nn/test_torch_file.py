from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import torch

from tessera.nn.torch_file import check_torch_file

TENSORS = {
    "a": torch.zeros(3000),
    "bytearray": torch.arange(3),
    "of": {"more": [torch.ones(2), 3, "builtins bytearray"]},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.pt"


class Calls:
    def __init__(self, function, *arguments):
        self.called = (function, arguments)

    def __reduce__(self):
        return self.called


def members_of(path):
    with zipfile.ZipFile(path) as file:
        return [(info.filename, file.read(info)) for info in file.infolist()]


def write(path, members, packed=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packed) as file:
        for name, content in members:
            file.writestr(name, content)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_torch_writes_is_fine(path, zipped, protocol):
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    check_torch_file(path)


def test_optimizers_and_schedules_are_fine(path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    states = [net.state_dict(), optimizer.state_dict(), schedule.state_dict(), torch.get_rng_state()]
    torch.save(states, path)
    check_torch_file(path)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_number_does_not_become_that_many_bytes(path, protocol, zipped):
    many = pickle.dumps({"a": [Calls(bytearray, 1 << 40)]}, protocol=protocol)
    torch.save({}, path, _use_new_zipfile_serialization=zipped)
    if zipped:
        write(path, [(name, many if name.endswith(".pkl") else content) for name, content in members_of(path)])
    else:
        parts, file = [], io.BytesIO(path.read_bytes())
        for _ in range(5):
            start = file.tell()
            pickle.load(file)
            parts.append(file.getvalue()[start : file.tell()])
        path.write_bytes(b"".join([*parts[:3], many, parts[4]]))
    with pytest.raises(ValueError, match="it holds a bytearray"):
        check_torch_file(path)


def test_a_small_file_does_not_become_a_large_one(path):
    torch.save(TENSORS, path)
    members = members_of(path)
    write(path, [(name, bytes(1 << 22) if name.endswith("/0") else content) for name, content in members])
    check_torch_file(path)  # as long as it is as long
    write(path, [(n, bytes(1 << 22) if n.endswith("/0") else c) for n, c in members], zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="larger than the file when it is unpacked"):
        check_torch_file(path)


def test_two_readers_see_the_same_members(path):
    torch.save(TENSORS, path)
    members = members_of(path)
    write(path, [*members, ("W/DATA.PKL", b"\x80\x02]q\0.")])
    with pytest.raises(ValueError, match="two of its members have one name"):
        check_torch_file(path)


def test_changes_are_seen_where_there_are_checksums(path):
    torch.save(TENSORS, path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(torch.arange(3).numpy().tobytes(), torch.tensor([0, 1, 3]).numpy().tobytes()))
    assert path.read_bytes() != whole
    with pytest.raises(zipfile.BadZipFile, match="has changed since it was written"):
        check_torch_file(path)
