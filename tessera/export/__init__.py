"""What `tessera.export` returns, and what reads its files."""

from tessera.export.exported import Exported as Exported
from tessera.export.loading import load_model as load_model
from tessera.export.rebuilding import rebuild as rebuild
