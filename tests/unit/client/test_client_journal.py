"""The journal of leases: what is left of a process that was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from turnout.client.journal import SLOTS, Journal, journal
from turnout.guards.wallet import Wallet

URL = "http://127.0.0.1:8080"
BUDGET = "/v1/budgets/answer-engine/lightrag"


def killed_after_spending(folder: Path) -> None:
    """A process leases, spends, sets aside for one more call, and is killed."""
    child = os.fork()
    if not child:
        mine = Journal(folder, URL)
        wallet = Wallet(lambda: 0.0, record=mine)
        for id in ("settled", "a"):
            wallet.add(id, 100, 0.0, 60.0, mine.begin(id, BUDGET))
        mine.end("settled")
        wallet.collect(everything=True)
        wallet.add("b", 100, 0.0, 60.0, mine.begin("b", BUDGET))
        paid, under_way = wallet.reserve(40), wallet.reserve(20)
        assert paid is not None
        assert under_way is not None
        wallet.settle(paid, 30)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_an_heir_finds_what_the_dead_has_used(tmp_path: Path) -> None:
    """What was spent and what was set aside, of every lease that is not settled; once."""
    killed_after_spending(tmp_path)
    heir = Journal(tmp_path, URL)
    with heir.orphan() as entries:
        assert sorted(entries) == [(BUDGET, "a", 0), (BUDGET, "b", 50)]
    with heir.orphan() as entries:
        assert entries == []
    heir.close()
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_settled_is_left_to_the_next(tmp_path: Path) -> None:
    """The file stays when settling fails."""
    killed_after_spending(tmp_path)
    heir = Journal(tmp_path, URL)
    with pytest.raises(ConnectionError), heir.orphan():
        raise ConnectionError
    with heir.orphan() as entries:
        assert len(entries) == 2


def test_the_living_keep_what_is_theirs(tmp_path: Path) -> None:
    """Of this controller and of another one; one that closes leaves what is not settled."""
    one, two, other = Journal(tmp_path, URL), Journal(tmp_path, URL), Journal(tmp_path, "http://elsewhere")
    one.write(one.begin("a", BUDGET), 7)
    with two.orphan() as entries:
        assert entries == []
    one.close()
    with other.orphan() as entries:
        assert entries == []
    with two.orphan() as entries:
        assert entries == [(BUDGET, "a", 7)]


def test_there_is_room_for_so_many(tmp_path: Path) -> None:
    """Another lease is not written down; a settled one makes room. The same lease keeps its slot."""
    mine = Journal(tmp_path, URL)
    slots = {mine.begin(f"l{number}", BUDGET) for number in range(SLOTS)}
    assert slots == set(range(SLOTS))
    assert mine.begin("more", BUDGET) == -1
    mine.write(-1, 5)
    mine.end("l0")
    assert mine.begin("more", BUDGET) == mine.begin("more", BUDGET) >= 0
    mine.close()
    mine.write(0, 5)


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    """Or where no file can be made."""
    assert journal(None, URL) is None
    (tmp_path / "file").write_text("")
    assert journal(tmp_path / "file", URL) is None
