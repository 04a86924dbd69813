"""Money for guarded calls: leases that a thread of its own fetches from the controller before they are needed.

A call asks its wallet and never waits. What is left of a lease that is over goes back; so does all of it when the
client closes. While the controller is away calls are paid from what is leased, and are then refused. Leases of a
process that was killed are settled by another one of the same machine, from its `turnout.client.journal`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
from pydantic import TypeAdapter

from turnout.client.backoff import Backoff
from turnout.client.http import DENIED, Endpoint, describe, json_object
from turnout.client.journal import Journal, journal
from turnout.domain.bound import NOTHING, Bound
from turnout.domain.budget import NO_LIMITS, LeaseRequest, Limits, Settlement
from turnout.guards.wallet import Wallet

AGAIN_S: Final = 1.0
"""How long nothing is asked for after the controller had nothing to lease, in seconds; longer each time."""

DENIED_S: Final = 30.0
HEIRS_S: Final = 2.0
"""How often the leases of killed processes are looked for."""

_SHORTEST_S: Final = 0.2
_LONGEST_S: Final = 5.0
_DRY_S: Final = 15.0
_RENEW: Final = 0.6
_IDLE_CALLS: Final = 4
_NOT_FOUND: Final = 404
_BODY: Final = TypeAdapter(dict[str, list[Settlement]])
_JSON: Final = {"Content-Type": "application/json"}

_log = logging.getLogger("turnout.client")


class _Unanswered(Exception):
    """The controller did not do what it was asked; ``lasting`` if asking again soon is of no use."""

    def __init__(self, why: str, lasting: bool) -> None:
        super().__init__(why)
        self.lasting = lasting


@dataclass(slots=True, eq=False)
class _Purse:
    """The wallet of one variant, and what the thread has to do for it. Times are those of the monotonic clock."""

    pair: tuple[str, str]
    wallet: Wallet
    backoff: Backoff = field(default_factory=lambda: Backoff(_SHORTEST_S, _LONGEST_S))
    dry: Backoff = field(default_factory=lambda: Backoff(AGAIN_S, _DRY_S))
    wants: bool = True
    needed: int = 0
    asking: str | None = None
    renew_at: float = float("inf")
    uses: int = 0
    not_before: float = 0.0
    pending: list[Settlement] = field(default_factory=list[Settlement])

    @property
    def path(self) -> str:
        """Where it is filled and settled."""
        return "/v1/budgets/{}/{}".format(*self.pair)

    def due(self, now: float) -> bool:
        """Whether to ask for a lease now: money is short, or the lease in use is about to end."""
        return (self.wants or now >= self.renew_at) and now >= self.not_before

    def forgive(self) -> None:
        """Ask again at once, whatever the controller said."""
        self.backoff.reset()
        self.dry.reset()
        self.not_before = 0.0

    @property
    def wanted(self) -> int | None:
        """How much to ask for: enough for a few calls while nobody calls, or else as much as there is in a lease."""
        idle = not self.wants and self.wallet.uses == self.uses
        return _IDLE_CALLS * self.wallet.largest if idle and self.wallet.largest else None


class Leases:
    """The wallets of this process.

    ``metadata`` gives what is published of a flag (see `turnout.domain.snapshot`), ``bound`` what the environment says
    of it; `changed` has to hear of flags that changed. ``folder`` is where leases are written down; None for nowhere.
    Safe to share between threads; `after_fork` begins anew in a child, whose parent keeps its leases.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        metadata: Callable[[str], Mapping[str, object]],
        folder: Path | None = None,
        bound: Callable[[str], Bound] = lambda _: NOTHING,
    ) -> None:
        self._endpoint: Final = endpoint
        self._metadata: Final = metadata
        self._folder: Final = folder
        self._bound: Final = bound
        self._journal: Journal | None = None
        self._budgeted: Mapping[tuple[str, str], Limits] = {}
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._purses: dict[tuple[str, str], _Purse] = {}
        self._stopping = False
        self._heirs_at = 0.0
        self._thread: threading.Thread | None = None
        self.error: str | None = None

    def after_fork(self) -> None:
        """In a forked child: start with empty wallets."""
        if self._journal is not None:
            self._journal.abandon()
            self._journal = None
        self._begin()

    def changed(self, flags: frozenset[str]) -> None:
        """Read again which variants of ``flags`` have budgets; money for those that are called comes by itself.

        What the controller refused before is asked for anew: it may have been about the flag as it was.
        """
        kept = {pair: limits for pair, limits in self._budgeted.items() if pair[0] not in flags}
        for flag in flags:
            kept |= self._limited(flag)
        self._budgeted = kept
        for (flag, _), purse in list(self._purses.items()):
            if flag in flags:
                purse.forgive()
        self._wake.set()

    def _limited(self, flag: str) -> dict[tuple[str, str], Limits]:
        """The variants of ``flag`` that have a budget, its own or of the environment, and what the latter allows."""
        metadata, limits = self._metadata(flag), self._bound(flag).limits
        named, bound = metadata.get("budgets"), metadata.get("envVariant")
        variants = set(named.split(",")) if isinstance(named, str) else set[str]()
        if isinstance(bound, str) and limits.daily is not None:
            variants.add(bound)
        return {(flag, variant): limits if variant == bound else NO_LIMITS for variant in variants}

    def wallet(self, flag: str, variant: str) -> Wallet | None:
        """What calls of ``variant`` are paid from; None when it has no budget.

        The first time the wallet is empty: `prepare` before, where the first call must not be refused.
        """
        if (flag, variant) not in self._budgeted:
            return None
        purse = self._purses.get((flag, variant))
        return (purse or self._open(flag, variant)).wallet

    def prepare(self, flag: str, variant: str, timeout: float = 0.0) -> bool:
        """Fetch money for ``variant`` and wait for it, at most ``timeout`` seconds; tells whether calls can be paid."""
        wallet, end = self.wallet(flag, variant), time.monotonic() + timeout
        while wallet is not None and not wallet.left and time.monotonic() < end:
            time.sleep(0.005)
        return wallet is None or wallet.left > 0

    def fill(self, timeout: float) -> bool:
        """Fetch money for every variant that has a budget; tells whether all of it has come within ``timeout`` seconds.

        A budget that is used up counts as come.
        """
        end = time.monotonic() + timeout
        purses = [self._purses.get(pair) or self._open(*pair) for pair in self._budgeted]
        while any(purse.wants and not purse.wallet.left for purse in purses) and time.monotonic() < end:
            time.sleep(0.002)
        return not any(purse.wants and not purse.wallet.left for purse in purses)

    def close(self, timeout: float) -> None:
        """Give everything back, and wait for that at most ``timeout`` seconds.

        Calls under way count as spent as reserved.
        """
        with self._lock:
            self._stopping = True
            thread = self._thread
        self._wake.set()
        if thread is not None and timeout > 0:
            thread.join(timeout)

    def _open(self, flag: str, variant: str) -> _Purse:
        with self._lock:
            purse = self._purses.get((flag, variant))
            if self._thread is None and not self._stopping:
                self._journal = journal(self._folder, self._endpoint.url)
            if purse is None:
                purse = self._purses[flag, variant] = self._new(flag, variant)
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="turnout-leases", daemon=True)
                self._thread.start()
        self._wake.set()
        return purse

    def _new(self, flag: str, variant: str) -> _Purse:
        def low(needed: int) -> None:
            purse.needed = max(purse.needed, needed)
            if not purse.wants:
                purse.wants = True
                self._wake.set()

        purse = _Purse((flag, variant), Wallet(on_low=low, record=self._journal))
        return purse

    def _run(self) -> None:
        with self._endpoint.open() as http:
            while not self._stopping:
                # What is wanted from here on wakes the thread once more.
                self._wake.clear()
                for purse in list(self._purses.values()):
                    self._tend(http, purse)
                self._inherit(http)
                self._wake.wait(self._pause())
            self._return_all(http)
        if self._journal is not None:
            self._journal.close()

    def _return_all(self, http: httpx.Client) -> None:
        for purse in list(self._purses.values()):
            purse.pending += purse.wallet.collect(everything=True)
            try:
                self._settle(http, purse)
            except (_Unanswered, httpx.HTTPError) as error:
                _log.warning("leases of %s could not be given back; they count as spent: %s", purse.path, error)

    def _pause(self) -> float:
        """Seconds until there may be something to do without anybody's asking."""
        now = time.monotonic()
        purses = list(self._purses.values())
        budgeted = [purse for purse in purses if purse.pair in self._budgeted]
        waiting = [purse.not_before for purse in purses if purse.pending]
        waiting += [purse.not_before if purse.wants else max(purse.renew_at, purse.not_before) for purse in budgeted]
        return max(0.0, min([now + AGAIN_S, *waiting]) - now)

    def _tend(self, http: httpx.Client, purse: _Purse) -> None:
        """Settle what is over, and lease where money is short, unless the variant has no budget any more."""
        purse.pending += purse.wallet.collect()
        now, budgeted = time.monotonic(), purse.pair in self._budgeted
        if now < purse.not_before or not (purse.pending or (budgeted and purse.due(now))):
            return
        try:
            self._settle(http, purse)
            if budgeted and purse.due(now):
                self._lease(http, purse)
            purse.backoff.reset()
            self.error = None
        except _Unanswered as error:
            self._delay(purse, str(error), DENIED_S if error.lasting else purse.backoff.next())
        except httpx.HTTPError as error:
            self._delay(purse, f"cannot reach {self._endpoint.url}: {error or type(error).__name__}")
        except Exception as error:
            _log.exception("leasing money for %s failed", purse.path)
            self._delay(purse, str(error))

    def _inherit(self, http: httpx.Client) -> None:
        """Settle for a process of this machine that is gone, one at a time."""
        now = time.monotonic()
        if self._journal is None or now < self._heirs_at:
            return
        self._heirs_at = now + HEIRS_S
        try:
            with self._journal.orphan() as entries:
                for path, id, used in entries:
                    body = _BODY.dump_json({"settlements": [Settlement(id=id, spent=used)]})
                    answer = http.post(f"{path}/settle", content=body, headers=_JSON)
                    if answer.status_code != _NOT_FOUND:
                        _answer(answer)
        except (OSError, ValueError, _Unanswered, httpx.HTTPError) as error:
            _log.info("the leases of a process that is gone are not settled yet: %s", error)

    def _delay(self, purse: _Purse, why: str, seconds: float | None = None) -> None:
        if self.error is None:
            _log.warning("no money can be leased for %s: %s", purse.path, why)
        self.error = why
        purse.not_before = time.monotonic() + (purse.backoff.next() if seconds is None else seconds)

    def _settle(self, http: httpx.Client, purse: _Purse) -> None:
        if purse.pending:
            sent = list(purse.pending)[:500]
            _answer(http.post(f"{purse.path}/settle", content=_BODY.dump_json({"settlements": sent}), headers=_JSON))
            del purse.pending[: len(sent)]
            if self._journal is not None:
                for settlement in sent:
                    self._journal.end(settlement.id)

    def _lease(self, http: httpx.Client, purse: _Purse) -> None:
        # Asked for again under the same id until it is answered, so that no lease is lost with an answer.
        id = purse.asking = purse.asking or uuid4().hex
        slot = -1 if self._journal is None else self._journal.begin(id, purse.path)
        needed, uses, asked_at = purse.needed, purse.wallet.uses, time.monotonic()
        limits = self._budgeted.get(purse.pair, NO_LIMITS)
        request = LeaseRequest(id=id, wanted=purse.wanted, needed=needed, **dict(limits))
        body = request.model_dump_json(exclude_none=True)
        given = _answer(http.post(f"{purse.path}/lease", content=body, headers=_JSON))
        amount, seconds = given.get("amount"), given.get("seconds")
        if not isinstance(amount, int) or not isinstance(seconds, int | float):
            raise _Unanswered(f"the controller answered {given}, which is no lease", lasting=True)
        purse.asking, purse.needed, purse.wants, purse.uses = None, 0, False, uses
        if amount <= 0:
            purse.not_before = asked_at + purse.dry.next()
            if self._journal is not None:
                self._journal.end(id)
            return
        purse.dry.reset()
        purse.wallet.add(id, amount, asked_at, seconds, slot)
        purse.renew_at = asked_at + _RENEW * seconds


def _answer(answer: httpx.Response) -> dict[str, object]:
    if answer.is_success:
        return json_object(answer)
    raise _Unanswered(describe(answer), lasting=answer.status_code in DENIED or answer.status_code in (400, 404, 422))
