from __future__ import annotations

from tessera.program import CallRecord
from tessera.program.page.calls_table import calls_table
from tests.program.page.hand_made import calls, part


def test_every_call_is_a_row():
    table = calls_table(calls())
    assert table.count("<tr>") == 1 + 3
    for words in ("extern_kernels.mm", "library", "forward", ">3.000<", ">4.00<", ">8.00<", "net.py:7", "aten.mm"):
        assert words in table
    assert "75% /home/me/net.py:9  loss = y.sum()" in table  # the hint
    assert calls_table([]) == ""


def test_time_only_where_it_was_measured():
    assert ">ms<" not in calls_table(calls(measured=False))


def test_of_many_operations_some_are_spelled_out():
    call = CallRecord("fused", "kernel", parts=[part(None, str(number), 0.2) for number in range(5)])
    call.parts[0].operations = [f"aten.op{number}" for number in range(6)]
    table = calls_table([call])
    assert "aten.op0, aten.op1, aten.op2 and 4 more<" in table
    assert "aten.op5" in table
