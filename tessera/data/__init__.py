"""Deterministic input: any position of any epoch is computed from the seed, whoever asks for it.

`Loader` is what others use; `work.py` is what happens to a sample, `processes.py` who does it, `order.py` and
`permutation.py` which sample stands where. A new kind of data is one file in `sources/`.

**Why this is not Grain** (0.2.18, read and run), whose road it otherwise follows: datasets by number, a pure shuffle of
numbers, random numbers keyed by sample. Under workers Grain cuts a dataset into one slice for each, and each makes
batches of its own slice. So what is in a batch depends on the number of workers (0, 2 and 3 give three different
epochs), the state is one position for each, and its ``DataLoader`` refuses a state of another number of workers; its
elastic iterator is free of that, but knows no mix, no zip and no prefetch. Here a position is one number, and workers
get whole batches. A worker of Grain that is killed is an exit code and "search the logs above", one that ends with exit
code 0 is waited for for ever, and which sample it was nobody knows. Each worker imports everything anew, and six
packages come with it. A `grain.MapDataset` without filters is a source here like any other.

**Why this is not torch's DataLoader** as a pool of processes: it forks by default, which copies locks of threads that
do not exist in the copy; it tells of a dead worker from a signal handler, wherever the main program is at that moment,
and by process number; and it sends every tensor as a file descriptor through a thread and a socket. Collating is its
own, `default_collate`.
"""

from tessera.data.dataset import Dataset as Dataset
from tessera.data.inspection import inspect as inspect
from tessera.data.loader import Loader as Loader
from tessera.data.mix import mix as mix
from tessera.data.resolve import dataset as dataset
from tessera.data.sources.arrays import arrays as arrays
from tessera.data.sources.arrow import arrow as arrow
from tessera.data.sources.folders import images as images
from tessera.data.sources.folders import texts as texts
from tessera.data.sources.huggingface import huggingface as huggingface
from tessera.data.sources.parquet import parquet as parquet
from tessera.data.sources.tokens import tokens as tokens
