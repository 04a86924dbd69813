"""What a client is made with: where its controller is, where flags are kept, and which numbers make sense."""

from __future__ import annotations

import logging
import os
from enum import Enum
from pathlib import Path
from typing import Final

from turnout.adapters.geo import Places, open_places
from turnout.client.disk import cache_file, default_folder
from turnout.client.http import Endpoint
from turnout.domain.errors import InvalidInput, Problem

DEFAULT_URL: Final = "http://127.0.0.1:8080"

_log = logging.getLogger("turnout.client")


class CacheDir(Enum):
    """Where the last good flags are kept, other than a folder of the caller's."""

    PLATFORM = "platform"


def check(**settings: float) -> None:
    """Raise InvalidInput for settings that are not above zero."""
    wrong = [
        Problem(name, "must be above 0", "leave it out for the default", repr(value))
        for name, value in settings.items()
        if not value > 0
    ]
    if wrong:
        raise InvalidInput(wrong)


def cache_path(cache_dir: str | os.PathLike[str] | CacheDir | None, controller: Endpoint) -> Path | None:
    """The file that keeps the flags of ``controller``; None to keep none, or where there is no folder for it."""
    if cache_dir is None:
        return None
    try:
        folder = default_folder() if isinstance(cache_dir, CacheDir) else Path(cache_dir)
        return cache_file(folder, controller.url)
    except RuntimeError:
        _log.info("this user has no home folder: flags are not kept on disk; pass cache_dir to keep them")
        return None


def places_of(geo: str | os.PathLike[str] | Places | None) -> Places | None:
    """Where addresses are looked up: as given, or as TURNOUT_GEO_DATABASE says, if it does."""
    geo = geo or os.environ.get("TURNOUT_GEO_DATABASE") or None
    return open_places(geo) if geo is None or isinstance(geo, str | os.PathLike) else geo
