"""How answers look, as a pipe gets them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from tests.unit.cli.builders import START, check, decision, plan, view
from turnout.cli.render.checks import check_line, check_told, checks_drawn, checks_table, drawing
from turnout.cli.render.explain import explanation_data, explanation_view, resolution_data
from turnout.cli.render.flags import change_line, flag_view, flags_table, serves
from turnout.cli.render.following import next_step
from turnout.cli.render.history import history_view
from turnout.cli.render.live import live_view, ticked
from turnout.cli.render.plan import plan_data, plan_view, schedule
from turnout.cli.render.rollout import rollouts_table, started_text, status_view
from turnout.cli.render.words import bar, minute, number, percent, span
from turnout.cli.session import plain
from turnout.cli.views import Told
from turnout.domain.flags import Traffic, initial_traffic, parse_flags
from turnout.domain.freezes import Closed
from turnout.domain.rollout import Pause, State
from turnout.domain.snapshot import PublishedFlag, document
from turnout.domain.verdicts import Verdict
from turnout.ports import FlagChange, FlagRecord, RolloutRecord
from turnout.resolver import compile_document

NOW = START + timedelta(hours=6)


def record(**more: Any) -> FlagRecord:
    """A flag half of whose traffic a rollout has moved."""
    body = {
        "variants": {"perplexity": {"mode": "web"}, "lightrag": {"mode": "hybrid"}},
        "stable": "perplexity",
        "rules": [{"name": "staff", "if": {"===": [{"var": "team"}, "qa"]}, "serve": "lightrag"}],
    }
    (flag,) = parse_flags({"flags": {"answer-engine": body}})
    weights = {"lightrag": 12_500, "perplexity": 87_500}
    traffic = Traffic(stable="perplexity", weights=weights, generation=7, rollout_id="r1")
    fields: dict[str, Any] = {"flag": flag, "traffic": traffic, "updated_at": START, "updated_by": "ann"}
    return FlagRecord(**(fields | more))


def test_a_pipe_gets_no_colour_and_no_wrapping() -> None:
    """Lines on a pipe are plain, and as long as they have to be."""
    text = plain(status_view(view(checks=(check(gate="g" * 300),)), NOW))
    assert "\x1b" not in text
    assert "g" * 300 in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_markup_in_data_is_data() -> None:
    """Square brackets in what people write are shown as written."""
    told = decision(text="paused by [bold]bob[/bold] :smile:")
    assert "[bold]bob[/bold] :smile:" in plain(history_view(view(), [Told(told)]))


def test_the_dates_of_a_plan() -> None:
    """Every stage begins when the holds before it are over."""
    begins = [date.begins for date in schedule(plan(), START)]
    assert begins == [START, START + timedelta(days=1), START + timedelta(days=2)]


def test_a_plan_tells_shares_dates_approvals_and_failures() -> None:
    """The table of stages has what a person needs to agree to a rollout."""
    text = plain(plan_view(plan(approvals=[{"before": 100, "by": "lead"}]), START))
    assert text.startswith("canary of answer-engine from perplexity to lightrag: 3 stages, 3d at the least\n")
    third = next(line for line in text.splitlines() if line.startswith("3 "))
    assert "100 %" in third
    assert "approval by lead" in third
    assert "rolls back" in third
    assert minute(START + timedelta(days=2)) in third
    assert "  no data: pauses\n  inconclusive: pauses\n  a source does not answer: pauses\n" in text


def test_a_plan_says_which_gates_are_not_asked_everywhere() -> None:
    """A comparison with stable cannot be asked when no stable traffic is left."""
    gates = [{"metric": "success_rate", "min": 0.95}, {"metric": "error_rate", "versus": "stable", "margin": 0.01}]
    lines = plain(plan_view(plan(gates=gates), START)).splitlines()
    assert "  success_rate ≥ 0.95; from 50 outcomes of 20 users; anytime, passes at 0.05" in lines
    assert any("versus stable" in line and line.endswith("(stages 1, 2 only)") for line in lines)


def test_a_plan_tells_methods_policies_signals_and_dry_runs() -> None:
    """What decides a gate, what it does at the deadline, and what decides nothing."""
    gates = [
        {"metric": "success_rate", "min": 0.95, "method": "fixed", "alpha_fail": 0.01, "confidence": 0.9},
        {"metric": "error_rate", "versus": "stable", "on_inconclusive": "advance_if_no_evidence_of_harm"},
        {"metric": "cost", "max": 2, "dry_run": True},
    ]
    lines = plain(plan_view(plan(gates=gates, on_no_data="hold"), START)).splitlines()
    assert "  success_rate ≥ 0.95; from 50 outcomes of 20 users; fixed, passes at 0.1, fails at 0.01" in lines
    compared = next(line for line in lines if "error_rate" in line)
    assert "error_rate versus stable, ratio 1.5; " in compared
    assert "inconclusive: moves on without proof unless something speaks for harm, else pauses" in compared
    assert any(line.startswith("  dry run: cost ≤ 2; ") for line in lines)
    split = next(line for line in lines if "split as planned" in line)
    assert split == (
        "  users split as planned; anytime, fails at 0.001; the stage waits while it fails (stages 1, 2 only)"
    )
    assert "  no data: waits without an end" in lines


def test_a_plan_tells_who_is_told() -> None:
    """Each channel with its events; a plan that tells nobody says nothing of it."""
    channels = [{"slack": "$SLACK"}, {"stdout": True, "events": ["rolled_back", "completed"]}]
    lines = plain(plan_view(plan(notify=channels), START)).splitlines()
    assert lines[-3:] == ["Told of it:", "  slack ($SLACK): everything", "  stdout: rolled back, completed"]
    assert "Told of it" not in plain(plan_view(plan(), START))


def test_a_short_plan_shows_seconds() -> None:
    """Stages of seconds would all begin in the same minute."""
    short = plan(strategy={"kind": "canary", "observation_period": "10s"})
    assert f"{START.astimezone():%H:%M}:10" in plain(plan_view(short, START))


def test_a_plan_as_data_is_exact() -> None:
    """A program gets seconds and ISO times."""
    stages: Any = plan_data(plan(), START)["stages"]
    assert stages[1] == {
        "name": "50 %",
        "share": 0.5,
        "shadow": None,
        "hold_seconds": 86400.0,
        "begins_at": "2026-06-02T08:00:00+00:00",
        "ends_at": "2026-06-03T08:00:00+00:00",
    }


def test_status_of_a_running_rollout() -> None:
    """It tells stage, share, progress, checks, the last decision and what comes next."""
    text = plain(status_view(view(checks=(check(),), decisions=(decision(),)), NOW))
    assert "Stage 1 of 3: 5 % of the users get lightrag. It is running" in text
    assert "25 %  6h of 1d watched, 18h left" in text
    row = next(line for line in text.splitlines() if line.startswith("gate"))
    assert " ".join(row.split()) == "gate success_rate ≥ 0.95 pass 98 % 97 … 99 % 95 % 1,234 of 300 users"
    assert "last: " in text
    assert (
        "next: after 18h more of watching the gates are asked: if all pass, stage 2 with 50 % begins; "
        "if one fails, it rolls back" in text
    )


def test_status_without_a_worker_says_so() -> None:
    """What may be old is called so."""
    assert "no worker answered" in plain(status_view(view(live=False), NOW))


def test_status_before_a_worker_has_begun() -> None:
    """A rollout without a plan is shown with what is known."""
    waiting = view(state=State.SCHEDULED, plan=None, started_at=None, summary="no worker has begun it yet", live=False)
    text = plain(status_view(waiting, NOW))
    assert "no worker has begun it yet; started by ann." in text
    assert "next: stage 1 begins once a worker runs" in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": State.HOLDING, "blocked": Verdict.NO_DATA}, "after 1d of waiting it pauses"),
        (
            {"state": State.HOLDING, "blocked": Verdict.INCONCLUSIVE, "plan": plan(on_inconclusive="hold")},
            "after 1d of waiting it waits without an end",
        ),
        ({"state": State.PAUSED}, "turnout resume, promote, rollback or abort answer-engine"),
        ({"state": State.AWAITING_APPROVAL}, "turnout promote answer-engine --reason … begins stage 2 with 50 %"),
        ({"state": State.COMPLETED}, "nothing; lightrag serves everybody"),
        ({"state": State.ROLLED_BACK}, "turnout history answer-engine tells why"),
        ({"stage": 2}, "lightrag becomes the stable variant and the rollout completes"),
        ({"counted": timedelta(hours=24)}, "now the gates are asked"),
    ],
)
def test_what_comes_next(fields: dict[str, Any], words: str) -> None:
    """Every state says what would happen and what a person can do."""
    assert words in next_step(view(**fields))


def test_a_rollout_that_waits_for_its_window() -> None:
    """It tells why, until when, what comes then, and who may move before."""
    closed = Closed(opens_at=START, why="outside mon-thu 09:00-17:00 Europe/Berlin", timezone="Europe/Berlin")
    waiting = view(state=State.WAITING_WINDOW, closed=closed, since=START, counted=timedelta(days=1))
    text = plain(status_view(waiting, NOW))
    assert (
        "It waits for its window: opens Mon 2026-06-01 10:00 Europe/Berlin "
        "(now it is outside mon-thu 09:00-17:00 Europe/Berlin)" in text
    )
    assert "the hold is over, the clock stands still" in text
    assert "next: when it opens the gates are asked again: if all pass, stage 2 with 50 % begins" in text
    assert "with the role freeze_override" in text
    assert "when it opens stage 1 begins with 5 %" in next_step(waiting.model_copy(update={"since": None}))
    old = view(state=State.WAITING_WINDOW, live=False, decisions=(decision(text="waits for its window: opens soon"),))
    assert "waits for its window: opens soon" in plain(status_view(old, NOW))


def test_a_rollout_that_is_scheduled() -> None:
    """Status, list and start tell when it begins."""
    later = plan(start_at="2026-12-01T09:00:00+01:00")
    scheduled = view(state=State.SCHEDULED, plan=later, share=0.0)
    assert later.start_at is not None
    begins = minute(later.start_at)
    assert f"It begins on {begins}" in plain(status_view(scheduled, NOW))
    assert f"stage 1 begins with 5 % on {begins}; turnout promote answer-engine starts it now" in next_step(scheduled)
    assert f"it begins on {begins}; follow it" in started_text(scheduled).plain


def test_an_approval_that_times_out_is_told() -> None:
    """Until when somebody may approve, and what happens otherwise."""
    agreed = plan(approvals=[{"before": 50, "by": "lead", "timeout": "24h", "on_timeout": "rollback"}])
    due = view(plan=agreed, state=State.AWAITING_APPROVAL, approval_due=NOW)
    assert f"It waits for approval by lead until {minute(NOW)}" in plain(status_view(due, NOW))
    assert "approval by lead within 1d, else it rolls back" in plain(plan_view(agreed, START))


def test_a_plan_keeps_to_its_windows() -> None:
    """The earliest dates fall into the windows, which are told; START is a Monday at 8:00 UTC."""
    windows = {"days": "mon-thu", "hours": "09:00-17:00"}
    timed = plan(windows=windows, start_at="2026-06-04T16:00:00Z")
    begins = [date.begins for date in schedule(timed, START)]
    assert [f"{at:%a %H:%M}" for at in begins] == ["Thu 16:00", "Mon 09:00", "Tue 09:00"]
    text = plain(plan_view(timed, START))
    assert "Moves forward within:\n  mon-thu 09:00-17:00 UTC\n" in text
    assert "Moves forward within:" not in plain(plan_view(plan(), START))


def test_an_approval_names_its_role() -> None:
    """Who has to consent is told before and while it is due."""
    agreed = plan(approvals=[{"before": 50, "by": "lead"}])
    assert "it waits for approval by lead before stage 2" in next_step(view(plan=agreed))
    due = view(plan=agreed, state=State.AWAITING_APPROVAL)
    assert "turnout approve answer-engine" in next_step(due)
    assert "It waits for approval by lead" in plain(status_view(due, NOW))


def test_after_the_approval_the_next_stage_is_next() -> None:
    """While health is checked once more nobody is told to wait for the approval that was given."""
    agreed = plan(approvals=[{"before": 50, "by": "lead"}])
    approved = view(plan=agreed, decisions=(decision(), decision(2, kind="approved", text="approved by bob")))
    assert "if all pass, stage 2 with 50 % begins" in next_step(approved)


def test_a_pause_tells_why_once() -> None:
    """The reason of a pause is part of the sentence, without saying paused twice."""
    pause = Pause(at=START, by="bob", reason="paused by bob: look", resume_to=State.RUNNING)
    text = plain(status_view(view(state=State.PAUSED, pause=pause), NOW))
    assert "it is paused by bob: look" in text
    assert "the clock stands still" in text


def test_an_end_tells_how_and_when() -> None:
    """An ended rollout says who serves, after how long."""
    ended = view(state=State.ROLLED_BACK, ended_at=START + timedelta(hours=5))
    assert "Rolled back after 5h, on" in plain(status_view(ended, NOW))
    assert "all users get perplexity" in plain(status_view(ended, NOW))


def test_a_drawing_has_the_interval_the_value_and_the_limit() -> None:
    """The limit stands left of an interval that is above it."""
    picture = drawing(check(), 30)
    assert len(picture) == 30
    assert picture.index("┃") < picture.index("├") < picture.index("●") < picture.index("┤")


@pytest.mark.parametrize("fields", [{"value": None}, {"low": None, "high": None}, {"threshold": 0.98, "low": 0.98}])
def test_a_drawing_of_little_keeps_its_width(fields: dict[str, Any]) -> None:
    """Checks without a value, an interval or a range are drawn as far as they can be."""
    assert len(drawing(check(**fields), 20)) == 20
    assert "●" in drawing(check(**fields), 20) or fields == {"value": None}


def test_checks_in_words_and_numbers() -> None:
    """A check is told in the judge's words where there are some, else in numbers."""
    assert check_line(check()) == "gate success_rate ≥ 0.95: pass, 98 % (97 … 99 %), limit 95 %, 1,234 of 300 users"
    assert check_told(check(text="all is well")) == "gate success_rate ≥ 0.95: pass, all is well"
    nothing = check(verdict=Verdict.NO_DATA, value=None, low=None, high=None, samples=0)
    assert check_line(nothing) == "gate success_rate ≥ 0.95: no data, limit 95 %"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {
                "gate": "p95 of response_time ≤ 5000",
                "metric": "response_time",
                "value": 0.012,
                "low": None,
                "high": 0.03,
            }
            | {"threshold": 0.05},
            "1.2 % above (≤ 3 % above), limit 5 % above",
        ),
        (
            {"gate": "error_rate versus stable, margin 0.01", "metric": "error_rate", "value": -0.002, "low": -0.01}
            | {"high": 0.006, "baseline": 0.02, "threshold": 0.01},
            "−0.2 % (−1 … 0.6 %), stable 2 %, limit 1 %",
        ),
        (
            {"gate": "quality_score ≥ 0.7", "metric": "quality_score", "value": 0.81, "low": 0.79, "high": None}
            | {"threshold": 0.7},
            "0.81 (≥ 0.79), limit 0.7",
        ),
    ],
    ids=["quantile", "rate", "number"],
)
def test_checks_are_shown_in_the_units_of_their_gates(fields: dict[str, Any], line: str) -> None:
    """Rates stand in percent, a quantile as the share of values above its limit, other numbers as they are."""
    assert check_line(check(**fields)).endswith(f": pass, {line}, 1,234 of 300 users")


