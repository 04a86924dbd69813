"""From a flag document and a unit to a variant: no I/O, no clock, no lock, no randomness."""

from turnout.resolver.results import Contender, ErrorCode, Explanation, Reason, Resolution, Slice, Source
from turnout.resolver.snapshot import Snapshot, compile_document

__all__ = [
    "Contender",
    "ErrorCode",
    "Explanation",
    "Reason",
    "Resolution",
    "Slice",
    "Snapshot",
    "Source",
    "compile_document",
]
