"""A Program and what is known about it."""

from tessera.program.buffer_life import BufferLife as BufferLife
from tessera.program.buffer_life import live_bytes as live_bytes
from tessera.program.call_record import CallRecord as CallRecord
from tessera.program.call_record import Part as Part
from tessera.program.call_record import parts_of as parts_of
from tessera.program.graph_copy import copy_graph as copy_graph
from tessera.program.graph_copy import copy_nodes as copy_nodes
from tessera.program.memory_budget import MemoryBudget as MemoryBudget
from tessera.program.memory_budget import in_words as in_words
from tessera.program.memory_budget import resolve_memory_budget as resolve_memory_budget
from tessera.program.precision import Precision as Precision
from tessera.program.precision import resolve_precision as resolve_precision
from tessera.program.program import COPY as COPY
from tessera.program.program import Program as Program
from tessera.program.program import Value as Value
from tessera.program.provenance import describe as describe
from tessera.program.provenance import layer_path as layer_path
from tessera.program.provenance import source_line as source_line
from tessera.program.report import Compilation as Compilation
from tessera.program.report import Mismatch as Mismatch
from tessera.program.report import PassRecord as PassRecord
from tessera.program.report import Report as Report
from tessera.program.report import StepDown as StepDown
from tessera.program.roles import Phase as Phase
from tessera.program.roles import Role as Role
