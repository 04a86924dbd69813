"""What an answer is worth, judged without knowing the right one."""

from __future__ import annotations

from typing import Final

from examples.answers.terms import trigrams, words

from .systems import Reply

_ALIKE: Final = 0.6
_SHORT: Final = 2


def support(reply: Reply, question: str) -> float:
    """The share of the question's words that the answer speaks of, 0 to 1; 1 for a question without words.

    Words are alike when Dice's coefficient of their trigrams is at least 0.6, so that slips of the keyboard and endings
    do not count. It tells an answer on the subject from one beside it, and says nothing about whether it is true: put
    a judge of your own here.
    """
    asked = [frozenset(trigrams(word)) for word in dict.fromkeys(words(question)) if len(word) > _SHORT]
    said = [frozenset(trigrams(word)) for word in set(words(reply.text))]
    return sum(any(_dice(one, other) >= _ALIKE for other in said) for one in asked) / len(asked) if asked else 1.0


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other))