def test_drawn_checks_fit_a_terminal() -> None:
    """In 100 columns names, values and pictures of checks stand in full, the usual ones on one line each."""
    names = ["success_rate ≥ 0.95", "p95 of response_time ≤ 5000"]
    screen = io.StringIO()
    Console(file=screen, width=100).print(checks_drawn([check(gate=name, role="guardrail") for name in names], 20))
    rows = screen.getvalue().splitlines()[1:]
    assert [name in row for row, name in zip(rows, names, strict=True)] == [True, True]
    assert all("├" in row and "┤" in row and "1,234" in row for row in rows)


def test_a_check_tells_how_sure_it_is_and_what_it_lacks() -> None:
    """P-values against their limits, the design effect, what is missing; dry runs are called so."""
    open_question = check(
        verdict=Verdict.INCONCLUSIVE,
        p_fail=1.0,
        p_pass=0.0812,
        alpha_fail=0.01,
        alpha_pass=0.05,
        design_effect=3.14,
        missing="about 900 more outcomes",
        dry_run=True,
    )
    assert check_line(open_question) == (
        "gate, dry run success_rate ≥ 0.95: inconclusive, 98 % (97 … 99 %), limit 95 %, 1,234 of 300 users, "
        "design effect 3.1, p 1 for worse (needs 0.01), p 0.081 for good (needs 0.05), lacks about 900 more outcomes"
    )
    row = plain(checks_table([open_question])).splitlines()[1]
    assert row.endswith("1,234 of 300 users, design effect 3.1, lacks about 900 more outcomes")
    final = check(verdict=Verdict.FAIL, p_fail=1e-9, latched=True, breaches=2)
    assert check_line(final).endswith(
        "p < 0.0001 for worse, 2 readings in a row beyond the limit, final for this stage"
    )


