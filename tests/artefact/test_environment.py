"""What compiled code was made for."""

from __future__ import annotations

from tessera.artefact.environment import environment, unfit


def test_this_process_fits_itself():
    assert unfit(environment()) == []
    assert environment().keys() == {"torch", "tessera", "python", "system", "processor", "instructions"}


def test_each_difference_is_named():
    for name in ("torch", "tessera", "python", "system", "processor"):
        (reason,) = unfit(environment() | {name: "another"})
        assert reason == f"{name} was another and is {environment()[name]}"


def test_a_processor_may_know_more_but_not_less():
    known = environment()["instructions"].split()
    assert unfit(environment() | {"instructions": " ".join(known[::2])}) == []
    assert unfit(environment() | {"instructions": " ".join([*known, "warp", "amx9"])}) == [
        "this processor has no amx9, warp"
    ]


def test_what_is_not_said_is_a_difference():
    assert len(unfit({})) == 5
