"""What the leases of a process have been used for, where it survives the process: a file that is mapped into memory.

Whoever is killed cannot settle. What it has set aside or spent is in the pages of its file all the same, which the
system keeps; another process of the same machine finds the file unlocked, settles for the dead one, and nothing of a
lease is lost. (A machine that dies takes them with it: then leases count as spent.)
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import struct
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None  # type: ignore[assignment]

SLOTS: Final = 64
"""How many leases of a process are written down at a time; more are leased, but lost when it is killed."""

_SLOT: Final = 512
_HEAD: Final = struct.Struct("<qh")
_USED: Final = struct.Struct("<q")
_SUFFIX: Final = ".leases"

Entry = tuple[str, str, int]
"""A lease: the path of its budget, its id, and what of it was set aside or spent, in millionths."""

_log = logging.getLogger("turnout.client")


class Journal:
    """The journal of this process, in ``folder``, of leases from the controller at ``url``. Raises OSError."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder: Final = folder
        self._prefix: Final = sha256(url.encode()).hexdigest()[:16]
        self._slots: dict[str, int] = {}
        self._free = list(reversed(range(SLOTS)))
        self._closed = False
        folder.mkdir(parents=True, exist_ok=True)
        self._file: Final = folder / f"{self._prefix}-{os.getpid()}-{uuid4().hex[:12]}{_SUFFIX}"
        new = self._file.with_suffix(".new")
        self._fd: Final = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        os.ftruncate(self._fd, SLOTS * _SLOT)
        self._map: Final = mmap.mmap(self._fd, SLOTS * _SLOT)
        _locked(self._fd)
        # Nobody may find the file before it is locked.
        new.rename(self._file)

    def begin(self, id: str, path: str) -> int:
        """Write a lease down, once; its slot, -1 when there is none left."""
        if id in self._slots:
            return self._slots[id]
        body = f"{id}\n{path}".encode()
        if not self._free or len(body) > _SLOT - _HEAD.size:
            return -1
        slot = self._slots[id] = self._free.pop()
        at = slot * _SLOT
        self._map[at + _HEAD.size : at + _HEAD.size + len(body)] = body
        _HEAD.pack_into(self._map, at, 0, len(body))
        return slot

    def write(self, slot: int, used: int) -> None:
        """``used`` millionths of the lease in ``slot`` are set aside or spent by now."""
        if slot >= 0 and not self._closed:
            _USED.pack_into(self._map, slot * _SLOT, used)

    def end(self, id: str) -> None:
        """The lease is settled."""
        slot = self._slots.pop(id, None)
        if slot is not None:
            _HEAD.pack_into(self._map, slot * _SLOT, 0, 0)
            self._free.append(slot)

    def close(self) -> None:
        """Leave what is not settled to others; the file goes if there is nothing."""
        if not self._slots:
            self._file.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's journal."""
        self._closed = True
        with contextlib.suppress(BufferError, OSError):
            self._map.close()
            os.close(self._fd)

    @contextmanager
    def orphan(self) -> Generator[list[Entry]]:
        """The leases of a process that is gone; its file goes too, unless the context is left by an exception."""
        for file in self._folder.glob(f"{self._prefix}-*{_SUFFIX}"):
            fd = -1 if file == self._file else _taken(file)
            if fd < 0:
                continue
            try:
                yield list(_entries(os.pread(fd, SLOTS * _SLOT, 0)))
                file.unlink(missing_ok=True)
            finally:
                os.close(fd)
            return
        yield []


def journal(folder: Path | None, url: str) -> Journal | None:
    """A journal in ``folder``; None where there can be none."""
    if folder is None or fcntl is None:
        return None
    try:
        return Journal(folder, url)
    except OSError as error:
        _log.info("leases are not written down, and count as spent if this process is killed: %s", error)
        return None


def _taken(file: Path) -> int:
    """A descriptor of ``file`` with its lock; -1 while somebody has it, or when it is gone."""
    try:
        fd = os.open(file, os.O_RDWR)
    except OSError:
        return -1
    with contextlib.suppress(OSError):
        # Another may have settled and removed it since it was listed.
        if _locked(fd) and os.fstat(fd).st_nlink and os.fstat(fd).st_size == SLOTS * _SLOT:
            return fd
    os.close(fd)
    return -1


def _locked(fd: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _entries(data: bytes) -> Generator[Entry]:
    for at in range(0, len(data), _SLOT):
        used, size = _HEAD.unpack_from(data, at)
        if size > 0:
            id, _, path = data[at + _HEAD.size : at + _HEAD.size + size].decode("utf-8", "replace").partition("\n")
            yield path, id, used
