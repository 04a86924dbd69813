"""What both systems need: words, counts of terms, and the best of many scores."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

# Identifiers are split too: JSONDecodeError is json, decode, error, and S_ISLNK is s, islnk.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def words(text: str) -> list[str]:
    """Return the words of ``text`` in order and in lower case, identifiers split into their parts."""
    return [word.lower() for word in _WORD.findall(text)]


def trigrams(text: str) -> list[str]:
    """Return the trigrams of every word of ``text``, its edges marked: ``<js``, ``jso``, ``son``, ``on>``."""
    marked = [f"<{word}>" for word in words(text)]
    return [word[start : start + 3] for word in marked for start in range(len(word) - 2)]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each term occurs in each text, as coordinates sorted by term and then by text.

    ``texts``, ``terms`` and ``values`` have one element for each pair that occurs: text number, term number
    and count. ``vocabulary`` maps a term to its number, ``size`` is the number of texts.
    """

    texts: Indices
    terms: Indices
    values: Floats
    vocabulary: dict[str, int]
    size: int

    @property
    def frequencies(self) -> Indices:
        """In how many texts each term occurs, shape (terms,)."""
        return np.bincount(self.terms, minlength=len(self.vocabulary))


def count(texts: Iterable[list[str]]) -> Counts:
    """Count the terms of every text.

    Raises ``ValueError`` if no text has a term.
    """
    vocabulary: dict[str, int] = {}
    numbers: list[int] = []
    lengths: list[int] = []
    for terms in texts:
        numbers.extend(vocabulary.setdefault(term, len(vocabulary)) for term in terms)
        lengths.append(len(terms))
    if not numbers:
        raise ValueError("texts: there is no word to index; pass documents that have text")
    owners = np.repeat(np.arange(len(lengths)), lengths)
    pairs, values = np.unique(np.array(numbers) * len(lengths) + owners, return_counts=True)
    return Counts(
        texts=pairs % len(lengths),
        terms=pairs // len(lengths),
        values=values.astype(np.float32),
        vocabulary=vocabulary,
        size=len(lengths),
    )


def best(scores: Floats, k: int) -> list[int]:
    """Return the positions of the ``k`` highest positive scores, best first, ties in order of position.

    Raises ``ValueError`` if ``k`` is below one.
    """
    if k < 1:
        raise ValueError(f"k: must be at least 1 (got {k})")
    order = np.argsort(-scores, kind="stable")[:k]
    return [int(position) for position in order if scores[position] > 0]
