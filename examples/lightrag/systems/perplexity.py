"""Perplexity's Agent API: ``POST /v1/agent`` with a preset, which names model, search and steps.

The shapes are those of its public reference (https://docs.perplexity.ai/docs/agent-api).
"""

from __future__ import annotations

from typing import Any, Final

import httpx
from pydantic import BaseModel, Field

from . import Reply, SystemFailed, answered

_ASK: Final = "Answer for a clinician, in at most five sentences, and say what is uncertain."


class _Part(BaseModel):
    text: str = ""


class _Found(BaseModel):
    url: str


class _Item(BaseModel):
    type: str
    content: list[_Part] = Field(default_factory=list[_Part])
    results: list[_Found] = Field(default_factory=list[_Found])


class _Cost(BaseModel):
    total_cost: float


class _Usage(BaseModel):
    cost: _Cost | None = None


class _Answered(BaseModel):
    status: str
    output: list[_Item] = Field(default_factory=list[_Item])
    usage: _Usage | None = None
    error: Any = None


class Perplexity:
    """Asks one preset with one key, over ``http``, whose base is the API's address."""

    def __init__(self, http: httpx.AsyncClient, key: str, preset: str) -> None:
        self._http: Final = http
        self._headers: Final = {"Authorization": f"Bearer {key}"}
        self._preset: Final = preset

    async def ask(self, question: str) -> Reply:
        """The answer, with what it cost as the API tells.

        Raises:
            httpx.HTTPError: the API cannot be reached, or refuses.
            SystemFailed: it answers without an answer.
        """
        asked = {"preset": self._preset, "input": question, "instructions": _ASK}
        response = await self._http.post("/v1/agent", json=asked, headers=self._headers)
        found = answered(response, _Answered, "Perplexity")
        if found.status != "completed":
            raise SystemFailed(f"Perplexity's answer is {found.status}: {found.error}")
        return _reply(found)


def _reply(found: _Answered) -> Reply:
    text = "".join(part.text for item in found.output if item.type == "message" for part in item.content)
    urls = [page.url for item in found.output if item.type == "search_results" for page in item.results]
    cost = found.usage.cost if found.usage is not None else None
    return Reply(text, tuple(dict.fromkeys(urls)), cost.total_cost if cost is not None else None)
