from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import LossError, OptimizerError, StalePredictionError
from tessera.nn.model import model
from tessera.nn.prediction import DeferredLoss, Prediction
from tessera.optim import SGD, Adam, AdamW
from tests.nn.twins import Net, batches, twins

X, Y = next(batches(1))


def waits(tensor):
    """Whether nothing has been computed yet."""
    return (tensor._call.result if isinstance(tensor, Prediction) else tensor._value) is None


def sgd(net):
    return SGD(net, lr=0.1)


@pytest.fixture
def ready(programs):
    """A model whose next call waits, and its optimizer."""
    net = Net()
    optimizer = sgd(net)
    net(X).loss(Y).train_with(optimizer)
    return net, optimizer


def number(value):
    return torch.tensor(value, dtype=torch.float64)


# How a step can be written for a tessera.model; each returns what the user looked at.
def trained_at_once(net, optimizer, x, y):
    loss = net(x).loss(y)
    returned = loss.train_with(optimizer)
    assert not returned.requires_grad
    return [loss.detach(), returned, number(loss.item()), number(float(loss)), loss * 1]


def prediction_kept(net, optimizer, x, y):
    prediction = net(x)
    loss = prediction.loss(y)
    loss.train_with(optimizer)
    return [loss.detach(), prediction.detach(), prediction.argmax(1)]


def prediction_read_before(net, optimizer, x, y):
    prediction = net(x)
    right = (prediction.argmax(1) == y).sum()
    loss = prediction.loss(y, "cross_entropy")
    loss.train_with(optimizer)
    return [loss.detach(), right, prediction.detach()]


def loss_read_before(net, optimizer, x, y):
    loss = net(x).loss(y, torch.nn.CrossEntropyLoss())
    before = loss.item()
    loss.train_with(optimizer)
    return [number(before), loss.detach()]


def lambda_in_the_loop(net, optimizer, x, y):
    loss = net(x).loss(y, lambda p, t: F.cross_entropy(p, t))  # noqa: PLW0108 - a new function at every step is the point
    loss.train_with(optimizer)
    return [loss.detach()]


