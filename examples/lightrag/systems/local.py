"""Systems that need no account: two searches and their mixture, over the notes beside this file.

Keyword search stands in for Perplexity, semantic search for LightRAG in its hybrid mode, and both together for its mix
mode. They really answer, and their answers differ; only their prices are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from examples.answers.corpus import Document, first_sentence
from examples.answers.keyword_search import KeywordSearch
from examples.answers.semantic_search import SemanticSearch

from . import Ask, Reply

Search = Callable[[str], Sequence[str]]

SHOWN: Final = 3
"""How many sources a reply names."""

PRICES: Final[Mapping[str, tuple[float, float]]] = {
    "perplexity": (0.005, 0.00002),
    "lightrag": (0.001, 0.00002),
    "lightrag-mix": (0.002, 0.00002),
}
"""USD by answer and by word of it: stand-ins, so that there is a cost to compare."""

_NOTES: Final = Path(__file__).parent.parent / "notes.yaml"
_RANK_OFFSET: Final = 60


@lru_cache(maxsize=1)
def notes() -> tuple[Document, ...]:
    """The notes, in the order of the file."""
    texts: dict[str, str] = yaml.safe_load(_NOTES.read_text(encoding="utf-8"))
    return tuple(Document(id, first_sentence(text), " ".join(text.split())) for id, text in texts.items())


def searches() -> dict[str, Search]:
    """The searches by the variant that they stand in for."""
    keyword, semantic = KeywordSearch(notes()), SemanticSearch(notes())
    return {
        "perplexity": keyword.search,
        "lightrag": semantic.search,
        "lightrag-mix": lambda question: fused(keyword.search(question), semantic.search(question)),
    }


def fused(*rankings: Sequence[str]) -> list[str]:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) of rankings, with the usual offset of 60."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, id in enumerate(ranking, 1):
            scores[id] = scores.get(id, 0.0) + 1 / (_RANK_OFFSET + rank)
    return sorted(scores, key=lambda id: -scores[id])


def local_systems() -> dict[str, Ask]:
    """A system by variant, each answering with the best note it finds."""
    texts = {note.id: note.text for note in notes()}
    return {variant: _system(search, texts, *PRICES[variant]) for variant, search in searches().items()}


def _system(search: Search, texts: Mapping[str, str], per_answer: float, per_word: float) -> Ask:
    async def ask(question: str) -> Reply:
        found = tuple(search(question)[:SHOWN])
        text = texts[found[0]] if found else "Nothing is known about that."
        return Reply(text, found, per_answer + per_word * len(text.split()))

    return ask
