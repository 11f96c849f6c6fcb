from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest
import torch
from torch import fx

import tessera
from tessera.program import describe, layer_path, source_line
from tessera.program.provenance import is_library, line_of_trace

TORCH = str(Path(torch.__file__).parent / "nn/functional.py")
HERE = __file__


def frame(file, line):
    return f'  File "{file}", line {line}, in forward\n    code\n'


def node(**meta):
    graph = fx.Graph()
    made = graph.call_function(torch.ops.aten.log.default, (graph.placeholder("x"),))
    made.meta |= meta
    return made


def test_frames_of_torch_are_skipped():
    place = line_of_trace(frame("train.py", 3) + frame(HERE, 1) + frame(TORCH, 9) + frame("<eval_with_key>", 1))
    assert (place.file, place.line) == (HERE, 1)
    assert place.code == "from __future__ import annotations"


def test_a_line_of_tesseras_own_is_nobodys():
    own = str(Path(tessera.__file__).parent / "capture/train_step.py")
    assert line_of_trace(frame(own, 5)) is None
    assert line_of_trace(frame(own, 5) + frame(TORCH, 9) + frame(own, 7)).file == TORCH


def test_without_user_code_the_innermost_frame_is_named():
    assert line_of_trace(frame(TORCH, 5) + frame(TORCH, 9)).line == 9
    assert line_of_trace("") is None


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (TORCH, True),
        (tessera.__file__, True),
        (json.__file__, True),
        (f"{sysconfig.get_path('stdlib')}/site-packages/timm/layers.py", False),
        (HERE, False),
    ],
)
def test_what_a_library_is(file, expected):
    assert is_library(file) is expected


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("L['module']._modules['blocks'].3.attn", "blocks.3.attn"),
        ("L['self'].blocks.3", "blocks.3"),
        ("L['module']", ""),
    ],
)
def test_layer_path(written, path):
    assert layer_path(node(nn_module_stack={"outer": ("L['self']", None), "inner": (written, None)})) == path


def test_describe_names_operator_line_and_layer():
    made = node(stack_trace=frame("model.py", 12), nn_module_stack={"a": ("L['self'].head", None)})
    assert describe(made) == "aten.log at model.py:12 in layer head"
    assert describe(node()) == "aten.log"
    assert source_line(node()) is None
