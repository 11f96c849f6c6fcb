from __future__ import annotations

import signal

import pytest

from tessera.cli import info
from tessera.cli.main import main
from tessera.errors import SettingError


def test_an_error_is_its_text_and_exit_code_1(project, capsys):
    assert main(["train", str(project / "none.toml")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"tessera: {project / 'none.toml'} cannot be read")
    assert "Traceback" not in shown


def test_traceback_shows_where(project):
    with pytest.raises(SettingError):
        main(["train", "--traceback", str(project / "none.toml")])


@pytest.mark.parametrize("arguments", [[], ["tarin"], ["report", "--html", "a", "--json"], ["info", "--none"]])
def test_a_wrong_command_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: tessera" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "collect", interrupted)
    assert main(["info"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "tessera: interrupted\n"
    with pytest.raises(KeyboardInterrupt):
        main(["info", "--traceback"])


def test_another_error_is_as_python_shows_it(monkeypatch):
    monkeypatch.setattr(info, "collect", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["info"])


@pytest.mark.parametrize("command", ["train", "info", "report", "emit"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 7
