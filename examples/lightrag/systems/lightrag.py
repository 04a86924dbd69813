"""A LightRAG server: ``POST /query`` in one of its modes.

The shapes are those of the server's own API (https://github.com/HKUDS/LightRAG).
"""

from __future__ import annotations

from typing import Final

import httpx
from pydantic import BaseModel

from . import Reply, answered


class _Reference(BaseModel):
    file_path: str


class _Answered(BaseModel):
    response: str
    references: list[_Reference] | None = None
    llm_generated: bool = True


class LightRag:
    """Asks one server over ``http``, whose base is its address.

    The server does not tell what an answer cost: ``price`` (USD) is what one costs on average.
    """

    def __init__(self, http: httpx.AsyncClient, key: str, price: float) -> None:
        self._http: Final = http
        self._headers: Final = {"X-API-Key": key} if key else {}
        self._price: Final = price

    async def ask(self, question: str, mode: str) -> Reply:
        """The answer in ``mode`` (local, global, hybrid, naive, mix).

        A reply that no model has written, because the server knows nothing about the question, has no text.

        Raises:
            httpx.HTTPError: the server cannot be reached, or refuses.
            SystemFailed: it answers without an answer.
        """
        asked = {"query": question, "mode": mode}
        response = await self._http.post("/query", json=asked, headers=self._headers)
        found = answered(response, _Answered, "LightRAG")
        sources = tuple(reference.file_path for reference in found.references or ())
        return Reply(found.response if found.llm_generated else "", sources, self._price)
