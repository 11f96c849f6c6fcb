import pytest
import torch

from tessera.explain.failure import Failure
from tessera.explain.rules.table import explanation_of
from tessera.explain.scene import scene
from tests.explain.hidden import variants
from tests.explain.told import PROGRAMS, call, raised, texts


def test_every_program_has_its_text_and_every_text_its_program():
    assert sorted(program.name for program in PROGRAMS) == sorted(texts())
    assert len(PROGRAMS) >= 80


def test_no_rule_speaks_where_nothing_is_known():
    assert explanation_of(Failure(RuntimeError("out of luck"), [])) is None


def test_no_rule_speaks_of_an_operation_that_is_right():
    net = torch.nn.Linear(2, 2)
    x = torch.ones(3, 2)

    def wrong():
        y = net(x) @ x.T + torch.cat([x, x], 1)[:, :3]
        y.view(9).softmax(0)
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError) as raised:
        wrong()
    assert explanation_of(scene(raised.value, (), {}).failure) is None


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_an_operand_that_cannot_be_read_makes_no_other_explanation(program, tmp_path):
    known = raised(program, call).explanation
    for name, changed in variants(program, tmp_path):
        told = getattr(raised(changed, call), "explanation", None)
        assert told is None or (told.kind, told.why.replace(f"hidden({name})", name)) == (known.kind, known.why)
