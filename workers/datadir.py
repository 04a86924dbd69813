"""What `turnout up` keeps in its data directory: who may use it, and the ports it is served on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from turnout.domain.errors import Conflict, Unavailable

LOOPBACK = "127.0.0.1"
"""The embedded server has no authentication and listens nowhere else."""

# Below the ports that systems hand to outgoing connections (Linux from 32768, macOS from 49152): a client
# that keeps dialling a dead server's port from that range can connect to itself and so take the port.
_PORTS = range(20_000, 30_000)

_LOCK = "up.lock"
# Seconds. A holder that was killed looks alive until somebody reaps it, so even then a moment is given.
_PATIENCE_WITH_THE_LIVING, _PATIENCE_WITH_THE_DEAD = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class TemporalPorts:
    """TCP ports of the embedded server: ``grpc`` for clients and workers, ``http`` for its HTTP API,
    ``metrics`` for Prometheus, ``ui`` for its web page.
    """

    grpc: int
    http: int
    metrics: int
    ui: int

    @property
    def address(self) -> str:
        """``host:port`` for clients and workers."""
        return f"{LOOPBACK}:{self.grpc}"


def refusal(host: str, port: int) -> OSError | None:
    """Why a server could not listen on ``port`` of ``host`` now (socket.gaierror: the host is no address);
    None if it could.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As servers do; without it, connections of the last run that still wait to close would count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def free_port(preferred: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """A free port of the loopback address that is not in ``taken``: ``preferred`` if it is one, else any.

    Raises Unavailable if none is found.
    """
    if preferred is not None and preferred not in taken and refusal(LOOPBACK, preferred) is None:
        return preferred
    for port in random.sample(_PORTS, k=200):
        if port not in taken and refusal(LOOPBACK, port) is None:
            return port
    raise Unavailable(f"no free TCP port found between {_PORTS.start} and {_PORTS.stop - 1} on {LOOPBACK}")


def pick_ports(previous: TemporalPorts | None = None, taken: frozenset[int] = frozenset()) -> TemporalPorts:
    """Four different free ports not in ``taken``, each as in ``previous`` where that one is still free."""
    chosen: dict[str, int] = {}
    for field in fields(TemporalPorts):
        before = None if previous is None else int(getattr(previous, field.name))
        chosen[field.name] = free_port(before, taken.union(chosen.values()))
    return TemporalPorts(**chosen)


def load_ports(data: Path) -> TemporalPorts | None:
    """The ports that ``data`` was last served on; None if unknown."""
    try:
        stored = json.loads((data / "ports.json").read_text(encoding="utf-8"))
        return TemporalPorts(**{field.name: int(stored[field.name]) for field in fields(TemporalPorts)})
    except (OSError, ValueError, KeyError, TypeError):
        # Remembering ports is a convenience; a damaged file costs only that.
        return None


def save_ports(data: Path, ports: TemporalPorts) -> None:
    """Remember ``ports`` for the next start on ``data``."""
    draft = data / "ports.json.new"
    draft.write_text(json.dumps(asdict(ports)) + "\n", encoding="utf-8")
    draft.replace(data / "ports.json")


def _holder(fd: int) -> int | None:
    """Process id noted in the lock file, None if there is none."""
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lock(fd: int, data: Path) -> None:
    """Take the lock. If its holder is dead, wait for the last of its children to close the file."""
    begin = time.monotonic()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            patience = _PATIENCE_WITH_THE_LIVING if _is_alive(holder) else _PATIENCE_WITH_THE_DEAD
            if time.monotonic() - begin > patience:
                raise Conflict(
                    f"another `turnout up` (process {holder or 'unknown'}) is using {data};"
                    " stop it first or choose another directory with --data"
                ) from None
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def data_lock(data: Path) -> Generator[int]:
    """Hold ``data`` (made if missing) for this process alone; gives the lock's file descriptor.

    The server itself locks nothing, and two on one file destroy it. Let the server process inherit the
    descriptor: the lock then lasts until that process, too, is gone. Raises Conflict if another holds it.
    """
    data.mkdir(parents=True, exist_ok=True)
    fd = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(fd, data)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
        yield fd
    finally:
        os.close(fd)
