"""docs/decisions.md: what the decisions guarantee, how, and what was measured."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

from benchmarks.decisions.figures import Figure
from benchmarks.decisions.plots import PLOTS
from benchmarks.decisions.result import Result

_PROMISE = """\
# Decisions

Written by `make bench-decisions` from simulations; no number below is typed by hand. Run it yourself: every figure
has a seed.

## What is guaranteed

For whoever decides about a release, without formulas:

- **A good candidate is rarely taken back.** {false}
- **Looking often costs nothing.** The figures hold at every look together, every minute or every request, and
  stopping at the first alarm is allowed. There is no best time to look and no way to look too often.
- **A candidate that is exactly at its limit passes at most {alpha} of the time.** {edge}
- **Real trouble is found soon.** {soon}
- **Trouble that begins late is found too.** {late}
- **One busy user is one user.** Everything counts users, not requests, because the requests of one user resemble each
  other. Where there are few users, nothing is claimed: the answer is `inconclusive`, with what is missing.
- **Silence is not consent.** Passing takes evidence of its own, and usually far more of it than failing. A stage that
  is too short to prove what it asks stays `inconclusive`, and what then happens is a choice in the spec.

What is not guaranteed: an incident that hits only one arm's machines is real harm from a gate's view, whoever caused
it; an effect below what the traffic can show stays unseen; and each stage has an error rate of its own, so a rollout
of many stages adds them up ([a ramp with drift](#a-ramp-with-drift))."""

_METHOD = """\
## How

| question | test | source |
|---|---|---|
| absolute rate, or latency at a quantile ("p95 ≤ 5 s" is "at most 5 % above 5 s") | truncated beta-binomial \
e-process, counts divided by the larger design effect of both arms | Robbins 1970; Howard et al. 2021; \
Rao & Scott 1992 |
| errors versus stable | in which arm does the next user meet a first error, mixed over the minute at which trouble \
may have begun | Lindon & Malek 2022; Lindon, Sanden & Shirikian 2022; Shin, Ramdas & Rinaldo 2022 |
| latency versus stable | in which arm does the next value beyond stable's frozen quantile fall, counts divided by the \
design effect | the same; Rao & Scott 1992 |
| mean of a score or a cost versus stable | asymptotic confidence sequence between users, the standard error at least \
that of the pooled arms, costs capped | Waudby-Smith et al. 2024; Deng, Knoblich & Lu 2018 |
| mean of a score or a cost against a limit | the same sequence of one arm, the standard error at least that which the \
limit, or stable's spread, would explain | Waudby-Smith et al. 2024; measured [below](#absolute-limits-on-means) |
| is the split as planned | Dirichlet-multinomial Bayes factor, on users | Lindon & Malek 2022 |
| one look at a fixed horizon | Welch's t between users, guarded by the pooled standard error | Welch 1947; \
Deng et al. 2018 |

An e-value is what a bet against "nothing is wrong" has won so far; under that hypothesis it exceeds 1/α at any time
with probability at most α (Ville's inequality), which is why one may look at any time. Error rates: α of a pass is 5
% for each gate, not shared, because all must pass; α of a fail is 5 % shared among the deciding checks of a stage,
here 1 % for each of five. First errors, rates with one outcome a user and the split are exact; confidence sequences
and design effects are asymptotic, and the tables are the evidence that they hold in small arms. The full citations
are in the modules of `src/turnout/analysis`.

## Method of the measurement

The simulations call the functions of `turnout.analysis` that decide, on arrays; that the whole code path of a rollout
comes to the same verdicts is [measured too](#the-same-through-the-code-that-decides). The traffic and the naive rules
are in `benchmarks/decisions`. Every figure is a share or a quantile over simulated paths, with its Monte-Carlo standard
error after ±; a quantile's is half the distance of the order statistics one binomial standard deviation to either
side. “–” is a quantile beyond the end of the paths. In square brackets: what an earlier simulation, written
independently, found with the same protocol; parameters of the traffic that it left open were chosen here. Figures
named false are of candidates that are exactly as good as stable, or exactly at their limit.

Scale {scale:g}. Machine: {machine}."""


def written(results: Mapping[str, Result], scale: float, machine: str) -> str:
    """The page."""
    promise = "\n".join(_filled(line) for line in _PROMISE.format(**_promises(results)).split("\n"))
    parts = [promise, _METHOD.format(scale=scale, machine=machine)]
    parts.append(_required(results))
    for name, result in results.items():
        parts.append(result.section.markdown())
        parts += [f"![{plot.title}](decisions/{plot.file}.svg)" for plot in PLOTS if plot.table == name]
    return re.sub(r"(?<=\d)%", " %", "\n\n".join(parts)) + "\n"


def _filled(line: str) -> str:
    return textwrap.fill(line, 118, subsequent_indent="  ", break_on_hyphens=False) if line.startswith("- ") else line


def _promises(results: Mapping[str, Result]) -> dict[str, str]:
    policy, onset = results.get("policy"), results.get("late_onset")
    false = "The tables below say how rarely."
    if policy is not None:
        ours, naive = policy.series["policy"], policy.series["naive"]
        false = (
            f"With five metrics watched every minute for 100 minutes, at most {max(ours):.1%} of flawless candidates "
            "were taken back in any of three kinds of traffic. A textbook test asked at every look takes back "
            f"{min(naive):.0%} to {max(naive):.0%} of them."
        )
    late = "See below."
    if onset is not None:
        ours, plain = onset.series["lead"], onset.series["cumulative"]
        late = (
            f"Errors that triple two hours into a stage are found after {ours[-1]:.0f} minutes (median), as against "
            f"{plain[-1]:.0f} for a test that only sums up."
        )
    return {"false": false, "late": late, "alpha": "5 %", "edge": _edge(results), "soon": _soon(results)}


def _edge(results: Mapping[str, Result]) -> str:
    every = [one for result in results.values() for one in result.requirements]
    measured = [one.measured.value for one in every if one.what.startswith("false pass")]
    return f"Measured: at most {max(measured):.1%}, whatever the traffic." if measured else ""


def _soon(results: Mapping[str, Result]) -> str:
    policy = results.get("policy")
    if policy is None:
        return ""
    names = {
        "error": "errors of 3 instead of 1 %",
        "latency": "a latency up by 30 %",
        "quality": "a quality down by 0.1",
    }
    found = (f"{_minutes(policy.series[metric])} for {what}" for metric, what in names.items())
    return f"With 50 candidate requests a minute the median is {', '.join(found)}."


def _minutes(found_by: Sequence[float]) -> str:
    found = next((minute for minute, share in enumerate(found_by) if share >= 0.5), None)
    return "more than 100 minutes" if found is None else f"{found} minute{'s' if found > 1 else ''}"


def _required(results: Mapping[str, Result]) -> str:
    every = [one for result in results.values() for one in result.requirements]
    held = sum(one.holds for one in every)
    exact = sum(one.measured.value <= one.limit for one in every)
    lines = [
        "## What is required, and what was measured",
        "",
        f"Of {len(every)} requirements {exact} hold as measured; {held - exact} are exceeded by less than three "
        f"standard errors of the measurement, {len(every) - held} by more. Error rates must not exceed α, medians "
        "1.25 times those of the earlier simulation. The main ones, and all that are exceeded:",
        "",
        "| requirement | measured | at most | |",
        "|---|---|---|---|",
    ]
    shown = [one for one in every if one.main or one.outcome != "holds"]
    lines += [f"| {one.what} | {one.measured} | {_limit(one.measured, one.limit)} | {one.outcome} |" for one in shown]
    return "\n".join(lines)


def _limit(measured: Figure, limit: float) -> str:
    return (
        f"{limit:.3g}".replace("0.05", "5 %").replace("0.001", "0.1 %") if measured.unit == "share" else f"{limit:,.0f}"
    )
