from __future__ import annotations

import sys

import pytest

from tessera.cli.objects import find_object, is_reference
from tessera.errors import SettingError


def test_an_object_of_a_file_of_a_class_and_of_a_package(project, entry):
    (project / "deep").mkdir()
    (project / "deep" / "other.py").write_text("import net\nclass A:\n    def make(): return net.Net(7)\n")
    (project / "deep" / "net.py").write_text("def Net(n): return n\n")
    root = entry('a = "deep/other.py:A.make"\nb = "torch.nn:MSELoss"\n')
    assert find_object(root["a"])() == 7  # beside the file, as for a script
    assert find_object(root["b"])() is not None


def test_a_file_is_imported_once_under_its_own_name(project, entry):
    root = entry('a = "net.py:Net"\nb = "./net.py:train"\n')
    assert find_object(root["a"]).__module__ == find_object(root["b"]).__module__ == "net"
    assert sys.path[0] == str(project)
    assert sys.path.count(str(project)) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"net.py"', 'An object is written "file.py:name"'),
        ('":Net"', 'An object is written "file.py:name"'),
        ('"net.py:"', 'An object is written "file.py:name"'),
        ("3", "a = 3 names no object"),
        ('"nett.py:Net"', "there is no file"),
        ('"net.py:Nte"', "Write 'Net'."),
        ('".:Net"', "'.', which is neither a file nor a module"),
        ('"..package:Net"', "which is neither a file nor a module"),
        ('"net.py:Net.none"', "net.py has no 'Net.none'"),
        ('"no_such_package.inside:x"', "there is no such module"),
        ('"torch.nn:MSELos"', "Write 'MSELoss'."),
        ('"random.py:choice"', "Rename it, for example to my_random.py."),
        ('"sys.py:path"', "one that is built in"),
    ],
)
def test_what_is_not_there(project, entry, value, words):
    for name in ("random.py", "sys.py"):
        (project / name).write_text("choice = path = 1\n")
    root = entry(f"\na = {value}\n")
    with pytest.raises(SettingError) as caught:
        find_object(root["a"])
    assert words in str(caught.value)
    assert caught.value.where.line == 2


def test_an_error_inside_the_file_is_its_own(project, entry):
    (project / "broken.py").write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        find_object(entry('a = "broken.py:x"')["a"])


def test_what_is_a_reference():
    assert is_reference("net.py:Net")
    assert not any(map(is_reference, ["mse", 3, None, {"name": "a:b"}]))
