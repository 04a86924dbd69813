"""The settings of one flag that a process's environment may hold, under the flag's ``env_prefix``.

With the prefix ``LIGHTRAG_``:

===========================================  ========================================================================
``LIGHTRAG_ENABLED``                         ``false``: everybody gets the other variant
``LIGHTRAG_ROLLOUT_PERCENTAGE``              how many percent of the units get the variant
``LIGHTRAG_EMERGENCY_STOP_ENABLED``          ``true``: everybody gets the other variant, whatever else is said
``LIGHTRAG_QUALITY_THRESHOLD``               the lowest mean quality, on the caller's own scale
``LIGHTRAG_MIN_SUCCESS_RATE``                the lowest share of requests that succeed, 0 to 1
``LIGHTRAG_CIRCUIT_BREAKER_ENABLED``         whether guarded calls have a breaker
``…_CIRCUIT_BREAKER_FAILURE_THRESHOLD``      failures in a row that open it
``…_CIRCUIT_BREAKER_TIMEOUT_SECONDS``        how long it stays open
``LIGHTRAG_AB_TEST_ENABLED``                 ``false``: its units take no part in a test of the flag
``LIGHTRAG_AB_TEST_NAME``                    the name of a test that is started
``LIGHTRAG_AB_TEST_SAMPLE_SIZE``             units that it needs, where its file does not say
``LIGHTRAG_DAILY_BUDGET_USD``                what the variant may cost in a day
``LIGHTRAG_BUDGET_ALERT_THRESHOLD``          the share of the budget at which people are told, 0 to 1
===========================================  ========================================================================

The first three decide evaluations of the process that has them, and so does ``AB_TEST_ENABLED`` those of a test.
Breakers and budgets are for guarded calls, and so are the lowest quality and share, which are also the gates of a
rollout that the process starts. The settings of a test are for one that it starts. A variable that is empty counts as
not set.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from turnout.domain.budget import MILLION, Limits, micros
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.flag_checks import environment_form, exact_weight
from turnout.domain.model import Frozen

_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_NEAR: Final = 0.85
"""How alike a name has to be to a known one to be taken for a slip: services have variables of their own."""


class Bound(Frozen):
    """What the environment says of one flag; None where it says nothing. Shares are of 1, a percentage is of 100."""

    enabled: bool | None = None
    rollout_percentage: Decimal | None = None
    quality_threshold: float | None = None
    min_success_rate: float | None = None
    circuit_breaker_enabled: bool | None = None
    circuit_breaker_failure_threshold: int | None = None
    circuit_breaker_timeout_seconds: float | None = None
    ab_test_enabled: bool | None = None
    ab_test_name: str | None = None
    ab_test_sample_size: int | None = None
    daily_budget_usd: Decimal | None = None
    budget_alert_threshold: float | None = None
    emergency_stop_enabled: bool | None = None

    @property
    def decides(self) -> str | None:
        """The setting that decides every evaluation of the flag here, if one does."""
        if self.emergency_stop_enabled:
            return "emergency_stop_enabled"
        if self.enabled is False:
            return "enabled"
        return "rollout_percentage" if self.rollout_percentage is not None else None

    @property
    def limits(self) -> Limits:
        """What calls of the variant may cost in a day."""
        daily = None if self.daily_budget_usd is None else micros(self.daily_budget_usd)
        return Limits(daily=daily, alert_at=self.budget_alert_threshold)


NOTHING: Final = Bound()
"""What an environment says that says nothing."""


def parse_bound(prefix: str, environ: Mapping[str, str]) -> Bound:
    """The settings that ``environ`` holds under ``prefix``. Raises InvalidInput with every fault."""
    bound, problems = read_bound(prefix, environ)
    if problems:
        raise InvalidInput(problems)
    return bound


def read_bound(prefix: str, environ: Mapping[str, str]) -> tuple[Bound, tuple[Problem, ...]]:
    """The settings that can be read, and what is wrong with the others.

    A switch of traffic or a budget that cannot be read is set to the safe side: stopped, not enabled, or nothing.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, (read, remedy) in _READERS.items():
        variable = prefix + name.upper()
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            found[name] = read(text)
        except (ValueError, InvalidOperation):
            safe, until_then = _SAFE.get(name, ({}, ""))
            found |= safe
            problems.append(Problem(variable, "cannot be used", remedy + until_then, _shown(text)))
    return Bound(**found), (*problems, *_slips(prefix, environ))