def test_a_table_of_checks_fits_a_terminal() -> None:
    """A hundred columns are enough: what is long goes on in the next line."""
    screen = io.StringIO()
    checks = [check(missing="about 900 more outcomes of 40 more users", verdict=Verdict.INCONCLUSIVE)]
    Console(file=screen, width=100).print(checks_table(checks))
    assert all(len(line) <= 100 for line in screen.getvalue().splitlines())
    assert "1,234 of 300 users" in screen.getvalue()


def test_status_names_the_signal_it_waits_for() -> None:
    """A stage that holds for a signal says which."""
    signal = check(gate="users split as planned", role="signal", verdict=Verdict.FAIL)
    held = view(state=State.HOLDING, blocked=Verdict.INCONCLUSIVE, checks=(signal,))
    assert "It holds because a signal fails: users split as planned" in plain(status_view(held, NOW))


def test_a_history_tells_durations_and_numbers() -> None:
    """Between decisions stands how long it took; below one, the checks it rests on."""
    story = [
        Told(decision()),
        Told(decision(2, kind="advanced", stage=1, share=0.5, text="gates pass"), (check(),)),
        Told(decision(3, kind="paused", state=State.PAUSED, text="paused by bob: look")),
        Told(decision(4, kind="ended", state=State.ABORTED, text="aborted; all feeds have it")),
    ]
    lines = plain(history_view(view(), story)).splitlines()
    assert lines[1].endswith("Began stage 1 of 3 (5 % lightrag): started by ann: canary from perplexity to lightrag")
    assert lines[2] == "    (1h later)"
    assert lines[3].endswith("Moved on to stage 2 of 3 (50 % lightrag): gates pass")
    assert lines[4] == f"        {check_line(check())}"
    assert lines[6].endswith("Paused by bob: look")
    assert lines[8].endswith("Aborted; all feeds have it")


