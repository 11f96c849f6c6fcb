"""What `tessera.export` returns."""

from tessera.export.exported import Exported as Exported
