"""What makes a breaker trip: errors in a row, too few successes, or answers of low quality."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class ErrorMeter:
    """Trips at the ``threshold``-th failure in a row. A call is worth 1 when it went well, 0 when it failed.

    Every probe has to go well.
    """

    def __init__(self, threshold: int = 5) -> None:
        if threshold < 1:
            raise ValueError(f"a failure threshold is at least 1; got {threshold}")
        self._threshold = threshold
        self._row = 0

    def record(self, value: float) -> str | None:
        """See `Meter.record`."""
        self._row = 0 if value >= 1 else self._row + 1
        return f"{self._row} failures in a row" if self._row >= self._threshold else None

    def probe(self, values: Sequence[float], wanted: int) -> bool | None:
        """See `Meter.probe`."""
        if values[-1] < 1:
            return False
        return True if len(values) >= wanted else None

    def reset(self) -> None:
        """See `Meter.reset`."""
        self._row = 0


class SuccessMeter(ErrorMeter):
    """Trips as `ErrorMeter` does, and when too few of the last ``window`` calls went well, once there are ``minimum``.

    Too few is a share below ``least``, 0 to 1.
    """

    def __init__(self, threshold: int, least: float, window: int = 50, minimum: int = 20) -> None:
        super().__init__(threshold)
        self._least = least
        self._minimum = _minimum(minimum, window)
        self._calls: deque[bool] = deque(maxlen=window)

    def record(self, value: float) -> str | None:
        """See `Meter.record`."""
        calls = self._calls
        calls.append(value >= 1)
        why = super().record(value)
        if why is not None or len(calls) < self._minimum:
            return why
        good = sum(calls)
        if good / len(calls) >= self._least:
            return None
        return f"{good} of the last {len(calls)} calls went well, below {self._least:g} of them"

    def reset(self) -> None:
        """See `Meter.reset`."""
        super().reset()
        self._calls.clear()


class QualityMeter:
    """Trips when the mean of the last ``window`` scores is below ``threshold``, as soon as there are ``minimum``.

    The probes are good when the mean of all of them reaches the threshold.
    """

    def __init__(self, threshold: float, window: int = 50, minimum: int = 20) -> None:
        self._threshold = threshold
        self._minimum = _minimum(minimum, window)
        self._scores: deque[float] = deque(maxlen=window)

    def record(self, value: float) -> str | None:
        """See `Meter.record`."""
        self._scores.append(value)
        if len(self._scores) < self._minimum:
            return None
        mean = sum(self._scores) / len(self._scores)
        if mean >= self._threshold:
            return None
        return f"the mean of the last {len(self._scores)} scores is {mean:.3g}, below {self._threshold:g}"

    def probe(self, values: Sequence[float], wanted: int) -> bool | None:
        """See `Meter.probe`."""
        return sum(values) / len(values) >= self._threshold if len(values) >= wanted else None

    def reset(self) -> None:
        """See `Meter.reset`."""
        self._scores.clear()


def _minimum(minimum: int, window: int) -> int:
    if not 1 <= minimum <= window:
        raise ValueError(f"the minimum is between 1 and the window ({window}); got {minimum}")
    return minimum
