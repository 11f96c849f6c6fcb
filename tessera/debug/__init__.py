"""Looking at a program while it runs: every operation, every value that is not finite, every gradient."""

from tessera.debug.describe import Described as Described
from tessera.debug.describe import describe as describe
from tessera.debug.diff import Comparison as Comparison
from tessera.debug.diff import diff as diff
from tessera.debug.mode import DebugMode as DebugMode
from tessera.debug.mode import debug_mode as debug_mode
from tessera.debug.shadow import Shadow as Shadow
