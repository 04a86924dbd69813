"""A Caddy route as JSON: what Turnout writes into it, and what it reads from it. Pure.

Of the route's ``handle`` list Turnout owns the upstreams and the selection policy of the one ``reverse_proxy``, and two
handlers before it: ``vars``, which remembers the rollout and its generation, and a ``subroute`` for the preview.
Everything else stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.proportions import shares
from turnout.domain.routing import Caddy
from turnout.domain.splits import Preview, RouterSplit, RouterState

Json = dict[str, Any]

_COOKIE = "{http.request.cookie."


def steered(route: Json, config: Caddy, split: RouterSplit, parts: Mapping[str, int]) -> Json:
    """``route`` with the weights ``parts`` by variant, and the preview and the memory of ``split``."""
    before, proxy, after = _around_proxy(route, config)
    balancing = _object(proxy, "load_balancing")
    policy = {"policy": "weighted_round_robin", "weights": [parts[name] for name in config.upstreams]}
    main = {
        **proxy,
        "upstreams": [_upstream(proxy, dial) for dial in config.upstreams.values()],
        "load_balancing": {**balancing, "selection_policy": policy},
    }
    memory = {
        "handler": "vars",
        "@id": f"{config.route}-turnout",
        "turnout_rollout": split.rollout_id,
        "turnout_generation": split.generation,
    }
    preview = [] if split.preview is None else [_preview(proxy, config, split.preview)]
    return {**route, "handle": [*before, memory, *preview, main, *after]}


def state(route: Json, config: Caddy) -> RouterState:
    """What ``route`` does."""
    _, proxy, _ = _around_proxy(route, config)
    owned = {str(handler.get("@id")): handler for handler in _objects(route.get("handle"))}
    memory = owned.get(f"{config.route}-turnout", {})
    generation = memory.get("turnout_generation")
    return RouterState(
        shares={**dict.fromkeys(config.upstreams, 0), **shares(_weights(proxy, config))},
        preview=_preview_of(owned.get(f"{config.route}-preview", {}), config),
        rollout_id=memory.get("turnout_rollout") if isinstance(generation, int) else None,
        generation=generation if isinstance(generation, int) else None,
    )


def _around_proxy(route: Json, config: Caddy) -> tuple[list[Json], Json, list[Json]]:
    """The handlers before, the proxy itself, and those after; without what Turnout has put there."""
    owned = (f"{config.route}-turnout", f"{config.route}-preview")
    handlers = [handler for handler in _objects(route.get("handle")) if handler.get("@id") not in owned]
    proxies = [index for index, handler in enumerate(handlers) if handler.get("handler") == "reverse_proxy"]
    if len(proxies) != 1:
        remedy = 'give the route exactly one {"handler": "reverse_proxy"}, not inside a subroute'
        raise InvalidInput([Problem("router.route", f"has {len(proxies)} reverse proxies", remedy, config.route)])
    at = proxies[0]
    return handlers[:at], handlers[at], handlers[at + 1 :]


def _upstream(proxy: Json, dial: str) -> Json:
    """The upstream as written, with its limits, or a new one."""
    return next((one for one in _objects(proxy.get("upstreams")) if one.get("dial") == dial), {"dial": dial})


def _preview(proxy: Json, config: Caddy, preview: Preview) -> Json:
    if preview.header is not None:
        match = {"header": {preview.header: [preview.value]}}
    else:
        match = {"vars": {f"{_COOKIE}{preview.cookie}}}": [preview.value]}}
    balancing = {key: value for key, value in _object(proxy, "load_balancing").items() if key != "selection_policy"}
    green = {key: value for key, value in proxy.items() if key not in ("@id", "load_balancing")}
    green["upstreams"] = [_upstream(proxy, config.upstreams[preview.variant])]
    if balancing:
        green["load_balancing"] = balancing
    routes = [{"match": [match], "handle": [green]}]
    return {"handler": "subroute", "@id": f"{config.route}-preview", "routes": routes}


def _preview_of(handler: Json, config: Caddy) -> Preview | None:
    for route in _objects(handler.get("routes")):
        variants = {dial: name for name, dial in config.upstreams.items()}
        for proxy in _objects(route.get("handle")):
            dials = [str(one.get("dial")) for one in _objects(proxy.get("upstreams"))]
            match = next(iter(_objects(route.get("match"))), Json())
            if len(dials) == 1 and dials[0] in variants:
                return _matched(match, variants[dials[0]])
    return None


def _matched(match: Json, variant: str) -> Preview | None:
    for kind in ("header", "vars"):
        for name, values in _object(match, kind).items():
            value = str(cast(list[object], values)[0]) if values else ""
            if kind == "header":
                return Preview(variant=variant, header=name, value=value)
            return Preview(variant=variant, cookie=name.removeprefix(_COOKIE).removesuffix("}"), value=value)
    return None


def _weights(proxy: Json, config: Caddy) -> dict[str, float]:
    """The weight of every upstream; any other policy than the weighted one is taken to treat them alike."""
    variants = {dial: name for name, dial in config.upstreams.items()}
    dials = [str(one.get("dial")) for one in _objects(proxy.get("upstreams"))]
    policy = _object(_object(proxy, "load_balancing"), "selection_policy")
    weights = [1.0] * len(dials)
    if policy.get("policy") == "weighted_round_robin":
        weights = [float(weight) for weight in cast(list[float], policy.get("weights") or [])]
    if len(weights) == 1 and len(dials) > 1:
        weights += [0.0] * (len(dials) - 1)  # with a single weight Caddy takes the first upstream
    return {variants.get(dial, dial): weight for dial, weight in zip(dials, weights, strict=False)}


def _object(value: Json, key: str) -> Json:
    found = value.get(key)
    return cast(Json, found) if isinstance(found, dict) else {}


def _objects(value: object) -> list[Json]:
    if not isinstance(value, list):
        return []
    return [cast(Json, item) for item in cast(list[object], value) if isinstance(item, dict)]
