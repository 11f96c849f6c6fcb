"""What the error of a broken program has to be, checked whole."""

import functools
import re
from pathlib import Path

import pytest
import torch

from tests.explain import broken_calls, broken_layers, broken_shapes
from tests.explain.program import PROGRAMS

FILES = (broken_shapes, broken_layers, broken_calls)  # importing them lists their programs
TEXTS = Path(__file__).parent / "texts.txt"


def of(*names):
    """The programs of these names, as parameters of a test."""
    by_name = {program.name: program for program in PROGRAMS}
    return pytest.mark.parametrize("program", [by_name[name] for name in names], ids=names)


def raised(program, run):
    """The error that ``run(model, *inputs)`` raises."""
    torch.manual_seed(0)
    try:
        run(program.model(), *program.inputs())
    except Exception as error:  # noqa: BLE001 - whatever torch raises
        return error
    pytest.fail(f"{program.name} raised nothing")


def call(model, *inputs):
    return model(*inputs)


def check(program, run=call, *, whole=True):
    """Type and words are torch's, the place is right, a fix mends it, and the text is the one that was read over."""
    torch.manual_seed(0)
    with pytest.raises(Exception) as plain:  # noqa: PT011 - the type is what is asked for
        program.model(torch.nn.Module)(*program.inputs())
    error = raised(program, run)
    assert type(error) is plain.type
    explained = error.explanation
    assert explained.said == str(plain.value)
    text = str(error)
    headline = text.splitlines()[0]
    assert headline.startswith(
        f"{program.kind} in '{program.name}' " + (f"({program.layer}) " if program.layer else "")
    )
    assert headline.endswith(f"{program.file}:{program.line}")
    assert any(program.fix in fix for fix in explained.fixes[: 1 if program.first else 3]), explained.fixes
    if whole:
        assert normal(text) == texts()[program.name]


def normal(text):
    """Without line numbers, and without torch's words, which change with its versions."""
    text = re.sub(r"(LayerNorm\(.*), bias=True\)", r"\1)", text)  # which torch 2.11 does not say
    lines = re.sub(r"at \S*broken_\w+\.py:\d+", "at broken.py:LINE", text).splitlines()
    said = next(i for i, line in enumerate(lines) if line.startswith("  PyTorch says: "))
    return "\n".join(lines[:said])


@functools.cache
def texts():
    parts = re.split(r"^== (\w+)\n", TEXTS.read_text(), flags=re.MULTILINE)[1:]
    return {name: text.strip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}
