"""Which variant a user gets, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.render.words import percent
from turnout.client.shadowing import shadow_of
from turnout.resolver import Explanation, Resolution, Slice


def resolution_data(resolution: Resolution) -> dict[str, object]:
    """A resolution in the field names of OFREP."""
    fields = {
        "key": resolution.key,
        "variant": resolution.variant,
        "value": resolution.value,
        "reason": resolution.reason,
        "errorCode": resolution.error_code,
        "errorDetails": resolution.error_message,
        "metadata": dict(resolution.metadata),
    }
    optional = ("errorCode", "errorDetails")
    return {name: value for name, value in fields.items() if value is not None or name not in optional}


def explanation_data(explanation: Explanation) -> dict[str, object]:
    """An explanation with its resolution as plain data."""
    fields = {name: value for name, value in asdict(explanation).items() if name != "resolution"}
    return {**resolution_data(explanation.resolution), "explanation": fields}


def resolution_text(resolution: Resolution) -> Text:
    """The variant and its value."""
    if resolution.variant is None:
        return Text(f"the caller's own default ({resolution.error_message or resolution.reason.lower()})")
    return Text(f"{resolution.variant}  {json.dumps(resolution.value, ensure_ascii=False)}")


def explanation_view(explanation: Explanation, unit: str | None) -> RenderableType:
    """The variant, and the way to it."""
    resolution = explanation.resolution
    lines = [Text(f"{resolution.key} for {unit or 'nobody in particular'}: ").append_text(resolution_text(resolution))]
    lines += [Text(f"  {line}") for line in (*_passed(explanation), decided(explanation), *_split(explanation))]
    if beside := shadow_of(resolution.metadata, resolution.variant, unit):
        lines.append(Text(f"  {beside} answers this user's requests in shadow"))
    facts = [
        f"generation {explanation.generation}" if explanation.generation is not None else "",
        f"stable {explanation.stable}" if explanation.stable else "",
        f"rollout {explanation.rollout}" if explanation.rollout else "",
        "stopped" if explanation.stopped else "",
    ]
    lines.append(Text("  " + ", ".join(filter(None, facts)), style="dim"))
    lines += [Text(f"  {line}", style="dim") for line in contenders(explanation)]
    return Group(*lines)


def contenders(explanation: Explanation) -> Iterator[str]:
    """One line for each source, the strongest first, which of them decided and which it overruled."""
    settled = False
    for one in explanation.contenders:
        settled = settled or one.decided
        verdict = "decides" if one.decided else "overruled" if settled else "passed over"
        yield f"{one.source}: {f'{one.says} ({verdict})' if one.says is not None else 'says nothing'}"


_SENTENCES: Final[Mapping[str, str]] = {
    "stopped": "decided by the emergency stop: everybody gets the stable variant",
    "breaker": "decided by an open breaker: the stable variant instead of one that a service found bad",
    "environment": "decided by {name} in the environment",
    "disabled": "the flag is disabled: every caller's own default applies",
    "prerequisite": "decided by prerequisite {name}, which gives another variant than required: the stable variant",
    "rule": "decided by rule {name}, whose condition holds",
    "segment": "decided by segment {name}, whose condition holds",
    "holdout": "decided by holdout {name}, which no rollout includes: the stable variant",
    "layer": "decided by layer {name}, in whose other part the user is: the stable variant",
    "exposure": "decided by the test, which does not include the user: the stable variant",
    "static": "everybody gets the same variant",
}


def decided(explanation: Explanation) -> str:
    """Which part of the flag decided, in a sentence."""
    if explanation.source == "traffic":
        by = f", which rollout {explanation.rollout} moves" if explanation.rollout else ""
        return f"decided by the split of the traffic{by}" if explanation.slices else "decided by the flag's serve"
    if explanation.source in _SENTENCES:
        return _SENTENCES[explanation.source].format(name=explanation.name)
    return f"not decided: {explanation.resolution.error_message}"


def _passed(explanation: Explanation) -> Iterator[str]:
    for name in explanation.passed:
        kind, _, flag = name.partition(":")
        yield f"prerequisite {flag}: met" if kind == "prerequisite" else f"{name}: its condition does not hold"


def _split(explanation: Explanation) -> Iterator[str]:
    total = explanation.total
    if not explanation.slices or not total:
        return
    if explanation.bucket is None:
        yield "no user was given, so the split has no bucket: the stable variant applies"
    else:
        yield f"bucket {explanation.bucket:,} of {total:,} (hash of {explanation.seed!r} + user)"
    for part in explanation.slices:
        share = percent((part.end - part.start) / total)
        who = f"{_mark(part, explanation.bucket)} {part.variant or 'default'}"
        yield f"{who}: buckets {part.start:,} to {part.end - 1:,} ({share})"


def _mark(part: Slice, bucket: int | None) -> str:
    return "→" if bucket is not None and part.start <= bucket < part.end else " "
