"""The repository keeps its own rules (`tests/house/rules.py`), and every rule has been seen to fail."""

from __future__ import annotations

import pytest

from tests.house.reading import Files, repository
from tests.house.rules import (
    LARGEST_MEDIAN,
    LONGEST_FILE,
    RULES,
    Rule,
    every_example_is_a_program_under_test,
    every_source_has_a_twin,
    files_are_short,
    imports_go_down,
    init_is_a_table_of_contents,
    installs_are_constrained,
    most_files_are_small,
    names_say_something,
    no_registry_is_named,
    nothing_is_left_unfinished,
    nothing_is_unpickled,
    private_torch_stays_in_one_file,
    readme_tree_is_true,
    the_root_is_small,
)

# One entry: a rule, the files that break it, a word of the message it must give.
BROKEN: tuple[tuple[Rule, Files, str], ...] = (
    (every_source_has_a_twin, {"tessera/nn/linear.py": ""}, "tests/nn/test_linear.py"),
    (imports_go_down, {"tessera/nn/linear.py": "from tessera.train.fit import fit"}, "floor 4"),
    (imports_go_down, {"tessera/nn/linear.py": "from tessera import export"}, "floor 5"),
    (imports_go_down, {"tessera/nn/linear.py": "from ..capture import compile"}, "floor 3"),
    (imports_go_down, {"tessera/nn/linear.py": "def fit():\n    import tessera.train.fit"}, "floor 4"),
    (imports_go_down, {"tessera/nn/module.py": "import tessera.train.fit"}, "floor 4"),
    (imports_go_down, {"tessera/nn/linear.py": "import tessera"}, "table of contents"),
    (imports_go_down, {"tessera/attic/old.py": ""}, "FLOORS"),
    (imports_go_down, {"tessera/nn/linear.py": "import tessera.attic"}, "FLOORS"),
    (
        imports_go_down,
        {"tessera/nn/a.py": "import tessera.optim.b", "tessera/optim/b.py": "import tessera.nn.a"},
        "each other",
    ),
    (private_torch_stays_in_one_file, {"tessera/a.py": "import torch._dynamo"}, "torch._dynamo"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "from torch import _dynamo"}, "torch._dynamo"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "from torch._C import Graph"}, "torch._C"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "from torch.fx.experimental import proxy_tensor"}, "fx.experim"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "import torch\ntorch._C._dynamo.guards"}, "torch._C._dynamo"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "from torch.utils import data as d\nd._utils"}, "data._utils"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "import torch\ngetattr(torch, '_dynamo')"}, "torch._dynamo"),
    (private_torch_stays_in_one_file, {"tessera/a.py": "import_module('torch._inductor.config')"}, "torch._inductor"),
    (files_are_short, {"tests/test_a.py": "pass\n" * (LONGEST_FILE + 1)}, "601"),
    (most_files_are_small, {"tessera/a.py": "pass\n" * (LARGEST_MEDIAN + 1)}, "tessera/a.py"),
    (init_is_a_table_of_contents, {"tessera/nn/__init__.py": "def build(): ..."}, "logic"),
    (init_is_a_table_of_contents, {"tessera/nn/__init__.py": "def __getattr__(name): ..."}, "logic"),
    (init_is_a_table_of_contents, {"tessera/nn/__init__.py": "registry = {}"}, "logic"),
    (init_is_a_table_of_contents, {"tessera/__init__.py": "if TYPE_CHECKING:\n    print(1)"}, "logic"),
    (names_say_something, {"tessera/utils.py": ""}, "utils"),
    (names_say_something, {"tests/core/test_x.py": ""}, "core"),
    (names_say_something, {"tests/test_common.py": ""}, "common"),
    (names_say_something, {"tessera/train/fit_v2.py": ""}, "fit_v2"),
    (the_root_is_small, {"plain.txt": "90"}, "give it a folder"),
    (every_example_is_a_program_under_test, {"examples/xor.py": "print(1)"}, "def main()"),
    (every_example_is_a_program_under_test, {"examples/xor.py": "def main(): ..."}, "no test"),
    (nothing_is_left_unfinished, {"README.md": "TO" + "DO"}, "open an issue"),
    (nothing_is_unpickled, {"tessera/a.py": "import pickle"}, "safetensors"),
    (nothing_is_unpickled, {"tessera/a.py": "from dill import loads"}, "safetensors"),
    (nothing_is_unpickled, {"tessera/a.py": "torch.load(path)"}, "weights_only=True"),
    (nothing_is_unpickled, {"tessera/a.py": "torch.load(path, weights_only=False)"}, "weights_only=True"),
    (nothing_is_unpickled, {"tessera/a.py": "np.load(path, allow_pickle=True)"}, "allow_pickle"),
    (no_registry_is_named, {"Makefile": f"https://{'pypi'}.org"}, "host"),
    (installs_are_constrained, {"Makefile": "pip install torch"}, "constraints"),
    (readme_tree_is_true, {"tessera/nn/a.py": "", "README.md": ""}, "add a line"),
    (readme_tree_is_true, {"README.md": "```text\ntessera/\n  nn/\n    gone.py  x\n```"}, "tessera/nn/gone.py"),
)

# What comes near to breaking a rule and is right.
SOUND: Files = {
    "tessera/__init__.py": '"""Contents."""\n_CONTENTS = {}\ndef __getattr__(name): ...\n',
    "tessera/errors.py": "",
    "tessera/nn/module.py": "from tessera.errors import E\ndef fit():\n    from tessera.train.fit import fit\n",
    "tessera/nn/layers.py": "if TYPE_CHECKING:\n    import tessera.train.fit\nfrom tessera.nn.module import M\n",
    "tessera/nn/__init__.py": "from tessera.nn.module import M as M\n__all__ = ['M']\n",
    "tessera/optim/scores.py": "import torch\ntorch.ops.aten._softmax\ntorch.__version__\nself._value\n",
    "tessera/train/fit.py": "import torch\ntorch.load(path, weights_only=True)\n",
    "tessera/torch_internals.py": "import torch._dynamo\n",
    "tests/test_errors.py": "",
    "tests/test_torch_internals.py": "",
    "tests/nn/test_module.py": "",
    "tests/nn/test_layers.py": "",
    "tests/optim/test_scores.py": "",
    "tests/train/test_fit.py": "import pickle\n",
    "examples/xor.py": "def main(): ...\n",
    "tests/examples/test_xor.py": "from examples.xor import main\n",
    "Makefile": "pip install -c constraints.txt torch\n",
    "README.md": """```text
tessera/
  __init__.py         contents
  errors.py           errors
  torch_internals.py  privates
  nn/                 layers
    module.py         the base
    layers.py         the rest
  optim/              optimizers
    scores.py         scores
  train/
    fit.py            the loop
tests/                the same tree
```
""",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps(rule):
    found = list(rule(repository()))
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(("rule", "files", "word"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_seen(rule, files, word):
    found = list(rule(files))
    assert any(word in message for message in found), found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_sound_passes(rule):
    assert list(rule(SOUND)) == []


def test_every_rule_has_been_seen_to_fail():
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_the_rules_look_at_the_files():
    files = repository()
    assert {"tessera/errors.py", "tests/house/rules.py", "Makefile", ".ci/run", "README.md"} <= set(files)
