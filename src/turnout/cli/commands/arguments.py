"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

FlagArgument = Annotated[str, typer.Argument(metavar="FLAG", help="The flag's key.")]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="A YAML or JSON file; - reads standard input.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit log.")]
