from __future__ import annotations

import json

from tessera.program import Phase, Role


def test_phases_are_in_the_order_of_a_training_step():
    assert [*Phase] == ["forward", "backward", "clip", "update", "check"]


def test_a_role_is_its_own_text_in_messages_and_json():
    assert f"{Role.HYPER_PARAMETER} lr" == "hyper-parameter lr"
    assert json.loads(json.dumps({"role": Role.OPTIMIZER_STATE})) == {"role": "optimizer state"}
    assert Role("gradient accumulator") is Role.ACCUMULATOR
