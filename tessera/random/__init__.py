"""Table of contents: seeds and states of all generators, and random numbers that are a function of a key."""

from tessera.random.numbers import bernoulli as bernoulli
from tessera.random.numbers import rand as rand
from tessera.random.numbers import randn as randn
from tessera.random.seeding import seed as seed
from tessera.random.state import get_state as get_state
from tessera.random.state import random_state as random_state
from tessera.random.state import set_state as set_state
