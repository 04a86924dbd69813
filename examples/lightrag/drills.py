"""Faults on demand: the flag ``drill`` makes LightRAG fail, so that a team sees what protects it before it has to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .systems import Ask, Reply, SystemFailed

FLAG: Final = "drill"
_COSTLY: Final = 1.0
_FOR_EVER: Final = 3600.0


def drilled(ask: Ask, drill: Callable[[], str]) -> Ask:
    """``ask``, which does what ``drill`` says at the time of each question."""

    async def asked(question: str) -> Reply:
        match drill():
            case "errors":
                raise SystemFailed("a drill")
            case "hang":
                await asyncio.sleep(_FOR_EVER)
            case "garbage":
                return Reply("")
            case "poor":
                return replace(await ask(question), text="Ask your doctor.")
            case "costly":
                return replace(await ask(question), cost=_COSTLY)
            case _:
                pass
        return await ask(question)

    return asked
