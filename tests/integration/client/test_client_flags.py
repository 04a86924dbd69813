"""How flags reach the client, and what it does when they do not."""

from __future__ import annotations

import gc
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.responses import Response

from tests.integration.client.conftest import Connect
from tests.integration.client.controller import FLAG, Controller, eventually, flag, free_port, written
from turnout import Turnout
from turnout.domain.errors import InvalidInput
from turnout.domain.flags import Flag, initial_traffic
from turnout.domain.snapshot import PublishedFlag
from turnout.resolver import compile_document

USERS = [f"user-{number}" for number in range(500)]


def variants(client: Turnout) -> set[str | None]:
    """What the users get."""
    return {client.resolve(FLAG, user).variant for user in USERS}


def test_a_client_resolves_what_the_resolver_does(controller: Controller, connect: Connect) -> None:
    """Once constructed, the client gives every user the variant that the resolver gives."""
    client = connect(controller.url)
    snapshot = compile_document(json.loads(controller.document))
    for user in USERS:
        expected = snapshot.resolve(FLAG, user, {})
        got = client.resolve(FLAG, user)
        assert (got.variant, got.value, got.generation, got.error) == (expected.variant, expected.value, 1, None)
    assert client.status.state == "ready"
    assert client.status.source == "stream"


def test_changes_are_pushed(controller: Controller, connect: Connect) -> None:
    """A published change reaches evaluation, and the listener hears exactly which flags changed."""
    heard: list[frozenset[str]] = []
    client = connect(controller.url)
    client.on_change(heard.append)
    controller.publish(flag(lightrag=100), flag("another"), revision=2)
    eventually(lambda: client.status.revision == 2)
    assert variants(client) == {"lightrag"}
    controller.publish(flag(lightrag=100), flag("another", lightrag=0), revision=3)
    eventually(lambda: len(heard) == 2)
    assert heard == [{FLAG, "another"}, {"another"}]


def test_a_failing_listener_stops_nothing(controller: Controller, connect: Connect) -> None:
    """A callback that raises neither ends the feed nor keeps the next callback from being called."""
    heard: list[frozenset[str]] = []
    client = connect(controller.url)
    client.on_change(lambda keys: 1 / (len(keys) - len(keys)) and None)
    forget = client.on_change(heard.append)
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: heard)
    forget()
    controller.publish(flag(lightrag=0), revision=3)
    eventually(lambda: client.status.revision == 3)
    assert len(heard) == 1


def test_a_cut_stream_is_opened_again(controller: Controller, connect: Connect) -> None:
    """After a cut the client is stale for a moment, reconnects, and has what was published meanwhile."""
    states: list[str] = []
    client = connect(controller.url)
    client.on_state(states.append)
    controller.document = written(flag(lightrag=100), revision=2)
    controller.cut()
    eventually(lambda: client.status.revision == 2)
    eventually(lambda: states == ["stale", "ready"])
    assert variants(client) == {"lightrag"}
    assert client.status.last_error is None


def test_a_stopped_controller_leaves_the_flags(connect: Connect) -> None:
    """While the controller is down evaluation goes on, the status says stale, and a restart is noticed."""
    with Controller() as first:
        client = connect(first.url)
        before = {user: client.resolve(FLAG, user) for user in USERS}
    eventually(lambda: client.status.state == "stale")
    assert {user: client.resolve(FLAG, user) for user in USERS} == before
    second = Controller(first.port)
    second.document = written(flag(lightrag=100), revision=2)
    with second:
        eventually(lambda: client.status.state == "ready")
        assert variants(client) == {"lightrag"}


