"""Questions whose right answer is known, made from the documents themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .corpus import Document
from .terms import words

# The share of a sentence's words that the asker remembers, and of long words that come out wrong.
REMEMBERED = 0.5
SLIPS = 0.3
FEWEST_WORDS = 3
LONG_WORD = 5

# Words of three letters and more that say nothing about which document is meant.
_FILLERS = frozenset(
    words(
        """
        and are been but can does for from get gets has have into its not one return returns set sets than
        that the their then they this used uses was when where which will with you
        """
    )
)


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody types (``text``) who is after the document with the id ``relevant``."""

    text: str
    relevant: str


def queries(documents: Sequence[Document], count: int, seed: int) -> tuple[Query, ...]:
    """Return ``count`` known-item queries, the same ones for the same documents and ``seed``.

    Each comes from the first sentence of a document drawn at random (with replacement), the way people
    recall it: about half of its words and one word of its name, in any order, some of the long words misspelt
    or with another ending. Raises ``ValueError`` if no first sentence has enough words to choose from.
    """
    rng = random.Random(seed)
    sources = [(document, told) for document in documents if len(told := _telling(document.title)) > FEWEST_WORDS]
    if not sources:
        raise ValueError("documents: none has a first sentence of four telling words; pass more documents")
    drawn = (rng.choice(sources) for _ in range(count))
    return tuple(Query(_recalled(document, told, rng), document.id) for document, told in drawn)


def reciprocal_rank(results: Sequence[str], relevant: str) -> float:
    """Return 1 / rank of ``relevant`` in ``results``, the first rank being 1, or 0 if it is missing."""
    return 1 / (results.index(relevant) + 1) if relevant in results else 0.0


def _telling(sentence: str) -> list[str]:
    """The distinct words of ``sentence`` that say something, in order."""
    return list(dict.fromkeys(word for word in words(sentence) if len(word) > 2 and word not in _FILLERS))


def _recalled(document: Document, told: Sequence[str], rng: random.Random) -> str:
    recalled = [word for word in told if rng.random() < REMEMBERED]
    if len(recalled) < FEWEST_WORDS:
        recalled = rng.sample(told, FEWEST_WORDS)
    recalled.append(rng.choice(words(document.id)))
    rng.shuffle(recalled)
    return " ".join(_typed(word, rng) for word in recalled)


def _typed(word: str, rng: random.Random) -> str:
    """``word`` as it comes out of the keyboard: now and then misspelt, now and then with another ending."""
    if len(word) < LONG_WORD or rng.random() >= SLIPS:
        return word
    return rng.choice((_letter_lost, _letters_swapped, _inflected))(word, rng)


def _letter_lost(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word))
    return word[:at] + word[at + 1 :]


def _letters_swapped(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _inflected(word: str, rng: random.Random) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending):
            return word.removesuffix(ending)
    return word.removesuffix("e") + rng.choice(("s", "ed", "ing"))
