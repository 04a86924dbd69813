"""How outcomes reach the controller, and what becomes of them when it fails."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from tests.integration.client.conftest import Connect
from tests.integration.client.controller import FLAG, Answer, Controller, eventually, failing, free_port, written
from turnout import Turnout
from turnout.domain.flags import Flag, initial_traffic
from turnout.domain.outcomes import Outcome
from turnout.domain.snapshot import PublishedFlag


def report(client: Turnout, count: int, first: int = 0) -> set[str]:
    """Report ``count`` outcomes; their ids."""
    ids = {f"id-{number}" for number in range(first, first + count)}
    for id in sorted(ids):
        assert client.report(client.resolve(FLAG, f"user-of-{id}"), ok=True, latency_ms=12.5, id=id)
    return ids


def test_an_outcome_arrives_as_reported(controller: Controller, connect: Connect) -> None:
    """The controller gets the assignment's variant, unit and generation, what was measured, an id and the time."""
    client = connect(controller.url)
    assignment = client.resolve(FLAG, "user-1")
    assert client.report(
        assignment, ok=False, latency_ms=3, quality=0.5, satisfaction=4, cost=0.01, citations=7, answer_length=310.5
    )
    assert client.flush()
    (stored,) = controller.stored.values()
    when = datetime.fromisoformat(stored.pop("at"))
    assert abs(when - datetime.now(when.tzinfo)) < timedelta(minutes=1)
    assert len(stored.pop("id")) == 32
    assert stored == {
        "flag": FLAG,
        "variant": assignment.variant,
        "unit": "user-1",
        "generation": 1,
        "ok": False,
        "latency_ms": 3.0,
        "quality": 0.5,
        "satisfaction": 4.0,
        "cost": 0.01,
        "values": {"citations": 7.0, "answer_length": 310.5},
        "decided_by": "traffic",
    }


def test_an_outcome_tells_which_part_of_the_flag_decided(controller: Controller, connect: Connect) -> None:
    """Outcomes of users whom a rule serves say so, and so the controller leaves them out of comparisons."""
    staff = {"name": "staff", "if": {"===": [{"var": "team"}, "qa"]}, "serve": "lightrag"}
    definition = Flag.model_validate(
        {"key": FLAG, "variants": {"perplexity": 1, "lightrag": 2}, "stable": "perplexity", "rules": [staff]}
    )
    published = PublishedFlag(definition=definition, traffic=initial_traffic(definition))
    controller.document = written(published)
    client = connect(controller.url)
    assert client.report(client.resolve(FLAG, "ann", team="qa"), ok=True, id="by-rule")
    assert client.report(client.resolve(FLAG, "ben", team="ops"), ok=True, id="by-traffic")
    assert client.report(FLAG, variant="lightrag", unit="cy", ok=True, id="unsaid")
    assert client.flush()
    told = {id: Outcome.model_validate({"id": id, **fields}) for id, fields in controller.stored.items()}
    assert {id: outcome.decided_by for id, outcome in told.items()} == {
        "by-rule": "rule:staff",
        "by-traffic": "traffic",
        "unsaid": None,
    }
    assert {id for id, outcome in told.items() if not outcome.drawn} == {"by-rule"}


def test_an_outcome_needs_no_assignment(controller: Controller, connect: Connect) -> None:
    """A flag's key with variant and unit says what an outcome is about, in another process for example."""
    client = connect(controller.url)
    assert client.report(FLAG, variant="lightrag", unit="user-9", generation=4, satisfaction=1)
    assert client.flush()
    (stored,) = controller.stored.values()
    assert (stored["variant"], stored["unit"], stored["generation"]) == ("lightrag", "user-9", 4)


def test_outcomes_are_sent_without_being_asked_for(controller: Controller, connect: Connect) -> None:
    """Nobody has to flush: what is reported is delivered in the background, in batches of at most 500."""
    client = connect(controller.url)
    ids = report(client, 1200)
    eventually(lambda: client.status.sent == 1200)
    assert controller.stored.keys() == ids
    assert max(len(batch) for _, batch in controller.arrivals) <= 500
    assert (client.status.queued, client.status.dropped) == (0, 0)