def environment_name(key: str) -> str:
    """The variable that overrides flag ``key``: ``answer-engine`` is ``TURNOUT_FLAG_ANSWER_ENGINE``."""
    return OVERRIDE + environment_form(key)


OVERRIDE: Final = "TURNOUT_FLAG_"
"""What the variables begin with that name the variant of a flag."""


def _slips(prefix: str, environ: Mapping[str, str]) -> list[Problem]:
    known = [prefix + name.upper() for name in _READERS]
    slips: list[Problem] = []
    for variable in sorted(environ):
        if variable.startswith(prefix) and variable not in known:
            near = difflib.get_close_matches(variable.removeprefix(prefix), [k.removeprefix(prefix) for k in known], 1)
            ratio = difflib.SequenceMatcher(None, variable.removeprefix(prefix), near[0]).ratio() if near else 0.0
            if ratio >= _NEAR:
                slips.append(Problem(variable, "is no setting of a flag", f"did you mean {prefix}{near[0]}?"))
    return slips


def _switch(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError(text)
    return _WORDS[text.lower()]


def _number(least: float, most: float | None = None, *, above: bool = False) -> Callable[[str], Decimal]:
    def read(text: str) -> Decimal:
        value = Decimal(text)
        too_low = value <= Decimal(str(least)) if above else value < Decimal(str(least))
        if not value.is_finite() or too_low or (most is not None and value > Decimal(str(most))):
            raise ValueError(text)
        return value

    return read


def _percentage(text: str) -> Decimal:
    value = Decimal(text.removesuffix("%").rstrip())
    if not value.is_finite() or exact_weight(value) is None:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < 1:
        raise ValueError(text)
    return int(text)


def _text(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise ValueError(text)
    return text


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


_SWITCH: Final = (_switch, "write true or false")
_SHARE: Final = (_number(0, 1), "write a share of 0 to 1, such as 0.95")

_READERS: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "enabled": _SWITCH,
    "rollout_percentage": (_percentage, "write a number of 0 to 100 with at most three decimals, such as 25"),
    "quality_threshold": (_number(0), "write a number of 0 or more, such as 0.8"),
    "min_success_rate": _SHARE,
    "circuit_breaker_enabled": _SWITCH,
    "circuit_breaker_failure_threshold": (_count, "write a whole number of 1 or more, such as 5"),
    "circuit_breaker_timeout_seconds": (_number(0, above=True), "write seconds above 0, such as 60"),
    "ab_test_enabled": _SWITCH,
    "ab_test_name": (_text, "write at most 200 printable characters"),
    "ab_test_sample_size": (_count, "write a whole number of 1 or more, such as 1000"),
    "daily_budget_usd": (_number(0, 1000 * MILLION), "write dollars of 0 to a thousand million, such as 50.00"),
    "budget_alert_threshold": (_number(0, 1), "write a share of 0 to 1, such as 0.8 for 80 %"),
    "emergency_stop_enabled": _SWITCH,
}
_NOBODY: Final = "; until then everybody gets the other variant"
_SAFE: Final[Mapping[str, tuple[Mapping[str, object], str]]] = {
    "enabled": ({"enabled": False}, _NOBODY),
    "emergency_stop_enabled": ({"emergency_stop_enabled": True}, _NOBODY),
    "daily_budget_usd": ({"daily_budget_usd": Decimal(0)}, "; until then no call of the variant is paid for"),
}
"""What is taken for a setting that cannot be read, and what to say of that."""
