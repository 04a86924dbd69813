"""The candidate: ranking by closeness in a space learned from the documents."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Self, cast

import numpy as np
from scipy.sparse import csr_array, linalg

from .corpus import Document
from .terms import Counts, Floats, best, count, trigrams

DIMENSIONS = 480

_BLANK_LINE = re.compile(r"\n\s*\n")


class SemanticSearch:
    """Latent semantic indexing of passages.

    Deerwester et al., "Indexing by Latent Semantic Analysis", Journal of the American Society for
    Information Science 41(6), 1990: TF-IDF vectors, reduced by a truncated singular value decomposition,
    compared by the cosine. Three choices suit it to short, careless questions: terms are the trigrams of
    words, so that a misspelt or inflected word still counts; every paragraph is a passage of its own, under
    its document's name; and a document is as close to the question as its closest passage.
    """

    def __init__(self, documents: Sequence[Document], dimensions: int = DIMENSIONS) -> None:
        """Index every document.

        ``dimensions`` is the size of the space; few documents make it smaller. Raises ``ValueError`` if it
        is below one, or if the documents have too little in common to span a space.
        """
        if dimensions < 1:
            raise ValueError(f"dimensions: must be at least 1 (got {dimensions})")
        passages = [list(_passages(document)) for document in documents]
        counts = count(trigrams(passage) for parts in passages for passage in parts)
        self._ids = [document.id for document in documents]
        self._first = np.cumsum([0, *(len(parts) for parts in passages[:-1])])
        self._vocabulary = counts.vocabulary
        self._rarity = _rarity(counts)
        self._space, self._passages = _decompose(counts, self._rarity, dimensions)

    @classmethod
    def degraded(cls, documents: Sequence[Document], seed: int, dimensions: int = DIMENSIONS) -> Self:
        """Return the index that a build leaves behind which lost half of the documents on its way.

        ``seed`` decides which half. It answers as quickly and as confidently as the whole index does.
        """
        kept = sorted(random.Random(seed).sample(range(len(documents)), len(documents) // 2))
        return cls([documents[position] for position in kept], dimensions)

    def search(self, query: str, k: int = 10) -> list[str]:
        """Return the ids of at most ``k`` documents that are close to ``query``, closest first."""
        closeness = self._passages @ self._embed(query)
        scores = np.maximum.reduceat(closeness, self._first)
        return [self._ids[position] for position in best(scores, k)]

    def _embed(self, query: str) -> Floats:
        """The place of ``query`` in the space, shape (dimensions,); its length is left as it is."""
        found = Counter(self._vocabulary[trigram] for trigram in trigrams(query) if trigram in self._vocabulary)
        terms = np.fromiter(found.keys(), dtype=np.int64)
        values = np.fromiter(found.values(), dtype=np.float32)
        place: Floats = np.dot(_damped(values) * self._rarity[terms], self._space[terms])
        return place


def _passages(document: Document) -> Iterator[str]:
    for paragraph in _BLANK_LINE.split(document.text):
        yield f"{document.id} {paragraph}"


def _damped(values: Floats) -> Floats:
    """Counts on a logarithmic scale: the tenth mention says less than the first."""
    return 1 + np.log(values)


def _rarity(counts: Counts) -> Floats:
    """Inverse document frequency, shape (terms,); zero for a term of one passage, which relates nothing."""
    frequencies = counts.frequencies
    rarity = np.where(frequencies > 1, np.log(counts.size / frequencies), 0.0)
    return rarity.astype(np.float32)


def _decompose(counts: Counts, rarity: Floats, dimensions: int) -> tuple[Floats, Floats]:
    """Return the space, shape (terms, dimensions), and the passages in it, shape (passages, dimensions)."""
    weights = _normalised(counts, rarity)
    shape = (counts.size, len(counts.vocabulary))
    rank = min(dimensions, min(shape) - 1)
    if rank < 1 or not weights.any():
        raise ValueError(f"documents: {counts.size} passages have too little in common; pass more documents")
    matrix = csr_array((weights, (counts.texts, counts.terms)), shape=shape)
    # A fixed starting vector makes every build of the same documents the same.
    start = np.ones(min(shape), dtype=np.float32)
    left, strengths, right = cast("tuple[Floats, Floats, Floats]", linalg.svds(matrix, k=rank, v0=start))
    passages = left * strengths
    lengths = np.linalg.norm(passages, axis=1, keepdims=True)
    # A passage of which the space keeps nothing but rounding errors must not look close to anything.
    return np.ascontiguousarray(right.T), passages / np.maximum(lengths, 1e-3)


def _normalised(counts: Counts, rarity: Floats) -> Floats:
    """TF-IDF weight of every pair in ``counts``, each passage scaled to length one."""
    weights = _damped(counts.values) * rarity[counts.terms]
    squares = np.bincount(counts.texts, weights=weights**2, minlength=counts.size)
    lengths = np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
    return (weights / lengths[counts.texts]).astype(np.float32)
