"""The trusted system: ranking by the words that question and document share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .corpus import Document
from .terms import Counts, Floats, best, count, words

K1 = 1.2
B = 0.75


class KeywordSearch:
    """Okapi BM25 over an inverted index.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends
    in Information Retrieval 3(4), 2009, with the usual k1 = 1.2 and b = 0.75. A word counts only as it is
    written: "encodes" does not find "encode".
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        """Index the name and the text of every document; raises ``ValueError`` if they hold no word."""
        counts = count(words(f"{document.id} {document.text}") for document in documents)
        self._ids = [document.id for document in documents]
        self._vocabulary = counts.vocabulary
        self._documents = counts.texts
        self._weights = _weights(counts)
        # The postings of term t are the elements from starts[t] up to starts[t + 1].
        self._starts = np.searchsorted(counts.terms, np.arange(len(counts.vocabulary) + 1))

    def search(self, query: str, k: int = 10) -> list[str]:
        """Return the ids of at most ``k`` documents that share a word with ``query``, best first."""
        scores = np.zeros(len(self._ids), dtype=np.float32)
        for word in words(query):
            term = self._vocabulary.get(word)
            if term is not None:
                postings = slice(self._starts[term], self._starts[term + 1])
                scores[self._documents[postings]] += self._weights[postings]
        return [self._ids[position] for position in best(scores, k)]


def _weights(counts: Counts) -> Floats:
    """What each posting adds to its document's score, shape (postings,)."""
    frequencies = counts.frequencies
    rarity = np.log1p((counts.size - frequencies + 0.5) / (frequencies + 0.5))
    lengths = np.bincount(counts.texts, weights=counts.values, minlength=counts.size)
    damping = K1 * (1 - B + B * lengths / lengths.mean())
    saturated = counts.values * (K1 + 1) / (counts.values + damping[counts.texts])
    weights: Floats = np.asarray(rarity[counts.terms] * saturated, dtype=np.float32)
    return weights
