"""The order of the data: the same whoever makes it, from wherever it goes on, among however many it is shared."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

from tessera.data import Loader, arrays, dataset, mix
from tessera.errors import BatchError, DataError, DataStateError, EmptyDatasetError, SettingError
from tests.data.functions import (
    Counting,
    Squares,
    as_list,
    double,
    drawn_from_all,
    fails_on_13,
    is_even,
    masked,
    noisy,
    plain,
    stops_iteration,
)

DOCUMENTS = [np.random.default_rng(number).integers(1, 99, size=number * 7 % 23) for number in range(60)]

# Every kind of pipeline, made anew for each loader.
PIPELINES = {
    "arrays": lambda: (torch.arange(50), np.arange(50.0)),
    "dict of arrays": lambda: {"x": torch.arange(50), "labels": torch.arange(50) % 3},
    "map": lambda: arrays(torch.arange(50)).map(double, random=False),
    "random map": lambda: arrays(torch.arange(50)).map(drawn_from_all).map(drawn_from_all),
    "map with rng": lambda: arrays(torch.arange(50)).map(noisy),
    "torch dataset": lambda: Squares(50),
    "list": lambda: [(number, str(number)) for number in range(50)],
    "filter": lambda: arrays(torch.arange(70)).filter(is_even, random=False).map(double),
    "pack": lambda: dataset(DOCUMENTS).pack(8, separator=0),
    "pack with segments": lambda: dataset(DOCUMENTS).pack(8, segments=True, pad=0),
    "mix": lambda: mix([torch.arange(60), arrays(torch.arange(100, 130)).map(double)], [0.7, 0.3]),
    "mix of mixes": lambda: mix(
        [mix([torch.arange(9), torch.arange(9, 60)]), torch.arange(100, 130)], stop="all_exhausted"
    ),
    "mix, filtered": lambda: mix([torch.arange(60), torch.arange(100, 130)], [0.7, 0.3]).filter(is_even),
    "selection": lambda: arrays(torch.arange(200)).select(range(10, 60)).map(drawn_from_all),
}


def epochs(loader, count=2):
    return [[plain(batch) for batch in loader] for _ in range(count)]


def rest(loader):
    """What is left of this epoch, and the next one."""
    return epochs(loader, 2)


@pytest.fixture(params=PIPELINES)
def pipeline(request):
    return PIPELINES[request.param]


@pytest.mark.parametrize("kind", ["auto", "process"])
def test_workers_give_the_same_as_none(pipeline, kind):
    expected = epochs(Loader(pipeline(), 6, seed=3))
    with Loader(pipeline(), 6, seed=3, workers=2, worker_kind=kind) as loader:
        assert epochs(loader) == expected


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [True, False])
def test_any_number_of_workers_gives_the_same(pipeline, shuffle):
    expected = epochs(Loader(pipeline(), 6, shuffle=shuffle, seed=3))
    for workers in (1, 3, 5):
        for ahead in (1, 4):
            for kind in ("auto", "process"):
                options = {"workers": workers, "ahead": ahead, "worker_kind": kind}
                with Loader(pipeline(), 6, shuffle=shuffle, seed=3, **options) as loader:
                    assert epochs(loader) == expected, options


def check_resumes(pipeline, workers, times, seed, kind="auto"):
    expected = [batch for epoch in epochs(Loader(pipeline(), 6), 3) for batch in epoch]
    draw = random.Random(seed)
    with Loader(pipeline(), 6, workers=workers, worker_kind=kind) as with_workers:
        for _ in range(times):
            stop = draw.randrange(1, len(expected))
            first, second = (draw.choice([with_workers, Loader(pipeline(), 6)]) for _ in range(2))
            first.seek(0)
            seen = take(first, stop)
            saved = json.loads(json.dumps(first.state_dict()))
            second.load_state_dict(saved)
            assert seen == expected[:stop]
            assert take(second, len(expected) - stop) == expected[stop:]


def test_a_resume_anywhere_with_or_without_workers(pipeline):
    check_resumes(pipeline, workers=2, times=4, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3, 4])
def test_a_resume_anywhere_with_any_number_of_workers(pipeline, workers):
    for kind in ("auto", "process"):
        check_resumes(pipeline, workers, times=15, seed=workers, kind=kind)


def test_any_number_of_ranks_gives_the_same_batches(pipeline):
    expected = epochs(Loader(pipeline(), 12, drop_last=True))
    for world_size in (2, 3, 4):
        ranks = [Loader(pipeline(), 12, drop_last=True, rank=rank, world_size=world_size) for rank in range(world_size)]
        for numbers in expected:
            batches = [[plain(batch) for batch in rank] for rank in ranks]
            assert [joined(parts) for parts in zip(*batches, strict=True)] == numbers


def test_a_resume_with_another_number_of_ranks(pipeline):
    expected = [batch for epoch in epochs(Loader(pipeline(), 12, drop_last=True), 2) for batch in epoch]
    for world_size, later, stop in ((2, 3, 1), (3, 1, 2), (4, 2, 3)):
        before = [
            Loader(pipeline(), 12, drop_last=True, rank=rank, world_size=world_size) for rank in range(world_size)
        ]
        parts = [take(one, stop) for one in before]
        assert [joined(part) for part in zip(*parts, strict=True)] == expected[:stop]
        (saved, *others) = [one.state_dict() for one in before]
        assert all(other == saved for other in others)  # any rank's state is everybody's
        after = [Loader(pipeline(), 12, drop_last=True, rank=rank, world_size=later) for rank in range(later)]
        for one in after:
            one.load_state_dict(saved)
        parts = [take(one, len(expected) - stop) for one in after]
        assert [joined(part) for part in zip(*parts, strict=True)] == expected[stop:]


def joined(parts):
    """The batches of all ranks as one."""
    if isinstance(parts[0], dict):
        return {key: joined([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0][0], list) and len(parts[0]) == 2 and isinstance(parts, tuple):
        return [joined([part[place] for part in parts]) for place in range(2)]
    return [row for part in parts for row in part]


def take(loader, count):
    """The next batches, over the ends of epochs."""
    seen = []
    while len(seen) < count:
        for batch in loader:
            seen.append(plain(batch))
            if len(seen) == count:
                break
    return seen


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own():
    loader = Loader(torch.arange(103), 10, seed=1)
    first, second = (torch.cat(list(loader)).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(103))
    assert first != second
    assert torch.cat(list(Loader(torch.arange(103), 10, seed=2))).tolist() not in (first, second)


def test_epochs_are_counted():
    loader = Loader(torch.arange(10), 5)
    assert loader.epoch == 0
    for _ in loader:
        assert loader.epoch == 0
    assert loader.epoch == 1
    for _ in loader:
        assert loader.epoch == 1
        break
    first = torch.cat(list(loader))  # a loop that was left is over: this is the next epoch
    assert loader.epoch == 3
    loader.seek(2)
    assert torch.equal(torch.cat(list(loader)), first)


def test_asking_for_an_iterator_alone_changes_nothing():
    loader = Loader(torch.arange(10), 5)
    iter(loader), iter(loader)
    assert loader.epoch == 0
    assert loader.state_dict()["position"] == 0


def test_two_loops_at_once_are_refused():
    loader = Loader(torch.arange(10), 2)
    with pytest.raises(DataError, match="^Another loop over the same loader has begun"):
        list(zip(loader, loader, strict=False))


@pytest.mark.parametrize(
    ("size", "batch_size", "drop_last", "batches"),
    [(10, 5, False, 2), (11, 5, False, 3), (11, 5, True, 2), (3, 5, False, 1)],
)
def test_len(size, batch_size, drop_last, batches):
    loader = Loader(torch.arange(size), batch_size, drop_last=drop_last)
    assert len(loader) == batches == len(list(loader))


def test_len_is_not_known_where_a_filter_decides():
    for loader in (
        Loader(arrays(torch.arange(10)).filter(is_even), 5),
        Loader(dataset(DOCUMENTS).pack(8), 5),
        Loader(torch.arange(10), 5, on_error="skip"),
        Loader(Counting(), 5, shuffle=False),
    ):
        with pytest.raises(TypeError, match="only known at its end"):
            len(loader)


def test_skipping_ahead_costs_nothing():
    """Nothing before the position is read, nor counted through: the millionth million takes no longer."""
    size = 10**12
    loader = Loader(range(size), 4)
    loader.seek(0, size - 4)
    last = next(iter(loader))
    loader.seek(10**9)
    first = next(iter(loader))
    assert len(set(last.tolist() + first.tolist())) == 8


def test_a_filtered_run_goes_on_without_reading_what_was_before():
    read = []
    source = arrays(torch.arange(1000)).map(lambda x: read.append(int(x)) or x, random=False).filter(is_even)
    loader = Loader(source, 4, shuffle=False)
    loader.seek(0, 990)
    assert [batch.tolist() for batch in loader] == [[990, 992, 994, 996], [998]]
    assert min(read) == 990


def test_random_functions_draw_the_same_for_a_sample_and_leave_everybody_elses_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = list(Loader(Squares(), 5, seed=1))
    assert torch.equal(torch.rand(3), expected)
    torch.rand(17)
    second = list(Loader(Squares(), 4, seed=1))
    noise = [
        {tuple(x): n for b in run for x, n in zip(plain(b["x"]), plain(b["noise"]), strict=True)}
        for run in (first, second)
    ]
    assert noise[0] == noise[1]
    assert len(set(noise[0].values())) == 20
    loader = Loader(Squares(), 20, seed=1)
    assert sorted(next(iter(loader))["noise"].tolist()) != sorted(next(iter(loader))["noise"].tolist())


def test_a_random_collate_is_reproducible():
    expected = epochs(Loader(torch.arange(40), 8, collate=masked))
    for workers, kind in ((2, "process"), (2, "thread")):
        torch.rand(workers)
        with Loader(torch.arange(40), 8, collate=masked, workers=workers, worker_kind=kind) as loader:
            assert epochs(loader) == expected


def test_a_collate_of_your_own():
    loader = Loader(arrays(torch.arange(5)), 2, shuffle=False, collate=as_list)
    assert list(loader) == [[0.0, 1.0], [2.0, 3.0], [4.0]]


@pytest.mark.parametrize("random", [False, True])
def test_a_function_that_was_said_not_to_draw_and_draws(random):
    function = (lambda sample, rng: sample + torch.rand(())) if random else drawn_from_all
    loader = Loader(arrays(torch.arange(10)).map(function, random=random), 5)
    with pytest.raises(SettingError, match="global random numbers were drawn from, by a function that was said not to"):
        list(loader)


def test_an_error_names_the_sample_and_the_line():
    with pytest.raises(DataError) as caught:
        list(Loader(arrays(torch.arange(20)).map(fails_on_13, random=False), 5, shuffle=False))
    assert str(caught.value).startswith(
        "map fails_on_13 failed on row 13 of the arrays (position 13 of epoch 0): KeyError: 'no thirteenth'. It takes"
    )
    assert caught.value.where.code == 'raise KeyError("no thirteenth")'
    assert isinstance(caught.value.__cause__, KeyError)


def test_stop_iteration_of_a_function_is_an_error_and_not_the_end():
    with pytest.raises(DataError, match="StopIteration"):
        list(Loader(arrays(torch.arange(20)).map(stops_iteration), 5))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_samples_are_left_out_when_asked(workers, caplog):
    data = arrays(torch.arange(20)).map(fails_on_13, random=False)
    with Loader(data, 4, shuffle=False, on_error="skip", workers=workers) as loader:
        batches = [batch.tolist() for batch in loader]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 14, 15, 16], [17, 18, 19]]
    assert loader.skipped == [
        "map fails_on_13 failed on row 13 of the arrays (position 13 of epoch 0): KeyError: 'no thirteenth'."
    ]
    assert loader.skipped[0] in caplog.text


def test_samples_that_do_not_fit_together():
    loader = Loader([torch.zeros(2), torch.zeros(3)], 2)
    with pytest.raises(BatchError, match=r"^2 samples could not be joined to a batch: .* collate=function"):
        list(loader)


def test_a_collate_that_fails():
    def wrong(samples):
        return samples[99]

    with pytest.raises(
        DataError, match=r"collate .*wrong failed on the 2 samples from position 0 of epoch 0: IndexErr"
    ):
        list(Loader(torch.arange(4), 2, collate=wrong))


CHANGES = {
    "seed is 1 here and was 0": lambda: Loader((torch.arange(10), torch.arange(10)), 5, seed=1),
    "shuffle is False here and was True": lambda: Loader((torch.arange(10), torch.arange(10)), 5, shuffle=False),
    "data.source.parts[1] is 'float32 [10]' here and was 'int64 [10]'": (
        lambda: Loader((torch.arange(10), torch.zeros(10)), 5)
    ),
    "data.stages is ['map'] here and was []": (
        lambda: Loader(arrays((torch.arange(10), torch.arange(10))).map(double), 5)
    ),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_position_of_another_order_is_refused(words):
    saved = Loader((torch.arange(10), torch.arange(10)), 5).state_dict()
    other = CHANGES[words]()
    with pytest.raises(DataStateError) as caught:
        other.load_state_dict(saved)
    assert str(caught.value).startswith(f"The saved position belongs to another order: {words}. ")


def test_a_position_beyond_the_end_is_refused():
    loader = Loader(torch.arange(10), 5)
    with pytest.raises(DataStateError, match=r"^The saved position is 11\. An epoch of this data has 10 positions"):
        loader.seek(0, 11)


def test_a_position_saved_after_the_last_batch_is_the_next_epoch():
    expected = epochs(Loader(torch.arange(10), 5), 2)
    loader, resumed = Loader(torch.arange(10), 5), Loader(torch.arange(10), 5)
    for _ in loader:
        saved = loader.state_dict()
    resumed.load_state_dict(saved)
    assert epochs(resumed, 1) == expected[1:]


def test_another_batch_size_goes_on_at_the_same_sample():
    whole = torch.cat(list(Loader(torch.arange(20), 5))).tolist()
    first = Loader(torch.arange(20), 5)
    next(iter(first))
    second = Loader(torch.arange(20), 3)
    second.load_state_dict(first.state_dict())
    assert torch.cat(list(second)).tolist() == whole[5:]


def test_an_iterable():
    loader = Loader(Counting(10), 4, shuffle=False)
    assert epochs(loader) == [
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]],
        [[100, 101, 102, 103], [104, 105, 106, 107], [108, 109]],
    ]
    loader.seek(1, 5)
    assert epochs(loader, 1) == [[[105, 106, 107, 108], [109]]]


def test_threads_give_the_same():
    data = {"x": torch.arange(50)}
    expected = epochs(Loader(data, 6))
    with Loader(data, 6, workers=3, worker_kind="thread") as loader:
        assert epochs(loader) == expected


def test_no_data():
    with pytest.raises(EmptyDatasetError, match=r"^The dataset has no samples\."):
        Loader(torch.empty(0, 3), 5)
    with pytest.raises(EmptyDatasetError, match="3 samples, batch_size=5 and drop_last=True leave no batch"):
        Loader(torch.arange(3), 5, drop_last=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_that_is_left_is_an_error_and_not_an_empty_loop(workers):
    for data, options in (
        (arrays(torch.arange(1, 20, 2)).filter(is_even), {}),
        (arrays(torch.arange(10)).filter(is_even), {"drop_last": True}),
        (arrays(torch.arange(10)).map(stops_iteration), {"on_error": "skip"}),
        (dataset([[1], [2]]).pack(50), {}),
    ):
        with (
            Loader(data, 8, workers=workers, **options) as loader,
            pytest.raises(EmptyDatasetError, match="^Epoch 0 gave"),
        ):
            list(loader)


def test_fit_reads_it():
    from tessera.train.batches import BatchReader
    from tessera.train.pace import Pace
    from tessera.train.stream import stream

    reader = BatchReader(torch.float32, torch.device("cpu"))
    data = stream(Loader((torch.zeros(10, 3), torch.arange(10)), 4), reader, "training data")
    assert (data.steps, data.once) == (3, False)
    labels = torch.cat([batch.target for batch in data.take(2, 100, Pace())])
    assert sorted(labels.tolist()) == sorted([*range(10), *range(10)])


@pytest.mark.slow
def test_fit_trains_on_it():
    import tessera

    torch.manual_seed(0)
    x = torch.randn(64, 4)
    loader = Loader((x, (x.sum(1) > 0).long()), 16)
    history = tessera.fit(torch.nn.Linear(4, 2), loader, loss="cross_entropy", epochs=3, progress=False)
    assert len(history.loss) == 12
    assert loader.epoch == 3
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
