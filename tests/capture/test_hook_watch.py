from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tessera.capture.hook_watch import HookWatch


def net():
    return nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))


def watching(module):
    watch = HookWatch("module")
    watch.begin(module)
    return watch


def needs(watch, name, kind="EMPTY_NN_MODULE_HOOKS_DICT"):
    (needed,) = watch.needed([SimpleNamespace(name=name, guard_type=kind)])
    return needed


def ignore(*_):
    return None


REGISTER = {
    "forward": lambda module: module.register_forward_hook(ignore),
    "before forward": lambda module: module.register_forward_pre_hook(ignore),
    "backward": lambda module: module.register_full_backward_hook(ignore),
    "before backward": lambda module: module.register_full_backward_pre_hook(ignore),
}


@pytest.mark.parametrize("register", REGISTER.values(), ids=REGISTER)
@pytest.mark.parametrize("layer", ["", "0", "1.0"])
def test_a_hook_on_any_layer_ends_what_was_captured_without(register, layer):
    module = net()
    watch = watching(module)
    assert watch.holds()
    handle = register(module.get_submodule(layer))
    assert not watch.holds()
    handle.remove()
    assert watching(module).holds()


def test_a_hook_elsewhere_changes_nothing():
    watch = watching(net())
    nn.Linear(2, 2).register_forward_hook(ignore)
    torch.ones(1, requires_grad=True).register_hook(ignore)
    assert watch.holds()


def test_a_hook_for_all_modules_ends_it():
    watch = watching(net())
    handle = nn.modules.module.register_module_forward_hook(ignore)
    try:
        assert not watch.holds()
    finally:
        handle.remove()


def test_a_layer_that_brings_its_hook_along_ends_it():
    other = nn.ReLU()
    other.register_forward_hook(ignore)
    module = net()
    watch = watching(module)
    module[1][0] = other
    assert not watch.holds()


def test_another_layer_without_hooks_holds():
    module = net()
    watch = watching(module)
    module[1][0] = nn.ReLU()
    assert watch.holds()
    module[1][0].register_forward_hook(ignore)
    assert not watch.holds()


@pytest.mark.parametrize(
    "name",
    [
        "module._forward_hooks",
        "module._modules['0']._backward_pre_hooks",
        "module._modules['1']._modules['0']._forward_hooks_with_kwargs",
    ],
)
def test_guards_on_hooks_of_its_layers_are_left_out_while_there_are_none(name):
    module = net()
    assert not needs(watching(module), name)
    module[1][1].register_forward_hook(ignore)
    assert needs(watching(module), name)
    assert needs(watching(None), name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loss._forward_hooks", "EMPTY_NN_MODULE_HOOKS_DICT"),
        ("module.branches[0]._forward_hooks", "EMPTY_NN_MODULE_HOOKS_DICT"),
        ("module._modules['0']", "TYPE_MATCH"),
        ("G['scale']", "CONSTANT_MATCH"),
    ],
)
def test_other_guards_stay(name, kind):
    assert needs(watching(net()), name, kind)


def test_functions_of_ours_need_no_guard():
    assert not needs(watching(None), "G['__import_tessera_dot_nn_dot_losses']._alike", "CLOSURE_MATCH")