def test_an_outage_loses_nothing_and_repeats_nothing(controller: Controller, connect: Connect) -> None:
    """Failures of all kinds, a lost acknowledgement among them: in the end each outcome is stored, once."""

    def stored_but_unacknowledged(sent: list[dict[str, Any]]) -> Response:
        controller.store(sent)
        return JSONResponse({}, 500)

    controller.intake.extend([failing(500), failing(503), stored_but_unacknowledged, failing(404), failing(429)])
    client = connect(controller.url)
    ids = report(client, 700)
    eventually(lambda: client.status.sent == 700)
    assert controller.stored.keys() == ids
    assert client.status.last_error is None
    assert client.status.dropped == 0
    # The same ids again, so the controller could tell; a new id for each try would have doubled the count.
    assert controller.requests["stored twice"] > 0


def test_outcomes_outlive_a_restart_of_the_controller(connect: Connect) -> None:
    """Outcomes reported while the controller is down are delivered once it is back."""
    with Controller() as first:
        client = connect(first.url)
    ids = report(client, 30)
    assert not client.flush(0.3)
    assert client.status.queued == 30
    eventually(lambda: "cannot reach" in str(client.status.last_error))
    with Controller(first.port) as second:
        eventually(lambda: client.status.sent == 30)
        assert second.stored.keys() == ids


def test_retry_after_is_honoured(controller: Controller, connect: Connect) -> None:
    """The next try comes no earlier than the controller asked for, whoever flushes meanwhile."""
    controller.intake.append(failing(503, {"Retry-After": "1"}))
    client = connect(controller.url)
    report(client, 1)
    eventually(lambda: client.status.last_error)
    assert client.flush(20)
    (first, _), (second, _) = controller.arrivals
    assert second - first >= 1


def test_only_the_named_entries_are_dropped(controller: Controller, connect: Connect) -> None:
    """When the controller names what it cannot take, those outcomes are dropped and the others sent again."""

    def names_two(_: list[dict[str, Any]]) -> Response:
        problems = [{"path": "outcomes[1].unit", "message": "no"}, {"path": "outcomes[3]", "message": "no"}]
        return JSONResponse({"code": "invalid_input", "problems": problems}, 400)

    controller.intake.append(names_two)
    client = connect(controller.url)
    ids = report(client, 5)
    assert client.flush()
    assert controller.stored.keys() == ids - {"id-1", "id-3"}
    assert client.status.drops == {"refused": 2}
    assert client.status.sent == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_unnamed_entries_are_found(controller: Controller, connect: Connect, status: int) -> None:
    """When the controller does not say which outcome it minds, all the others still arrive."""

    def minds(sent: list[dict[str, Any]]) -> Response:
        if any(outcome["id"] == "id-13" for outcome in sent):
            return JSONResponse({"title": "no"}, status)
        controller.store(sent)
        return JSONResponse({}, 202)

    intake: list[Answer] = [minds] * 40
    controller.intake.extend(intake)
    client = connect(controller.url)
    ids = report(client, 100)
    assert client.flush(20)
    assert controller.stored.keys() == ids - {"id-13"}
    assert client.status.drops == {"refused": 1}


def test_a_batch_too_large_is_sent_in_parts(controller: Controller, connect: Connect) -> None:
    """A controller that takes ten outcomes at a time gets all of them, and nothing is dropped."""

    def takes_ten(sent: list[dict[str, Any]]) -> Response:
        if len(sent) > 10:
            return Response(status_code=413)
        controller.store(sent)
        return JSONResponse({}, 202)

    intake: list[Answer] = [takes_ten] * 100
    controller.intake.extend(intake)
    client = connect(controller.url)
    ids = report(client, 64)
    assert client.flush(20)
    assert controller.stored.keys() == ids
    assert client.status.dropped == 0


def test_a_refused_token_drops_nothing(controller: Controller, connect: Connect) -> None:
    """While the token is refused outcomes wait, the status says so, and once it is good they are delivered."""
    controller.intake.append(failing(403))
    client = connect(controller.url)
    ids = report(client, 3)
    eventually(lambda: client.status.denied)
    assert client.status.queued == 3
    assert client.flush(20)
    assert controller.stored.keys() == ids
    assert not client.status.denied


