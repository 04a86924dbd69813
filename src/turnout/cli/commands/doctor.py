"""turnout doctor: is everything there that Turnout needs?"""

from __future__ import annotations

import os
from dataclasses import asdict

import typer

from turnout.cli import health
from turnout.cli.command import command
from turnout.cli.failures import ExitCode
from turnout.cli.render.health import findings_view
from turnout.cli.session import Session


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this file to ``app``."""
    command(app, "doctor", panel)(doctor)


def doctor(session: Session) -> ExitCode:
    """Check this machine and the API: Python, programs, data, database, API, clock, access, worker.

    Every line says ok, warn or fail, and what to do; the exit code is 1 when one fails.
    """
    with session.api() as api:
        findings = [*health.offline(os.environ), *health.online(api, session.target.url)]
    failed = any(finding.level == "fail" for finding in findings)
    data = {"ok": not failed, "checks": [asdict(finding) for finding in findings]}
    session.answer(data, findings_view(findings))
    return ExitCode.NEGATIVE if failed else ExitCode.OK
