"""The answer systems of the example and the documents and queries they are measured with."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import pytest

from examples.answers.compare import measure
from examples.answers.corpus import Document, load
from examples.answers.keyword_search import KeywordSearch
from examples.answers.queries import Query, queries, reciprocal_rank
from examples.answers.semantic_search import SemanticSearch
from examples.answers.terms import best, count, words

FEW = 64

SOURCE = '''"""Keeps the books of a small shop.

Nothing here is meant for taxes.
"""
raise RuntimeError("imported")

class Book:
    """One book of accounts that belongs to a shop."""

    def close(self):
        """Close the book so that nobody writes into it. Ever."""

    def _tear(self):
        """Tear out a page that nobody will ever miss."""

if True:
    def audit():
        """Check every line of every book for mistakes."""

    async def fetch():
        """Fetch the books that lie at the other office."""

def copy():
    """Check every line of every book for mistakes."""

def short():
    """Too short to tell."""
'''


@pytest.fixture(scope="module")
def documents() -> tuple[Document, ...]:
    return load(limit=400)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A standard library of our own, which ``load`` takes for Python's."""

    def path(name: str) -> str:
        return str(tmp_path / name)

    monkeypatch.setattr(sysconfig, "get_path", path)
    root = tmp_path / "stdlib"
    root.mkdir()
    return root


def test_corpus_reads_public_docstrings_without_importing(library: Path) -> None:
    """Public modules, classes, methods and functions count once each; private, short and equal texts do not."""
    (library / "shop").mkdir()
    (library / "shop" / "__init__.py").write_text(SOURCE)
    assert [document.id for document in load()] == [
        "shop",
        "shop.Book",
        "shop.Book.close",
        "shop.audit",
        "shop.fetch",
    ]


@pytest.mark.parametrize("folder", ["test", "site-packages", "config-3.11-x86_64", "_internal", "shop/tests"])
def test_corpus_skips_what_is_no_library(library: Path, folder: str) -> None:
    """Tests, installed packages, build leftovers and private packages hold no documents."""
    (library / folder).mkdir(parents=True)
    (library / folder / "books.py").write_text(SOURCE)
    (library / "kept.py").write_text('"""The one module that counts as a document."""')
    assert [document.id for document in load()] == ["kept"]


def test_corpus_title_is_the_first_sentence(library: Path) -> None:
    """A title ends where the first sentence or the first paragraph ends and has no line breaks."""
    (library / "a.py").write_text('"""Opens one thing\nafter another. Then\nstops."""')
    (library / "b.py").write_text('"""A summary without a full stop\n\nAnd a second paragraph."""')
    assert [document.title for document in load()] == [
        "Opens one thing after another.",
        "A summary without a full stop",
    ]


def test_corpus_without_sources_is_an_error(library: Path) -> None:
    """A Python that ships no library source is named as the reason, with a remedy."""
    with pytest.raises(FileNotFoundError, match="ships its library's source"):
        load()


def test_corpus_limit_keeps_the_first_documents(documents: tuple[Document, ...]) -> None:
    """A limited corpus is a prefix of a longer one, and every id in it is unique."""
    assert load(limit=50) == documents[:50]
    assert len({document.id for document in documents}) == 400
    with pytest.raises(ValueError, match="limit: must be at least 1"):
        load(limit=0)


def test_words_split_identifiers() -> None:
    """Dotted, snake-case and camel-case names fall into lower-case words."""
    assert words("json.JSONDecodeError, S_ISLNK and utf8") == [
        *("json", "json", "decode", "error"),
        *("s", "islnk", "and", "utf", "8"),
    ]


def test_count_keeps_term_order_and_values() -> None:
    """Counts come sorted by term and then text, with the number of texts that have each term."""
    counts = count([["b", "a", "b"], [], ["a"]])
    pairs = zip(counts.terms.tolist(), counts.texts.tolist(), counts.values.tolist(), strict=True)
    assert list(pairs) == [(0, 0, 2), (1, 0, 1), (1, 2, 1)]
    assert counts.frequencies.tolist() == [1, 2]
    assert counts.size == 3


def test_best_orders_by_score_then_position() -> None:
    """Ties keep their order and a score of zero or less is no result."""
    assert best(np.array([0.0, 1.0, 2.0, 1.0, -1.0], dtype=np.float32), 10) == [2, 1, 3]
    assert best(np.array([3.0, 1.0, 2.0], dtype=np.float32), 2) == [0, 2]
    with pytest.raises(ValueError, match="k: must be at least 1"):
        best(np.ones(3, dtype=np.float32), 0)


def test_keyword_scores_are_bm25() -> None:
    """Rare words outweigh common ones, a repeated word helps, and length counts against a document."""
    search = KeywordSearch(
        [
            Document("m.long", "", "apple cherry and a long tail of other words"),
            Document("m.once", "", "apple pear"),
            Document("m.twice", "", "apple apple pear"),
            Document("m.none", "", "nothing"),
        ]
    ).search
    assert search("apple") == ["m.twice", "m.once", "m.long"]
    assert search("apple cherry")[0] == "m.long"
    assert search("apple", k=1) == ["m.twice"]
    assert search("quince") == search("") == []


