"""The last good flag document, kept on disk for when the controller is down."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import httpx

_log = logging.getLogger("turnout.client")


class Cache:
    """One file with one document. No failure of the disk is the caller's: it is logged, once."""

    def __init__(self, path: Path | None) -> None:
        """``path`` None keeps nothing."""
        self.path = path
        self._complained = False

    def load(self) -> tuple[bytes, float] | None:
        """The document as it was saved and its age in seconds; None when there is none."""
        if self.path is None:
            return None
        try:
            return self.path.read_bytes(), max(0.0, time.time() - self.path.stat().st_mtime)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
            return None

    def save(self, document: bytes) -> None:
        """Replace the file's content in one step: a reader sees the old document or the new one."""
        if self.path is None:
            return
        try:
            _replace(self.path, document)
        except OSError as error:
            self._complain("written", error)

    def _complain(self, done: str, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("the flags on disk cannot be %s: %s; pass cache_dir to keep them elsewhere", done, error)


def cache_file(folder: Path, url: str) -> Path:
    """The file for the controller at ``url``: a name of its own for every URL, and no password in it."""
    bare = httpx.URL(url).copy_with(username=None, password=None)
    return folder / f"{quote(str(bare).rstrip('/'), safe='')}.json"


def default_folder() -> Path:
    """Where this platform keeps an application's caches."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "turnout"


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
