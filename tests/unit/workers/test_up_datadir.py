"""The data directory: its lock and the ports it remembers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.domain.errors import Conflict
from workers import datadir
from workers.datadir import LOOPBACK, TemporalPorts, data_lock, free_port, load_ports, pick_ports, save_ports


def test_the_lock_refuses_a_second_holder_by_name(tmp_path: Path) -> None:
    """While one holds the directory, another is refused with the holder's process id and a remedy."""
    with data_lock(tmp_path / "new"):
        refused = pytest.raises(Conflict, match=rf"process {os.getpid()}\).*--data")
        with refused, data_lock(tmp_path / "new"):
            pass
    with data_lock(tmp_path / "new"):
        pass


def test_the_lock_lasts_as_long_as_a_process_that_inherited_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that survives its supervisor still keeps others from its files."""
    monkeypatch.setattr(datadir, "_PATIENCE_WITH_THE_LIVING", 0.0)
    with data_lock(tmp_path) as fd:
        command = [sys.executable, "-I", "-S", "-c", "input()"]
        heir = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(fd,))
    with pytest.raises(Conflict), data_lock(tmp_path):
        pass
    heir.communicate(b"\n")
    with data_lock(tmp_path):
        pass


def test_a_dead_holder_is_waited_for(tmp_path: Path) -> None:
    """When the noted holder is dead, the lock is taken as soon as the last of its children is gone."""
    ended = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    ended.wait()
    with data_lock(tmp_path) as fd:
        os.pwrite(fd, f"{ended.pid}\n".ljust(32).encode(), 0)
        command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(0.3)"]
        heir = subprocess.Popen(command, pass_fds=(fd,))
    with data_lock(tmp_path):
        assert heir.wait() == 0


def test_ports_are_remembered(tmp_path: Path) -> None:
    """What was saved is loaded; nothing, or nonsense, is no memory."""
    ports = TemporalPorts(1, 2, 3, 4)
    assert load_ports(tmp_path) is None
    save_ports(tmp_path, ports)
    assert load_ports(tmp_path) == ports
    (tmp_path / "ports.json").write_text("[]")
    assert load_ports(tmp_path) is None


def test_free_ports_of_before_are_kept_and_busy_ones_replaced() -> None:
    """Clients find the server where it was, unless another program took that port."""
    before = pick_ports()
    with socket.create_server((LOOPBACK, before.http)):
        after = pick_ports(before)
    assert (after.grpc, after.metrics, after.ui) == (before.grpc, before.metrics, before.ui)
    assert after.http != before.http
    assert len({after.grpc, after.http, after.metrics, after.ui}) == 4


def test_a_taken_port_is_not_given_twice() -> None:
    """A preferred port that is meant for something else is not handed out again."""
    port = free_port()
    assert free_port(port) == port
    assert free_port(port, frozenset((port,))) != port
