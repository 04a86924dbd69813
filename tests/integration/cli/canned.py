"""A small real HTTP server with a rollout that a test moves by hand, and restarts at will."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.unit.cli.builders import START, check, decision, plan, view
from turnout.domain.rollout import State

FLAG = "answer-engine"
_RECORD_ONLY = {"id", "flag", "strategy", "candidate", "stable", "state", "stage", "share", "started_by", "started_at"}


class Canned:
    """The server. ``requests`` holds method, path, headers and body of what arrived."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.decisions: list[dict[str, Any]] = [self._decision(1)]
        self.state = State.RUNNING
        self._changed = threading.Condition()
        self._up = True
        self._port = 0
        self._start()

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def decide(self, state: State, **fields: Any) -> None:
        """Record another decision, which leaves the rollout in ``state``."""
        with self._changed:
            self.decisions.append(self._decision(len(self.decisions) + 1, state=state, **fields))
            self.state = state
            self._changed.notify_all()

    def down(self) -> None:
        """Stop answering and break every stream."""
        with self._changed:
            self._up = False
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def up(self) -> None:
        """Answer again, on the same port."""
        self._up = True
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.down()

    def view(self) -> dict[str, Any]:
        """The rollout as GET answers it."""
        ended = {"ended_at": START} if self.state.ended else {}
        now = view(state=self.state, checks=(check(),), checked_at=START, **ended)
        return {**now.model_dump(mode="json"), "decisions": self.decisions, "a_newer_field": 1}

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """Status and body for a request."""
        if (method, path) in self.answers:
            return self.answers[method, path]
        match method, path.partition("?")[0]:
            case "GET", "/v1/rollouts/answer-engine":
                return 200, self.view()
            case "GET", "/v1/rollouts/answer-engine/decisions":
                return 200, {"flag": FLAG, "rollout_id": "r1", "decisions": self.decisions}
            case "GET", "/v1/rollouts":
                record = {**view().model_dump(mode="json", include=_RECORD_ONLY), "generation": 2}
                return 200, {"rollouts": [{**record, "plan": plan().model_dump(mode="json")}]}
            case "POST", "/v1/rollouts/answer-engine/approve":
                return 409, problem(409, "command_refused", "no approval is due; the rollout is running")
            case "POST", command if command.startswith("/v1/rollouts/answer-engine/"):
                return 200, {"id": "c1", "applied": True, "durable": True, "text": f"{command.split('/')[-1]}d by ann"}
            case _:
                return 404, problem(404, "not_found", f"there is nothing at {path}")

    def changed_since(self, seen: int) -> list[dict[str, Any]] | None:
        """Wait for decisions after the first ``seen``; None when the server goes down or the rollout has ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._up or len(self.decisions) > seen, timeout=30)
            return self.decisions[seen:] if self._up else None

    def _start(self) -> None:
        canned = self

        class Handler(_Handler):
            server_side = canned

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _decision(self, seq: int, **fields: Any) -> dict[str, Any]:
        made = decision(seq, **fields).model_dump(mode="json")
        evidence = {"id": "e", "rollout_id": "r1", "generation": 2, "stage": 0, "at": made["at"], "verdict": "pass"}
        proof = {**evidence, "checks": [check().model_dump(mode="json")]} if seq > 1 else None
        return {**made, "evidence_detail": proof}


def problem(status: int, code: str, detail: str, problems: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A problem document as the API writes it."""
    return {"type": "x", "title": "x", "status": status, "detail": detail, "code": code, "problems": problems or []}


class _Handler(BaseHTTPRequestHandler):
    server_side: Canned

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def do_DELETE(self) -> None:
        self._handle("DELETE")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _handle(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        self.server_side.requests.append((method, self.path, dict(self.headers.items()), body))
        if self.path.endswith("/events"):
            self._stream()
            return
        status, answer = self.server_side.answer(method, self.path)
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        seen = int(self.headers.get("Last-Event-ID", "r1:0").split(":")[1])
        while (new := self.server_side.changed_since(seen)) is not None:
            for made in new:
                seen = made["seq"]
                self.wfile.write(f": keep-alive\n\nid: r1:{seen}\nevent: decision\ndata: {{}}\n\n".encode())
            self.wfile.flush()
            if self.server_side.state.ended:
                return