def test_a_full_queue_drops_the_oldest_and_counts(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Of more outcomes than the queue holds the newest stay, and the loss is counted and told once."""
    with Controller() as first:
        client = connect(first.url, queue_size=10)
        # The first batch is in flight from here on, and the queue is empty.
        first.intake.extend([failing(500)] * 100)
        report(client, 1)
        eventually(lambda: first.arrivals)
        with caplog.at_level(logging.WARNING, "turnout.client"):
            report(client, 25, first=1)
    assert client.status.drops == {"overflow": 15}
    assert client.status.queued == 11
    assert caplog.text.count("more than 10 outcomes wait") == 1
    with Controller(first.port) as second:
        assert client.flush(20)
        assert second.stored.keys() == {"id-0", *sorted(f"id-{number}" for number in range(1, 26))[15:]}


@pytest.mark.parametrize(
    "numbers",
    [
        {"latency_ms": float("nan")},
        {"quality": float("inf")},
        {"latency_ms": -1},
        {"cost": "much"},
        {"custom": float("-inf")},
        {"ok": "perhaps"},
        {"no such name": 1.0},
    ],
)
def test_what_is_no_number_is_dropped_and_counted(
    controller: Controller, connect: Connect, numbers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A report the intake would refuse never leaves, never raises, and is counted."""
    client = connect(controller.url)
    assignment = client.resolve(FLAG, "user-1")
    with caplog.at_level(logging.WARNING, "turnout.client"):
        assert not client.report(assignment, **numbers)
        assert not client.report(assignment, **numbers)
    assert client.status.drops == {"invalid": 2}
    assert caplog.text.count("outcomes are lost") == 1
    assert client.flush()
    assert controller.arrivals == []


def test_nothing_is_reported_without_a_variant(controller: Controller, connect: Connect) -> None:
    """An assignment without a variant, or a flag's key alone, has nothing to count for."""
    client = connect(controller.url)
    assert not client.report(client.resolve("no-such-flag", "user-1"), ok=True)
    assert not client.report(FLAG, unit="user-1", ok=True)
    assert client.status.drops == {"unattributed": 2}
    assert not client.report(FLAG, variant="lightrag", ok=True)
    assert client.status.drops == {"unattributed": 2, "invalid": 1}


def test_closing_during_an_outage_gives_up_and_says_so(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Closing ends in bounded time although nothing can be delivered; the loss is counted and logged."""
    client = connect(f"http://127.0.0.1:{free_port()}", wait=0)
    for number in range(5):
        client.report(FLAG, variant="lightrag", unit=f"user-{number}", ok=True)
    closing = threading.Thread(target=client.close, args=(0.2,), daemon=True)
    with caplog.at_level(logging.WARNING, "turnout.client"):
        closing.start()
        closing.join(20)
    assert not closing.is_alive()
    eventually(lambda: client.status.drops == {"closed": 5})
    assert "5 outcomes could not be delivered" in caplog.text
    assert not client.report(FLAG, variant="lightrag", unit="user-6", ok=True)
    assert client.status.drops["closed"] == 6


def test_closing_while_the_controller_hangs(controller: Controller, connect: Connect) -> None:
    """A controller that takes a request and does not answer does not hold up closing."""
    release = threading.Event()

    def hangs(_: list[dict[str, Any]]) -> Response:
        release.wait(20)
        return Response(status_code=500)

    client = connect(controller.url, timeout=20)
    controller.intake.append(hangs)
    report(client, 1)
    eventually(lambda: controller.arrivals)
    closing = threading.Thread(target=client.close, args=(0.1,), daemon=True)
    closing.start()
    closing.join(10)
    alive = closing.is_alive()
    release.set()
    assert not alive


def test_closing_delivers_what_waits(controller: Controller) -> None:
    """Leaving the context delivers what was reported in it."""
    with Turnout(controller.url, cache_dir=None, wait=10) as client:
        ids = report(client, 3)
    assert controller.stored.keys() == ids


def test_many_threads_report(controller: Controller, connect: Connect) -> None:
    """Reports of many threads all arrive, each once."""
    client = connect(controller.url)
    with ThreadPoolExecutor(8) as pool:
        reported = [pool.submit(report, client, 300, first=1000 * worker) for worker in range(8)]
        ids = set[str]().union(*(part.result() for part in reported))
    assert client.flush(20)
    assert len(ids) == 2400
    assert controller.stored.keys() == ids
    assert sum(len(batch) for _, batch in controller.arrivals) == 2400
