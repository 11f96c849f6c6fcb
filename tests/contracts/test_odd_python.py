"""Odd Python, program by program: results, gradients, side effects in order, exceptions, random numbers as in eager.

The programs stand in ``odd/``, a theme a file. Each calls what it compiled several times and changes something between.
"""

from __future__ import annotations

import pytest

from tests.contracts.odd import (
    appearances,  # noqa: F401
    arithmetic,  # noqa: F401
    attributes,  # noqa: F401 - each module puts its programs on the list
    belongings,  # noqa: F401
    breaks_control,  # noqa: F401
    breaks_library,  # noqa: F401
    breaks_objects,  # noqa: F401
    cells_and_contexts,  # noqa: F401
    containers,  # noqa: F401
    control,  # noqa: F401
    decisions_effects,  # noqa: F401
    decisions_forms,  # noqa: F401
    decisions_gradients,  # noqa: F401
    decisions_memory,  # noqa: F401
    decisions_names,  # noqa: F401
    decisions_surroundings,  # noqa: F401
    effects,  # noqa: F401
    exceptions,  # noqa: F401
    generators,  # noqa: F401
    gradients,  # noqa: F401
    habits,  # noqa: F401
    kinds,  # noqa: F401
    layers,  # noqa: F401
    ledgers,  # noqa: F401
    library,  # noqa: F401
    memory,  # noqa: F401
    modules,  # noqa: F401
    modules_around,  # noqa: F401
    modules_changing,  # noqa: F401
    mutation,  # noqa: F401
    names,  # noqa: F401
    names_rebound,  # noqa: F401
    numbers,  # noqa: F401
    objects,  # noqa: F401
    objects_between_calls,  # noqa: F401
    outsiders,  # noqa: F401
    outsiders_modules,  # noqa: F401
    protocols,  # noqa: F401
    pythons_habits,  # noqa: F401
    recipes,  # noqa: F401
    reported_containers,  # noqa: F401
    reported_gradients,  # noqa: F401
    reported_memory,  # noqa: F401
    reported_objects,  # noqa: F401
    samplers_and_caches,  # noqa: F401
    shared_memory,  # noqa: F401
    sharp_bits,  # noqa: F401
    sharp_values,  # noqa: F401
    slopes,  # noqa: F401
    state_between_calls,  # noqa: F401
    surprises,  # noqa: F401
    surroundings,  # noqa: F401
    tensors_and_hooks,  # noqa: F401
    tensors_edges,  # noqa: F401
    tensors_kinds,  # noqa: F401
    tools,  # noqa: F401
    trainers,  # noqa: F401
    training_control,  # noqa: F401
    training_layers,  # noqa: F401
    training_scripts,  # noqa: F401
    training_state,  # noqa: F401
    users_classes,  # noqa: F401
    values_and_effects,  # noqa: F401
)
from tests.contracts.odd.recorder import PROGRAMS, WAYS, differences, run

# Where a user could notice that Tessera ran it, and what. Every other program is as in eager, to the last side effect.
KNOWN = {
    "array_protocol": "torch warns of torch.tensor(array) when it is captured",
    "casts_that_do_not_fit": "what NaN becomes as a whole number is not defined, and is another one",
    "complex_inputs": "the angle of a transposed complex tensor is contiguous",
    "empty_and_scalar": "a tensor without elements has other strides",
    "gradients_scaled_by_hooks": "a compiled backward gives all gradients at once: hooks of weights have another order",
    "grad_mode_left_off": "a loss without a graph is refused by Tessera's error in place of autograd's",
    "grad_of_norm_at_zero": "stabilise gives the gradient of sqrt under a where, which is NaN in eager",
    "inference_mode_outside": "as grad_mode_left_off",
    "inference_tensor_given": "a write to an inference tensor is refused in Tessera's words",
    "kernel_warns_of_what_it_is_given": "what a kernel of torch warns of, a kernel of ours does not",
    "layers_in_plain_lists": "a training step keeps no gradients of parameters that no optimizer has",
    "promotion_table": "what is bfloat16 between two operations of one kernel is not rounded",
    "resized_and_reset": "a write to a tensor that was set_ to another counts as one to that",
    "warnings_of_losses": "what a loss of torch warns of is told once, when it is captured",
    "zip_that_is_strict": "Dynamo words the error of zip(strict=True) itself where it is caught inside",
}
FAST = ("closure_nonlocal", "raises_after_effects", "list_argument_edited", "training_flag", "context_manager_class")


def check(name, way):
    run(name, way, ours=False)  # what torch warns of once a process is over
    expected, found = run(name, way, ours=False), run(name, way, ours=True)
    return list(differences(expected.events, found.events))


@pytest.mark.parametrize("name", FAST)
def test_is_as_eager(name):
    assert not check(name, "compile")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - KNOWN.keys()))
def test_every_program_is_as_eager_in_every_way(name, way):
    assert not check(name, way)


def test_what_is_known_is_a_program():
    assert KNOWN.keys() <= PROGRAMS.keys()
    assert len(PROGRAMS) > 300
