"""The calendar: windows of the plan, and the freezes there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from turnout.domain.freezes import Opening, opening
from turnout.domain.windows import Window
from turnout.ports import FreezeStore


class Calendar:
    """Tells whether a flag's traffic may move forward, by windows and by the freezes in a store."""

    def __init__(self, freezes: FreezeStore) -> None:
        self._freezes = freezes

    async def opening(self, flag: str, windows: Sequence[Window], at: datetime) -> Opening:
        """Whether ``flag`` may move forward at ``at``."""
        return opening(windows, await self._freezes.list(after=at), flag, at)
