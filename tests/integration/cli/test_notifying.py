"""turnout notify: the channels of a file, tried from here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.integration.cli.canned import Canned
from tests.integration.cli.runner import Turnout
from tests.unit.cli.builders import spec_document
from turnout.domain.notices import Notice


@pytest.fixture
def spec(tmp_path: Path, canned: Canned, monkeypatch: pytest.MonkeyPatch) -> str:
    """A rollout with three channels, one of which lacks its variable."""
    monkeypatch.setenv("HOOK_SECRET", "a-secret-of-the-hook")
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    canned.answers["POST", "/hook"] = 200, {}
    hook = {"webhook": f"{canned.url}/hook", "secret": "$HOOK_SECRET", "events": ["completed"]}
    file = tmp_path / "rollout.yaml"
    file.write_text(yaml.safe_dump(spec_document(notify=[{"slack": "$SLACK_WEBHOOK_URL"}, hook, {"stdout": True}])))
    return str(file)


def test_every_channel_is_tried(canned: Canned, spec: str) -> None:
    """What one lacks is said, and the others are told all the same, with a notice that is none."""
    ran = Turnout(canned.url)("notify", spec)
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "fail  slack ($SLACK_WEBHOOK_URL): notify.slack needs the environment variable SLACK_WEBHOOK_URL, "
        "which is not set where it is sent",
        f"ok    webhook {canned.url}/hook",
        "ok    stdout",
    ]
    assert Notice.model_validate_json(ran.err).event == "test"
    (posted,) = (body for method, path, _, body in canned.requests if (method, path) == ("POST", "/hook"))
    assert (posted["event"], posted["title"]) == ("test", "answer-engine: test of this channel")


def test_as_data(canned: Canned, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 0 when every channel has taken it."""
    monkeypatch.setenv("SLACK_WEBHOOK_URL", f"{canned.url}/hook")
    ran = Turnout(canned.url)("notify", spec, "--output", "json")
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert [trial["problem"] for trial in ran.json["channels"]] == ["", "", ""]


def test_a_file_without_channels(canned: Canned) -> None:
    """Is told how to name one."""
    ran = Turnout(canned.url)("notify", "-", input=yaml.safe_dump(spec_document()))
    assert (ran.code, "write notify: [{slack: $SLACK_WEBHOOK_URL}]" in ran.err) == (2, True)


def test_a_yaml_file_with_on(canned: Canned) -> None:
    """YAML reads the word as true; the line and the right word are told."""
    text = yaml.safe_dump(spec_document()) + "notify:\n- {stdout: true, on: [paused]}\n"
    ran = Turnout(canned.url)("validate", "--offline", "-", input=text)
    assert ran.code == 1
    assert "notify[0].on: means true in YAML; write events: [paused, rolled_back]" in ran.out
