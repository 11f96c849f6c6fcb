from __future__ import annotations

import random
import zipfile

import pytest

from tessera.errors import ExportError
from tessera.export.signed_package import check_package, sign_package


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/code.so", bytes(range(256)))
        file.writestr("m/archive_version", "1")
    return path


def test_a_package_of_ones_own_is_as_it_was_written(package):
    its_hash = sign_package(package)
    check_package(package)
    check_package(package, trust=its_hash)
    with pytest.raises(ExportError, match="its hash is sha256:"):
        check_package(package, trust="sha256:0")


def test_a_package_from_elsewhere_needs_its_hash(package, tmp_path, monkeypatch):
    its_hash = sign_package(package)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    with pytest.raises(ExportError) as error:
        check_package(package)
    assert str(error.value) == (
        f"{package} was not written by you on this machine, or was changed since; its hash is {its_hash}. "
        "A package holds compiled code, which could do anything that you can do. "
        "If someone you trust wrote it and names this hash, pass it as trust; else export the model anew."
    )
    check_package(package, trust=its_hash)


def test_an_unsigned_package_is_not_trusted(package):
    with pytest.raises(ExportError, match="was not written by you"):
        check_package(package)


def test_no_changed_package_passes(package):
    sign_package(package)
    whole = package.read_bytes()
    chance = random.Random(0)
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3])):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        changed = changed[: chance.choice([len(changed), len(changed), chance.randrange(len(changed))])]
        if changed != whole:
            package.write_bytes(changed)
            with pytest.raises(ExportError):
                check_package(package)


def test_the_package_is_still_a_zip(package):
    sign_package(package)
    with zipfile.ZipFile(package) as file:
        assert file.read("m/code.so") == bytes(range(256))


def test_no_such_file(tmp_path):
    with pytest.raises(ExportError, match="cannot be read: No such file or directory"):
        check_package(tmp_path / "m.pt2")
