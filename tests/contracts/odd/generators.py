"""Sources of numbers that keep a state: random generators, iterators, counters, clocks."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import itertools
import math
import os
import random
import secrets
import time
import uuid

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd

_kept = random.Random(7)
_count = itertools.count()


class Dice(random.Random):
    """Of a user's own."""

    def roll(self):
        return self.randint(1, 6)


class Counter:
    """Numbers of its own making."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1103515245 + 12345) % 2**31
        return self.state / 2**31


@odd
def random_object_of_a_string(r):
    def f(x):
        dice = random.Random("ab")
        return x + dice.random()

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def random_object_made_inside(r):
    def f(x):
        dice = random.Random(5)
        return x * dice.choice([1, 2, 3, 4, 5]) + dice.random() + dice.gauss(0, 1)

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def random_object_returned(r):
    def f(x, seed):
        dice = random.Random(seed)
        y = x * dice.uniform(1, 2)
        return y, dice

    f = r.compile(f)
    for seed in (1, 2, 1):
        got = f(grid(), seed)
        r.see(got[1].random() if isinstance(got, tuple) else None)


@odd
def random_object_over_a_break(r):
    def f(x, seed):
        dice = random.Random(seed)
        x = x * dice.random()
        print("halfway", float(x.sum()))
        return x + dice.random(), dice.getstate()[1][-1]

    f = r.compile(f)
    for seed in (3, 3, 4):
        f(grid(), seed)


@odd
def random_object_of_a_global(r):
    _kept.seed(7)
    f = r.compile(lambda x: x * _kept.random() + _kept.randrange(10))
    for _ in range(3):
        f(grid())
    r.see(_kept.random())
    _kept.seed(7)
    f(grid())


@odd
def random_object_of_a_closure(r):
    dice = random.Random(1)

    def f(x):
        items = [1.0, 2.0, 3.0]
        dice.shuffle(items)
        return x * items[0] + items[1]

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(dice.random())


@odd
def random_object_given(r):
    f = r.compile(lambda x, dice: x * dice.random())
    dice = random.Random(2)
    for _ in range(3):
        f(grid(), dice)
    f(grid(), random.Random(2))
    r.see(dice.random())


@odd
def random_object_of_a_subclass(r):
    def f(x):
        dice = Dice(3)
        return x * dice.roll() + dice.roll()

    f = r.compile(f)
    for _ in range(2):
        f(grid())


@odd
def random_object_copied(r):
    def f(x, dice):
        same = copy.deepcopy(dice)
        return x * dice.random() - same.random()

    f = r.compile(f)
    dice = random.Random(9)
    f(grid(), dice)
    f(grid(), dice)


@odd
def random_state_kept_and_put_back(r):
    def f(x):
        state = random.getstate()
        y = x * random.random()
        random.setstate(state)
        return y - random.random()

    f = r.compile(f)
    for _ in range(2):
        f(grid())


@odd
def random_of_the_system(r):
    f = r.compile(lambda x: x * (random.SystemRandom().random() < 2) + (secrets.randbelow(1) == 0))
    for _ in range(2):
        f(grid())


@odd
def random_functions_of_the_module(r):
    def f(x):
        items = random.sample(range(100), 3)
        random.shuffle(items)
        picked = random.choices([1, 2, 3], weights=[1, 1, 5], k=2)
        return x * items[0] + picked[0] - random.betavariate(1, 2) + random.getrandbits(5)

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def numpy_generator_made_inside(r):
    def f(x):
        rng = np.random.default_rng(5)
        return x * rng.random() + float(rng.integers(10)), torch.from_numpy(rng.normal(size=3))

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def numpy_generator_of_a_closure(r):
    rng = np.random.default_rng(6)
    f = r.compile(lambda x: x + torch.as_tensor(rng.standard_normal(3)).float())
    for _ in range(3):
        f(grid())
    r.see(rng.random())


@odd
def numpy_random_state(r):
    def f(x):
        state = np.random.RandomState(3)
        return x * state.rand() + state.permutation(4)[0]

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def numpy_functions_of_the_module(r):
    def f(x):
        y = x * np.random.uniform(1, 2) + np.random.randint(5)
        return y + torch.from_numpy(np.random.rand(3)).float()

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    np.random.seed(4)
    f(grid())


@odd
def torch_generator_made_inside(r):
    def f(x):
        g = torch.Generator().manual_seed(4)
        return x + torch.rand(3, generator=g) + torch.randint(5, (1,), generator=g)

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def torch_generator_of_a_closure(r):
    g = torch.Generator().manual_seed(1)
    f = r.compile(lambda x: x * torch.randn(3, generator=g))
    for _ in range(3):
        f(grid())
    r.see(torch.rand(1, generator=g), g.initial_seed())


@odd
def torch_seeded_inside(r):
    def f(x, seed):
        torch.manual_seed(seed)
        return x + torch.rand(3), torch.initial_seed()

    f = r.compile(f)
    for seed in (1, 1, 2):
        f(grid(), seed)


@odd
def torch_state_forked(r):
    def f(x):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            noise = torch.rand(3)
        return x + noise, torch.rand(1)

    f = r.compile(f)
    for _ in range(2):
        f(grid())


@odd
def torch_state_kept_and_put_back(r):
    def f(x):
        state = torch.get_rng_state()
        a = torch.rand(3)
        torch.set_rng_state(state)
        return x + a - torch.rand(3)

    f = r.compile(f)
    for _ in range(2):
        f(grid())


@odd
def generator_of_a_users_own(r):
    def f(x, numbers):
        made = Counter(1)
        return x * numbers.next() + made.next() + made.next()

    f = r.compile(f)
    numbers = Counter(42)
    for _ in range(3):
        f(grid(), numbers)
    r.see(numbers.state)


@odd
def counter_of_a_global(r):
    global _count
    _count = itertools.count()
    f = r.compile(lambda x: x + next(_count))
    for _ in range(4):
        f(grid())
    r.see(next(_count))


@odd
def counter_of_a_closure(r):
    count = itertools.count(10, 5)
    f = r.compile(lambda x: x * next(count) + next(count))
    for _ in range(3):
        f(grid())
    r.see(next(count))


@odd
def cycle_of_a_closure(r):
    turns = itertools.cycle([1.0, 2.0, 3.0])
    f = r.compile(lambda x: x * next(turns))
    for _ in range(5):
        f(grid())
    r.see(next(turns))


@odd
def iterator_of_a_list_used_up(r):
    numbers = iter([1, 2, 3])
    f = r.compile(lambda x: x * next(numbers, -1))
    for _ in range(5):
        f(grid())


@odd
def iterator_given(r):
    f = r.compile(lambda x, it: x * next(it) + sum(it))
    f(grid(), iter([1, 2, 3]))
    f(grid(), iter((5, 7)))
    f(grid(), iter(range(4)))
    f(grid(), map(float, "12"))
    f(grid(), iter({4: 1, 5: 2}))


@odd
def itertools_made_inside(r):
    def f(x):
        pairs = list(itertools.pairwise([1, 2, 3])) + list(itertools.combinations([1, 2, 3], 2))
        grouped = {k: sum(g) for k, g in itertools.groupby([1, 1, 2, 2, 3])}
        first, second = itertools.tee(iter([1, 2, 3]))
        next(first)
        total = sum(itertools.accumulate([1, 2, 3], lambda a, b: a * b))
        run = list(itertools.takewhile(lambda v: v < 3, itertools.count()))
        return x * len(pairs) + sum(grouped.values()) + next(first) + next(second) + total + len(run)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def reduce_with_effects(r):
    seen = []

    def f(x):
        return functools.reduce(lambda a, k: seen.append(k) or a * k, [1, 2, 3], x)

    f = r.compile(f)
    for _ in range(2):
        f(grid())
        r.see(seen)


@odd
def cache_filled_elsewhere(r):
    calls = []

    @functools.lru_cache(maxsize=2)
    def table(n):
        calls.append(n)
        return float(len(calls))

    f = r.compile(lambda x: x * table(x.shape[0]))
    f(grid())
    table(99)
    f(grid())
    f(grid())
    table.cache_clear()
    f(grid())
    table(5), table(6)
    f(grid())
    r.see(calls, table.cache_info().hits)


@odd
def cache_of_a_method(r):
    class Owner:
        def __init__(self):
            self.factor = 2.0

        @functools.cache  # noqa: B019
        def table(self, n):
            return n * self.factor

    owner = Owner()
    f = r.compile(lambda x: x * owner.table(3))
    f(grid())
    owner.factor = 5.0
    f(grid())
    Owner.table.cache_clear()
    f(grid())


@odd
def cache_of_ones_own(r):
    memo = {}

    def table(n):
        if n not in memo:
            memo[n] = n * 10.0
        return memo[n]

    f = r.compile(lambda x: x * table(x.shape[1]))
    f(grid())
    memo[3] = 1.0
    f(grid())
    f(torch.ones(2, 2))
    memo.clear()
    f(grid())
    r.see(memo)


@odd
def clock_goes_on(r):
    def f(x):
        before = time.perf_counter()
        y = x * 2
        return y, time.perf_counter() > before, time.time() > 1e9, time.monotonic_ns() > 0

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def clock_differs_from_call_to_call(r):
    seen = []

    def f(x):
        seen.append(time.perf_counter_ns())
        return x + 1

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        time.sleep(0.001)
    r.see(len(set(seen)), sorted(seen) == seen)


@odd
def dates(r):
    seen = []

    def f(x, day):
        seen.append(dt.datetime.now(dt.UTC))
        later = day + dt.timedelta(days=2, hours=1)
        return x * later.day + (later - day).total_seconds(), later.isoformat(), day.weekday()

    f = r.compile(f)
    for day in (
        dt.datetime(2024, 2, 28, tzinfo=dt.UTC),
        dt.datetime(2024, 2, 28, tzinfo=dt.UTC),
        dt.datetime(2023, 12, 31, tzinfo=dt.UTC),
    ):
        f(grid(), day)
        time.sleep(0.001)
    r.see(len(set(seen)))


@odd
def unique_names(r):
    seen = []

    def f(x):
        seen.append(uuid.uuid4().hex)
        return x * len(seen[-1])

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(len(set(seen)))


@odd
def tokens(r):
    seen = []

    def f(x):
        token = secrets.token_hex(4)
        seen.append(token)
        seen.append(os.urandom(4))
        return x * len(token)

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(len(set(seen)))


@odd
def environment_read_inside(r):
    def f(x):
        return x * float(os.environ.get("ODD_FACTOR", "1")) + ("ODD_FACTOR" in os.environ) + len(os.getenv("ODD", ""))

    f = r.compile(f)
    try:
        f(grid())
        os.environ["ODD_FACTOR"] = "3"
        f(grid())
        os.environ["ODD"] = "abc"
        f(grid())
        os.environ["ODD_FACTOR"] = "4"
        f(grid())
    finally:
        os.environ.pop("ODD_FACTOR", None)
        os.environ.pop("ODD", None)
    f(grid())


@odd
def environment_written_inside(r):
    def f(x, k):
        os.environ["ODD_WRITTEN"] = str(k)
        return x * int(os.environ["ODD_WRITTEN"])

    f = r.compile(f)
    for k in (1, 2, 2):
        f(grid(), k)
        r.see(os.environ.pop("ODD_WRITTEN"))


@odd
def hash_and_math_of_values(r):
    def f(x, k):
        return x * (hash(k) % 7) + math.gcd(int(k), 12) + math.comb(5, 2) + math.isqrt(17) + math.dist([1, 2], [k, 4])

    f = r.compile(f)
    for k in (3, 4.0, 3.0, True):
        f(grid(), k)
