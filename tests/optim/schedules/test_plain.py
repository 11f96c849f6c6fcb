import json
import math

from tessera.optim import constant, cosine_decay, join, piecewise_constant, reduce_on_plateau
from tessera.optim.schedules.plain import as_plain, from_plain


def test_schedules_inside_schedules():
    schedule = reduce_on_plateau(join([constant(0.1), piecewise_constant(0.1, {3: 0.5})], [4]))
    plain = json.loads(json.dumps(as_plain(schedule)))
    assert plain["schedule"] == "ReduceOnPlateau"
    assert [inner["schedule"] for inner in plain["base"]["schedules"]] == ["Constant", "PiecewiseConstant"]
    assert from_plain(plain) == schedule


def test_what_is_no_built_in_schedule_stays_as_it_is():
    class Constant:
        pass

    class Mine(type(cosine_decay(0.1, 2))):
        pass

    for value in (0.1, Constant(), Mine(0.1, 2), {"schedule": "unknown"}, {"lr": 1}, math.sqrt):
        assert as_plain(value) is value
        assert from_plain(value) is value
