"""Crash-safe snapshots of a run: model, optimizer, schedule, random numbers and data position as one."""

from tessera.checkpoint.finding import latest as latest
from tessera.checkpoint.huggingface import save_weights as save_weights
from tessera.checkpoint.inspection import Inspection as Inspection
from tessera.checkpoint.inspection import inspect as inspect
from tessera.checkpoint.loading import load as load
from tessera.checkpoint.manager import CheckpointManager as CheckpointManager
from tessera.checkpoint.matching import Match as Match
from tessera.checkpoint.restoring import restore as restore
from tessera.checkpoint.retention import Best as Best
from tessera.checkpoint.saving import save as save
from tessera.nn.weights import load_weights as load_weights
