"""The plots of docs/decisions.md: SVG files that are the same for the same figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.decisions.result import Result

_OURS, _NAIVE, _THIRD = "#0b6e4f", "#c1440e", "#5b6c8f"
_COLOURS = ("#0b6e4f", "#c1440e", "#5b6c8f", "#b8860b", "#7b2d8b")

Series = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: of which table, in which file, and how it is drawn."""

    table: str
    file: str
    title: str
    draw: Callable[[Axes, Series], None]


def draw(results: Mapping[str, Result], folder: Path) -> None:
    """Write every plot whose table there is."""
    for plot in PLOTS:
        if plot.table in results:
            (folder / f"{plot.file}.svg").write_text(_svg(plot, results[plot.table].series))


def _svg(plot: Plot, series: Series) -> str:
    from io import StringIO

    with mpl.rc_context({"svg.hashsalt": plot.file, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        plot.draw(axes, series)
        axes.set_title(plot.title, loc="left", fontsize=10)
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        out = StringIO()
        figure.savefig(out, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _policy_bars(axes: Axes, series: Series) -> None:
    kinds = ("5,000 users\n× 20 requests", "5,000 users,\nlognormal activity", "1,000 users\n× 100 requests")
    for offset, kind, label, colour in (
        (-0.2, "naive", "naive z at each look", _NAIVE),
        (0.2, "policy", "Turnout", _OURS),
    ):
        places = [place + offset for place in range(len(kinds))]
        heights = [100 * value for value in series[kind]]
        errors = [100 * value for value in series[f"{kind} error"]]
        bars = axes.bar(places, heights, 0.38, yerr=errors, label=label, color=colour, capsize=3)
        axes.bar_label(bars, fmt="%.1f %%", fontsize=8, padding=2)
    axes.axhline(5, color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_ylabel("taken back, %")
    axes.set_ylim(0, 100)
    axes.legend(frameon=False, fontsize=8)


def _policy_found(axes: Axes, series: Series) -> None:
    labels = {
        "error": "errors 1 → 3 %",
        "latency": "latency × 1.3",
        "quality": "quality −0.10",
        "satisfaction": "satisfaction −0.12, 10 % rated",
        "cost": "cost × 1.3",
    }
    for (metric, label), colour in zip(labels.items(), _COLOURS, strict=True):
        found = [100 * value for value in series[metric]]
        axes.step(series["minutes"], found, where="post", label=label, color=colour)
    axes.set_xlabel("minutes (50 candidate requests each)")
    axes.set_ylabel("found, %")
    axes.set_ylim(0, 101)
    axes.legend(frameon=False, fontsize=8)


def _growth(axes: Axes, series: Series) -> None:
    for name, label, colour in (
        ("naive", "naive z at each look", _NAIVE),
        ("errors by arm", "errors by arm (Turnout)", _OURS),
    ):
        axes.plot(series["minutes"], [100 * value for value in series[name]], label=label, color=colour)
    axes.axhline(5, color="black", linewidth=0.8, linestyle="--", label="α = 5 %")
    axes.set_xlabel("minutes of looking every 12 seconds")
    axes.set_ylabel("good candidates taken back, %")
    axes.set_ylim(0, None)
    axes.legend(frameon=False, fontsize=8)


def _onset(axes: Axes, series: Series) -> None:
    for name, label, colour in (
        ("cumulative", "cumulative", _NAIVE),
        ("spread", "starts spread evenly", _THIRD),
        ("lead", "three quarters of the weight at the start (Turnout)", _OURS),
    ):
        axes.plot(series["onset"], series[name], marker="o", label=label, color=colour)
    axes.set_xlabel("minute at which errors go from 1 to 3 %")
    axes.set_ylabel("median minutes to find it")
    axes.set_ylim(0, None)
    axes.legend(frameon=False, fontsize=8)


def _limits(axes: Axes, series: Series) -> None:
    rates = [100 * rate for rate in series["rate"]]
    for part in (slice(0, 5), slice(5, None)):
        axes.plot(
            rates[part], series["median"][part], marker="o", color=_OURS, label="median" if part.start == 0 else None
        )
        axes.plot(
            rates[part],
            series["p90"][part],
            marker=".",
            linestyle=":",
            color=_THIRD,
            label="p90" if part.start == 0 else None,
        )
    axes.axvline(5, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlim(-0.5, 21)
    axes.set_yscale("log")
    axes.set_xlabel("true bad rate, % (limit 5 %: left of it the verdict is pass, right of it fail)")
    axes.set_ylabel("outcomes to the verdict")
    axes.legend(frameon=False, fontsize=8)


PLOTS = (
    Plot("policy", "false-rollbacks", "Good candidates taken back, five metrics, 100 minutes", _policy_bars),
    Plot("policy", "detection", "Bad candidates found, 5,000 users × 20 requests, share 5 %", _policy_found),
    Plot("rare_errors", "peeking", "What looking again and again does to a good candidate", _growth),
    Plot("late_onset", "late-onset", "Trouble that begins later", _onset),
    Plot("limits", "limits", "Outcomes needed against “bad ≤ 5 %”", _limits),
)