def plain_backward(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = net(x).loss(y)
    loss.backward()
    optimizer.step()
    return [loss.detach()]


def plain_pytorch(net, optimizer, x, y):
    optimizer.zero_grad()
    prediction = net(x)
    loss = F.cross_entropy(prediction, y)
    loss.backward()
    optimizer.step()
    return [loss.detach(), prediction.detach()]


def weighted_sum(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = net(x).loss(y) + 0.1 * net(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    return [loss.detach()]


def everything_in_turn(net, optimizer, x, y):
    ways = (trained_at_once, trained_at_once, prediction_kept, plain_pytorch, trained_at_once, plain_backward)
    net.turn = getattr(net, "turn", -1) + 1
    return ways[net.turn % len(ways)](net, optimizer, x, y)


def reference(net, optimizer, x, y, way):
    """The same in plain PyTorch."""
    optimizer.zero_grad()
    prediction = net(x)
    loss = F.cross_entropy(prediction, y)
    if way is weighted_sum:
        loss = loss + 0.1 * net(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    loss, prediction = loss.detach(), prediction.detach()
    if way is everything_in_turn:
        net.turn = getattr(net, "turn", -1) + 1
        way = (trained_at_once, trained_at_once, prediction_kept, plain_pytorch, trained_at_once, plain_backward)[
            net.turn % 6
        ]
    return {
        trained_at_once: [loss] * 5,
        prediction_kept: [loss, prediction, prediction.argmax(1)],
        prediction_read_before: [loss, (prediction.argmax(1) == y).sum(), prediction],
        loss_read_before: [loss, loss],
        plain_pytorch: [loss, prediction],
    }.get(way, [loss])


WAYS = (
    trained_at_once,
    prediction_kept,
    prediction_read_before,
    loss_read_before,
    lambda_in_the_loop,
    plain_backward,
    plain_pytorch,
    weighted_sum,
    everything_in_turn,
)


def assert_same_training(way, kind, make_optimizer, steps, tolerance, dtype):
    net, plain = twins(kind, dtype)
    ours, theirs = make_optimizer(net.parameters()), make_optimizer(plain.parameters())
    seen = []
    for run in ("ours", "theirs"):
        torch.manual_seed(7)
        seen.append(
            [
                way(net, ours, x, y) if run == "ours" else reference(plain, theirs, x, y, way)
                for x, y in batches(steps, dtype)
            ]
        )
    for step, (a, b) in enumerate(zip(*seen, strict=True)):
        for mine, torchs in zip(a, b, strict=True):
            assert torch.allclose(mine.double(), torchs.double(), rtol=0, atol=tolerance), step
    for (name, mine), torchs in zip(net.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.allclose(mine.double(), torchs.double(), rtol=0, atol=tolerance), name


@pytest.mark.parametrize("kind", ["plain", "dropout", "batchnorm"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_to_write_a_step_trains_as_pytorch(way, kind, programs):
    assert_same_training(way, kind, lambda p: AdamW(p, lr=0.01), 12, 0.0, torch.float32)


@pytest.mark.parametrize(
    ("way", "kind"),
    [(trained_at_once, "batchnorm"), (prediction_kept, "plain"), (everything_in_turn, "dropout")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_so_does_the_compiled_program(way, kind):
    assert_same_training(way, kind, lambda p: AdamW(p, lr=0.01), 7, 1e-9, torch.float64)


class Counting(Adam):
    def step(self, closure=None):
        self.steps = getattr(self, "steps", 0) + 1
        return super().step(closure)


@pytest.mark.parametrize("kind", [Adam, Counting])
def test_what_surrounds_a_step_happens_once_and_makes_it_eager(kind, programs):
    net, calls = Net(), []
    optimizer = kind(net, lr=0.01)
    for x, y in batches(2):
        optimizer.step(net(x).loss(y))
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    built = [program.calls for program in programs]
    for x, y in batches(3):
        optimizer.step(net(x).loss(y))
    assert calls == [1] * 3
    assert getattr(optimizer, "steps", 5) == 5
    assert [program.calls for program in programs] == built == ([1] if kind is Adam else [])


def test_tesseras_optimizer_steps_with_it():
    net, plain = twins(dtype=torch.float64)
    ours, theirs = Adam(net, lr=0.01), torch.optim.Adam(plain.parameters(), lr=0.01)
    for x, y in batches(5, torch.float64):
        loss = net(x).loss(y)
        returned = ours.step(loss)
        (expected,) = reference(plain, theirs, x, y, None)
        assert torch.allclose(returned, expected, rtol=0, atol=1e-9)
        assert loss.item() == returned.item()
    assert all(
        torch.allclose(a, b, rtol=0, atol=1e-9) for a, b in zip(net.parameters(), plain.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("way", "built", "calls"),
    [
        (trained_at_once, 1, 5),
        (prediction_kept, 1, 5),
        (prediction_read_before, 0, 0),
        (loss_read_before, 0, 0),
        (lambda_in_the_loop, 0, 0),
        (plain_pytorch, 0, 0),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_all_steps_but_the_first_are_one_program_when_nobody_looks_before(way, built, calls, programs):
    net = Net()
    optimizer = sgd(net)
    for x, y in batches(6):
        way(net, optimizer, x, y)
    assert len(programs) == built
    assert sum(program.calls for program in programs) == calls


def test_predictions_kept_from_many_compiled_steps_stay_what_they_were():
    net, plain = twins()
    optimizer, plain_optimizer = sgd(net), sgd(plain)
    kept, expected = [], []
    for x, y in batches(4):
        kept.append(net(x))
        kept[-1].loss(y).train_with(optimizer)
        expected.append(plain(x))
        plain_optimizer.zero_grad()
        F.cross_entropy(expected[-1], y).backward()
        plain_optimizer.step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(kept, expected, strict=True))


def test_the_first_call_runs_at_once_and_later_ones_wait(ready):
    net, _ = ready
    prediction = net(X)
    loss = prediction.loss(Y)
    assert isinstance(prediction, torch.Tensor)
    assert isinstance(loss, torch.Tensor)
    assert waits(prediction)
    assert waits(loss)
    assert not waits(Net()(X))
    assert not waits(Net()(X).loss(Y))


@pytest.mark.parametrize(
    "look", [lambda prediction, _: prediction.shape, lambda _, loss: str(loss)], ids=["prediction", "loss"]
)
def test_looking_at_it_runs_it_and_the_next_call_runs_at_once(look, ready):
    net, _ = ready
    prediction = net(X)
    loss = prediction.loss(Y)
    look(prediction, loss)
    assert not waits(prediction)
    assert not waits(net(X))


@pytest.mark.parametrize(
    "call",
    [
        lambda net: net(X.requires_grad_(False).clone().requires_grad_()),
        lambda net: net(torch.nn.Parameter(X)),
        lambda net: net(torch.nn.Sequential(torch.nn.Linear(8, 8))(X)),
    ],
    ids=["leaf", "parameter", "history"],
)
def test_inputs_with_gradients_do_not_wait(call, ready):
    assert not waits(call(ready[0]))


def test_a_chain_of_models_trains_both(programs):
    first, second = torch.nn.Linear(8, 8), Net()
    encoder = model(type("Encoder", (), {"__init__": lambda self: setattr(self, "l", first), "forward": first_layer}))()
    optimizer = SGD([*encoder.parameters(), *second.parameters()], lr=0.1)
    plain = copy.deepcopy([first, second])
    plain_optimizer = SGD([p for part in plain for p in part.parameters()], lr=0.1)
    for x, y in batches(4):
        loss = second(encoder(x)).loss(y)
        loss.train_with(optimizer)
        plain_optimizer.zero_grad()
        expected = F.cross_entropy(torch.nn.Module.__call__(plain[1], plain[0](x)), y)
        expected.backward()
        plain_optimizer.step()
        assert loss.item() == expected.item()
    assert programs == []
    assert torch.equal(first.weight, plain[0].weight)


def first_layer(self, x):
    return self.l(x)


def test_autocast_stays_in_force(ready):
    net, optimizer = ready
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = net(X)
        loss = prediction.loss(Y)
    assert not waits(prediction)
    assert prediction.dtype == torch.bfloat16
    loss.train_with(optimizer)
    waiting = net(X)
    assert waits(waiting)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert waiting.dtype == torch.float32


def test_a_loss_under_no_grad_has_no_gradient(ready):
    net, _ = ready
    prediction = net(X)
    with torch.no_grad():
        assert not prediction.loss(Y).requires_grad
    assert prediction.requires_grad


def in_place(tensor):
    with torch.no_grad():
        tensor.add_(1)


STALE = (
    "A prediction of Net, or its loss, is read for the first time after {}. "
    "It is computed when it is first read, or by optimizer.step(loss), and has to be what it would have been at the "
    "call. Write prediction = model(x).read() to compute it at the call, or read it before the change.\n  at "
)


@pytest.mark.parametrize("use", ["read", "train"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda net, x, y: in_place(net.layers[0].weight), "'layers.0.weight' was changed in place"),
        (lambda net, x, y: in_place(x), "input 0 was changed in place"),
        (lambda net, x, y: in_place(y), "its target was changed in place"),
        (lambda net, x, y: net.eval(), "an attribute, a parameter or the training mode of the model was set"),
    ],
    ids=["weight", "input", "target", "mode"],
)
def test_a_stale_answer_is_an_error(change, said, use, ready):
    net, optimizer = ready
    x, y = X.clone(), Y.clone()
    loss = net(x).loss(y)
    change(net, x, y)
    with pytest.raises(StalePredictionError) as caught:
        loss.read() if use == "read" else loss.train_with(optimizer)
    assert str(caught.value).startswith(STALE.format(said) + __file__)


def test_a_second_loss_of_weights_that_are_gone_is_an_error(ready):
    net, optimizer = ready
    first, second = net(X).loss(Y), net(X).loss(Y)
    first.train_with(optimizer)
    with pytest.raises(StalePredictionError, match="after 'layers.0.weight' was changed in place"):
        second.train_with(optimizer)


def test_a_compiled_step_makes_what_still_waits_stale():
    net = Net()
    optimizer = sgd(net)
    net(X).loss(Y).train_with(optimizer)
    first, second = net(X).loss(Y), net(X)
    first.train_with(optimizer)
    assert waits(second)
    with pytest.raises(StalePredictionError, match="after 'layers.0.weight' was changed in place"):
        second.sum()


def test_a_prediction_changed_in_place_is_not_what_its_loss_was_of(ready):
    net, _ = ready
    prediction = net(X)
    loss = prediction.loss(Y)
    prediction.mul_(2)
    with pytest.raises(StalePredictionError, match="after the prediction was changed in place"):
        loss.item()
    assert torch.equal(prediction.loss(Y), F.cross_entropy(prediction.read(), Y))


def test_a_target_may_change_after_the_step(ready):
    net, optimizer = ready
    y = Y.clone()
    loss = net(X).loss(y)
    value = loss.train_with(optimizer)
    in_place(y)
    assert loss.item() == value.item()


def test_dropout_draws_in_its_turn(programs):
    net, plain = twins("dropout")
    optimizer = sgd(net)
    net(X).loss(Y).train_with(optimizer)
    plain.load_state_dict(net.state_dict())
    torch.manual_seed(3)
    loss = net(X).loss(Y)
    assert waits(loss)
    ours, after = loss.item(), torch.rand(3)
    torch.manual_seed(3)
    assert ours == F.cross_entropy(plain(X), Y).item()
    assert torch.equal(after, torch.rand(3))


def test_dropout_out_of_turn_is_an_error(programs):
    net = Net("dropout")
    optimizer = sgd(net)
    net(X).loss(Y).train_with(optimizer)
    loss = net(X).loss(Y)
    torch.rand(1)
    with pytest.raises(StalePredictionError) as caught:
        loss.train_with(optimizer)
    assert str(caught.value).startswith(STALE.format("others drew random numbers, and it draws some too"))


def test_others_may_draw_when_the_model_does_not(ready, programs):
    net, optimizer = ready
    before = copy.deepcopy(net)
    loss = net(X).loss(Y)
    torch.rand(1)
    loss.train_with(optimizer)
    assert programs == []  # a step that cannot know whether it would draw runs eagerly
    assert loss.item() == F.cross_entropy(torch.nn.Module.__call__(before, X), Y).item()


@model
class Leaves:
    def __init__(self):
        self.layer = torch.nn.Linear(8, 3)
        self.last = None

    def forward(self, x):
        self.last = x.mean()
        return self.layer(x)


def test_a_forward_that_sets_attributes_never_waits(programs):
    net = Leaves()
    optimizer = sgd(net)
    for x, y in batches(3):
        loss = net(x).loss(y)
        assert net.last == x.mean()
        loss.train_with(optimizer)
    assert programs == []


def test_one_loss_is_one_step(ready):
    net, optimizer = ready
    for _ in range(2):
        loss = net(X).loss(Y)
        loss.train_with(optimizer)
        with pytest.raises(OptimizerError) as caught:
            loss.train_with(optimizer)
        assert str(caught.value) == (
            "optimizer.step(loss) was given a loss that has been trained with already. "
            "One loss is one step: it belongs to the weights from before the update. "
            "Write loss = model(x).loss(y) anew before every optimizer.step(loss)."
        )


def test_gradients_live_only_during_the_step(programs):
    net = Net()
    optimizer = sgd(net)
    for x, y in batches(3):
        net(x).loss(y).train_with(optimizer)
        assert [parameter.grad for parameter in net.parameters()] == [None] * 4


@pytest.mark.parametrize("step", [1, 2])
def test_a_loss_that_is_not_one_number_is_refused(step, programs):
    net = Net()
    optimizer = sgd(net)

    def each(prediction, target):
        return F.cross_entropy(prediction, target, reduction="none")

    if step == 2:
        net(X).loss(Y).train_with(optimizer)
    loss = net(X).loss(Y, each)
    assert loss.shape == (6,)
    with pytest.raises(LossError) as caught:
        loss.train_with(optimizer)
    assert str(caught.value) == ("step() was given a loss of shape [6]. A loss is one number. Write step(loss.mean()).")


def test_a_loss_without_trainable_parameters_is_refused():
    net = Net().requires_grad_(False)
    with pytest.raises(LossError, match="does not depend on any trainable parameter"):
        net(X).loss(Y).train_with(SGD(Net(), lr=0.1))


def test_an_optimizer_of_another_model_is_refused(ready):
    other = Net()
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(OptimizerError) as caught:
        ready[0](X).loss(Y).train_with(sgd(other))
    assert str(caught.value) == (
        "The loss given to step() depends on none of the 4 parameters of this SGD. "
        "An optimizer updates the parameters that the loss was computed from. "
        "Write SGD(model, ...) with the model that computed it."
    )
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_a_loss_function_returns_a_tensor():
    with pytest.raises(LossError) as caught:
        Net()(X).loss(Y, lambda p, t: 3.0)
    assert str(caught.value) == (
        "The loss function returned a float. It returns one number as a tensor. "
        "Write a function (prediction, target) -> 0-d tensor, without .item()."
    )


def test_an_unknown_loss_is_refused_at_once(ready):
    with pytest.raises(LossError, match="There is no loss named 'mce'"):
        ready[0](X).loss(Y, "mce")


def test_a_target_that_is_no_tensor_reaches_the_loss(ready):
    net, optimizer = ready
    loss = net(X).loss({"labels": Y}, lambda p, t: F.cross_entropy(p, t["labels"]))
    assert not waits(loss)
    loss.train_with(optimizer)
    assert loss.item() > 0


def test_an_error_in_a_waiting_forward_names_the_line_of_the_call(ready):
    net, _ = ready
    prediction = net(torch.randn(6, 9))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        prediction.sum()
    assert caught.value.__notes__[0].startswith(f"The call of Net that runs here was made at {__file__}:")


def test_a_loss_kept_for_a_log_keeps_neither_batch_nor_graph(ready):
    net, optimizer = ready
    for _ in range(2):
        x = X.clone()
        loss = net(x).loss(Y)
        loss.train_with(optimizer)
        alive = weakref.ref(x)
        del x
        gc.collect()
        assert alive() is None
        assert not loss.requires_grad


def test_model_and_optimizer_are_freed(programs):
    net = Net()
    optimizer = sgd(net)
    for x, y in batches(3):
        net(x).loss(y).train_with(optimizer)
    alive = weakref.ref(net), weakref.ref(optimizer)
    programs.clear()
    del net, optimizer
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_a_new_optimizer_begins_anew(ready, programs):
    net, _ = ready
    other = sgd(net)
    net(X).loss(Y).train_with(other)
    assert programs == []
    net(X).loss(Y).train_with(other)
    assert [program.optimizer for program in programs] == [other]


def test_an_optimizer_of_more_than_the_model_steps_eagerly(programs):
    net, extra = Net(), torch.nn.Parameter(torch.ones(2))
    optimizer = SGD([*net.parameters(), extra], lr=0.1)
    for x, y in batches(3):
        net(x).loss(y).train_with(optimizer)
    assert programs == []


def test_a_copy_is_a_plain_tensor(ready):
    net, _ = ready
    prediction = net(X).detach()
    assert type(prediction) is torch.Tensor
    assert type(copy.deepcopy(net(X).loss(Y).detach())) is torch.Tensor
    assert not isinstance(net(X) * 1, (Prediction, DeferredLoss))
