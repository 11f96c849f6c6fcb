"""What `tessera.fit` takes and returns beside models and data."""

from tessera.capture.loss_scale import LossScale as LossScale
from tessera.train.callbacks.callback import Callback as Callback
from tessera.train.callbacks.checkpoint import Checkpoint as Checkpoint
from tessera.train.callbacks.csv_logger import CSVLogger as CSVLogger
from tessera.train.callbacks.learning_rate import LearningRateMonitor as LearningRateMonitor
from tessera.train.callbacks.scheduler import Scheduler as Scheduler
from tessera.train.callbacks.tensorboard import TensorBoard as TensorBoard
from tessera.train.callbacks.throughput import Throughput as Throughput
from tessera.train.early_stopping import EarlyStopping as EarlyStopping
from tessera.train.history import History as History
from tessera.train.run import Run as Run
