"""How alike the answers of two systems are: from 0 (nothing in common) to 1 (the same)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from turnout.domain.flags import Comparator

Compare = Callable[[Any, Any], float]
"""(stable's answer, the candidate's answer) -> agreement, 0 to 1; a boolean will do."""

_TOKEN: Final = re.compile(r"\w+")


def exact(stable: object, candidate: object) -> float:
    """1 when the answers are equal, otherwise 0."""
    return float(bool(stable == candidate))


def token_overlap(stable: object, candidate: object) -> float:
    """How many words two texts share: twice the common ones over all, each counted as often as it occurs.

    L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945) 297-302, on the
    multisets of words, without regard to case and punctuation. Two texts without words agree. Anything else than a text
    is compared by its ``str``.
    """
    one, two = _words(stable), _words(candidate)
    size = one.total() + two.total()
    return 2 * (one & two).total() / size if size else 1.0


COMPARATORS: Final[dict[Comparator, Compare]] = {"exact": exact, "token_overlap": token_overlap}
"""The comparators that a rollout spec can name."""


def _words(answer: object) -> Counter[str]:
    return Counter(_TOKEN.findall(str(answer).casefold()))
