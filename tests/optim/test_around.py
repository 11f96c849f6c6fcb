import torch

from tessera.optim import accumulate, chain, scale, skip_if_not_finite
from tessera.optim.around import Around
from tessera.optim.transformation import GradientTransformation, identity

PARAM = torch.tensor(0.0)


def adding(amount):
    """Adds a number to what it is wrapped around."""

    def wrap(inner):
        def update(grads, states, params):
            updates, new = inner.update(grads, states, params)
            return [value + amount for value in updates], new

        return GradientTransformation(inner.state, update)

    return Around.of(identity(), [wrap])


def doubling():
    def wrap(inner):
        def update(grads, states, params):
            updates, new = inner.update(grads, states, params)
            return [value * 2 for value in updates], new

        return GradientTransformation(inner.state, update)

    return Around.of(identity(), [wrap])


def applied(tx, value=1.0):
    return tx.update([torch.tensor(value)], [tx.init(PARAM)], [PARAM])[0][0].item()


def test_it_goes_around_the_whole_chain_the_first_outermost():
    assert applied(chain(adding(1), scale(3.0), doubling())) == 3 * 2 + 1
    assert applied(chain(doubling(), scale(3.0), adding(1))) == (3 + 1) * 2


def test_a_chain_inside_a_chain_is_taken_apart():
    for tx in (
        chain(chain(adding(1), scale(3.0)), scale(5.0)),
        chain(chain(scale(3.0), adding(1)), scale(5.0)),
        chain(scale(3.0), chain(scale(5.0), chain(adding(1)))),
    ):
        assert applied(tx) == 16


def test_it_has_what_the_wrapped_one_has():
    tx = chain(scale(2.0), accumulate(2), skip_if_not_finite())
    assert isinstance(tx, Around)
    assert set(tx.state) == {"skipped_in_a_row", "skipped", "accumulated", "micro_step"}
    assert len(tx.wrappers) == 2
