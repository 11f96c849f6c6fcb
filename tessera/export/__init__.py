"""What `tessera.export` returns."""

from tessera.export.exported import Exported as Exported
from tessera.export.rebuilding import rebuild as rebuild
