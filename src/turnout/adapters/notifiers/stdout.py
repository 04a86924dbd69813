"""A line of JSON on standard output, for whatever collects the worker's log."""

from __future__ import annotations

import sys
from typing import TextIO

from turnout.adapters.notifiers._common import in_thread
from turnout.domain.errors import Unavailable
from turnout.domain.notices import Notice


class StdoutNotifier:
    """A `turnout.ports.Notifier` on ``stream``, standard output unless given. A full pipe blocks nothing else."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, notice: Notice) -> None:
        """See `Notifier.send`."""

        def write() -> None:
            stream = self._stream or sys.stdout
            stream.write(notice.model_dump_json() + "\n")
            stream.flush()

        try:
            await in_thread("stdout", write)
        except (OSError, ValueError) as error:
            raise Unavailable(f"stdout cannot be written: {error}") from error
