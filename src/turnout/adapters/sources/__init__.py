"""Where gates read their metrics: one file a kind of source, one line here for each.

A new kind is a model in `turnout.domain.plan`, a file with its `MetricSource`, and a line in `sources`.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from turnout.adapters.probing import HttpProber
from turnout.adapters.routers import router_of
from turnout.adapters.sources.health import HealthSource
from turnout.adapters.sources.json_http import JsonSource
from turnout.adapters.sources.outcomes import OutcomesSource
from turnout.adapters.sources.prometheus import PrometheusSource
from turnout.adapters.sources.router import RouterObedience
from turnout.adapters.steering import Steering
from turnout.domain.errors import SourceError
from turnout.ports import MetricSource, OutcomeStore, Question, Reading

__all__ = ["HealthSource", "JsonSource", "OutcomesSource", "PrometheusSource", "RouterObedience", "read", "sources"]


def sources(
    store: OutcomeStore, http: httpx.AsyncClient, environ: Mapping[str, str], steering: Steering | None = None
) -> Mapping[str, MetricSource]:
    """Every kind of source by the name a gate's ``source.kind`` gives it.

    ``environ`` holds what ``$NAME`` in a header stands for. The caller keeps ``store`` and ``http`` open. ``steering``
    is shared with whoever else steers the same routers in this process.
    """
    return {
        "outcomes": OutcomesSource(store),
        "prometheus": PrometheusSource(http),
        "json": JsonSource(http, environ),
        "http": HealthSource(HttpProber(http)),
        "router": RouterObedience(steering or Steering(lambda config: router_of(config, http, environ))),
    }


async def read(known: Mapping[str, MetricSource], question: Question) -> Reading:
    """Ask the source that the question's gate names.

    Raises:
        SourceError: the source failed, or ``known`` has none of its kind.
    """
    kind = question.gate.source.kind
    source = known.get(kind)
    if source is None:
        raise SourceError(f"no source of kind {kind} is set up here; known are {', '.join(sorted(known)) or 'none'}")
    return await source.read(question)