def test_times_are_local_with_their_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are shown in the zone of the person who reads."""
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert minute(datetime(2026, 6, 1, 20, 0, tzinfo=UTC)) == "Tue 2026-06-02 05:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_live_picture() -> None:
    """A terminal sees stages with progress, drawn checks, the latest decisions and trouble."""
    story = [Told(decision(seq)) for seq in range(1, 9)]
    ended_before = view(stage=1, share=0.5, checks=(check(),))
    text = plain(live_view(ended_before, story, "no answer from http://x", NOW))
    rows = [line for line in text.splitlines() if "░" in line or "█" in line]
    assert rows[0].startswith("✓")
    assert rows[1].startswith("▶")
    assert "18h left of 1d" in rows[1]
    assert text.count("Began stage") == 5
    assert "not connected, trying again: no answer from http://x" in text
    assert "┃" in text


def test_the_picture_goes_on_with_the_time() -> None:
    """While a rollout runs its clock goes on between two updates, never beyond the hold."""
    assert ticked(view(), timedelta(hours=1)).counted == timedelta(hours=7)
    assert ticked(view(), timedelta(days=3)).counted == timedelta(hours=24)
    assert ticked(view(state=State.PAUSED), timedelta(hours=1)).counted == timedelta(hours=6)


def test_colour_on_a_terminal() -> None:
    """On a terminal a failed check stands out."""
    screen = io.StringIO()
    failed = check(verdict=Verdict.FAIL)
    Console(file=screen, force_terminal=True, color_system="truecolor", width=160).print(checks_table([failed]))
    assert "\x1b[1;31mfail" in screen.getvalue()


def test_flags_and_what_they_serve() -> None:
    """A flag's line has shares, rules and generation; a stop stands out."""
    row = plain(flags_table([record()])).splitlines()[1]
    assert row.startswith("answer-engine  lightrag 12.5 %, perplexity 87.5 %  perplexity")
    assert "STOPPED" in plain(serves(record(stopped=True)))
    disabled = record().flag.model_copy(update={"enabled": False})
    assert "disabled" in plain(serves(record(flag=disabled)))
    assert "turnout flags apply" in plain(flags_table([]))


