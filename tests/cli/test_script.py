from __future__ import annotations

import signal
import sys

import pytest

from tessera.cli.main import main
from tessera.cli.script import run_script
from tessera.errors import SettingError


@pytest.fixture
def script(project):
    def write(code: str):
        (project / "script.py").write_text(code)
        return project / "script.py"

    return write


def test_it_runs_as_python_runs_it(script, capsys):
    path = script("import sys, net\nprint(__name__, __file__, sys.argv, net.Net.__name__)\n")
    assert main(["train", str(path), "--epochs", "3", "--help"]) == 0
    assert capsys.readouterr().out == f"__main__ {path} {[str(path), '--epochs', '3', '--help']} Net\n"


def test_its_functions_are_found_in_main(script, capsys):
    path = script("import pickle\ndef f(): return 1\nprint(pickle.loads(pickle.dumps(f))())\n")
    assert run_script(path, []) == 0
    assert capsys.readouterr().out == "1\n"


def test_its_own_exit_code_is_kept(script):
    with pytest.raises(SystemExit) as ended:
        main(["train", str(script("raise SystemExit(7)"))])
    assert ended.value.code == 7


def test_its_errors_are_its_own(script, capsys):
    with pytest.raises(ZeroDivisionError):
        main(["train", str(script("1 / 0"))])
    code = "from tessera.errors import SettingError\nraise SettingError('a.', 'b.', 'c.')\n"
    assert main(["train", str(script(code))]) == 1
    assert capsys.readouterr().err == "tessera: a. b. c.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_is_told_by_the_exit_code(script, number, capsys):
    path = script(f"""
import signal, net, tessera
def interrupt(history):
    signal.raise_signal({int(number)})
module = net.Net()
optimizer = tessera.optim.SGD(module, lr=0.1)
history = tessera.fit(
    module, net.train(), loss="cross_entropy", optimizer=optimizer, epochs=50, callbacks=[interrupt], progress=False
)
print(len(history.epochs), history.interrupted)
""")
    before = signal.getsignal(number)
    assert main(["train", str(path)]) == 128 + number
    assert capsys.readouterr().out == f"1 {int(number)}\n"
    assert signal.getsignal(number) is before


def test_other_signals_tell_nothing(script):
    code = "import signal\nsignal.signal(signal.SIGUSR1, print)\nsignal.raise_signal(signal.SIGUSR1)\n"
    before = signal.getsignal(signal.SIGUSR1)
    try:
        assert main(["train", str(script(code))]) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1  # nothing is left behind


def test_what_is_no_script(project):
    with pytest.raises(SettingError, match="there is no such file"):
        run_script(project / "none.py", [])
    with pytest.raises(SettingError, match="They are for config files"):
        main(["train", "--traceback", "--dry-run", str(project / "net.py")])
    assert sys.argv[0] != str(project / "none.py")
