import importlib

import tessera
from tessera.checkpoint import save
from tessera.checkpoint.callable import checkpoint
from tessera.nn.checkpoint import checkpoint as mark


def test_the_function_and_the_folder_have_one_name():
    assert tessera.checkpoint is checkpoint
    assert tessera.checkpoint.save is save
    assert {"save", "load", "latest"} <= set(dir(tessera.checkpoint))
    assert tessera.checkpoint.__call__.__doc__ == mark.__doc__


def test_files_of_the_folder_are_found_below_it():
    import tessera.checkpoint.manifest as found

    assert found is importlib.import_module("tessera.checkpoint.manifest")
    assert tessera.checkpoint.manifest is found


def test_a_call_marks():
    assert tessera.checkpoint(abs).__wrapped__ is abs