def test_a_flag_is_shown_as_a_file() -> None:
    """What `flags get` shows below the facts can be applied again."""
    import yaml

    text = plain(flag_view(record(stopped=True, stopped_reason="fire")))
    assert "stopped because: fire" in text
    assert "generation: 7, moved by rollout r1" in text
    (flag,) = parse_flags(yaml.safe_load(text[text.index("flags:") :]))
    assert flag == record().flag


def test_what_applying_did() -> None:
    """Kept traffic is mentioned, since the file says something else."""
    change = FlagChange(key="a", action="updated", traffic=record().traffic, kept=True)
    expected = (
        "a: updated, serves lightrag 12.5 %, perplexity 87.5 % (a rollout has moved its traffic; the move is kept)"
    )
    assert change_line(change) == expected


def explained(user: str | None, stopped: bool = False, **attributes: object) -> tuple[str, dict[str, Any]]:
    """The text and the data of an explanation."""
    published = PublishedFlag(definition=record().flag, traffic=record().traffic, stopped=stopped)
    snapshot = compile_document(document([published], 3, "s"))
    explanation = snapshot.explain("answer-engine", user, attributes)
    return plain(explanation_view(explanation, user)), explanation_data(explanation)


def test_an_explanation_of_a_split() -> None:
    """The bucket, its boundaries and the rules that did not match are told."""
    text, data = explained("u1")
    assert "staff: its condition does not hold" in text
    assert "decided by the split of the traffic, which rollout r1 moves" in text
    assert f"bucket {data['explanation']['bucket']:,} of 100,000" in text
    assert "lightrag: buckets 0 to 12,499 (12.5 %)" in text
    marked = next(line for line in text.splitlines() if "→" in line)
    assert data["variant"] in marked
    assert "generation 7, stable perplexity, rollout r1" in text


