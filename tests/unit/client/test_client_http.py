"""Settings of the endpoint, and what answers mean."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from turnout.client.backoff import Backoff
from turnout.client.http import describe, endpoint, retry_after
from turnout.client.intake import Accepted, Later, Refused, judge
from turnout.domain.errors import InvalidInput


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://example.org", "http://", "http://a:port", "http://a\n"])
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    """The error names the setting and says what to write."""
    with pytest.raises(InvalidInput) as caught:
        endpoint(url, None, 5)
    (problem,) = caught.value.problems
    assert problem.path == "url"
    assert problem.remedy


@pytest.mark.parametrize("token", ["two words", "new\nline", "schlüssel"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    """A token no header can carry is refused, without its text in the message."""
    with pytest.raises(InvalidInput, match="token") as caught:
        endpoint("http://localhost", token, 5)
    assert token not in str(caught.value)


def test_every_bad_setting_is_named_at_once() -> None:
    """One error tells all that is wrong."""
    with pytest.raises(InvalidInput) as caught:
        endpoint("nowhere", "a b", 0)
    assert [problem.path for problem in caught.value.problems] == ["url", "token", "timeout"]


def test_the_client_speaks_for_its_token() -> None:
    """Requests carry the token and a path below the URL, whose trailing slash does not count."""
    with endpoint("http://localhost/turnout/", "secret", 5).open() as http:
        request = http.build_request("GET", "/v1/snapshot")
    assert str(request.url) == "http://localhost/turnout/v1/snapshot"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["User-Agent"].startswith("turnout-python/")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("0", 0.0), ("86400", 300.0), ("", None), ("soon", None), ("-1", None), ("nan", None)],
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    """Seconds are taken up to five minutes; nonsense counts as silence."""
    assert retry_after(httpx.Response(503, headers={"Retry-After": header})) == seconds


def test_retry_after_as_a_date() -> None:
    """A date counts from now; a past one means at once."""
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    found = retry_after(httpx.Response(503, headers={"Retry-After": in_a_minute}))
    assert found is not None
    assert 30 < found <= 60
    assert retry_after(httpx.Response(503, headers={"Retry-After": "Thu, 01 Jan 1970 00:00:00 -0000"})) == 0.0


def test_errors_are_described_in_one_line() -> None:
    """Problem details are quoted; without any the status has to do."""
    problem = {"title": "No such flag", "detail": "add it first", "code": "not_found"}
    assert describe(httpx.Response(404, json=problem)) == "HTTP 404: No such flag: add it first"
    assert describe(httpx.Response(502, text="<html>")) == "HTTP 502: Bad Gateway"
    assert describe(httpx.Response(500, json=[1])) == "HTTP 500: Internal Server Error"


@pytest.mark.parametrize(
    ("paths", "entries"),
    [
        (["outcomes[1].unit", "outcomes[12]", "[3].id"], {1, 3, 12}),
        (["outcomes[20].unit"], set()),
        (["", "outcomes", "outcomes[x]", "values[0]"], set()),
    ],
)
def test_a_refusal_names_its_entries(paths: list[str], entries: set[int]) -> None:
    """Entries are read from the problems' paths; places that are not in the batch do not count."""
    problems = [{"path": path} for path in paths]
    verdict = judge(httpx.Response(400, json={"problems": [*problems, 7, {"path": 3}]}), 20)
    assert isinstance(verdict, Refused)
    assert verdict.entries == entries


def test_answers_to_a_batch() -> None:
    """2xx is accepted, 400/413/422 refused, all else a matter of time."""
    assert judge(httpx.Response(202), 1) == Accepted()
    assert judge(httpx.Response(202, json={"accepted": 1, "unknown": 2}), 3) == Accepted(2)
    assert judge(httpx.Response(202, json={"unknown": 4}), 3) == Accepted(0)
    receipt = {"unknown": 1, "rejected": {"quality_score": 2, "cost": 0, "other": "x"}}
    assert judge(httpx.Response(202, json=receipt), 3) == Accepted(1, {"quality_score": 2})
    assert judge(httpx.Response(202, json={"rejected": [1]}), 3) == Accepted()
    assert judge(httpx.Response(413), 2) == Refused(frozenset(), "HTTP 413: Request Entity Too Large")
    assert judge(httpx.Response(401), 1) == Later("HTTP 401: Unauthorized", None, denied=True)
    assert judge(httpx.Response(503, headers={"Retry-After": "3"}), 1) == Later("HTTP 503: Service Unavailable", 3.0)


def test_delays_grow_to_a_bound_and_start_anew() -> None:
    """Each delay is between half and the whole of a doubling one; a reset begins from the first."""
    backoff = Backoff(0.2, 5)
    for whole in (0.2, 0.4, 0.8, 1.6, 3.2, 5, 5):
        assert whole / 2 <= backoff.next() <= whole
    backoff.reset()
    assert backoff.next() <= 0.2


@pytest.mark.parametrize("url", ["http://turnout.example", "https://turnout.example"])
def test_clients_make_no_tls_settings_of_their_own(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a forked child that could wait for ever, for a lock that a thread of its parent held."""
    controller = endpoint(url, None, 5.0)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("TLS settings were made")

    monkeypatch.setattr(ssl.SSLContext, "__new__", refuse)
    controller.open().close()
