"""Schedules: a learning rate as a function of the step. The lower-case names are how they are written."""

from tessera.optim.schedules.constant import constant as constant
from tessera.optim.schedules.cosine_decay import cosine_decay as cosine_decay
from tessera.optim.schedules.cosine_restarts import cosine_restarts as cosine_restarts
from tessera.optim.schedules.exponential_decay import exponential_decay as exponential_decay
from tessera.optim.schedules.join import join as join
from tessera.optim.schedules.linear import linear as linear
from tessera.optim.schedules.one_cycle import one_cycle as one_cycle
from tessera.optim.schedules.piecewise_constant import piecewise_constant as piecewise_constant
from tessera.optim.schedules.piecewise_linear import piecewise_linear as piecewise_linear
from tessera.optim.schedules.polynomial_decay import polynomial_decay as polynomial_decay
from tessera.optim.schedules.reduce_on_plateau import ReduceOnPlateau as ReduceOnPlateau
from tessera.optim.schedules.reduce_on_plateau import reduce_on_plateau as reduce_on_plateau
from tessera.optim.schedules.schedule import Schedule as Schedule
from tessera.optim.schedules.warmup_cosine_decay import warmup_cosine_decay as warmup_cosine_decay