def test_an_explanation_of_a_rule_a_stop_and_nobody() -> None:
    """A rule, an emergency stop and a missing user are each called so."""
    assert "decided by rule staff" in explained("u1", team="qa")[0]
    assert "decided by the emergency stop" in explained("u1", stopped=True)[0]
    assert "no user was given" in explained(None)[0]


def test_a_resolution_as_data_has_ofreps_names() -> None:
    """Programs read key, variant, value, reason and metadata; errors only when there is one."""
    published = PublishedFlag(definition=record().flag, traffic=initial_traffic(record().flag))
    snapshot = compile_document(document([published], 3, "s"))
    good = resolution_data(snapshot.resolve("answer-engine", "u1"))
    assert (good["variant"], good["value"]) == ("perplexity", {"mode": "web"})
    assert "errorCode" not in good
    assert resolution_data(snapshot.resolve("nope", "u1"))["errorCode"] == "FLAG_NOT_FOUND"


def test_small_words() -> None:
    """Numbers, shares, durations and bars are short."""
    assert [number(x) for x in (None, 0.0, 5000.0, 0.98123, 12345.6)] == ["–", "0", "5,000", "0.9812", "12,346"]
    assert [percent(x) for x in (0.0, 0.125, 0.00001, 1.0)] == ["0 %", "12.5 %", "0.001 %", "100 %"]
    assert [span(timedelta(seconds=s)) for s in (0, 0.4, 59.6, 90)] == ["0s", "less than 1s", "1m", "1m 30s"]
    assert [bar(x, 4) for x in (-1, 0.5, 2)] == ["░░░░", "██░░", "████"]
    assert "turnout start" in plain(rollouts_table([]))
    assert "3 stages, the first gives it 5 %" in plain(started_text(view()))


def test_the_name_of_a_rollout_is_told() -> None:
    """Where it starts, where it stands, and in the list."""
    named = view(plan=plan(name="spring answers"))
    assert "started canary “spring answers” of answer-engine" in plain(started_text(named))
    assert plain(status_view(named, START)).startswith("answer-engine  canary “spring answers”, perplexity → lightrag")
    fields = named.model_dump(include=set(RolloutRecord.model_fields) & set(type(named).model_fields) - {"plan"})
    record = RolloutRecord.model_validate(fields | {"plan": named.plan, "generation": 2})
    assert "canary “spring answers”" in plain(rollouts_table([record]))