@pytest.mark.parametrize(
    "garbage",
    [b"{", b"[]", b"null", b'{"flags": {"a": {"state": "ENABLED"}}}', b'{"flags": 3}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_broken_document_keeps_the_last_good_one(
    controller: Controller, connect: Connect, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be compiled changes no answer, is told in the status and the log, and the next good one is taken."""
    client = connect(controller.url)
    before = {user: client.resolve(FLAG, user) for user in USERS}
    with caplog.at_level(logging.WARNING, "turnout.client"):
        controller.push(garbage)
        eventually(lambda: client.status.last_error)
    assert "cannot be used" in str(client.status.last_error)
    assert "cannot be used" in caplog.text
    assert client.status.state == "stale"
    assert {user: client.resolve(FLAG, user) for user in USERS} == before
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: client.status.state == "ready")
    assert variants(client) == {"lightrag"}


def test_an_older_revision_is_refused(controller: Controller, connect: Connect) -> None:
    """A revision below the one in use is refused and told, unless it comes from another store."""
    controller.publish(flag(lightrag=100), revision=7)
    client = connect(controller.url)
    controller.push(written(flag(lightrag=0), revision=6))
    eventually(lambda: client.status.last_error)
    assert "older than 7" in str(client.status.last_error)
    assert (client.status.revision, variants(client)) == (7, {"lightrag"})
    controller.push(written(flag(lightrag=0), revision=1, store_id="store-2"))
    eventually(lambda: client.status.store_id == "store-2")
    assert (client.status.revision, variants(client)) == (1, {"perplexity"})
    assert client.status.last_error is None


def test_without_a_stream_the_client_polls(controller: Controller, connect: Connect) -> None:
    """Where the stream does not exist, flags are polled and unchanged ones are not sent again."""
    controller.stream_answer = Response(status_code=404)
    client = connect(controller.url, poll_every=0.02)
    assert client.status.source == "poll"
    eventually(lambda: controller.requests["not modified"] > 2)
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: client.status.revision == 2)
    assert client.status.state == "ready"


def test_a_page_of_a_proxy_is_no_stream(controller: Controller, connect: Connect) -> None:
    """An answer 200 that is no event stream makes the client poll; once the stream works it is used again."""
    controller.stream_answer = Response("<html>", media_type="text/html")
    client = connect(controller.url, poll_every=0.02, stream_every=0.1)
    assert client.status.source == "poll"
    controller.stream_answer = None
    eventually(lambda: controller.streams == 1)
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: client.status.source == "stream")


def test_polling_survives_failures_and_bad_documents(controller: Controller, connect: Connect) -> None:
    """A failed poll makes the client stale, a broken document is not remembered as known, and both pass."""
    controller.stream_answer = Response(status_code=404)
    client = connect(controller.url, poll_every=0.02)
    controller.snapshot_answer = Response(status_code=500)
    eventually(lambda: "HTTP 500" in str(client.status.last_error))
    controller.snapshot_answer = Response("{", headers={"ETag": '"broken"'})
    eventually(lambda: "cannot be used" in str(client.status.last_error))
    controller.snapshot_answer = None
    eventually(lambda: client.status.state == "ready")


def test_a_broken_document_is_not_taken_for_known(controller: Controller, connect: Connect) -> None:
    """While polling brings the same broken document again and again, the client stays stale."""
    controller.stream_answer = Response(status_code=404)
    client = connect(controller.url, poll_every=0.02)
    controller.document, controller.etag = b"{", '"broken"'
    eventually(lambda: client.status.state == "stale")
    asked = controller.requests["snapshot"]
    eventually(lambda: controller.requests["snapshot"] > asked + 3)
    assert client.status.state == "stale"
    assert "cannot be used" in str(client.status.last_error)


def test_a_proxy_does_not_stand_before_this_machine(
    controller: Controller, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy set in the environment is not asked for a controller on the loopback address."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert connect(controller.url).status.state == "ready"


def test_no_controller_and_no_disk(connect: Connect) -> None:
    """Without any flags every caller gets its own default, with the reason why."""
    client = connect(f"http://127.0.0.1:{free_port()}", wait=0.2)
    assignment = client.resolve(FLAG, "user-1", default="mine")
    assert (assignment.variant, assignment.value, assignment.reason) == (None, "mine", "ERROR")
    assert "no flags have arrived" in str(assignment.error)
    assert client.status.state == "not_ready"
    assert client.status.source == "none"
    eventually(lambda: "cannot reach" in str(client.status.last_error))
    assert not client.wait_ready(0.01)


def test_a_restarted_service_starts_from_disk(connect: Connect) -> None:
    """With the controller down, a new client serves the last good flags; when it is back, the new ones."""
    with Controller() as first:
        first.publish(flag(lightrag=100), revision=5)
        connect(first.url).close()
    client = connect(first.url)
    assert client.status.state == "stale"
    assert client.status.source == "disk"
    assert variants(client) == {"lightrag"}
    with Controller(first.port) as second:
        second.publish(flag(lightrag=0), revision=6)
        assert client.wait_ready(20)
        assert variants(client) == {"perplexity"}


def test_flags_on_disk_refuse_older_ones_too(connect: Connect) -> None:
    """After a restart of the service, an older revision is refused just as before it."""
    with Controller() as first:
        first.publish(flag(lightrag=100), revision=5)
        connect(first.url).close()
    with Controller(first.port) as second:
        second.publish(flag(lightrag=0), revision=4)
        client = connect(first.url, wait=0)
        eventually(lambda: "older than 5" in str(client.status.last_error))
        assert variants(client) == {"lightrag"}


def test_a_broken_file_on_disk_is_no_obstacle(controller: Controller, connect: Connect, tmp_path: Path) -> None:
    """Garbage in the cache is passed over, and replaced by the controller's flags."""
    connect(controller.url).close()
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text("{")
    client = connect(controller.url)
    assert client.status.state == "ready"
    eventually(lambda: file.read_bytes() == controller.document)


def test_an_unwritable_cache_is_no_obstacle(controller: Controller, connect: Connect, tmp_path: Path) -> None:
    """When flags cannot be kept on disk, they are used all the same."""
    (tmp_path / "file").write_text("")
    client = connect(controller.url, cache_dir=tmp_path / "file")
    assert client.status.state == "ready"
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: client.status.revision == 2)


def test_a_refused_token_is_told(controller: Controller, connect: Connect) -> None:
    """When the controller refuses the token, the status says so."""
    controller.stream_answer = Response(status_code=401)
    client = connect(controller.url, token="secret", wait=0)
    eventually(lambda: client.status.denied)
    assert "refuses the token" in str(client.status.last_error)
    assert controller.headers[0]["authorization"] == "Bearer secret"
    assert controller.requests["snapshot"] == 0


def test_an_overloaded_controller_sets_the_pace(controller: Controller, connect: Connect) -> None:
    """A stream refused with Retry-After is asked for again after that, without polling meanwhile."""
    controller.stream_answer = Response(status_code=503, headers={"Retry-After": "0"})
    client = connect(controller.url, wait=0)
    eventually(lambda: controller.requests["stream"] > 2)
    controller.stream_answer = None
    assert client.wait_ready(20)
    assert controller.requests["snapshot"] == 0


def test_settings_come_from_the_environment(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without arguments the client connects where TURNOUT_URL says, with TURNOUT_TOKEN."""
    monkeypatch.setenv("TURNOUT_URL", controller.url + "/")
    monkeypatch.setenv("TURNOUT_TOKEN", "from-env")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Turnout(wait=10) as client:
        assert client.status.state == "ready"
    assert controller.headers[0]["authorization"] == "Bearer from-env"
    assert len(list((tmp_path / "turnout").iterdir())) == 1


def clients_threads() -> set[threading.Thread]:
    """Threads of Turnout in this process; what ran before a test is not its business."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("turnout-")}


def test_closing_ends_a_quiet_stream(controller: Controller, connect: Connect) -> None:
    """Closing interrupts the wait for the stream's next byte: the thread ends, and evaluation still works."""
    before = clients_threads()
    client = connect(controller.url)
    client.close()
    client.close()
    eventually(lambda: not clients_threads() - before)
    assert client.resolve(FLAG, "user-1").variant in ("perplexity", "lightrag")
    eventually(lambda: controller.streams == 0)


def test_a_forgotten_client_leaves_no_thread(controller: Controller) -> None:
    """A client that is dropped without being closed delivers its outcomes, and its threads end."""
    before = clients_threads()
    client = Turnout(controller.url, cache_dir=None, wait=10)
    client.report(client.resolve(FLAG, "user-1"), ok=True)
    del client
    gc.collect()
    eventually(lambda: len(controller.stored) == 1)
    eventually(lambda: not clients_threads() - before)


def test_threads_never_see_half_a_change(controller: Controller, connect: Connect) -> None:
    """While flags are replaced, every answer belongs to one generation as a whole."""
    client = connect(controller.url)
    done = threading.Event()

    def look() -> set[tuple[int | None, str | None]]:
        seen: set[tuple[int | None, str | None]] = set()
        while not done.is_set():
            for user in USERS:
                got = client.resolve(FLAG, user, plan="beta")
                assert got.error is None
                seen.add((got.generation, got.variant))
        return seen

    controller.publish(flag(lightrag=0, generation=2), revision=2)
    eventually(lambda: client.status.revision == 2)
    with ThreadPoolExecutor(8) as pool:
        looking = [pool.submit(look) for _ in range(8)]
        for revision in range(3, 30):
            even = revision % 2 == 0
            controller.publish(flag(lightrag=0 if even else 100, generation=revision), revision=revision)
        eventually(lambda: client.status.revision == 29)
        done.set()
    for seen in looking:
        assert {variant for generation, variant in seen.result() if generation and generation % 2} <= {"lightrag"}
        assert {variant for generation, variant in seen.result() if generation and not generation % 2} <= {"perplexity"}


def test_values_are_read_with_their_type(
    controller: Controller, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Each kind of flag is read by its own method; another type, or no such flag, gives the default and one warning."""
    values = {"switch": True, "text": "hi", "count": 6000, "ratio": 0.25, "limits": {"tokens": 5}}
    flags = [
        PublishedFlag(definition=made, traffic=initial_traffic(made))
        for made in (Flag(key=key, variants={"only": value}, stable="only") for key, value in values.items())
    ]
    controller.publish(*flags, revision=2)
    client = connect(controller.url)
    assert client.boolean("switch", None, False) is True
    assert client.string("text", "u", "") == "hi"
    assert client.number("count", "u", 0) == 6000
    assert client.number("ratio", "u", 0.0, plan="pro") == 0.25
    assert client.object("limits", "u", {}) == {"tokens": 5}
    assert client.boolean("gone", "u", True) is True
    with caplog.at_level(logging.WARNING):
        assert [client.number("switch", "u", 7) for _ in range(3)] == [7, 7, 7]
        assert client.boolean("count", "u", False) is False
    told = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in told] == [
        "flag 'switch' is read as a number, but the value of 'only' is a bool",
        "flag 'count' is read as a boolean, but the value of 'only' is a int",
    ]


def test_the_environment_overrides_flags_in_this_process_only(
    controller: Controller, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The client given the variable serves its variant through every change, another one does not; slips are told."""
    environ = {"TURNOUT_FLAG_ANSWER_ENGINE": "lightrag", "TURNOUT_FLAG_NOPE": "x"}
    with caplog.at_level(logging.WARNING):
        client, other = connect(controller.url, environ=environ), connect(controller.url, environ={})
    controller.publish(flag(lightrag=0), revision=2)
    eventually(lambda: client.status.revision == other.status.revision == 2)
    assert (variants(client), variants(other)) == ({"lightrag"}, {"perplexity"})
    assert client.resolve(FLAG, "u").decided_by == "environment"
    assert [r.getMessage() for r in caplog.records if "environment" in r.getMessage()] == [
        "environment: TURNOUT_FLAG_NOPE: names no flag; after TURNOUT_FLAG_: known here: ANSWER_ENGINE"
    ]


@pytest.mark.parametrize("name", ["flags.yaml", "flags.json"])
def test_a_flag_file_serves_where_the_controller_has_nothing(
    controller: Controller, connect: Connect, tmp_path: Path, name: str
) -> None:
    """Before any flags arrive, and for flags the controller lacks; where both have one, the controller's decides."""
    variants = {"perplexity": {"mode": "file"}, "lightrag": {"mode": "file"}}
    both = {"variants": variants, "stable": "perplexity", "serve": "lightrag", "env_prefix": "LIGHTRAG_"}
    file = tmp_path / name
    file.write_text(
        json.dumps({"flags": {FLAG: both, "local": {"variants": {"on": True, "off": False}, "stable": "on"}}})
    )
    environ = {"LIGHTRAG_DAILY_BUDGET_USD": "5"}
    alone = connect(f"http://127.0.0.1:{free_port()}", wait=0, flags_file=file, environ=environ)
    found = alone.resolve(FLAG, "u")
    assert (found.variant, found.value, found.metadata["source"]) == ("lightrag", {"mode": "file"}, "flag file")
    assert alone.status.state == "not_ready"
    assert alone.bound(FLAG).daily_budget_usd == 5
    controller.publish(flag(lightrag=0), revision=2)
    client = connect(controller.url, flags_file=file, environ={})
    assert client.resolve(FLAG, "u").value == {"mode": "web"}
    assert client.boolean("local", None, False) is True
    assert client.resolve("neither", "u", default=3).value == 3


def test_a_flag_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """A missing file, one that is no YAML or JSON, and one with a wrong flag are named at once."""
    cases = {
        "gone.yaml": (None, "cannot be read"),
        "torn.yaml": ("flags: [", "is no flag file"),
        "torn.json": ("{", "is no flag file"),
        "wrong.yaml": ("flags: {f: {variants: {a: 1}, stable: b}}", "there is no variant 'b'"),
        "requires.yaml": ("flags: {f: {variants: {a: 1}, stable: a, requires: {g: a}}}", "there is no flag 'g'"),
    }
    for name, (text, said) in cases.items():
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(InvalidInput, match=said):
            Turnout("http://127.0.0.1:9", cache_dir=None, wait=0, flags_file=tmp_path / name)
