"""Every error Turnout raises on purpose, in one tree.

::

    TurnoutError                 code, retryable
    ├── InvalidInput             bad data from outside; carries every Problem found
    ├── NotFound                 no such flag or rollout
    ├── Conflict                 the request is well formed but the state forbids it
    │   ├── RolloutOpen          the flag already has an open rollout
    │   ├── StaleGeneration      a traffic change older than what is published
    │   └── CommandRefused       a command the rollout cannot take now
    ├── Forbidden                the caller may not do this
    └── Unavailable              a dependency did not answer; trying again may help
        └── SourceError          a metric source failed; says nothing about the candidate

No HTTP status and no Temporal type lives here: the edges translate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input.

    ``path`` is dotted (``strategy.percentage``, ``gates[0].min``; empty for the document itself), ``value``
    the offending value as the user wrote it (shortened), ``message`` what is wrong, ``remedy`` what to write
    instead, ``line`` the 1-based line in the file the input came from, when there is one.
    """

    path: str
    message: str
    remedy: str = ""
    value: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        value = f" (got {self.value})" if self.value else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}{self.path or 'document'}: {self.message}{value}{remedy}"


class TurnoutError(Exception):
    """Base of all errors raised on purpose. ``code`` is stable and machine-readable."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class InvalidInput(TurnoutError):
    """Input from outside that cannot be used; ``problems`` holds every fault found, not only the first."""

    code = "invalid_input"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class NotFound(TurnoutError):
    """No such flag, rollout or decision."""

    code = "not_found"


class Conflict(TurnoutError):
    """The request is well formed, but the present state forbids it."""

    code = "conflict"


class RolloutOpen(Conflict):
    """The flag already has an open rollout."""

    code = "rollout_open"


class StaleGeneration(Conflict):
    """A traffic change carries an older generation, or an older rollout, than what is published."""

    code = "stale_generation"


class CommandRefused(Conflict):
    """A command the rollout cannot take in its present state; the message says why and what would work."""

    code = "command_refused"


class Forbidden(TurnoutError):
    """The caller is known but may not do this."""

    code = "forbidden"


class Unavailable(TurnoutError):
    """A dependency (store, workflow engine, worker) did not answer."""

    code = "unavailable"
    retryable = True


class SourceError(Unavailable):
    """A metric source could not be read: unreachable, timed out, refused, or answered nonsense."""

    code = "source_error"
