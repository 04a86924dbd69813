"""Leases of a process over a controller that is played: when money is asked for, and how much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps, loads
from typing import Any, cast

import pytest

from turnout.client.http import endpoint
from turnout.client.leases import Leases
from turnout.domain.bound import Bound

PAIR = ("answer-engine", "lightrag")


class Bank(ThreadingHTTPServer):
    """Leases what ``lend`` says of a request, for ``seconds``; remembers requests and settlements."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.lend: Callable[[dict[str, Any]], int] = lambda _: 100
        self.seconds = 0.2
        self.asked: list[dict[str, Any]] = []
        self.settled: dict[str, int] = {}
        self.lost = 0
        self.refusal = 503


class _Counter(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Lease or settle."""
        bank, body = cast(Bank, self.server), loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/settle"):
            bank.settled |= {one["id"]: one["spent"] for one in body["settlements"]}
            self._answer(200, {})
            return
        bank.asked.append(body | {"of": self.path.split("/")[-2]})
        if bank.lost:
            bank.lost -= 1
            self._answer(bank.refusal, {})
            return
        self._answer(200, {"id": body["id"], "amount": bank.lend(body), "seconds": bank.seconds})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def bank() -> Iterator[Bank]:
    """A bank that is open."""
    with Bank() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def leases(bank: Bank) -> Iterator[Leases]:
    """Leases of a flag whose candidate has a budget."""
    made = Leases(endpoint(f"http://127.0.0.1:{bank.server_port}", None, 5.0), lambda _: {"budgets": "lightrag,other"})
    made.changed(frozenset({PAIR[0]}))
    yield made
    made.close(5.0)


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it does."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "what should have happened did not"
        time.sleep(0.005)


def test_money_is_there_before_the_first_call_and_stays_there(bank: Bank, leases: Leases) -> None:
    """A lease that nobody uses is settled with nothing spent and replaced; close returns everything."""
    assert leases.fill(10.0)
    wallet = leases.wallet(*PAIR)
    assert wallet is not None
    assert wallet.reserve(10) is not None
    eventually(lambda: len(bank.asked) >= 6)
    eventually(lambda: wallet.left > 0)
    assert {one.get("wanted") for one in bank.asked} <= {None, 40}
    assert 40 in {one.get("wanted") for one in bank.asked}
    leases.close(5.0)
    assert sorted(bank.settled) == sorted({one["id"] for one in bank.asked})
    assert sorted(bank.settled.values())[-2:] == [0, 10]


def test_a_lost_answer_loses_no_lease(bank: Bank, leases: Leases) -> None:
    """The same lease is asked for again."""
    bank.lost = 2
    assert leases.prepare(*PAIR, 10.0)
    assert len({one["id"] for one in bank.asked[:3]}) == 1


def test_a_flag_that_changes_is_asked_about_anew(bank: Bank, leases: Leases) -> None:
    """A refusal that would last for half a minute does not, once the flag that it was about is another one."""
    bank.lost, bank.refusal = 1, 404
    leases.wallet(*PAIR)
    eventually(lambda: leases.error)
    assert not leases.prepare(*PAIR, 0.1)
    leases.changed(frozenset({PAIR[0]}))
    assert leases.prepare(*PAIR, 10.0)


def test_a_budget_that_is_gone_is_asked_for_no_more(bank: Bank) -> None:
    """What was leased of it is settled all the same."""
    published = {"budgets": "lightrag,other"}
    leases = Leases(endpoint(f"http://127.0.0.1:{bank.server_port}", None, 5.0), lambda _: published)
    leases.changed(frozenset({PAIR[0]}))
    assert leases.prepare(*PAIR, 10.0)
    published["budgets"] = "other"
    leases.changed(frozenset({PAIR[0]}))
    assert leases.prepare(PAIR[0], "other", 10.0)
    eventually(lambda: {one["id"] for one in bank.asked if one["of"] == "lightrag"} <= bank.settled.keys())
    before = len(bank.asked)
    # Leases last for a fifth of a second here, so that others would have followed.
    eventually(lambda: len(bank.asked) >= before + 5)
    assert {one["of"] for one in bank.asked[before:]} == {"other"}
    leases.close(5.0)


def test_the_environment_gives_a_budget_or_lowers_it(bank: Bank) -> None:
    """Of the variant that it is about, whether the flag has a budget of it or not; others are asked for as ever."""
    published = {"budgets": "other", "envVariant": "lightrag"}
    bound = Bound(daily_budget_usd=Decimal("2.50"), budget_alert_threshold=0.6)
    leases = Leases(
        endpoint(f"http://127.0.0.1:{bank.server_port}", None, 5.0), lambda _: published, None, lambda _: bound
    )
    leases.changed(frozenset({PAIR[0]}))
    assert leases.prepare(*PAIR, 10.0)
    assert [(one.get("daily"), one.get("alert_at")) for one in bank.asked[:1]] == [(2_500_000, 0.6)]
    asked = len(bank.asked)
    assert leases.prepare(PAIR[0], "other", 10.0)
    eventually(lambda: any("daily" not in one for one in bank.asked[asked:]))
    assert leases.wallet(PAIR[0], "perplexity") is None
    leases.close(5.0)


def test_an_alert_threshold_alone_makes_no_budget(bank: Bank) -> None:
    """It goes along where the flag has one."""
    published = {"envVariant": "lightrag"}
    bound = Bound(budget_alert_threshold=0.6)
    leases = Leases(
        endpoint(f"http://127.0.0.1:{bank.server_port}", None, 5.0), lambda _: published, None, lambda _: bound
    )
    leases.changed(frozenset({PAIR[0]}))
    assert leases.wallet(*PAIR) is None
    published["budgets"] = "lightrag"
    leases.changed(frozenset({PAIR[0]}))
    assert leases.prepare(*PAIR, 10.0)
    assert (bank.asked[0].get("daily"), bank.asked[0]["alert_at"]) == (None, 0.6)
    leases.close(5.0)


def test_a_dear_call_is_asked_for_by_its_price(bank: Bank, leases: Leases) -> None:
    """What a refused call needs is told, so that a lease can cover it."""

    def lend(asked: dict[str, Any]) -> int:
        return max(100, int(asked.get("needed", 0)))

    bank.lend, bank.seconds = lend, 60
    assert leases.prepare(*PAIR, 10.0)
    wallet = leases.wallet(*PAIR)
    assert wallet is not None
    eventually(lambda: wallet.reserve(500))
    assert 500 in {one.get("needed") for one in bank.asked}


def test_without_a_budget_there_is_no_wallet(leases: Leases) -> None:
    """Nor after the budget is gone."""
    assert leases.wallet(PAIR[0], "perplexity") is None
    assert leases.wallet("another", "lightrag") is None
    assert leases.prepare("another", "lightrag")
    gone = Leases(endpoint("http://127.0.0.1:9", None, 0.2), lambda _: {})
    gone.changed(frozenset({PAIR[0]}))
    assert gone.wallet(*PAIR) is None


def test_a_child_has_wallets_of_its_own(bank: Bank, leases: Leases) -> None:
    """The parent's money stays the parent's."""
    bank.seconds = 60
    assert leases.prepare(*PAIR, 10.0)
    before = leases.wallet(*PAIR)
    leases.close(5.0)
    leases.after_fork()
    assert leases.wallet(*PAIR) is not before