def test_keyword_search_needs_the_word_as_written(documents: tuple[Document, ...]) -> None:
    """A misspelt word finds nothing: what the candidate does better."""
    system = KeywordSearch(documents)
    assert "argparse.ArgumentParser" in system.search("parser command line arguments")
    assert system.search("comandlinne") == []


def test_semantic_search_forgives_spelling(documents: tuple[Document, ...]) -> None:
    """Documents are found by misspelt and inflected words."""
    system = SemanticSearch(documents, FEW)
    assert any(found.startswith("argparse") for found in system.search("comand lines argumentt parsng"))
    assert len(system.search("comandlinne", k=3)) == 3
    assert system.search("") == []


def test_semantic_search_answers_the_same_after_every_build(documents: tuple[Document, ...]) -> None:
    """Two builds of the same documents agree on every result and its rank."""
    one, two = SemanticSearch(documents, FEW), SemanticSearch(documents, FEW)
    for query in queries(documents, 50, seed=3):
        assert one.search(query.text) == two.search(query.text)


def test_semantic_search_finds_by_the_closest_paragraph() -> None:
    """A document is found by any of its paragraphs, whatever the others are about."""
    texts = ["sends parcels by train", "reads mail from a server", "draws turtles", "parses dates of letters"]
    documents = [Document(f"m.{n}", text, text) for n, text in enumerate(texts * 2)]
    long = "\n\n".join([*texts[2:], *(f"unrelated filler {n} of this text" for n in range(20)), "sends mail"])
    system = SemanticSearch([*documents, Document("m.long", "", long)])
    assert system.search("sending mail", k=1) == ["m.long"]


@pytest.mark.parametrize("dimensions", [0, -1])
def test_semantic_search_refuses_no_dimensions(documents: tuple[Document, ...], dimensions: int) -> None:
    """A space needs at least one dimension, and the error says so."""
    with pytest.raises(ValueError, match="dimensions: must be at least 1"):
        SemanticSearch(documents, dimensions)


@pytest.mark.parametrize("texts", [[], ["alone"], ["abc", "xyz"]])
def test_semantic_search_refuses_documents_with_nothing_in_common(texts: list[str]) -> None:
    """Too few or unrelated documents are refused with a remedy rather than indexed wrongly."""
    with pytest.raises(ValueError, match=r"pass (more )?documents"):
        SemanticSearch([Document("", "", text) for text in texts])


def test_degraded_index_knows_half_of_the_documents(documents: tuple[Document, ...]) -> None:
    """A broken build holds exactly half of the documents, always the same half for one seed."""
    system = SemanticSearch.degraded(documents, seed=5, dimensions=FEW)
    again = SemanticSearch.degraded(documents, seed=5, dimensions=FEW)
    other = SemanticSearch.degraded(documents, seed=6, dimensions=FEW)

    def known(search: SemanticSearch) -> set[str]:
        return {found for document in documents for found in search.search(document.id, k=len(documents))}

    assert len(known(system)) == len(documents) // 2
    assert known(system) == known(again) != known(other)


def test_queries_are_repeatable_and_about_their_document(documents: tuple[Document, ...]) -> None:
    """One seed gives one set of queries; each has four words or more, mostly words of its document."""
    asked = queries(documents, 200, seed=1)
    assert asked == queries(documents, 200, seed=1) != queries(documents, 200, seed=2)
    texts = {document.id: set(words(f"{document.id} {document.title}")) for document in documents}
    typed = [(word, query.relevant) for query in asked for word in query.text.split()]
    kept = sum(word in texts[relevant] for word, relevant in typed)
    assert min(len(query.text.split()) for query in asked) == 4
    assert 0.7 * len(typed) < kept < 0.9 * len(typed)


def test_queries_need_telling_titles() -> None:
    """Documents without a usable first sentence are refused with a remedy."""
    with pytest.raises(ValueError, match="four telling words"):
        queries([Document("m", "Returns it.", "Returns it.")], 1, seed=1)


def test_reciprocal_rank_falls_with_the_rank() -> None:
    """The first place is worth one, the fourth a quarter, and a missing document nothing."""
    assert reciprocal_rank(["a", "b", "c", "d"], "a") == 1
    assert reciprocal_rank(["a", "b", "c", "d"], "d") == 0.25
    assert reciprocal_rank(["a", "b"], "z") == 0
    assert reciprocal_rank([], "z") == 0


def test_measure_averages_over_queries() -> None:
    """The means are over all queries, those without a hit included."""
    quality = measure(lambda text: ["x", "y"], [Query("", "x"), Query("", "y"), Query("", "z"), Query("", "z")])
    assert quality.reciprocal_rank == pytest.approx(0.375)
    assert quality.found == 0.5


@pytest.mark.slow
def test_candidate_is_a_match_and_the_degraded_build_is_not() -> None:
    """Over the whole library the candidate holds up against the trusted system and the broken one loses half."""
    documents = load()
    asked = queries(documents, 1000, seed=1)
    keyword = measure(KeywordSearch(documents).search, asked)
    semantic = measure(SemanticSearch(documents).search, asked)
    degraded = measure(SemanticSearch.degraded(documents, seed=1).search, asked)
    assert keyword.reciprocal_rank > 0.75
    assert semantic.reciprocal_rank > keyword.reciprocal_rank - 0.05
    assert semantic.found > 0.94
    assert 0.4 < degraded.found / semantic.found < 0.6
