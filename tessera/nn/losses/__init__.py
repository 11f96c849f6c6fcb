"""Table of contents: losses by name, as functions, and with weights."""

from tessera.nn.losses.auto import auto_loss as auto_loss
from tessera.nn.losses.binary import bce as bce
from tessera.nn.losses.binary import bce_with_logits as bce_with_logits
from tessera.nn.losses.binary import hinge as hinge
from tessera.nn.losses.binary import sigmoid_focal as sigmoid_focal
from tessera.nn.losses.classification import cross_entropy as cross_entropy
from tessera.nn.losses.classification import focal as focal
from tessera.nn.losses.classification import nll as nll
from tessera.nn.losses.dice import dice as dice
from tessera.nn.losses.distribution import kl_div as kl_div
from tessera.nn.losses.names import LOSSES as LOSSES
from tessera.nn.losses.names import LossFunction as LossFunction
from tessera.nn.losses.names import resolve_loss as resolve_loss
from tessera.nn.losses.regression import cosine as cosine
from tessera.nn.losses.regression import huber as huber
from tessera.nn.losses.regression import l1 as l1
from tessera.nn.losses.regression import log_cosh as log_cosh
from tessera.nn.losses.regression import mse as mse
from tessera.nn.losses.regression import poisson_nll as poisson_nll
from tessera.nn.losses.regression import smooth_l1 as smooth_l1
from tessera.nn.losses.scalar import check_scalar as check_scalar
from tessera.nn.losses.scalar import own_loss as own_loss
from tessera.nn.losses.weighted import WeightedLoss as WeightedLoss
from tessera.nn.losses.weighted import weighted_loss as weighted_loss
