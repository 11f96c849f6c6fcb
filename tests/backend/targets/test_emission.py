from __future__ import annotations

import json

from tessera.backend.targets.emission import Emission, Kernel, LibraryCall, Schedule


def emission() -> Emission:
    """One kernel that is fine, one that spills, one that did not compile."""
    line = "/home/me/model.py:7  return x.sin()"
    kernels = [
        Kernel(
            "triton_red_1", 1, 48 * 10**6, 5000, 1e-5, ["aten.sum"], [line, line], [Schedule({}, 8, 1, 255, 64, 512)]
        ),
        Kernel("triton_poi_0", 3, 4800, 12, 1e-9, ["aten.sin"], [line], [Schedule({"XBLOCK": 64}, 4, 1, 18, 0, 0)]),
        Kernel("triton_poi_2", 1, 16, 0, 0.0, error="PTXASError: too much"),
    ]
    return Emission(
        "training step of Net",
        "h200",
        "sm_90",
        {"torch": "2.13.0", "triton": "3.7.1"},
        kernels,
        [LibraryCall("extern_kernels.mm", 2, 2000, 10**9, 2e-3)],
        1,
        2.5,
        ["pass merge: 1 match"],
        {"triton_poi_0.py": "import triton\n", "wrapper.py": "call = 1\n"},
        {"triton_poi_0.cubin": b"\x7fELF\xff"},
    )


def test_the_table():
    assert str(emission()).splitlines() == [
        "training step of Net for h200 (sm_90): 2 of 3 kernels compiled in 2.5 s, 1 spill registers",
        "one call: 5 kernel launches, 2 library calls, 1 on the host; roofline 2.01 ms",
        "",
        "kernel        launches  registers  spilled B  shared B  warps  bytes  FLOPs  roofline  from",
        "------------  --------  ---------  ---------  --------  -----  -----  -----  --------  ---------------------",
        "triton_red_1         1        255         64       512      8    48M     5k     10 us  model.py:7 and 1 more",
        "triton_poi_0         3         18          0         0      4   4.8k     12  0.001 us  model.py:7",
        "triton_poi_2         1     failed                                 16      0      0 us",
        "",
        "library call       calls  bytes  FLOPs  roofline",
        "-----------------  -----  -----  -----  --------",
        "extern_kernels.mm      2     2k     1G      2 ms",
        "triton_poi_2 did not compile: PTXASError: too much",
        "pass merge: 1 match",
    ]


def test_what_went_wrong_can_be_asked_for():
    made = emission()
    assert [kernel.name for kernel in made.failed] == ["triton_poi_2"]
    assert [kernel.name for kernel in made.spilling] == ["triton_red_1"]


def test_json_has_all_but_the_files():
    told = json.loads(emission().to_json())
    assert told["kernels"][0]["schedules"][0]["registers"] == 255
    assert told["roofline_seconds"] == emission().roofline_seconds
    assert "sources" not in told
    assert "cubins" not in told
