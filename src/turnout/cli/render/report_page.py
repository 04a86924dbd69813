"""The report on a rollout as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from turnout.cli.render import plots
from turnout.cli.render.report import ARM_COLUMNS, advice_line, aim, arm_row, facts, looks
from turnout.cli.render.words import called, minute, number, percent, spaced
from turnout.domain.experiments import ExperimentResult, MetricResult
from turnout.domain.reporting import Report
from turnout.domain.verdicts import Check

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #d5dae0; --good: #1a7f37; --bad: #c62828;
  --open: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --faint: #30363d; --good: #3fb950;
  --bad: #ff7b72; --open: #d29922; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin: 2rem 0 .5rem; border-bottom: 1px solid var(--faint); } .facts { opacity: .75; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; } th, td { padding: .25rem .6rem; text-align: left;
  border-bottom: 1px solid var(--faint); vertical-align: top; } td.n, th.n { text-align: right; white-space: nowrap; }
.advice { border-left: 5px solid var(--open); padding: .6rem 1rem; background: color-mix(in srgb, var(--faint) 40%,
  transparent); } .advice.deploy { border-color: var(--good); } .advice.keep { border-color: var(--bad); }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--ink); } svg .note { font-size: 11px; }
svg .axis, svg .zero { stroke: var(--ink); } svg .grid { stroke: var(--faint); } svg .mark { stroke: var(--open);
  stroke-dasharray: 4 3; } svg .line { fill: none; stroke-width: 2; } svg .interval { stroke-width: 3; }
svg .verdict { stroke: var(--open); fill: var(--open); } svg .better, svg .not_worse { stroke: var(--good);
  fill: var(--good); } svg .worse { stroke: var(--bad); fill: var(--bad); }
.arm0 { stroke: #0969da; fill: #0969da; } .arm1 { stroke: #bf5af2; fill: #bf5af2; } .arm2 { stroke: #e36209;
  fill: #e36209; } .arm3 { stroke: #1b9e77; fill: #1b9e77; } .arm4 { stroke: #d63384; fill: #d63384; }
.arm5 { stroke: #66a61e; fill: #66a61e; } .arm6 { stroke: #a6761d; fill: #a6761d; } .arm7 { stroke: #6e7781;
  fill: #6e7781; } svg .line.line { fill: none; }
"""


def page(found: Report) -> str:
    """The whole page."""
    title = f"{found.flag}: {called(found.strategy, found.name)} {spaced(found.state)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="facts">{escape(facts(found))}</p>',
        f"<p>{escape(found.summary)}</p>",
        *(_trial(found.experiment) if found.experiment is not None else ()),
        *_section("Shares over time", plots.shares(found)),
        *_section("Users over time", plots.users(found)),
        *_section("Gates and guardrails", _checks([one for one in found.checks if one.experiment is None])),
        *_section("Decisions", _decisions(found)),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}{view}</head>\n<body>\n{body}\n</body></html>\n'


def _trial(found: ExperimentResult) -> Iterable[str]:
    kind = found.recommendation.action if found.recommendation is not None else "continue"
    yield f'<p class="advice {kind}">{escape(_sentence(advice_line(found)))}</p>'
    users = [(arm, f"{count:,}", percent(round(found.planned[arm], 5))) for arm, count in found.split.items()]
    yield from _section(
        "Users",
        _table(("arm", "users", "planned share"), users, numbers=(1, 2)),
        f"<p>Split as planned: p = {found.split_p:.2g}. {found.users:,} of {found.sample:,} planned users.</p>",
    )
    for result in found.metrics:
        yield from _section(result.metric, f"<p>{escape(_sentence(aim(result)))}.</p>", *_metric(found, result))
    if found.looks:
        yield from _section("Looks", "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in looks(found)) + "</ul>")


def _metric(found: ExperimentResult, result: MetricResult) -> Iterable[str]:
    yield plots.effects(result)
    yield _table(ARM_COLUMNS, [arm_row(result, one) for one in result.arms], numbers=(1, 2, 3, 4, 6, 7))
    if result.method:
        level = "" if result.confidence is None else f", {result.confidence * 100:.4g} % intervals"
        yield f'<p class="facts">{escape(result.method)}{level}, correction: {found.correction}.</p>'


def _checks(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = [
        (one.gate, spaced(one.verdict), number(one.value), f"{number(one.low)} to {number(one.high)}", one.text)
        for one in checks
    ]
    return _table(("check", "verdict", "value", "interval", "what it found"), rows, numbers=(2,))


def _decisions(found: Report) -> str:
    rows = [(minute(one.at), percent(one.share), spaced(one.kind), one.text) for one in found.changes]
    return _table(("at", "candidate's share", "decision", "why"), rows, numbers=(1,))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _section(title: str, *parts: str) -> Iterable[str]:
    if any(parts):
        yield f"<h2>{escape(title)}</h2>"
        yield from parts


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        marked = (' class="n"' if place in numbers else "" for place in range(len(row)))
        return "".join(f"<{tag}{mark}>{escape(cell)}</{tag}>" for mark, cell in zip(marked, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"
