"""Starting a pattern on a running Turnout, and following it to its end."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from .patterns import flags_of, spec_of
from .service import FLAG
from .settings import Pattern

_POLL_S: Final = 0.2
_NOT_FOUND: Final = 404


class Migration:
    """One flag's way to LightRAG, through the HTTP API behind ``http``."""

    def __init__(self, http: httpx.Client) -> None:
        self._http: Final = http

    def publish(self, pattern: Pattern) -> None:
        """Publish the flags of the pattern.

        Raises:
            httpx.HTTPStatusError: Turnout refuses; its answer says why.
        """
        self._ask("POST", "/v1/flags", flags_of(pattern))

    def start(self, pattern: Pattern, service: str, *, quick: bool = False) -> dict[str, Any] | None:
        """Start the rollout of the pattern, whose flags are published; None where it has none.

        Raises:
            httpx.HTTPStatusError: Turnout refuses; its answer says why.
        """
        spec = spec_of(pattern, service, quick=quick)
        return None if spec is None else self._ask("POST", "/v1/rollouts", {"spec": spec})

    def forget(self) -> None:
        """Delete the flags, so that the next pattern begins with Perplexity for everybody."""
        # Those that require another one stand below it in the file.
        for key in reversed(flags_of("canary")["flags"]):
            answer = self._http.delete(f"/v1/flags/{key}")
            if answer.status_code != _NOT_FOUND:
                answer.raise_for_status()

    def look(self) -> dict[str, Any]:
        """The rollout as it is."""
        return self._ask("GET", f"/v1/rollouts/{FLAG}")

    def report(self) -> dict[str, Any]:
        """What came of it."""
        return self._ask("GET", f"/v1/rollouts/{FLAG}/report")

    def end(self, patience_s: float) -> dict[str, Any]:
        """Wait until the rollout has ended, or waits for a person; gives it.

        Raises:
            TimeoutError: it has not after ``patience_s``.
        """
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up:
            rollout = self.look()
            if rollout["ended_at"] is not None or rollout["state"] == "paused":
                return rollout
            time.sleep(_POLL_S)
        raise TimeoutError(f"the rollout is still {self.look()['state']} after {patience_s:g} s")

    def drill(self, fault: str) -> None:
        """Make LightRAG misbehave as `drills` says; ``none`` ends it."""
        flag = flags_of("canary")["flags"]["drill"] | {"serve": fault}
        self._ask("POST", "/v1/flags", {"flags": {"drill": flag}})

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = self._http.request(method, path, json=body)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found
