"""What writes to a terminal: rich, loaded without a trace. Importing it draws one of Python's random numbers."""

from __future__ import annotations

import random

_before = random.getstate()
from rich.console import Console as Console  # noqa: E402 - between the two lines that keep the generator
from rich.live import Live as Live  # noqa: E402
from rich.progress import BarColumn as BarColumn  # noqa: E402
from rich.progress import MofNCompleteColumn as MofNCompleteColumn  # noqa: E402
from rich.progress import Progress as Progress  # noqa: E402
from rich.progress import ProgressColumn as ProgressColumn  # noqa: E402
from rich.progress import Task as Task  # noqa: E402
from rich.progress import TextColumn as TextColumn  # noqa: E402
from rich.progress import TimeRemainingColumn as TimeRemainingColumn  # noqa: E402
from rich.table import Column as Column  # noqa: E402
from rich.text import Text as Text  # noqa: E402

random.setstate(_before)
