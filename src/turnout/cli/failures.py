"""What a command ends with when it cannot do what it was asked: an exit code and one line with a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import IntEnum
from importlib.util import find_spec

from turnout.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem, TurnoutError, Unavailable


class ExitCode(IntEnum):
    """The exit codes of `turnout`; documented, so scripts may depend on them."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNAVAILABLE = 5
    INTERRUPTED = 130


EXIT_CODES: dict[ExitCode, str] = {
    ExitCode.OK: "done; the answer is yes",
    ExitCode.NEGATIVE: "the answer is no: an invalid file, a failed check, a rollout that ended without completing",
    ExitCode.USAGE: "the command line is wrong, or a file cannot be read",
    ExitCode.NOT_FOUND: "no such flag or rollout",
    ExitCode.REFUSED: "refused: the present state or your role forbids it",
    ExitCode.UNAVAILABLE: "the API, or something it needs, does not answer; trying again may help",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}
"""What each exit code means, for the help and the documentation."""


class InvalidFile(InvalidInput):
    """A file that cannot be used; ``name`` is the file's, and every problem knows its line."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        super().__init__(problems)
        self.name = name


class Failure(Exception):
    """An expected end of a command: ``code`` is stable and machine-readable, ``problems`` every fault of an input."""

    def __init__(
        self, exit_code: ExitCode, code: str, message: str, problems: Sequence[Problem] = (), file: str = ""
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.problems = tuple(problems)
        self.file = file

    def lines(self) -> list[str]:
        """What to tell a person: one line, or one for every problem."""
        if self.file:
            return [problem_line(self.file, problem) for problem in self.problems]
        if self.problems:
            return [f"turnout: {self.code}: {problem}" for problem in self.problems]
        return [f"turnout: {self.code}: {self.message}"]

    def data(self) -> dict[str, object]:
        """The same for a program."""
        problems = [problem_data(problem) for problem in self.problems]
        return {"code": self.code, "message": self.message, "exit": int(self.exit_code), "problems": problems}


_EXITS: tuple[tuple[type[TurnoutError], ExitCode], ...] = (
    (InvalidInput, ExitCode.NEGATIVE),
    (NotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.REFUSED),
    (Forbidden, ExitCode.REFUSED),
    (Unavailable, ExitCode.UNAVAILABLE),
)


def failure_of(error: TurnoutError) -> Failure:
    """``error`` as the end of a command."""
    exit_code = next((code for kind, code in _EXITS if isinstance(error, kind)), ExitCode.NEGATIVE)
    problems = error.problems if isinstance(error, InvalidInput) else ()
    file = error.name if isinstance(error, InvalidFile) else ""
    return Failure(exit_code, error.code, str(error), problems, file)


def usage(message: str) -> Failure:
    """The command line asks for something impossible; ``message`` ends with what to write instead."""
    return Failure(ExitCode.USAGE, "usage", message)


def need_statistics(command: str) -> None:
    """Raise Failure where the packages that the statistics need are not installed; ``command`` needs them."""
    for package in ("numpy", "scipy"):
        if find_spec(package) is None:
            message = f"{command} needs the package {package}; run: pip install 'turnout[server]'"
            raise Failure(ExitCode.UNAVAILABLE, "missing_package", message)


def problem_line(file: str, problem: Problem) -> str:
    """``rollout.yaml:12: strategy.percentage: is not a percentage (got 500); write …``, as compilers write it."""
    return f"{file}:{problem.line or 1}: {replace(problem, line=None)}"


def problem_data(problem: Problem) -> dict[str, object]:
    """A problem as plain data, in the field names of the API; fields that say nothing are left out."""
    fields: Iterable[tuple[str, object]] = (
        ("path", problem.path),
        ("message", problem.message),
        ("remedy", problem.remedy),
        ("value", problem.value),
        ("line", problem.line),
    )
    return {name: value for name, value in fields if value not in ("", None) or name == "path"}
