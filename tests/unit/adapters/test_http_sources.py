"""The HTTP sources against a real server that answers exactly the bytes a test wants, however broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import ValidationError

from turnout.adapters.sources.json_http import JsonSource, expand
from turnout.adapters.sources.prometheus import PrometheusSource, fill
from turnout.analysis.judge import judge
from turnout.domain import plan
from turnout.domain.errors import SourceError
from turnout.domain.plan import Gate
from turnout.domain.pointers import parse_pointer, walk
from turnout.domain.verdicts import Verdict
from turnout.ports import FractionReading, PointReading, Question

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def http_answer(body: bytes, status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n{headers}\r\n".encode() + body


@dataclass
class Server:
    """A server on this machine. ``answer`` is sent to every request; one that ``stalls`` never goes on after it."""

    url: str = ""
    answer: bytes = b""
    stalls: bool = False
    heads: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def says(self, document: object) -> None:
        self.answer = http_answer(json.dumps(document).encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        sizes = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")]
        self.heads.append(head)
        self.bodies.append((await reader.readexactly(int(sizes[0]))).decode() if sizes else "")
        writer.write(self.answer)
        if self.stalls:
            await reader.read()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    it = Server()
    listener = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    it.url = f"http://{host}:{port}"
    async with listener:
        yield it


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def question(source: plan.JsonSource | plan.PrometheusSource) -> Question:
    gate = Gate(metric="error_rate", max=0.05, source=source)
    return Question(gate, "answer-engine", "old", "new", 7, NOW - timedelta(seconds=119.2), NOW)


def json_question(url: str, timeout: float = 5, **pointers: str) -> Question:
    pointers = pointers or {"pointer": "data.items[0].value"}
    return question(plan.JsonSource(kind="json", url=url, timeout=timedelta(seconds=timeout), **pointers))


def prometheus_question(url: str, timeout: float = 5, **queries: str) -> Question:
    queries = queries or {"query": "up"}
    return question(plan.PrometheusSource(kind="prometheus", url=url, timeout=timedelta(seconds=timeout), **queries))


def items(value: object) -> dict[str, object]:
    return {"data": {"items": [{"value": value}]}}


async def test_json_number(server: Server, http: httpx.AsyncClient) -> None:
    """The number the pointer leads to is the reading; placeholders in the address are quoted."""
    server.says(items(0.25))
    asked = json_question(server.url + "/{flag}/{candidate}?since={window}&x={other}")
    assert await JsonSource(http, {}).read(asked) == PointReading(0.25)
    assert server.heads[0].startswith("GET /answer-engine/new?since=120s&x={other} HTTP/1.1")


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"items": [{"value": NaN}]}}',
        b'{"data": {"items": [{"value": Infinity}]}}',
        b'{"data": {"items": [{"value": 1e999}]}}',
        b'{"data": {"items": [{"value": 1%s}]}}' % (b"0" * 400),
        b'{"data": {"items": [{"value": null}]}}',
        b'{"data": {"items": [{}]}}',
        b'{"data": {"items": []}}',
        b'{"data": {}}',
        b'{"data": null}',
        b"null",
    ],
)
async def test_json_no_data(server: Server, http: httpx.AsyncClient, body: bytes) -> None:
    """Absent, null, NaN and infinite are no data."""
    server.answer = http_answer(body)
    asked = json_question(server.url)
    reading = await JsonSource(http, {}).read(asked)
    assert reading == PointReading(None)
    assert judge(asked.gate, "gate", reading).verdict is Verdict.NO_DATA


BROKEN = {
    "server error": (http_answer(b"oops", "503 Service Unavailable"), "answers .*status 503"),
    "refused": (http_answer(b"{}", "403 Forbidden"), "answers .*status 403"),
    "malformed": (http_answer(b'{"data": '), "not JSON|not Prometheus's"),
    "no text": (http_answer(b"\xff\xfe\x00{"), "not JSON|not Prometheus's"),
    "nothing": (http_answer(b""), "not JSON|not Prometheus's"),
    "too deep": (http_answer(b"[" * 200_000), "not JSON|not Prometheus's"),
    "huge number": (http_answer(b"9" * 20_000), "not JSON|not Prometheus's"),
    "truncated": (http_answer(b'{"data": 1}', length=500), "no complete answer"),
    "huge": (http_answer(b'"' + b"x" * 1_200_000 + b'"'), "more than 1,000,000 bytes"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no complete answer"),
    "closed": (b"", "no complete answer"),
    "redirect": (http_answer(b"", "302 Found", "Location: http://evil.example/x\r\n"), "redirects to evil.example"),
    "redirect on the host": (
        http_answer(b"", "301 Moved Permanently", "Location: /x\r\n"),
        "redirects to the same host",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("kind", ["json", "prometheus"])
async def test_broken_answers(server: Server, http: httpx.AsyncClient, kind: str, name: str) -> None:
    """Whatever a broken server does is a source error with a short reason, and is asked only once."""
    server.answer, reason = BROKEN[name]
    with pytest.raises(SourceError, match=reason) as caught:
        await (
            JsonSource(http, {}).read(json_question(server.url))
            if kind == "json"
            else PrometheusSource(http).read(prometheus_question(server.url))
        )
    assert len(str(caught.value)) < 400
    assert len(server.heads) == 1


async def test_a_following_client_does_not_follow(server: Server) -> None:
    """A redirect is not followed either when the shared client would."""
    server.answer = http_answer(b"", "302 Found", f"Location: {server.url}/x\r\n")
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as http:
        with pytest.raises(SourceError, match="write the final address"):
            await JsonSource(http, {}).read(json_question(server.url))
    assert len(server.heads) == 1


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", http_answer(b"{}", length=500)])
async def test_timeout(server: Server, http: httpx.AsyncClient, answer: bytes) -> None:
    """A server that never answers, or stops halfway, is a source error that names the timeout."""
    server.answer, server.stalls = answer, True
    with pytest.raises(SourceError, match=r"did not answer within 0\.05s"):
        await JsonSource(http, {}).read(json_question(server.url, timeout=0.05))
    with pytest.raises(SourceError, match=r"did not answer within 0\.05s"):
        await PrometheusSource(http).read(prometheus_question(server.url, timeout=0.05))


async def test_nobody_listens(server: Server, http: httpx.AsyncClient) -> None:
    """An address where nothing answers is a source error that shows no password."""
    closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    with pytest.raises(SourceError, match=f"127.0.0.1:{port} gave no complete answer") as caught:
        await JsonSource(http, {}).read(json_question(f"http://me:hunter2@127.0.0.1:{port}"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x/y", "no address", "http://[::1", "http://x:port/"])
async def test_no_address(http: httpx.AsyncClient, url: str) -> None:
    """What is no HTTP address is a source error, not a crash."""
    with pytest.raises(SourceError):
        await JsonSource(http, {}).read(json_question(url))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (items("0.5"), "leads to a text, not to a number"),
        (items(True), "leads to true or false"),
        (items([1]), "leads to an array"),
        (items({"a": 1}), "leads to an object"),
        ({"data": [1]}, "finds an array where the key 'items' needs an object"),
        ({"data": {"items": {"0": 1}}}, "finds an object where the index 0 needs an array"),
        ({"data": {"items": "text"}}, "finds a text where the index 0 needs an array"),
        (5, "finds a number where the key 'data' needs an object"),
    ],
)
async def test_json_wrong_type(server: Server, http: httpx.AsyncClient, document: object, reason: str) -> None:
    """Something else than a number is an error that says what was found."""
    server.says(document)
    with pytest.raises(SourceError, match=reason):
        await JsonSource(http, {}).read(json_question(server.url))


@pytest.mark.parametrize(
    ("document", "reading"),
    [
        ({"bad": 3, "all": 100}, FractionReading(3, 100)),
        ({"bad": 3}, FractionReading(0, 0)),
        ({"all": 100}, FractionReading(0, 0)),
        ({"bad": 0, "all": 0}, FractionReading(0, 0)),
    ],
)
async def test_json_fraction(
    server: Server, http: httpx.AsyncClient, document: object, reading: FractionReading
) -> None:
    """A fraction needs both counts: a misspelt numerator is no data, never "no events"."""
    server.says(document)
    asked = json_question(server.url, numerator="bad", denominator="all")
    assert await JsonSource(http, {}).read(asked) == reading


async def test_json_headers(server: Server, http: httpx.AsyncClient) -> None:
    """Headers are sent with their variables replaced."""
    server.says(items(1))
    source = plan.JsonSource(kind="json", url=server.url, pointer="data", headers={"X-Key": "Bearer $KEY"})
    with pytest.raises(SourceError, match="leads to an object"):
        await JsonSource(http, {"KEY": "s3cret"}).read(question(source))
    assert "x-key: bearer s3cret" in server.heads[0].lower()


def test_expand() -> None:
    """``$NAME`` and ``${NAME}`` are variables, ``$$`` is a dollar sign, nothing is replaced twice."""
    environ = {"A": "$B", "B": "b"}
    assert expand("x$A-${B}y$$A $", "h", environ) == "x$B-by$A $"


@pytest.mark.parametrize("value", ["line\nbreak", "naïve", "tab\t"])
def test_expand_refuses_unsendable(value: str) -> None:
    """A header that cannot be sent is refused without showing its value."""
    with pytest.raises(SourceError, match="the header X-Key has characters") as caught:
        expand("$KEY", "X-Key", {"KEY": value})
    assert value not in str(caught.value)


def test_expand_names_what_is_unset() -> None:
    """A variable that is not set is named."""
    with pytest.raises(SourceError, match="the header X-Key needs the environment variable TOKEN"):
        expand("Bearer $TOKEN", "X-Key", {})


def test_pointers() -> None:
    """Keys, indexes and quoted keys in any order; the empty pointer is the document."""
    assert parse_pointer('data.items[0]["a.b"].x["\\""]') == ("data", "items", 0, "a.b", "x", '"')
    assert parse_pointer('[1]["k"]') == (1, "k")
    assert walk(5, "") == 5
    assert walk({"a.b": [1, 2]}, '["a.b"][1]') == 2


@pytest.mark.parametrize("text", [".a", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[0]b", 'a["x]', "a b", "a[0].", "$.a b"])
def test_no_pointers(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match=r"write data\.items"):
        parse_pointer(text)


def test_bad_pointer_is_refused_at_the_door() -> None:
    """A spec with a pointer that is none is refused with its place and an example."""
    with pytest.raises(ValidationError, match=r"is no pointer from '\.\.b' on; write data\.items"):
        json_question("http://127.0.0.1:9", pointer="a..b")


def vector(*samples: dict[str, object]) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}}


def sample(value: str) -> dict[str, object]:
    return {"metric": {"job": "x"}, "value": [1_700_000_000.123, value]}


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (vector(sample("0.25")), 0.25),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}, "warnings": ["w"]}, 3.0),
        (vector(), None),
        (vector(sample("NaN")), None),
        (vector(sample("+Inf")), None),
        (vector(sample("-Inf")), None),
    ],
)
async def test_prometheus_value(server: Server, http: httpx.AsyncClient, document: object, value: float | None) -> None:
    """One sample or a scalar is the reading; empty, NaN and infinite are no data."""
    server.says(document)
    assert await PrometheusSource(http).read(prometheus_question(server.url)) == PointReading(value)


async def test_prometheus_request(server: Server, http: httpx.AsyncClient) -> None:
    """The query goes out by POST, filled in, for the moment of the question, below any path of the address."""
    server.says(vector(sample("1")))
    asked = prometheus_question(server.url + "/prom/", query='sum(rate(x{flag="{flag}"}[{window}]))')
    await PrometheusSource(http).read(asked)
    assert server.heads[0].startswith("POST /prom/api/v1/query HTTP/1.1")
    assert parse_qs(server.bodies[0]) == {
        "query": ['sum(rate(x{flag="answer-engine"}[120s]))'],
        "time": ["1772366400.000"],
        "timeout": ["5s"],
    }


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (vector(sample("1"), sample("2")), r"gives 2 series; aggregate them to one, with sum"),
        (vector({"metric": {}, "histogram": [1, {}]}), "gives a histogram"),
        (vector(sample("many")), "gives 'many', which is no number"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "gives a matrix"),
        ({"status": "error", "errorType": "bad_data", "error": "parse error" + "x" * 9999}, "bad_data: parse error"),
        ({"status": "success"}, "not Prometheus's"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"value": [1]}]}}, "not Prometheus's"),
        ([], "not Prometheus's"),
    ],
)
async def test_prometheus_errors(server: Server, http: httpx.AsyncClient, document: object, reason: str) -> None:
    """Anything but one number is an error that says what to do, in a few words."""
    server.says(document)
    with pytest.raises(SourceError, match=reason) as caught:
        await PrometheusSource(http).read(prometheus_question(server.url, query="up" + "p" * 9999))
    assert len(str(caught.value)) < 400


async def test_prometheus_success_with_a_bad_status(server: Server, http: httpx.AsyncClient) -> None:
    """A reply is not believed when its status says it failed."""
    server.answer = http_answer(json.dumps(vector(sample("1"))).encode(), "502 Bad Gateway")
    with pytest.raises(SourceError, match="status 502"):
        await PrometheusSource(http).read(prometheus_question(server.url))


def test_fill_leaves_promql_alone() -> None:
    """Only the four names are replaced, once; values cannot leave their quotes."""
    asked = prometheus_question("http://p")
    query = 'x{a="{candidate}",b=~"x{2}",c="{unknown}"} offset {window} {__name__="y"}'
    assert fill(query, asked) == 'x{a="new",b=~"x{2}",c="{unknown}"} offset 120s {__name__="y"}'
    hostile = Question(asked.gate, "f", "{flag}", "a\"b'c\\d\n`", 7, NOW, NOW)
    assert fill("{candidate}|{stable}|{window}", hostile) == "a\\x22b\\x27c\\\\d\\n\\x60|{flag}|1s"
