"""What `tessera.fit` takes and returns beside models and data."""

from tessera.train.early_stopping import EarlyStopping as EarlyStopping
from tessera.train.history import History as History
