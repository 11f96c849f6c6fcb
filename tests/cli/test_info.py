from __future__ import annotations

import json
import tomllib
from importlib import metadata

import torch

import tessera
from tessera.cli import info
from tessera.cli.main import main
from tests.house.reading import ROOT


def shown(capsys, *arguments: str) -> str:
    assert main(["info", *arguments]) == 0
    return capsys.readouterr().out


def test_it_says_what_is_here(project, capsys, monkeypatch):
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, str(project / name))
    (project / "TRITON_CACHE_DIR" / "0").mkdir(parents=True)
    (project / "TORCHINDUCTOR_CACHE_DIR").mkdir()
    (project / "TORCHINDUCTOR_CACHE_DIR" / "a").write_bytes(bytes(70))
    for number in range(3):
        (project / "TRITON_CACHE_DIR" / "0" / f"{number}.so").write_bytes(bytes(500))
    (project / "TRITON_CACHE_DIR" / "round").symlink_to(project / "TRITON_CACHE_DIR")
    facts = json.loads(shown(capsys, "--json"))
    assert facts["versions"]["tessera"] == tessera.__version__
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["devices"]["threads"] == torch.get_num_threads()
    assert facts["compiler"]["command"]
    assert facts["compiler"]["version"]
    link = (project / "TRITON_CACHE_DIR" / "round").lstat().st_size
    assert list(facts["caches"].values()) == [None, 70, 1500 + link]
    text = shown(capsys)
    for section, found in facts.items():
        assert section in text.splitlines()
        for name in found:
            assert name in text
    assert "not there yet" in text
    assert "1.5" in text


def test_what_is_not_installed_says_how_to_install_it(project, capsys, monkeypatch):
    found = metadata.version

    def version(name):
        if name in ("pyarrow", "triton"):
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "version", version)
    lines = shown(capsys).splitlines()
    (line,) = [line for line in lines if line.strip().startswith("pyarrow")]
    assert "not installed" in line
    assert line.endswith("pip install 'tessera[data]'")
    assert json.loads(shown(capsys, "--json"))["packages"]["pyarrow"] is None


def test_the_optional_packages_are_those_of_the_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    of_users = {name: needs for name, needs in extras.items() if name not in {"test", "dev", "peers", "demo"}}
    listed = {(need.partition(">=")[0], name) for name, needs in of_users.items() for need in needs}
    assert {(package, extra) for package, extra, _ in info.OPTIONAL} == listed


def test_a_compiler_that_is_not_there_or_says_nothing(project, monkeypatch):
    silent = project / "cc"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    for command in ("", str(silent)):
        monkeypatch.setattr("tessera.torch_internals.cpp_compiler", lambda found=command: found)
        assert info.collect()["compiler"] == {"command": command or None, "version": None}
