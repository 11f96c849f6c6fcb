"""Optional means lazy: what `import tessera` loads and costs, seen from fresh interpreters."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import tessera

OPTIONAL = {
    *("fastapi", "jax", "onnx", "onnxruntime", "onnxscript", "optax", "rich", "sklearn", "transformers", "triton"),
    *("torch._dynamo", "torch._inductor"),
}
AT_MOST = 1.3  # times `import torch`; the benchmark holds 1.15, a test machine is noisier


def fresh(code: str) -> str:
    """What a new interpreter prints when it runs the code."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout


def loaded_by(code: str) -> set[str]:
    return set(json.loads(fresh(f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")))


def seconds_of_imports() -> tuple[float, float]:
    """Seconds that `import torch` takes, and then `import tessera` on top of it."""
    code = """
        from time import perf_counter
        start = perf_counter()
        import torch
        torch_done = perf_counter()
        import tessera
        print(torch_done - start, perf_counter() - torch_done)
    """
    torch_alone, tessera_more = fresh(textwrap.dedent(code)).split()
    return float(torch_alone), float(tessera_more)


def test_import_loads_nothing_optional():
    loaded = loaded_by("import tessera")
    assert "tessera" in loaded
    assert not OPTIONAL & loaded


@pytest.mark.parametrize("name", ["nn", "optim", "model"])
def test_layers_and_optimizers_run_without_a_compiler(name):
    assert not OPTIONAL & loaded_by(f"import tessera\ntessera.{name}")


def test_the_check_sees_what_is_loaded():
    assert {"rich", "torch._dynamo"} <= OPTIONAL & loaded_by("import rich, torch._dynamo")


def test_import_costs_little_more_than_torch():
    ratio = statistics.median(1 + more / torch_alone for torch_alone, more in (seconds_of_imports() for _ in range(3)))
    assert ratio <= AT_MOST


BESIDE = {path.stem for path in Path(tessera.__file__).parent.iterdir()}
HIDING = [name for name, place in tessera._CONTENTS.items() if ":" in place and name in BESIDE]


def test_some_folders_have_the_name_of_a_function():
    assert {"check", "checkpoint", "export"} <= set(HIDING)


@pytest.mark.parametrize("name", HIDING)
def test_a_folder_never_hides_the_function_of_its_name(name):
    module = tessera._CONTENTS[name].partition(":")[0]
    assert fresh(f"import {module}, tessera\nprint(callable(tessera.{name}))") == "True\n"


def test_dir_lists_every_public_name():
    assert set(tessera.__all__) < set(dir(tessera))
    assert "__version__" in dir(tessera)


@pytest.mark.parametrize("name", tessera.__all__)
def test_every_listed_name_is_there(name):
    value = getattr(tessera, name)
    assert value is getattr(tessera, name)
    assert name in vars(tessera)  # found once, then an ordinary attribute


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"module 'tessera' has no attribute 'complie'; it has .*compile, .*fit"):
        tessera.complie  # noqa: B018 - reading the attribute is the test
