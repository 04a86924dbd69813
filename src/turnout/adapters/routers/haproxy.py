"""HAProxy as a router: weights of a backend's servers, changed through the runtime API.

What it follows is kept in process-wide variables of HAProxy itself, ``proc.turnout_<backend>`` (rollout, generation,
preview) and ``proc.turnout_<backend>_preview`` (the server that previews go to, or ``none``), and is lost with the
weights when HAProxy starts anew. The runtime API has no conditional write: of two writers at the same moment the fence
may let both through, and then reading back shows a drift to one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from turnout.adapters.routers._haproxy_socket import ask
from turnout.domain.errors import InvalidInput, Problem, Unavailable
from turnout.domain.problems import suggestion
from turnout.domain.proportions import scaled, shares
from turnout.domain.routing import Haproxy
from turnout.domain.splits import (
    Condition,
    Preview,
    RouterSplit,
    RouterState,
    checked,
    named,
    refuse_stale,
)

LARGEST_WEIGHT: Final = 256
"""The largest weight of a server in HAProxy; the smallest share of two servers is 1/257, about 0.39 %."""

_VALUE = re.compile(r"^\S+: type=str value=<(.*)>$", re.MULTILINE)
_NO_PREVIEW: Final = "none"
_MAINTENANCE: Final = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
_DRAIN: Final = 0x08 | 0x10


@dataclass(frozen=True, slots=True)
class _Server:
    weight: int
    condition: Condition


class HaproxyRouter:
    """A `turnout.ports.TrafficRouter` on HAProxy's runtime API, from version 2.6 on."""

    def __init__(self, config: Haproxy) -> None:
        self._config = config
        self._memory = "proc.turnout_" + re.sub(r"\W", "_", config.backend)

    def planned(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.planned`. Shares are exact to a hundredth of themselves between 1 % and 99 %; a smaller
        one, unless it is 0, becomes at least 1/257."""
        return RouterState(
            shares=shares(self._parts(split)),
            preview=split.preview,
            rollout_id=split.rollout_id,
            generation=split.generation,
        )

    async def apply(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.apply`. Servers that somebody drained or put into maintenance stay so."""
        planned, parts = self.planned(split), self._parts(split)
        servers = await self._servers()
        found = await self._state(servers)
        refuse_stale(split, found, f"the backend {self._config.backend} of HAProxy at {self._config.socket}")
        if found.model_copy(update={"conditions": {}}) != planned:
            await self._write(self._changes(split, parts, servers))
        return checked(planned, await self.read())

    async def read(self) -> RouterState:
        """See `TrafficRouter.read`."""
        return await self._state(await self._servers())

    def _parts(self, split: RouterSplit) -> dict[str, int]:
        return scaled(named(split, self._config.servers, "router.servers"), LARGEST_WEIGHT)

    async def _state(self, servers: Mapping[str, _Server]) -> RouterState:
        variants = {server: variant for variant, server in self._config.servers.items()}
        rollout_id, generation, preview = await self._remembered()
        return RouterState(
            shares=shares({variants.get(name, name): server.weight for name, server in servers.items()}),
            preview=preview,
            rollout_id=rollout_id,
            generation=generation,
            conditions={variant: servers[server].condition for variant, server in self._config.servers.items()},
        )

    async def _servers(self) -> dict[str, _Server]:
        """Every server of the backend by name."""
        answer = await ask(self._config, f"show servers state {self._config.backend}")
        if "Can't find backend" in answer:
            remedy = "write the name after `backend` in haproxy.cfg"
            raise InvalidInput([Problem("router.backend", "is no backend of HAProxy", remedy, self._config.backend)])
        servers = _parsed(answer)
        if servers is None:
            raise self._refused(answer)
        for variant, server in self._config.servers.items():
            if server not in servers:
                message = f"is no server of the backend {self._config.backend}"
                known = suggestion(server, list(servers))
                raise InvalidInput([Problem(f"router.servers.{variant}", message, known, server)])
        return servers

    async def _remembered(self) -> tuple[str | None, int | None, Preview | None]:
        answer = await ask(self._config, f"get var {self._memory}; get var {self._memory}_preview")
        values: list[str] = _VALUE.findall(answer)
        if len(values) < 2:
            if "not found" not in answer:
                raise self._refused(answer)
            return None, None, None
        rollout_id, generation, *way = values[0].split("/")
        preview = _preview(way)
        on = preview is not None and values[1] == self._config.servers.get(preview.variant)
        return rollout_id, int(generation), preview if on else None

    def _changes(self, split: RouterSplit, parts: Mapping[str, int], servers: Mapping[str, _Server]) -> list[str]:
        """The commands, with the weights that grow first: at no time do all have none."""
        preview = split.preview
        way = ["header" if preview.header else "cookie", preview.header or preview.cookie] if preview else []
        words = [split.rollout_id, str(split.generation), *([preview.variant, *way, preview.value] if preview else [])]
        target = self._config.servers[preview.variant] if preview else _NO_PREVIEW
        weights = {server: parts[variant] for variant, server in self._config.servers.items()}
        growing = sorted(weights, key=lambda server: servers[server].weight - weights[server])
        return [
            "experimental-mode on",  # `set var` asks for it
            f"set var {self._memory} str({'/'.join(map(str, words))})",
            f"set var {self._memory}_preview str({target})",
            *(f"set server {self._config.backend}/{server} weight {weights[server]}" for server in growing),
        ]

    async def _write(self, commands: list[str]) -> None:
        answer = await ask(self._config, "; ".join(commands))
        if answer.strip():
            raise self._refused(answer)

    def _refused(self, answer: str) -> InvalidInput | Unavailable:
        said = " ".join(answer.split())[:300]
        if "Permission denied" in said:
            remedy = "write `stats socket … level admin` in haproxy.cfg"
            return InvalidInput([Problem("router.socket", "allows no changes", remedy, self._config.socket)])
        if "static LB algorithm" in said:
            remedy = "write `balance roundrobin` in that backend"
            return InvalidInput([Problem("router.backend", "has fixed weights", remedy, self._config.backend)])
        if "Unknown command" in said or "unknown command" in said:
            remedy = "use HAProxy 2.6 or later"
            return InvalidInput([Problem("router.socket", f"HAProxy is too old: {said}", remedy, self._config.socket)])
        if not said:
            return Unavailable(f"HAProxy at {self._config.socket} closed the connection without an answer")
        return InvalidInput([Problem("router", f"HAProxy refuses: {said}", "", self._config.socket)])


def _parsed(answer: str) -> dict[str, _Server] | None:
    """The servers of an answer to ``show servers state``; None if it is none. Columns go by the names in its header."""
    lines = answer.strip().splitlines()
    if len(lines) < 2 or not lines[1].startswith("# "):
        return None
    columns = lines[1].removeprefix("# ").split()
    rows = [dict(zip(columns, line.split(" "), strict=False)) for line in lines[2:] if line]
    return {row["srv_name"]: _Server(int(row["srv_uweight"]), _condition(row)) for row in rows}


def _condition(row: Mapping[str, str]) -> Condition:
    admin = int(row["srv_admin_state"])
    if admin & _MAINTENANCE:
        return "maintenance"
    if admin & _DRAIN:
        return "draining"
    states: dict[str, Condition] = {"0": "down", "1": "starting", "2": "up"}
    return states.get(row["srv_op_state"], "draining")


def _preview(words: list[str]) -> Preview | None:
    if len(words) != 4:
        return None
    variant, kind, name, value = words
    if kind == "header":
        return Preview(variant=variant, header=name, value=value)
    return Preview(variant=variant, cookie=name, value=value)
